import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { IpAddress } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  countingBytes,
  echoRequest,
  ethernetFrame,
  icmpv4Message,
  icmpv6Message,
  ipv4Packet,
  ipv6Packet,
  udpPacket,
} from '../testing/index.ts';
import { IpProtocol, Ipv4View, parseIcmpv4, parseIcmpv6, parseIpv4, parseIpv6, putU16 } from '../wire/index.ts';
import { fragmentIpv4, type PacketTooBigOptions, packetTooBig } from './index.ts';

const ip4 = { source: '10.0.0.1', destination: '10.0.0.2' };
const ip6 = { source: 'fd00::1', destination: 'fd00::2' };
const onIp: PacketTooBigOptions = { medium: 'ip' };

/** An IPv4 packet that may not be fragmented, of `length` bytes. */
const packet4 = (length: number, change: (packet: Uint8Array, ip: Ipv4View) => void = () => undefined): Uint8Array => {
  const packet = udpPacket({ ...ip4, sourcePort: 1, destinationPort: 2, payload: countingBytes(length - 28) });
  packet[6] = 0x40;
  const ip = Ipv4View.from(packet);
  if (typeof ip === 'string') throw new Error(ip);
  change(packet, ip);
  ip.updateChecksum();
  return packet;
};
const packet6 = (length: number, ends = ip6): Uint8Array =>
  udpPacket({ ...ends, sourcePort: 1, destinationPort: 2, payload: countingBytes(length - 48) });

const answered = (answer: ReturnType<typeof packetTooBig>): Uint8Array => {
  if (typeof answer === 'string') throw new Error(`no answer: ${answer}`);
  return answer;
};

describe('the answer to an IPv4 packet', () => {
  it.each([600, 1500, 65_535])('of %i bytes tells the MTU and quotes what fits in 576 bytes', (length) => {
    const packet = packet4(length);
    const answer = answered(packetTooBig(packet, 500, onIp));
    expect(answer.length).toBe(576);
    const header = parseIpv4(answer);
    expect(header).toMatchObject({ protocol: IpProtocol.icmpv4, dscp: 48, ttl: 64 });
    expect(String((header as { source: IpAddress }).source)).toBe('10.0.0.2');
    expect(String((header as { destination: IpAddress }).destination)).toBe('10.0.0.1');
    expect(parseIcmpv4(answer.subarray(20))).toEqual({
      kind: 'destinationUnreachable',
      code: 4,
      nextHopMtu: 500,
      original: packet.subarray(0, 548),
    });
  });

  it('that is short quotes it whole', () => {
    const packet = packet4(200);
    const message = parseIcmpv4(answered(packetTooBig(packet, 100, onIp)).subarray(20));
    expect(message).toMatchObject({ original: packet });
  });

  it('comes from the address that is given', () => {
    const answer = answered(packetTooBig(packet4(1500), 1400, { ...onIp, source4: IpAddress.parse('192.0.2.1') }));
    expect(String((parseIpv4(answer) as { source: IpAddress }).source)).toBe('192.0.2.1');
  });

  const broken: [string, Uint8Array, string][] = [
    ['may be fragmented', packet4(1500, (packet) => packet.fill(0, 6, 7)), 'fragmentable'],
    ['is a later fragment', packet4(1500, (packet) => putU16(packet, 6, 0x4001)), 'later-fragment'],
    ['goes to many', packet4(1500, (packet) => packet.set([224, 0, 0, 5], 16)), 'multicast'],
    ['goes to all', packet4(1500, (packet) => packet.fill(255, 16, 20)), 'multicast'],
    ['comes from nobody', packet4(1500, (packet) => packet.fill(0, 12, 16)), 'bad-source'],
    ['comes from many', packet4(1500, (packet) => packet.set([239, 1, 2, 3], 12)), 'bad-source'],
    ['comes from loopback', packet4(1500, (packet) => packet.set([127, 0, 0, 1], 12)), 'bad-source'],
    ['has a wrong checksum', packet4(1500).fill(7, 10, 11), 'bad-checksum'],
    ['is cut off', packet4(1500).subarray(0, 1499), 'truncated'],
    ['is no IP', new Uint8Array(1500), 'not-ip'],
    ['is nothing', new Uint8Array(0), 'not-ip'],
  ];
  it.each(broken)('is left out when it %s', (_what, packet, reason) => {
    expect(packetTooBig(packet, 1400, onIp)).toBe(reason);
  });

  it.each([3, 4, 5, 11, 12])('is left out when it is an ICMP error of type %i', (type) => {
    const message = icmpv4Message({ kind: 'other', type, code: 0, restOfHeader: 0, data: countingBytes(1400) });
    const packet = ipv4Packet({ ...ip4, protocol: IpProtocol.icmpv4, dontFragment: true, payload: message });
    expect(packetTooBig(packet, 1400, onIp)).toBe('icmp-error');
  });
});

