import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { updateChecksum16 } from './checksum.ts';
import { emitIpv4, Ipv4View, parseIpv4 } from './ipv4.ts';
import { emitIpv4Options, parseIpv4Options } from './ipv4-option.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

/** An echo request's header as Linux 6.18 sent it over a veth pair, with 64 octets behind it. */
const header = bytesOf('4500 0054 081a 4000 40 01 1e8d 0a000001 0a000002');
const packet = Uint8Array.of(...header, ...new Uint8Array(64));
const fields = {
  source: IpAddress.parse('10.0.0.1'),
  destination: IpAddress.parse('10.0.0.2'),
  protocol: 1,
  payloadLen: 64,
  ttl: 64,
  dscp: 0,
  ecn: 0,
  identification: 0x081a,
  dontFragment: true,
  moreFragments: false,
  fragmentOffset: 0,
  options: new Uint8Array(0),
};

function viewOf(bytes: Uint8Array): Ipv4View {
  const view = Ipv4View.from(bytes);
  if (typeof view === 'string') throw new TypeError(view);
  return view;
}

test("the kernel's header reads as its fields and is emitted the same", () => {
  expect(parseIpv4(packet)).toEqual(fields);
  const out = new Uint8Array(84);
  expect(emitIpv4(fields, out, 0)).toBe(20);
  expect(out).toEqual(packet);
});

test('every cut is truncated, or has no version to speak of', () => {
  for (let length = 0; length < packet.length; length++) {
    expect(parseIpv4(packet.subarray(0, length)), `${length} octets`).toBe('truncated');
  }
});

test.each([
  [0, 0x60, 'bad-version'],
  [0, 0x44, 'bad-header-length'],
  [3, 19, 'bad-length'],
  [2, 1, 'truncated'],
  [8, 63, 'bad-checksum'],
])('octet %i set to %i is %s', (offset, value, reason) => {
  const bytes = packet.slice();
  bytes[offset] = value;
  expect(parseIpv4(bytes)).toBe(reason);
});

test('link-layer padding behind the total length is cut', () => {
  const view = viewOf(Uint8Array.of(...packet, 1, 2, 3, 4));
  expect([view.end, view.payloadOffset, view.payloadLen]).toEqual([84, 20, 64]);
});

test('a quoted packet may be cut in its payload, not in its header', () => {
  const view = new Ipv4View();
  expect(view.wrapQuoted(packet, 0, 28)).toBeUndefined();
  expect([view.end, view.payloadLen, view.totalLength]).toEqual([28, 8, 84]);
  expect(view.wrapQuoted(packet, 0, 19)).toBe('truncated');
});

test('flags and fragment offset are read in octets', () => {
  const out = new Uint8Array(84);
  emitIpv4({ ...fields, dontFragment: false, moreFragments: true, fragmentOffset: 1480 }, out, 0);
  const view = viewOf(out);
  expect([view.isFragment, view.moreFragments, view.dontFragment, view.fragmentOffset]).toEqual([
    true,
    true,
    false,
    1480,
  ]);
  expect(viewOf(packet).isFragment).toBe(false);
});

test('rewriting in place keeps the checksum right', () => {
  const view = viewOf(packet.slice());
  view.swapAddresses();
  expect(view.checksumOk).toBe(true);
  expect([view.source, view.destination]).toEqual([fields.destination, fields.source]);
  view.checksum = updateChecksum16(view.checksum, 0x4001, 0x3f01);
  view.ttl = 63;
  expect(view.checksumOk).toBe(true);
  view.ttl = 5;
  expect(view.checksumOk).toBe(false);
  view.updateChecksum();
  expect(view.checksumOk).toBe(true);
});

test('options travel with the header: router alert (RFC 2113 section 2.1)', () => {
  const options = emitIpv4Options([{ type: 148, data: Uint8Array.of(0, 0) }]);
  expect(options).toEqual(bytesOf('94040000'));
  const out = new Uint8Array(88);
  expect(emitIpv4({ ...fields, options }, out, 0)).toBe(24);
  const parsed = parseIpv4(out);
  if (typeof parsed === 'string') throw new TypeError(parsed);
  expect(parseIpv4Options(parsed.options)).toEqual([{ type: 148, data: Uint8Array.of(0, 0) }]);
});

test.each(['07', '0700', '0701', '070504', '9404'])('the option area %s is a bad option', (hex) => {
  expect(parseIpv4Options(bytesOf(hex))).toBe('bad-option');
});

test('options end at the end-of-list option', () => {
  expect(parseIpv4Options(bytesOf('01 00 0700'))).toEqual([{ type: 1, data: new Uint8Array(0) }]);
});

test.each([
  [{ ttl: 256 }, /ttl/],
  [{ fragmentOffset: 12 }, /fragmentOffset/],
  [{ payloadLen: 65_516 }, /payloadLen/],
  [{ options: new Uint8Array(3) }, /options/],
  [{ source: IpAddress.parse('fd00::1') }, /IPv4 address/],
  [{ payloadLen: 65 }, /room/],
])('emit refuses %j', (wrong, message) => {
  expect(() => emitIpv4({ ...fields, ...wrong }, new Uint8Array(84), 0)).toThrow(message);
});
