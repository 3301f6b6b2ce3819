import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, seededRandom } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  countingBytes,
  type EchoOptions,
  echoRequest,
  ethernetFrame,
  expectEcho,
  expectEchoReply,
  icmpv4Message,
  icmpv6Message,
  ipv4Packet,
  ipv6Packet,
  packetOf,
  udpPacket,
} from '../testing/index.ts';
import { emitIpv6Extension, parseIcmpv4, parseIcmpv6, parseIpv4, parseIpv6 } from '../wire/index.ts';
import { createResponder, type HostDropReason, type Responder, type ResponderOptions } from './index.ts';

const v4 = { source: '10.0.0.1', destination: '10.0.0.2' };
const v6 = { source: 'fd00::1', destination: 'fd00::2' };
const mac = '02:76:6e:69:63:01';
const kernelMac = '02:00:00:00:00:99';

function responderFor(options: Partial<ResponderOptions> = {}): Responder {
  return createResponder({
    medium: 'ip',
    answer: [Cidr.parse('10.0.0.0/24'), Cidr.parse('fd00::/64')],
    except: [IpAddress.parse('10.0.0.1'), IpAddress.parse('fd00::1')],
    ...options,
  });
}

/** Hands packets over in one batch; gives what stays in it and what the outbox holds. */
function answersTo(responder: Responder, packets: Uint8Array[], nowMs = 0): Uint8Array[] {
  const batch = new PacketBatch({ capacity: packets.length });
  for (const packet of packets) if (!batch.append(packet)) throw new RangeError('the batch is too small');
  responder.handle(batch, nowMs);
  const answers = [...batch, ...responder.outbox].map((packet) => packet.slice());
  responder.outbox.clear();
  return answers;
}

function expectDropped(responder: Responder, packet: Uint8Array, reason: HostDropReason): void {
  const before = responder.counters.dropped[reason];
  expect(answersTo(responder, [packet]), reason).toEqual([]);
  expect(responder.counters.dropped[reason], reason).toBe(before + 1);
}

