import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import { EtherType, emitEthernet, ethernetHeaderLen, sumBytes } from '../wire/index.ts';
import { createResponder } from './responder.ts';

const mac = MacAddress.parse('02:00:00:00:00:02');
const answer = [Cidr.parse('10.0.0.0/24'), Cidr.parse('192.0.2.7/32')];
const except = [IpAddress.parse('10.0.0.1')];
const MTU = 400;

/** Addresses of which some are answered, some are not, and some no host has. */
const address = fc.constantFrom(
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.255',
  '10.0.0.0',
  '192.0.2.7',
  '127.0.0.1',
  '224.0.0.1',
  '8.8.8.8',
);

/** An echo request, right or with something about it changed. */
const packets = fc
  .record({
    source: address,
    destination: address,
    dataLen: fc.integer({ min: 0, max: MTU }),
    data: fc.integer({ min: 0, max: 255 }),
    ttl: fc.integer({ min: 0, max: 255 }),
    identifier: fc.constantFrom(0, 1, 0xffff),
    change: fc.option(fc.record({ at: fc.integer({ min: 0, max: 40 }), to: fc.integer({ min: 0, max: 255 }) })),
    mend: fc.boolean(),
    cut: fc.constantFrom(0, 0, 0, 1, 9),
    padding: fc.constantFrom(0, 0, 6),
  })
  .map(({ source, destination, dataLen, data, ttl, identifier, change, mend, cut, padding }) => {
    const packet = new Uint8Array(28 + dataLen + padding);
    packet.set([0x45, 0, (28 + dataLen) >> 8, (28 + dataLen) & 0xff, 0, 1, 0, 0, ttl, 1]);
    packet.set(IpAddress.parse(source).bytes, 12);
    packet.set(IpAddress.parse(destination).bytes, 16);
    packet.set([8, 0, 0, 0, identifier >> 8, identifier & 0xff], 20);
    packet.fill(data, 28, 28 + dataLen);
    putSums(packet, dataLen);
    // The version stays 4: by it, or by the EtherType, other ways part before this one.
    if (change !== null) packet[change.at] = change.at === 0 ? 0x40 | (change.to & 15) : change.to;
    if (change !== null && mend) putSums(packet, dataLen);
    return packet.subarray(0, packet.length - cut);
  });

function putSums(packet: Uint8Array, dataLen: number): void {
  for (const [at, from, length] of [
    [10, 0, 20],
    [22, 20, 8 + dataLen],
  ] as const) {
    packet.fill(0, at, at + 2);
    const checksum = ~sumBytes(packet, from, length) & 0xffff;
    packet.set([checksum >> 8, checksum & 0xff], at);
  }
}

function respond(medium: 'ip' | 'ethernet', packet: Uint8Array): { replies: number[][]; counters: unknown } {
  const responder = createResponder({ medium, mtu: MTU, answer, except, mac });
  const batch = new PacketBatch();
  const headerLen = medium === 'ethernet' ? ethernetHeaderLen : 0;
  const frame = new Uint8Array(headerLen + packet.length);
  const station = MacAddress.parse('02:00:00:00:00:09');
  if (headerLen > 0) emitEthernet({ destination: mac, source: station, etherType: EtherType.ipv4 }, frame, 0);
  frame.set(packet, headerLen);
  batch.append(frame);
  responder.handle(batch, 0);
  const replies = [...batch, ...responder.outbox].map((reply) => [...reply.subarray(headerLen)]);
  return { replies, counters: responder.counters };
}

describe('a plain echo request', () => {
  it('is answered, or dropped and counted, just as by way of the views, which frames still take', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        expect(respond('ip', packet)).toEqual(respond('ethernet', packet));
      }),
      { numRuns: 5000 },
    );
  });

  it('is answered in place', () => {
    const [packet] = fc.sample(
      packets.filter((candidate) => respond('ip', candidate).replies.length === 1),
      1,
    ) as [Uint8Array];
    const { replies } = respond('ip', packet);
    expect(replies[0]?.slice(12, 20)).toEqual([...packet.subarray(16, 20), ...packet.subarray(12, 16)]);
    expect(replies[0]?.[20]).toBe(0);
  });
});
