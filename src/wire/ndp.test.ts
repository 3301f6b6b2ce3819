import { expect, test } from 'vitest';
import { IpAddress, MacAddress } from '../base/index.ts';
import { emitIpv6, Ipv6View } from './ipv6.ts';
import { checkNdp, emitNdp, isSolicitedNode, type NdpFields, NdpView, parseNdp } from './ndp.ts';
import { parseNdpOptions } from './ndp-option.ts';
import { NdpOptionType } from './protocol-numbers.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const ip = (text: string): IpAddress => IpAddress.parse(text);

/** A solicitation and its answer as Linux 6.18 sent them over a veth pair. */
const solicitation = bytesOf('8700 da26 00000000 fd000000000000000000000000000002 0101425e02af6064');
const asked = { source: ip('fd00::1'), destination: ip('ff02::1:ff00:2') };
const advertisement = bytesOf('8800 af66 60000000 fd000000000000000000000000000002 0201f2cb64b917b0');
const answered = { source: ip('fd00::2'), destination: ip('fd00::1') };

const source = { kind: 'sourceLinkLayerAddress', address: MacAddress.parse('42:5e:02:af:60:64') } as const;
const target = { kind: 'targetLinkLayerAddress', address: MacAddress.parse('f2:cb:64:b9:17:b0') } as const;

/** Wraps `message` in an IPv6 header and gives what `checkNdp` says. */
function check(message: NdpFields, addresses: { source: IpAddress; destination: IpAddress }, hopLimit = 255, code = 0) {
  const out = new Uint8Array(512);
  const payloadLen = emitNdp(message, out, 40, addresses);
  emitIpv6({ ...addresses, nextHeader: 58, payloadLen, hopLimit }, out, 0);
  out[41] = code;
  const [packet, view] = [new Ipv6View(), new NdpView()];
  expect(packet.wrap(out, 0, 40 + payloadLen)).toBeUndefined();
  expect(view.wrap(out, 40, payloadLen)).toBeUndefined();
  return checkNdp(view, packet);
}

test("the kernel's neighbour solicitation reads as its fields and is emitted the same", () => {
  const fields = { kind: 'neighborSolicitation', target: ip('fd00::2'), options: [source] } as const;
  expect(parseNdp(solicitation, asked)).toEqual(fields);
  const out = new Uint8Array(32).fill(0xff);
  expect(emitNdp(fields, out, 0, asked)).toBe(32);
  expect(out).toEqual(solicitation);
});

test("the kernel's neighbour advertisement reads as its fields and is emitted the same", () => {
  const flags = { router: false, solicited: true, override: true };
  const fields = { kind: 'neighborAdvertisement', target: ip('fd00::2'), ...flags, options: [target] } as const;
  expect(parseNdp(advertisement, answered)).toEqual(fields);
  const out = new Uint8Array(32).fill(0xff);
  emitNdp(fields, out, 0, answered);
  expect(out).toEqual(advertisement);
});

test('the hot getters find target and options without parsing them', () => {
  const view = NdpView.from(solicitation);
  if (typeof view === 'string') throw new TypeError(view);
  expect(view.targetOffset).toBe(8);
  expect(view.findOption(NdpOptionType.sourceLinkLayerAddress)).toBe(24);
  expect(view.findOption(NdpOptionType.targetLinkLayerAddress)).toBe(-1);
});

test('every cut is a reason and never taken', () => {
  for (let length = 0; length < 24; length++)
    expect(parseNdp(solicitation.subarray(0, length), asked)).toBe('truncated');
  expect(parseNdp(solicitation.subarray(0, 24), asked)).toBe('bad-checksum');
  for (let length = 25; length < 32; length++)
    expect(parseNdp(solicitation.subarray(0, length), asked)).toBe('bad-option');
});

test('a wrong octet is a wrong checksum', () => {
  const bytes = solicitation.slice();
  bytes[31] = 0;
  expect(parseNdp(bytes, asked)).toBe('bad-checksum');
  expect(parseNdp(solicitation, answered)).toBe('bad-checksum');
});

test('an option of length 0 is a reason, not a loop', () => {
  const bytes = solicitation.slice();
  bytes[25] = 0;
  expect(NdpView.from(bytes)).toBe('bad-option');
  expect(parseNdpOptions(bytesOf('0100425e02af6064'))).toBe('bad-option');
});