describe.each([
  ['IPv4', v4],
  ['IPv6', v6],
])('echo over %s', (_, ends) => {
  it('is answered with the ends exchanged and identifier, number and data as they were', () => {
    const request = echoRequest({ ...ends, identifier: 0xabcd, sequenceNumber: 0xffff });
    const [reply] = answersTo(responderFor(), [request]);
    expect(expectEchoReply(request, reply as Uint8Array).hopLimit).toBe(64);
  });

  it('has a right checksum for any data, identifier and number', () => {
    const responder = responderFor();
    const random = seededRandom(7);
    const some = (below: number): number => Math.floor(random() * below);
    for (let i = 0; i < 2000; i++) {
      const data = Uint8Array.from({ length: some(200) }, () => some(256));
      const request = echoRequest({ ...ends, identifier: some(65_536), sequenceNumber: some(65_536), data });
      const [reply] = answersTo(responder, [request]);
      expectEchoReply(request, reply as Uint8Array);
    }
    expect(responder.counters.received).toBe(2000);
  });

  it('has a right checksum when the message is all zeros', () => {
    const request = echoRequest({ ...ends, identifier: 0, sequenceNumber: 0, data: new Uint8Array(56) });
    const [reply] = answersTo(responderFor(), [request]);
    expectEchoReply(request, reply as Uint8Array);
  });

  it('is answered in place, with nothing in the outbox', () => {
    const responder = responderFor();
    const batch = new PacketBatch();
    const request = echoRequest(ends);
    batch.append(request);
    responder.handle(batch, 0);
    expect(responder.outbox.count).toBe(0);
    expectEchoReply(request, batch.packet(0));
  });

  it('skips packets that were dropped from the batch', () => {
    const responder = responderFor();
    const batch = new PacketBatch();
    batch.append(echoRequest(ends));
    batch.drop(0);
    responder.handle(batch, 0);
    expect(responder.counters.received).toBe(0);
  });

  it.each([1, 37, 255])('carries the hop limit %i when it is told to', (hopLimit) => {
    for (const length of [56, 3000]) {
      const request = echoRequest({ ...ends, data: countingBytes(length) });
      const [reply] = answersTo(responderFor({ hopLimit, mtu: 9000 }), [request]);
      expect(expectEchoReply(request, reply as Uint8Array).hopLimit).toBe(hopLimit);
    }
  });

  it('with a wrong checksum is dropped', () => {
    const request = echoRequest(ends);
    request[request.length - 1] = (request.at(-1) as number) ^ 1;
    expectDropped(responderFor(), request, 'bad-checksum');
  });

  it('with a code other than 0 is dropped', () => {
    const responder = responderFor();
    const fields = {
      kind: 'other',
      type: ends === v4 ? 8 : 128,
      code: 1,
      restOfHeader: 0,
      data: countingBytes(8),
    } as const;
    const packet =
      ends === v4
        ? ipv4Packet({ ...ends, protocol: 1, payload: icmpv4Message(fields) })
        : ipv6Packet({ ...ends, nextHeader: 58, payload: icmpv6Message(fields, ends) });
    expectDropped(responder, packet, 'bad-code');
  });

  it('cut off anywhere is dropped without a throw', () => {
    const responder = responderFor();
    const request = echoRequest(ends);
    for (let length = 1; length < request.length; length++) {
      expect(answersTo(responder, [request.subarray(0, length)])).toEqual([]);
    }
    expect(responder.counters.dropped.truncated).toBe(request.length - 1);
  });

  it('is not answered for an excepted address or one outside the subnet', () => {
    const responder = responderFor();
    expectDropped(responder, echoRequest({ source: ends.destination, destination: ends.source }), 'not-for-us');
    const foreign = ends === v4 ? '10.0.1.2' : 'fd00:0:0:1::2';
    expectDropped(responder, echoRequest({ ...ends, destination: foreign }), 'not-for-us');
  });

  it('from itself is dropped', () => {
    expectDropped(responderFor(), echoRequest({ ...ends, source: ends.destination }), 'bad-source');
  });

  it('of mixed good and bad packets leaves exactly the replies in the batch', () => {
    const good = [1, 2, 3].map((sequenceNumber) => echoRequest({ ...ends, sequenceNumber }));
    const bad = echoRequest({ ...ends, source: ends.destination });
    const replies = answersTo(responderFor(), [good[0], bad, good[1], bad, bad, good[2]] as Uint8Array[]);
    expect(replies.map((reply) => expectEcho(reply).echo.sequenceNumber)).toEqual([1, 2, 3]);
  });

  it('on Ethernet is answered with the stations exchanged, and padding is cut', () => {
    const request = echoRequest({ ...ends, data: countingBytes(1) });
    const padded = Buffer.concat([
      ethernetFrame({ source: kernelMac, destination: mac }, request),
      Buffer.alloc(40, 7),
    ]);
    const [reply] = answersTo(responderFor({ medium: 'ethernet' }), [padded]);
    expectEchoReply(request, packetOf(reply as Uint8Array));
    expect(Buffer.from(reply as Uint8Array).toString('hex', 0, 12)).toBe('020000000099' + '02766e696301');
  });

  it('on Ethernet for another station, or broadcast, is not answered', () => {
    const responder = responderFor({ medium: 'ethernet' });
    for (const destination of ['02:00:00:00:00:77', 'ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01']) {
      expectDropped(responder, ethernetFrame({ source: kernelMac, destination }, echoRequest(ends)), 'not-for-us');
    }
    const fromGroup = ethernetFrame({ source: '03:00:00:00:00:01', destination: mac }, echoRequest(ends));
    expectDropped(responder, fromGroup, 'bad-source');
  });

  it('errors are never answered, other messages neither', () => {
    const responder = responderFor({ refuseUdp: true });
    const original = echoRequest(ends);
    const error = { kind: 'destinationUnreachable', code: 1, nextHopMtu: 0, original } as const;
    const reply = { kind: 'echoReply', identifier: 1, sequenceNumber: 1, data: countingBytes(8) } as const;
    const wrap = (fields: typeof error | typeof reply): Uint8Array =>
      ends === v4
        ? ipv4Packet({ ...ends, protocol: 1, payload: icmpv4Message(fields) })
        : ipv6Packet({ ...ends, nextHeader: 58, payload: icmpv6Message(fields, ends) });
    expectDropped(responder, wrap(error), 'icmp-error');
    expectDropped(responder, wrap(reply), 'not-echo');
  });

  it('beside it UDP is dropped, or refused when told to, at a limited rate', () => {
    const datagram = udpPacket({ ...ends, sourcePort: 1000, destinationPort: 33_434, payload: countingBytes(900) });
    expectDropped(responderFor(), datagram, 'other-protocol');
    const responder = responderFor({ refuseUdp: true });
    const answers = answersTo(responder, new Array<Uint8Array>(60).fill(datagram));
    expect(answers.length).toBe(50);
    expect(responder.counters.dropped['rate-limited']).toBe(10);
    expect(responder.counters.portsUnreachable).toBe(50);
    expectPortUnreachable(answers[0] as Uint8Array, datagram);
    expect(answersTo(responder, [datagram], 1000).length).toBe(1);
    datagram[datagram.length - 1] = 0xee;
    expectDropped(responder, datagram, 'bad-checksum');
  });
});