describe('the answer to an IPv6 packet', () => {
  it.each([1281, 1500, 65_000])('of %i bytes tells the MTU and quotes what fits in 1280 bytes', (length) => {
    const packet = packet6(length);
    const answer = answered(packetTooBig(packet, 1280, onIp));
    expect(answer.length).toBe(1280);
    expect(parseIpv6(answer)).toMatchObject({ nextHeader: IpProtocol.icmpv6 });
    const addresses = { source: IpAddress.parse(ip6.destination), destination: IpAddress.parse(ip6.source) };
    expect(parseIcmpv6(answer.subarray(40), addresses)).toEqual({
      kind: 'packetTooBig',
      code: 0,
      mtu: 1280,
      original: packet.subarray(0, 1232),
    });
  });

  it('never tells less than 1280, and leaves out what no sender makes shorter', () => {
    const addresses = { source: IpAddress.parse(ip6.destination), destination: IpAddress.parse(ip6.source) };
    const answer = answered(packetTooBig(packet6(1300), 1000, onIp));
    expect(parseIcmpv6(answer.subarray(40), addresses)).toMatchObject({ mtu: 1280 });
    expect(packetTooBig(packet6(1280), 1000, onIp)).toBe('ipv6-minimum');
  });

  it.each([
    ['goes to many', packet6(1500, { ...ip6, destination: 'ff02::1' }), 'multicast'],
    ['comes from nobody', packet6(1500, { ...ip6, source: '::' }), 'bad-source'],
    ['comes from many', packet6(1500, { ...ip6, source: 'ff02::1' }), 'bad-source'],
    ['is cut off', packet6(1500).subarray(0, 1400), 'truncated'],
  ])('is left out when it %s', (_what, packet, reason) => {
    expect(packetTooBig(packet, 1400, onIp)).toBe(reason);
  });

  it.each([1, 2, 3, 4, 127, 137])('is left out when it is of ICMPv6 type %i', (type) => {
    const message = icmpv6Message({ kind: 'other', type, code: 0, restOfHeader: 0, data: countingBytes(1400) }, ip6);
    const packet = ipv6Packet({ ...ip6, nextHeader: IpProtocol.icmpv6, payload: message });
    expect(packetTooBig(packet, 1400, onIp)).toBe('icmp-error');
  });

  it('is given to an echo request', () => {
    const packet = echoRequest({ ...ip6, identifier: 1, sequenceNumber: 1, data: countingBytes(1400) });
    expect(answered(packetTooBig(packet, 1400, onIp)).length).toBe(1280);
  });
});

describe('the answer to an Ethernet frame', () => {
  const macs = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
  const tag = Uint8Array.of(0x81, 0x00, 0x60, 0x07);

  it.each([[[]], [[tag]], [[tag, tag]]])('has the stations swapped and its %o tags kept', (tags) => {
    const plain = ethernetFrame({ ...macs, etherType: 0x0800 }, packet4(1500));
    const frame = Uint8Array.from([
      ...plain.subarray(0, 12),
      ...tags.flatMap((one) => [...one]),
      ...plain.subarray(12),
    ]);
    const headerLen = 14 + 4 * tags.length;
    const answer = answered(packetTooBig(frame, 1400, { medium: 'ethernet' }));
    expect(answer.subarray(0, 6)).toEqual(frame.subarray(6, 12));
    expect(answer.subarray(6, 12)).toEqual(frame.subarray(0, 6));
    expect(answer.subarray(12, headerLen)).toEqual(frame.subarray(12, headerLen));
    expect(parseIcmpv4(answer.subarray(headerLen + 20))).toMatchObject({ nextHopMtu: 1400 });
  });

  it.each([
    ['to all', { ...macs, destination: 'ff:ff:ff:ff:ff:ff' }, 0x0800, 'multicast'],
    ['from a group', { ...macs, source: '03:00:00:00:00:01' }, 0x0800, 'multicast'],
    ['of another protocol', macs, 0x0806, 'not-ip'],
  ])('is left out when it is one %s', (_what, between, etherType, reason) => {
    expect(packetTooBig(ethernetFrame({ ...between, etherType }, packet4(1500)), 1400, { medium: 'ethernet' })).toBe(
      reason,
    );
  });
});

