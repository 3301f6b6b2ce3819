/** parse(emit(x)) = x for every header, at any offset. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IpAddress, MacAddress } from '../base/index.ts';
import { type ArpFields, emitArp, parseArp } from './arp.ts';
import { emitEthernet, parseEthernet } from './ethernet.ts';
import { emitIcmpv4, type Icmpv4Fields, parseIcmpv4 } from './icmpv4.ts';
import { emitIcmpv6, type Icmpv6Fields, parseIcmpv6 } from './icmpv6.ts';
import { emitIpv4, type Ipv4Fields, parseIpv4 } from './ipv4.ts';
import { emitIpv4Options, parseIpv4Options } from './ipv4-option.ts';
import { emitIpv6, parseIpv6 } from './ipv6.ts';
import { emitIpv6Extension, type Ipv6ExtensionFields, parseIpv6Extension } from './ipv6-extension.ts';
import { emitNdp, type NdpFields, parseNdp } from './ndp.ts';
import type { NdpOption } from './ndp-option.ts';
import { emitTcp, parseTcp, type TcpFields } from './tcp.ts';
import type { TcpOption } from './tcp-option.ts';
import { emitUdp, parseUdp } from './udp.ts';
import { emitVlan, parseVlan } from './vlan.ts';

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const octets = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const exactly = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const mac = exactly(6).map((bytes) => MacAddress.fromBytes(bytes));
const ipv4 = exactly(4).map((bytes) => IpAddress.fromBytes(bytes));
const ipv6 = exactly(16).map((bytes) => IpAddress.fromBytes(bytes));
const v4Pair = fc.record({ source: ipv4, destination: ipv4 });
const v6Pair = fc.record({ source: ipv6, destination: ipv6 });
const pair = fc.oneof(v4Pair, v6Pair);
const only = <const T>(value: T): fc.Arbitrary<T> => fc.constant(value);

/**
 * Emits into the middle of a buffer of ones, checks that nothing outside was touched, and parses what is there.
 * @param extra octets that follow what was written and belong to the packet
 */
function roundTrip<T>(
  emit: (out: Uint8Array, offset: number) => number,
  parse: (bytes: Uint8Array) => T,
  extra = 0,
): T {
  const offset = 5;
  const out = new Uint8Array(4096).fill(0xff);
  const length = emit(out, offset) + extra;
  expect(out.subarray(0, offset).every((octet) => octet === 0xff)).toBe(true);
  expect(out.subarray(offset + length).every((octet) => octet === 0xff)).toBe(true);
  return parse(out.subarray(offset, offset + length));
}

test('Ethernet', () => {
  const etherType = fc.oneof(only(0), fc.integer({ min: 0x600, max: 0xffff }));
  fc.assert(
    fc.property(fc.record({ destination: mac, source: mac, etherType }), (fields) => {
      expect(roundTrip((out, offset) => emitEthernet(fields, out, offset), parseEthernet)).toEqual(fields);
    }),
  );
});

test('VLAN', () => {
  const tag = fc.record({ priority: fc.nat(7), dropEligible: fc.boolean(), vlanId: fc.nat(4095), etherType: u16 });
  fc.assert(
    fc.property(tag, (fields) => {
      expect(roundTrip((out, offset) => emitVlan(fields, out, offset), parseVlan)).toEqual(fields);
    }),
  );
});

test('ARP', () => {
  const arp: fc.Arbitrary<ArpFields> = fc.record({
    operation: u16,
    senderHardwareAddress: mac,
    senderProtocolAddress: ipv4,
    targetHardwareAddress: mac,
    targetProtocolAddress: ipv4,
  });
  fc.assert(
    fc.property(arp, (fields) => {
      expect(roundTrip((out, offset) => emitArp(fields, out, offset), parseArp)).toEqual(fields);
    }),
  );
});

test('IPv4', () => {
  const header: fc.Arbitrary<Required<Ipv4Fields>> = fc.record({
    source: ipv4,
    destination: ipv4,
    protocol: u8,
    payloadLen: fc.nat(100),
    ttl: u8,
    dscp: fc.nat(63),
    ecn: fc.nat(3),
    identification: u16,
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: fc.nat(0x1fff).map((units) => units * 8),
    options: fc.nat(10).chain((words) => exactly(words * 4)),
  });
  fc.assert(
    fc.property(header, (fields) => {
      const parsed = roundTrip((out, offset) => emitIpv4(fields, out, offset), parseIpv4, fields.payloadLen);
      expect(parsed).toEqual(fields);
    }),
  );
});