function expectPortUnreachable(packet: Uint8Array, datagram: Uint8Array): void {
  const ipv4 = (packet[0] as number) >> 4 === 4;
  const ip = ipv4 ? parseIpv4(packet) : parseIpv6(packet);
  if (typeof ip === 'string') throw new TypeError(ip);
  const headerLen = packet.length - ip.payloadLen;
  const body = packet.subarray(headerLen);
  const icmp = ipv4 ? parseIcmpv4(body) : parseIcmpv6(body, ip);
  if (typeof icmp === 'string' || icmp.kind !== 'destinationUnreachable') throw new TypeError(String(icmp));
  expect(icmp.code).toBe(ipv4 ? 3 : 4);
  expect(Buffer.from(icmp.original)).toEqual(Buffer.from(datagram.subarray(0, icmp.original.length)));
  expect(packet.length).toBe(ipv4 ? 576 : 48 + datagram.length);
}

describe('echo over IPv4', () => {
  it.each(['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '10.0.0.255', '10.0.0.0'])(
    'from %s is dropped',
    (source) => {
      expectDropped(responderFor(), echoRequest({ ...v4, source }), 'bad-source');
    },
  );

  it.each(['10.0.0.255', '10.0.0.0', '255.255.255.255', '224.0.0.1', '0.0.0.0'])(
    'to %s is not answered',
    (destination) => {
      expectDropped(responderFor(), echoRequest({ ...v4, destination }), 'not-for-us');
    },
  );

  it('is answered without the options of the request', () => {
    const { payload } = requestParts(v4);
    const recordRoute = Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0);
    const request = ipv4Packet({ ...v4, protocol: 1, payload, options: recordRoute });
    const [reply] = answersTo(responderFor(), [request]);
    expect(expectEchoReply(echoRequest(v4), reply as Uint8Array).source).toBe('10.0.0.2');
  });

  it('with a source route, or broken options, is dropped', () => {
    const { payload } = requestParts(v4);
    const routed = Uint8Array.of(131, 7, 4, 10, 0, 0, 9, 0);
    const broken = Uint8Array.of(7, 0, 0, 0);
    const packet = (options: Uint8Array): Uint8Array => ipv4Packet({ ...v4, protocol: 1, payload, options });
    expectDropped(responderFor(), packet(routed), 'source-routed');
    expectDropped(responderFor(), packet(broken), 'bad-option');
  });

  it('with a wrong header checksum is dropped', () => {
    const request = echoRequest(v4);
    request[8] = 3;
    expectDropped(responderFor(), request, 'bad-checksum');
  });
});