it('nothing that comes from the network makes it throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom('ip' as const, 'ethernet' as const),
      (bytes, medium) => {
        packetTooBig(bytes, 68, { medium });
        for (const first of [0x45, 0x4f, 0x60])
          if (bytes.length > 0) packetTooBig(Uint8Array.from([first, ...bytes]), 68, onIp);
      },
    ),
  );
});

describe('fragments', () => {
  const fragmentsOf = (
    packet: Uint8Array,
    mtu: number,
    batch = new PacketBatch({ capacity: 2048, bytesLen: 1 << 20 }),
  ): Uint8Array[] => {
    const ip = new Ipv4View();
    expect(ip.wrap(packet, 0, packet.length)).toBeUndefined();
    const count = fragmentIpv4(ip, mtu, batch);
    expect(batch.count).toBe(count);
    return [...batch];
  };

  it('put together are the packet, at every MTU', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 9000 }),
        fc.integer({ min: 68, max: 2000 }),
        fc.constantFrom(0, 4, 40),
        (length, mtu, optionsLen) => {
          const options = new Uint8Array(optionsLen).fill(1);
          const payload = countingBytes(length);
          const packet = ipv4Packet({ ...ip4, protocol: 17, identification: 4711, ttl: 9, options, payload });
          const joined = new Uint8Array(length);
          let end = 0;
          const fragments = fragmentsOf(packet, mtu);
          for (const [i, bytes] of fragments.entries()) {
            expect(bytes.length).toBeLessThanOrEqual(mtu);
            const fields = parseIpv4(bytes);
            if (typeof fields === 'string') throw new Error(fields);
            expect(fields).toMatchObject({ identification: 4711, ttl: 9, protocol: 17, fragmentOffset: end });
            expect(fields.moreFragments).toBe(i < fragments.length - 1);
            joined.set(bytes.subarray(bytes.length - fields.payloadLen), end);
            end += fields.payloadLen;
          }
          expect(joined).toEqual(payload);
        },
      ),
    );
  });

  it('of a fragment go on where it begins, and only the last of the last is the last', () => {
    const packet = ipv4Packet({
      ...ip4,
      protocol: 17,
      fragmentOffset: 800,
      moreFragments: true,
      payload: countingBytes(1200),
    });
    const fields = fragmentsOf(packet, 600).map((bytes) => parseIpv4(bytes));
    expect(fields).toMatchObject([
      { fragmentOffset: 800, moreFragments: true, payloadLen: 576 },
      { fragmentOffset: 1376, moreFragments: true, payloadLen: 576 },
      { fragmentOffset: 1952, moreFragments: true, payloadLen: 48 },
    ]);
  });

  it('after the first have only the options that are to be copied', () => {
    // Record route (7) is not copied, loose source route (131) is.
    const options = Uint8Array.of(7, 3, 4, 1, 131, 3, 4, 0);
    const packet = ipv4Packet({ ...ip4, protocol: 17, options, payload: countingBytes(1000) });
    const [first, second] = fragmentsOf(packet, 600).map((bytes) => parseIpv4(bytes));
    expect(first).toMatchObject({ options });
    expect(second).toMatchObject({ options: Uint8Array.of(131, 3, 4, 0) });
  });

  it('are all made or none', () => {
    const packet = ipv4Packet({ ...ip4, protocol: 17, payload: countingBytes(9000) });
    expect(fragmentsOf(packet, 600, new PacketBatch({ capacity: 3 }))).toEqual([]);
    expect(fragmentsOf(packet, 27)).toEqual([]);
  });
});