test('IPv4 options', () => {
  const some = fc.record({ type: fc.integer({ min: 2, max: 255 }), data: octets(6) });
  const option = fc.oneof(some, only({ type: 1, data: new Uint8Array(0) }));
  fc.assert(
    fc.property(fc.array(option, { maxLength: 5 }), (options) => {
      expect(parseIpv4Options(emitIpv4Options(options))).toEqual(options);
    }),
  );
});

test('IPv6', () => {
  const header = fc.record({
    source: ipv6,
    destination: ipv6,
    nextHeader: u8,
    payloadLen: fc.nat(100),
    hopLimit: u8,
    trafficClass: u8,
    flowLabel: fc.nat(0xfffff),
  });
  fc.assert(
    fc.property(header, (fields) => {
      const parsed = roundTrip((out, offset) => emitIpv6(fields, out, offset), parseIpv6, fields.payloadLen);
      expect(parsed).toEqual(fields);
    }),
  );
});

test('IPv6 extension headers', () => {
  const option = fc.record({ type: fc.integer({ min: 2, max: 255 }), data: octets(20) });
  const options = fc.array(option, { maxLength: 5 });
  const headers: fc.Arbitrary<[number, Ipv6ExtensionFields]> = fc.oneof(
    fc.tuple(only(0), fc.record({ kind: only('hopByHop'), nextHeader: u8, options })),
    fc.tuple(only(60), fc.record({ kind: only('destinationOptions'), nextHeader: u8, options })),
    fc.tuple(
      only(43),
      fc.record({
        kind: only('routing'),
        nextHeader: u8,
        routingType: u8,
        segmentsLeft: u8,
        data: fc.nat(6).chain((units) => exactly(units * 8 + 4)),
      }),
    ),
    fc.tuple(
      only(44),
      fc.record({
        kind: only('fragment'),
        nextHeader: u8,
        fragmentOffset: fc.nat(0x1fff).map((units) => units * 8),
        moreFragments: fc.boolean(),
        identification: u32,
      }),
    ),
    fc.tuple(
      only(51),
      fc.record({
        kind: only('authentication'),
        nextHeader: u8,
        spi: u32,
        sequenceNumber: u32,
        icv: fc.nat(4).chain((units) => exactly(units * 8 + 4)),
      }),
    ),
  );
  fc.assert(
    fc.property(headers, ([protocol, fields]) => {
      const emit = (out: Uint8Array, offset: number): number => emitIpv6Extension(fields, out, offset);
      expect(roundTrip(emit, (bytes) => parseIpv6Extension(protocol, bytes))).toEqual(fields);
    }),
    { numRuns: 300 },
  );
});

test('ICMPv4', () => {
  const code = u8;
  const original = octets(60);
  const message: fc.Arbitrary<Icmpv4Fields> = fc.oneof(
    fc.record({
      kind: fc.constantFrom('echoRequest', 'echoReply'),
      identifier: u16,
      sequenceNumber: u16,
      data: octets(100),
    }),
    fc.record({ kind: only('destinationUnreachable'), code, nextHopMtu: u16, original }),
    fc.record({ kind: only('timeExceeded'), code, original }),
    fc.record({ kind: only('parameterProblem'), code, pointer: u8, original }),
    fc.record({ kind: only('redirect'), code, gateway: ipv4, original }),
    fc.record({
      kind: only('other'),
      type: fc.integer({ min: 13, max: 255 }),
      code,
      restOfHeader: u32,
      data: original,
    }),
  );
  fc.assert(
    fc.property(message, (fields) => {
      expect(roundTrip((out, offset) => emitIcmpv4(fields, out, offset), parseIcmpv4)).toEqual(fields);
    }),
    { numRuns: 300 },
  );
});

test('ICMPv6', () => {
  const code = u8;
  const original = octets(60);
  const message: fc.Arbitrary<Icmpv6Fields> = fc.oneof(
    fc.record({
      kind: fc.constantFrom('echoRequest', 'echoReply'),
      identifier: u16,
      sequenceNumber: u16,
      data: octets(100),
    }),
    fc.record({ kind: fc.constantFrom('destinationUnreachable', 'timeExceeded'), code, original }),
    fc.record({ kind: only('packetTooBig'), code, mtu: u32, original }),
    fc.record({ kind: only('parameterProblem'), code, pointer: u32, original }),
    fc.record({
      kind: only('other'),
      type: fc.integer({ min: 130, max: 255 }),
      code,
      restOfHeader: u32,
      data: original,
    }),
  );
  fc.assert(
    fc.property(message, v6Pair, (fields, addresses) => {
      const emit = (out: Uint8Array, offset: number): number => emitIcmpv6(fields, out, offset, addresses);
      expect(roundTrip(emit, (bytes) => parseIcmpv6(bytes, addresses))).toEqual(fields);
    }),
    { numRuns: 300 },
  );
});