describe('echo over IPv6', () => {
  it.each(['::', '::1', 'ff02::1'])('from %s is dropped', (source) => {
    expectDropped(responderFor(), echoRequest({ ...v6, source }), 'bad-source');
  });

  it.each(['fd00::', 'ff02::1', 'fe80::2'])('to %s is not answered', (destination) => {
    expectDropped(responderFor(), echoRequest({ ...v6, destination }), 'not-for-us');
  });

  it('is answered behind extension headers, without them', () => {
    const padding = [{ type: 1, data: new Uint8Array(4) }];
    const request = behindExtension({ kind: 'destinationOptions', nextHeader: 58, options: padding }, 60);
    const hopByHop = behindExtension({ kind: 'hopByHop', nextHeader: 58, options: padding }, 0);
    for (const packet of [request, hopByHop]) {
      const [reply] = answersTo(responderFor(), [packet]);
      expectEchoReply(echoRequest(v6), reply as Uint8Array);
    }
  });

  it('behind a routing header with segments left, or an option that must not be skipped, is dropped', () => {
    const routing = {
      kind: 'routing',
      nextHeader: 58,
      routingType: 0,
      segmentsLeft: 1,
      data: new Uint8Array(20),
    } as const;
    expectDropped(responderFor(), behindExtension(routing, 43), 'source-routed');
    const options = [{ type: 0xc5, data: new Uint8Array(4) }];
    const unknown = { kind: 'destinationOptions', nextHeader: 58, options } as const;
    expectDropped(responderFor(), behindExtension(unknown, 60), 'unknown-option');
  });
});

describe('a responder', () => {
  it('never throws and keeps its memory for a hundred thousand mutated and random packets', () => {
    const random = seededRandom(20_260_730);
    const some = (below: number): number => Math.floor(random() * below);
    const seeds = [v4, v6].flatMap((ends) => [
      echoRequest(ends),
      udpPacket({ ...ends, sourcePort: 1, destinationPort: 2, payload: countingBytes(40) }),
    ]);
    seeds.push(
      behindExtension(
        { kind: 'fragment', nextHeader: 58, fragmentOffset: 0, moreFragments: true, identification: 1 },
        44,
      ),
    );
    for (const medium of ['ip', 'ethernet'] as const) {
      const responder = responderFor({ medium, refuseUdp: true });
      const batch = new PacketBatch({ capacity: 50 });
      for (let round = 0; round < 1000; round++) {
        batch.clear();
        for (let i = 0; i < 50; i++) {
          const seed = seeds[some(seeds.length)] as Uint8Array;
          const packet = medium === 'ip' ? seed.slice() : ethernetFrame({ source: kernelMac, destination: mac }, seed);
          for (let n = some(6); n > 0; n--) packet[some(packet.length)] = some(256);
          batch.append(packet.subarray(0, 1 + some(packet.length)));
        }
        responder.handle(batch, round);
        responder.poll(round);
        responder.outbox.clear();
      }
      expect(responder.counters.received).toBe(50_000);
    }
  });

  it.each([
    { medium: 'tun' as 'ip' },
    { answer: [Cidr.parse('224.0.0.1')] },
    { answer: [Cidr.parse('::1')] },
    { hopLimit: 0 },
    { hopLimit: 256 },
    { mtu: 67 },
    { mtu: 1.5 },
    { delayMs: -1 },
    { delayMs: Number.NaN },
    { loss: 1.1 },
    { loss: 0.5 },
    { jitterMs: 1 },
    { limits: { reassemblyDatagrams: 0 } },
    { limits: { outboxBytes: 100 } },
  ])('refuses %j', (options) => {
    expect(() => responderFor(options)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});

function requestParts(options: EchoOptions): { payload: Uint8Array } {
  const packet = echoRequest(options);
  return { payload: packet.subarray(options === v4 ? 20 : 40) };
}

function behindExtension(fields: Parameters<typeof emitIpv6Extension>[0], nextHeader: number): Uint8Array {
  const scratch = new Uint8Array(64);
  const length = emitIpv6Extension(fields, scratch, 0);
  const { payload } = requestParts(v6);
  return ipv6Packet({ ...v6, nextHeader, payload: Buffer.concat([scratch.subarray(0, length), payload]) });
}
