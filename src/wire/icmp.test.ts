/** ICMPv4 and ICMPv6: known bytes, cuts, wrong checksums, quotes. */

import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { updateChecksum16 } from './checksum.ts';
import { emitIcmpv4, Icmpv4View, parseIcmpv4 } from './icmpv4.ts';
import { emitIcmpv6, Icmpv6View, parseIcmpv6 } from './icmpv6.ts';
import { mldName } from './mld.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const payload = '101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637';

/** Messages as Linux 6.18 sent them over a veth pair. */
const request4 = bytesOf(`0800 7f0f 0015 0001 c685006b00000000ef16040000000000 ${payload}`);
const reply4 = bytesOf(`0000 870f 0015 0001 c685006b00000000ef16040000000000 ${payload}`);
const unreachable4 = bytesOf('0303 058a 00000000 4500002236fa40004011efce0a0000010a0000028fc60fa0000e142268656c6c6f0a');
const request6 = bytesOf(`8000 805a 0031 0001 c885006b0000000072300b0000000000 ${payload}`);
const v6 = { source: IpAddress.parse('fd00::1'), destination: IpAddress.parse('fd00::2') };

test("the kernel's echo request reads as its fields and is emitted the same", () => {
  const fields = { kind: 'echoRequest', identifier: 21, sequenceNumber: 1, data: request4.slice(8) } as const;
  expect(parseIcmpv4(request4)).toEqual(fields);
  const out = new Uint8Array(70);
  expect(emitIcmpv4(fields, out, 3)).toBe(64);
  expect(out.subarray(3, 67)).toEqual(request4);
});

test("a request turned into a reply in place is the kernel's reply, checksum included", () => {
  const view = Icmpv4View.from(request4.slice());
  if (typeof view === 'string') throw new TypeError(view);
  view.type = 0;
  view.checksum = updateChecksum16(view.checksum, 0x0800, 0x0000);
  expect(view.bytes).toEqual(reply4);
  view.updateChecksum();
  expect(view.bytes).toEqual(reply4);
});

test("the kernel's port unreachable quotes the datagram that caused it", () => {
  expect(parseIcmpv4(unreachable4)).toEqual({
    kind: 'destinationUnreachable',
    code: 3,
    nextHopMtu: 0,
    original: unreachable4.slice(8),
  });
});

test('fragmentation needed carries the next-hop MTU in octets 6 and 7 (RFC 1191 section 4)', () => {
  const out = new Uint8Array(8);
  emitIcmpv4({ kind: 'destinationUnreachable', code: 4, nextHopMtu: 1400, original: new Uint8Array(0) }, out, 0);
  expect(out).toEqual(bytesOf('0304 f783 0000 0578'));
});

test('error messages are told from queries, which alone may be answered', () => {
  const isError4 = (type: number): boolean => {
    const view = Icmpv4View.from(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0));
    return typeof view !== 'string' && view.isError;
  };
  expect([3, 4, 5, 11, 12].every(isError4)).toBe(true);
  expect([0, 8, 9, 10, 13, 14].some(isError4)).toBe(false);
});

test('every cut of an echo request is truncated or has a wrong checksum', () => {
  for (let length = 0; length < request4.length; length++) {
    expect(parseIcmpv4(request4.subarray(0, length))).toBe(length < 8 ? 'truncated' : 'bad-checksum');
    expect(parseIcmpv6(request6.subarray(0, length), v6)).toBe(length < 8 ? 'truncated' : 'bad-checksum');
  }
});

test('every single wrong octet is a wrong checksum', () => {
  for (let at = 0; at < request4.length; at++) {
    const [four, six] = [request4.slice(), request6.slice()];
    four[at] = (four[at] as number) ^ 0x10;
    six[at] = (six[at] as number) ^ 0x10;
    expect(parseIcmpv4(four)).toBe('bad-checksum');
    expect(parseIcmpv6(six, v6)).toBe('bad-checksum');
  }
});

test("the kernel's ICMPv6 echo request reads as its fields and is emitted the same", () => {
  const fields = { kind: 'echoRequest', identifier: 49, sequenceNumber: 1, data: request6.slice(8) } as const;
  expect(parseIcmpv6(request6, v6)).toEqual(fields);
  const out = new Uint8Array(64);
  expect(emitIcmpv6(fields, out, 0, v6)).toBe(64);
  expect(out).toEqual(request6);
});

test('the ICMPv6 checksum covers the addresses', () => {
  expect(parseIcmpv6(request6, { ...v6, source: IpAddress.parse('fd00::3') })).toBe('bad-checksum');
});

test('ICMPv6 errors are the types below 128', () => {
  const view = new Icmpv6View();
  const bytes = new Uint8Array(8);
  view.wrap(bytes, 0, 8);
  const errors = [1, 2, 3, 4, 127, 128, 135].filter((type) => {
    view.type = type;
    return view.isError;
  });
  expect(errors).toEqual([1, 2, 3, 4, 127]);
});

test('a message may be emitted over the data it carries', () => {
  const out = new Uint8Array(64);
  out.set(request6);
  emitIcmpv6({ kind: 'echoReply', identifier: 49, sequenceNumber: 1, data: out.subarray(8) }, out, 0, v6);
  expect(parseIcmpv6(out, v6)).toEqual({
    kind: 'echoReply',
    identifier: 49,
    sequenceNumber: 1,
    data: request6.slice(8),
  });
});

test('emit refuses addresses of the other family and numbers out of range', () => {
  const v4 = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
  const echo = { kind: 'echoRequest', identifier: 1, sequenceNumber: 0x1_0000, data: new Uint8Array(0) } as const;
  expect(() => emitIcmpv6({ ...echo, sequenceNumber: 1 }, new Uint8Array(8), 0, v4)).toThrow(/IPv6 address/);
  expect(() => emitIcmpv4(echo, new Uint8Array(8), 0)).toThrow(/sequenceNumber/);
});

test('listener discovery messages have names', () => {
  expect([130, 131, 132, 143].map(mldName)).toEqual([
    'multicast listener query',
    'multicast listener report',
    'multicast listener done',
    'multicast listener report v2',
  ]);
  expect(mldName(128)).toBeUndefined();
});