test.each([
  ['prefix information of 8 octets', '0301408000000000'],
  ['a prefix length of 129', `030481c0${'00'.repeat(28)}`],
  ['an MTU option of 16 octets', `0502${'00'.repeat(14)}`],
  ['an RDNSS option without a server', '1901000000000000'],
  ['an RDNSS option with half a server', `1902${'00'.repeat(14)}`],
  ['an option over the end', '0e02000000000000'],
])('%s is a bad option', (_, hex) => {
  expect(parseNdpOptions(bytesOf(hex))).toBe('bad-option');
});

test('unknown options are kept: the nonce that Linux sends in duplicate address detection', () => {
  expect(parseNdpOptions(bytesOf('0e01d4717eeee6c7'))).toEqual([
    { kind: 'other', type: 14, data: bytesOf('d4717eeee6c7') },
  ]);
});

test('other types than 133 to 137 are not neighbour discovery', () => {
  expect(NdpView.from(bytesOf('8400000000000000'))).toBe('bad-type');
  expect(NdpView.from(bytesOf('8a00000000000000'))).toBe('bad-type');
});

test('solicited-node addresses are told (RFC 4291 section 2.7.1)', () => {
  expect(isSolicitedNode(ip('ff02::1:ff00:2').bytes, 0)).toBe(true);
  for (const other of ['ff02::1:fe00:2', 'ff02::2:ff00:2', 'ff05::1:ff00:2', 'ff02::1']) {
    expect(isSolicitedNode(ip(other).bytes, 0), other).toBe(false);
  }
});

const link = { source: ip('fe80::1'), destination: ip('ff02::1') };
const unspecified = { source: ip('::'), destination: ip('ff02::1:ff00:2') };
const solicit = { kind: 'neighborSolicitation', target: ip('fd00::2'), options: [] } as const;
const flags = { router: false, solicited: true, override: true };
const advertise = { kind: 'neighborAdvertisement', target: ip('fd00::2'), ...flags, options: [target] } as const;
const redirect = { kind: 'redirect', target: ip('fe80::2'), destination: ip('fd00::9'), options: [] } as const;
const router = {
  kind: 'routerAdvertisement',
  curHopLimit: 64,
  managed: false,
  otherConfig: false,
  routerLifetimeSeconds: 1800,
  reachableTimeMs: 0,
  retransTimerMs: 0,
  options: [],
} as const;

test('messages that follow RFC 4861 pass the check', () => {
  expect(check(solicit, asked)).toBeUndefined();
  expect(check(solicit, unspecified)).toBeUndefined();
  expect(check(advertise, answered)).toBeUndefined();
  expect(check({ ...advertise, solicited: false }, { ...answered, destination: ip('ff02::1') })).toBeUndefined();
  expect(check(router, link)).toBeUndefined();
  expect(check(redirect, link)).toBeUndefined();
  expect(
    check({ kind: 'routerSolicitation', options: [] }, { ...unspecified, destination: ip('ff02::2') }),
  ).toBeUndefined();
});

test('messages from off the link, or with a code, do not pass', () => {
  expect(check(solicit, asked, 254)).toBe('bad-hop-limit');
  expect(check(solicit, asked, 255, 1)).toBe('bad-code');
});

test('addresses that RFC 4861 forbids do not pass', () => {
  expect(check({ ...solicit, target: ip('ff02::1') }, asked)).toBe('bad-address');
  expect(check(solicit, { ...unspecified, destination: ip('fd00::2') })).toBe('bad-address');
  expect(check({ ...advertise, target: ip('ff02::1') }, answered)).toBe('bad-address');
  expect(check(advertise, { ...answered, destination: ip('ff02::1') })).toBe('bad-address');
  expect(check(router, answered)).toBe('bad-address');
  expect(check(redirect, answered)).toBe('bad-address');
  expect(check({ ...redirect, destination: ip('ff02::1') }, link)).toBe('bad-address');
});

test('an unspecified sender may not tell its link-layer address', () => {
  expect(check({ ...solicit, options: [source] }, unspecified)).toBe('bad-option');
  expect(check({ kind: 'routerSolicitation', options: [source] }, unspecified)).toBe('bad-option');
});
