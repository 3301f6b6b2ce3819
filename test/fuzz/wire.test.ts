/**
 * A million mutated packets through every reader of `src/wire`: none may throw.
 *
 * All of them go through the summary and the line for people, which wrap every view and parse every option;
 * one in four also through each view and each parser at places where its header does not stand.
 * `VNIC_FUZZ_SEED` runs another seed.
 */

import { expect, test } from 'vitest';
import { IpAddress, seededRandom } from '../../src/base/index.ts';
import {
  ArpView,
  describeSummary,
  dropReasons,
  EthernetView,
  hexdump,
  Icmpv4View,
  Icmpv6View,
  IpProtocol,
  Ipv4View,
  Ipv6ExtensionWalker,
  Ipv6View,
  NdpView,
  type PacketSummary,
  parseArp,
  parseEthernet,
  parseIcmpv4,
  parseIcmpv6,
  parseIpv4,
  parseIpv4Options,
  parseIpv6,
  parseIpv6Extension,
  parseIpv6Options,
  parseNdp,
  parseNdpOptions,
  parseTcp,
  parseTcpOptions,
  parseUdp,
  parseVlan,
  summarizePacket,
  TcpView,
  UdpView,
  VlanStack,
  VlanView,
} from '../../src/wire/index.ts';
import { Draw, randomFrame } from './wire-corpus.ts';

const seed = Number(process.env['VNIC_FUZZ_SEED'] ?? 20_240_601);
const packets = 1_000_000;
const v4 = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
const v6 = { source: IpAddress.parse('fd00::1'), destination: IpAddress.parse('fd00::2') };

/** Values that length, count and version fields are most often wrong by. */
const edges = [0, 1, 2, 3, 4, 5, 7, 8, 0x0f, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xfe, 0xff];

/** Changes some octets and often the length; then mends checksums in some, so that the checks behind are met. */
function mutate(draw: Draw, frame: Uint8Array, ipOffset: number): Uint8Array {
  const bytes = frame.slice();
  if (draw.chance(0.01)) repeatHeader(draw, bytes, ipOffset);
  // Mostly headers: the later an octet, the less often it is one.
  const reach = draw.chance(0.8) ? Math.min(90, bytes.length) : bytes.length;
  for (let i = draw.upTo(4); i >= 0; i--) {
    const at = draw.upTo(reach - 1);
    bytes[at] = draw.chance(0.5) ? draw.pick(edges) : draw.upTo(255);
  }
  if (draw.chance(0.5)) mendChecksums(bytes, ipOffset);
  return draw.chance(0.4) ? bytes.subarray(0, draw.upTo(bytes.length)) : bytes;
}

/** Many VLAN tags, or many IPv6 destination options headers, from where the first would stand. */
function repeatHeader(draw: Draw, bytes: Uint8Array, ipOffset: number): void {
  const [first, unit] = draw.chance(0.5) ? [12, [0x81, 0, 0, 1]] : [ipOffset + 40, [60, 0, 1, 4, 0, 0, 0, 0]];
  const count = Math.min(10, Math.floor((bytes.length - first) / unit.length));
  for (let i = 0; i < count; i++) bytes.set(unit, first + i * unit.length);
  if (first !== 12 && ipOffset + 6 < bytes.length) bytes[ipOffset + 6] = 60;
}

/** Makes the checksums of an untagged IPv4 header or ICMPv6 message right again. */
function mendChecksums(bytes: Uint8Array, ipOffset: number): void {
  const ipv4 = new Ipv4View();
  if (ipv4.wrap(bytes, ipOffset, bytes.length - ipOffset) === undefined) ipv4.updateChecksum();
  const ipv6 = new Ipv6View();
  if (ipv6.wrap(bytes, ipOffset, bytes.length - ipOffset) !== undefined) return;
  const icmp = new Icmpv6View();
  if (icmp.wrap(bytes, ipv6.payloadOffset, ipv6.payloadLen) !== undefined) return;
  icmp.updateChecksum(ipv6.pseudoHeaderSum(IpProtocol.icmpv6, ipv6.payloadLen));
}

const parsers: readonly ((bytes: Uint8Array) => unknown)[] = [
  parseArp,
  parseEthernet,
  parseIcmpv4,
  parseIpv4,
  parseIpv4Options,
  parseIpv6,
  parseIpv6Options,
  parseNdpOptions,
  parseTcpOptions,
  parseVlan,
  (bytes) => parseIcmpv6(bytes, v6),
  (bytes) => parseNdp(bytes, v6),
  (bytes) => parseUdp(bytes, v4),
  (bytes) => parseTcp(bytes, v6),
  (bytes) => parseIpv6Extension(bytes[6] ?? 0, bytes),
];

const views = [
  new ArpView(),
  new EthernetView(),
  new Icmpv4View(),
  new Icmpv6View(),
  new Ipv4View(),
  new Ipv6View(),
  new NdpView(),
  new TcpView(),
  new UdpView(),
  new VlanView(),
];
const walker = new Ipv6ExtensionWalker();
const stack = new VlanStack();

