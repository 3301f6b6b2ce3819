import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { pseudoHeaderSum } from './checksum.ts';
import { emitIpv6, Ipv6View, parseIpv6 } from './ipv6.ts';
import { parseIpv6Extension } from './ipv6-extension.ts';
import { Ipv6ExtensionWalker, maxExtensionHeaders } from './ipv6-extension-walker.ts';
import { emitIpv6Options } from './ipv6-option.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

/** A multicast listener report behind a hop-by-hop header with router alert, as Linux 6.18 sent it. */
const packet = bytesOf(`
  60000000 0038 00 01 fe80000000000000405e02fffeaf6064 ff020000000000000000000000000016
  3a00050200000100 8f006b690000000204000000ff0200000000000000000001ffaf6064
  04000000ff0200000000000000000001ff000001`);
const fields = {
  source: IpAddress.parse('fe80::405e:2ff:feaf:6064'),
  destination: IpAddress.parse('ff02::16'),
  nextHeader: 0,
  payloadLen: 56,
  hopLimit: 1,
  trafficClass: 0,
  flowLabel: 0,
};

/** An IPv6 packet of these extension headers; `first` names the first of them. */
function packetOf(first: number, body: string): Uint8Array {
  const payload = bytesOf(body);
  const out = new Uint8Array(40 + payload.length);
  emitIpv6({ ...fields, nextHeader: first, payloadLen: payload.length }, out, 0);
  out.set(payload, 40);
  return out;
}

function walk(bytes: Uint8Array): string | Ipv6ExtensionWalker {
  const view = Ipv6View.from(bytes);
  if (typeof view === 'string') return view;
  const walker = new Ipv6ExtensionWalker();
  return walker.walk(view) ?? walker;
}

test("the kernel's header reads as its fields and is emitted the same", () => {
  expect(parseIpv6(packet)).toEqual(fields);
  const out = packet.slice();
  out.fill(0, 0, 40);
  expect(emitIpv6(fields, out, 0)).toBe(40);
  expect(out).toEqual(packet);
});

test('traffic class and flow label share octets without mixing', () => {
  const out = new Uint8Array(96);
  emitIpv6({ ...fields, trafficClass: 0xab, flowLabel: 0xcdef1 }, out, 0);
  expect(out.subarray(0, 4)).toEqual(bytesOf('6abcdef1'));
  expect(parseIpv6(out)).toMatchObject({ trafficClass: 0xab, flowLabel: 0xcdef1 });
});

test('every cut is truncated', () => {
  for (let length = 0; length < packet.length; length++)
    expect(parseIpv6(packet.subarray(0, length))).toBe('truncated');
});

test('another version is a reason, and a payload length beyond the bytes is truncated', () => {
  const bytes = packet.slice();
  bytes[0] = 0x40;
  expect(parseIpv6(bytes)).toBe('bad-version');
  bytes[0] = 0x60;
  bytes[4] = 1;
  expect(parseIpv6(bytes)).toBe('truncated');
});

test('padding behind the payload length is cut', () => {
  const view = Ipv6View.from(Uint8Array.of(...packet, 0, 0, 0));
  expect(typeof view === 'string' ? view : [view.end, view.payloadLen]).toEqual([96, 56]);
});

test("the walker finds ICMPv6 behind the kernel's hop-by-hop header", () => {
  expect(walk(packet)).toMatchObject({
    protocol: 58,
    payloadOffset: 48,
    protocolOffset: 40,
    headerCount: 1,
    unknownOptionOffset: -1,
    fragmentHeaderOffset: -1,
  });
  expect(parseIpv6Extension(0, packet.subarray(40))).toEqual({
    kind: 'hopByHop',
    nextHeader: 58,
    options: [{ type: 5, data: Uint8Array.of(0, 0) }],
  });
});

test('all five kinds are walked in one packet', () => {
  const hopByHop = '2b00010400000000';
  const routing = '3300fd0000000000';
  const authentication = '2c04000000000001 00000002aabbccdd aabbccddaabbccdd';
  const fragment = '3c00000100000007';
  const destination = '1100010400000000';
  expect(walk(packetOf(0, hopByHop + routing + authentication + fragment + destination))).toMatchObject({
    protocol: 17,
    payloadOffset: 40 + 8 + 8 + 24 + 8 + 8,
    headerCount: 5,
    fragmentHeaderOffset: 80,
    fragmentOffset: 0,
    moreFragments: true,
    identification: 7,
    routingHeaderOffset: 48,
    segmentsLeft: 0,
  });
});