const ndpOption: fc.Arbitrary<NdpOption> = fc.oneof(
  fc.record({ kind: fc.constantFrom('sourceLinkLayerAddress', 'targetLinkLayerAddress'), address: mac }),
  fc.record({
    kind: only('prefixInformation'),
    prefixLen: fc.nat(128),
    onLink: fc.boolean(),
    autonomous: fc.boolean(),
    validLifetimeSeconds: u32,
    preferredLifetimeSeconds: u32,
    prefix: ipv6,
  }),
  fc.record({ kind: only('redirectedHeader'), original: fc.nat(8).chain((units) => exactly(units * 8)) }),
  fc.record({ kind: only('mtu'), mtu: u32 }),
  fc.record({ kind: only('rdnss'), lifetimeSeconds: u32, servers: fc.array(ipv6, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    kind: only('other'),
    type: fc.integer({ min: 26, max: 255 }),
    data: fc.nat(3).chain((units) => exactly(units * 8 + 6)),
  }),
);

test('neighbour discovery', () => {
  const options = fc.array(ndpOption, { maxLength: 4 });
  const flag = fc.boolean();
  const message: fc.Arbitrary<NdpFields> = fc.oneof(
    fc.record({ kind: only('routerSolicitation'), options }),
    fc.record({
      kind: only('routerAdvertisement'),
      curHopLimit: u8,
      managed: flag,
      otherConfig: flag,
      routerLifetimeSeconds: u16,
      reachableTimeMs: u32,
      retransTimerMs: u32,
      options,
    }),
    fc.record({ kind: only('neighborSolicitation'), target: ipv6, options }),
    fc.record({
      kind: only('neighborAdvertisement'),
      target: ipv6,
      router: flag,
      solicited: flag,
      override: flag,
      options,
    }),
    fc.record({ kind: only('redirect'), target: ipv6, destination: ipv6, options }),
  );
  fc.assert(
    fc.property(message, v6Pair, (fields, addresses) => {
      const emit = (out: Uint8Array, offset: number): number => emitNdp(fields, out, offset, addresses);
      expect(roundTrip(emit, (bytes) => parseNdp(bytes, addresses))).toEqual(fields);
    }),
    { numRuns: 300 },
  );
});

test('UDP', () => {
  const datagram = fc.record({ sourcePort: u16, destinationPort: u16, payload: octets(200) });
  fc.assert(
    fc.property(datagram, pair, (fields, addresses) => {
      const emit = (out: Uint8Array, offset: number): number => emitUdp(fields, out, offset, addresses);
      expect(roundTrip(emit, (bytes) => parseUdp(bytes, addresses))).toEqual(fields);
    }),
  );
});

test('TCP', () => {
  const block = fc.record({ left: u32, right: u32 });
  const option: fc.Arbitrary<TcpOption> = fc.oneof(
    fc.record({ kind: only('noOperation') }),
    fc.record({ kind: only('sackPermitted') }),
    fc.record({ kind: only('maximumSegmentSize'), size: u16 }),
    fc.record({ kind: only('windowScale'), shift: u8 }),
    fc.record({ kind: only('timestamps'), value: u32, echoReply: u32 }),
    fc.record({ kind: only('sack'), blocks: fc.array(block, { minLength: 1, maxLength: 1 }) }),
    fc.record({ kind: only('other'), type: fc.integer({ min: 9, max: 255 }), data: octets(8) }),
  );
  const segment: fc.Arbitrary<TcpFields> = fc.record({
    sourcePort: u16,
    destinationPort: u16,
    sequenceNumber: u32,
    acknowledgmentNumber: u32,
    flags: u8,
    window: u16,
    urgentPointer: u16,
    options: fc.array(option, { maxLength: 4 }),
    payload: octets(200),
  });
  fc.assert(
    fc.property(segment, pair, (fields, addresses) => {
      const emit = (out: Uint8Array, offset: number): number => emitTcp(fields, out, offset, addresses);
      expect(roundTrip(emit, (bytes) => parseTcp(bytes, addresses))).toEqual(fields);
    }),
    { numRuns: 300 },
  );
});