/** Wraps every view at `offset` and reads every getter of those that take the bytes. */
function readAll(bytes: Uint8Array, offset: number): void {
  for (const view of views) {
    if (view.wrap(bytes, offset, bytes.length - offset) !== undefined) continue;
    for (const name of gettersOf(view)) {
      const value = (view as unknown as Record<string, unknown>)[name];
      if (value === undefined || Number.isNaN(value))
        throw new TypeError(`${view.constructor.name}.${name} is ${value}`);
    }
    if (view.end > bytes.length) throw new RangeError(`${view.constructor.name} ends beyond the bytes`);
    if (view instanceof Ipv6View) walker.walk(view);
    if (view instanceof EthernetView) stack.walk(bytes, view.etherType, view.payloadOffset, view.end);
  }
}

const getterNames = new Map<object, readonly string[]>();

/** Names of the getters that every message of the view's kind has; those of one type only read on. */
function gettersOf(view: object): readonly string[] {
  const prototype = Object.getPrototypeOf(view) as object;
  const known = getterNames.get(prototype);
  if (known !== undefined) return known;
  const all = Object.entries(Object.getOwnPropertyDescriptors(prototype));
  const typed = view instanceof NdpView ? /target|redirect|reachable|retrans/i : /^$/;
  const names = all.filter(([name, { get }]) => get !== undefined && !typed.test(name)).map(([name]) => name);
  getterNames.set(prototype, names);
  return names;
}

/** Runs the readers on one packet; summary and line alone unless `thorough`. */
function read(bytes: Uint8Array, medium: 'ip' | 'ethernet', thorough: boolean): PacketSummary {
  const summary = summarizePacket(bytes, medium);
  if (summary.drop !== undefined && !(summary.drop in dropReasons)) throw new TypeError(`reason ${summary.drop}`);
  const line = describeSummary(summary);
  if (!/^[\x20-\x7e]+$/.test(line) || /undefined|NaN|\[object/.test(line)) throw new TypeError(`line ${line}`);
  if (!thorough) return summary;
  const at = medium === 'ethernet' ? 14 : 0;
  for (const offset of [0, at, at + 20, at + 40]) if (offset <= bytes.length) readAll(bytes, offset);
  const inner = bytes.subarray(Math.min(bytes.length, at + 20));
  for (const parse of parsers) {
    parse(bytes);
    parse(inner);
  }
  return summary;
}

test('a million mutated packets go through every reader without a throw', { timeout: 300_000 }, () => {
  const draw = new Draw(seededRandom(seed));
  const corpus = Array.from({ length: 2000 }, () => randomFrame(draw.random));
  const outcomes = new Map<string, number>();
  for (let i = 0; i < packets; i++) {
    const frame = draw.pick(corpus);
    const medium = draw.chance(0.5) ? 'ethernet' : 'ip';
    const bytes = medium === 'ip' ? mutate(draw, frame.subarray(14), 0) : mutate(draw, frame, 14);
    try {
      const { drop } = read(bytes, medium, i % 4 === 0);
      outcomes.set(drop ?? 'taken', (outcomes.get(drop ?? 'taken') ?? 0) + 1);
    } catch (error) {
      expect.fail(`seed ${seed}, packet ${i} (${medium}): ${String(error)}\n${hexdump(bytes)}`);
    }
  }
  // The mutations must reach every check, or the test says nothing about it.
  const reached = Object.keys(dropReasons).filter((reason) => outcomes.has(reason));
  const neverFromSummaries = ['bad-type'];
  expect(Object.keys(dropReasons).filter((reason) => !reached.includes(reason))).toEqual(neverFromSummaries);
  expect(outcomes.get('taken')).toBeGreaterThan(0);
});

test('every valid packet of the corpus is taken', () => {
  const random = seededRandom(seed);
  for (let i = 0; i < 3000; i++) {
    const frame = randomFrame(random);
    const { drop } = summarizePacket(frame, 'ethernet');
    expect(drop, `seed ${seed}, frame ${i}\n${hexdump(frame)}`).toBeUndefined();
  }
});

test('no cut of a valid packet is taken without a reason, except in padding or where nothing says how long it is', () => {
  const random = seededRandom(seed + 1);
  for (let i = 0; i < 100; i++) {
    const frame = randomFrame(random);
    const whole = summarizePacket(frame, 'ethernet');
    for (let length = 0; length < frame.length; length++) {
      const cut = read(frame.slice(0, length), 'ethernet', true);
      const layer = whole.ipv4 ?? whole.ipv6 ?? whole.arp;
      if (layer === undefined || cut.drop !== undefined) continue;
      const tags = (whole.vlan?.length ?? 0) * 4;
      const needed = whole.ipv4?.totalLength ?? (whole.ipv6 === undefined ? 28 : whole.ipv6.payloadLength + 40);
      expect(length, hexdump(frame)).toBeGreaterThanOrEqual(14 + tags + needed);
    }
  }
});