test('a later fragment ends the walk, since what follows is not a header', () => {
  expect(walk(packetOf(44, '3a000008 00000001 ffffffffffffffff'))).toMatchObject({ protocol: 58, fragmentOffset: 8 });
});

test('the first fragment does not end the walk', () => {
  const bytes = packetOf(44, '3c000001 00000001 1100010400000000');
  expect(walk(bytes)).toMatchObject({ protocol: 17, fragmentOffset: 0, moreFragments: true, headerCount: 2 });
});

test('segments left of a routing header are told', () => {
  expect(walk(packetOf(43, '3a00fd0200000000'))).toMatchObject({ segmentsLeft: 2, routingHeaderOffset: 40 });
});

test('an option that must not be skipped is told, one that may is not (RFC 8200 section 4.2)', () => {
  expect(walk(packetOf(60, '3a00 8002 0000 0100'))).toMatchObject({ unknownOptionOffset: 42 });
  expect(walk(packetOf(60, '3a00 3e02 0000 0100'))).toMatchObject({ unknownOptionOffset: -1 });
});

test.each([
  ['a hop-by-hop header behind another', 60, '0000010400000000 3a00010400000000', 'misplaced-header'],
  ['more headers than the limit', 60, '3c00010400000000'.repeat(maxExtensionHeaders + 1), 'too-many-headers'],
  ['a header cut before its eight octets', 60, '3a0001', 'truncated'],
  ['a header longer than the packet', 60, '3a01010400000000', 'truncated'],
  ['an option over the end of its header', 60, '3a00010500000000', 'bad-option'],
  ['an option without length octet', 60, '3a00010300000001', 'bad-option'],
  ['an authentication header of 8 octets', 51, '3a00000000000000', 'bad-length'],
  ['an empty fragment with more to come', 44, '3a00000100000001', 'bad-fragment'],
  ['a fragment of 4 octets with more to come', 44, '3a0000010000000100000000', 'bad-fragment'],
  ['a fragment beyond 65,535 octets', 44, '3a00fff8000000010000000000000000', 'bad-fragment'],
])('%s is a reason', (_, first, body, reason) => {
  expect(walk(packetOf(first, body))).toBe(reason);
});

test('every cut of an extension header is a reason', () => {
  const headers: [number, string][] = [
    [0, '3a00050200000100'],
    [43, '3a01fd000000000000000000aabbccdd'],
    [44, '3a000008 00000001'],
    [51, '3a04000000000001 00000002aabbccdd aabbccddaabbccdd'],
  ];
  for (const [protocol, hex] of headers) {
    const whole = bytesOf(hex);
    expect(typeof parseIpv6Extension(protocol, whole)).toBe('object');
    for (let length = 0; length < whole.length; length++) {
      expect(parseIpv6Extension(protocol, whole.subarray(0, length))).toBe('truncated');
    }
  }
  expect(parseIpv6Extension(6, bytesOf('0000000000000000'))).toBe('bad-type');
});

test('rewriting in place: hop limit and addresses', () => {
  const view = Ipv6View.from(packet.slice());
  if (typeof view === 'string') throw new TypeError(view);
  view.hopLimit = 64;
  view.swapAddresses();
  expect([view.hopLimit, view.source, view.destination]).toEqual([64, fields.destination, fields.source]);
  expect(view.pseudoHeaderSum(58, 48)).toBe(pseudoHeaderSum(fields.source, fields.destination, 58, 48));
});

test('an option area that lacks one octet to a unit of 8 is filled with Pad1, others with PadN', () => {
  const padded = (length: number): Uint8Array => emitIpv6Options([{ type: 5, data: new Uint8Array(length) }]);
  expect(padded(4)).toEqual(bytesOf('050400000000'));
  expect(padded(3)).toEqual(bytesOf('050300000000'));
  expect(padded(2)).toEqual(bytesOf('050200000100'));
  expect(padded(1)).toEqual(bytesOf('050100010100'));
});
