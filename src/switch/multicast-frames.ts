/** Frames to groups: messages about them found, and queries written. */

import {
  EtherType,
  emitIgmpQuery,
  emitMldQuery,
  Icmpv6Type,
  IpProtocol,
  igmpQueryLen,
  internetChecksum,
  mldQueryLen,
} from '../wire/index.ts';

/** Who asks. */
export interface QueryAddresses {
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** 4 bytes; left out, nobody is asked for IPv4 groups. */
  readonly ipv4?: Uint8Array;
  /** 16 bytes, of this link; left out, nobody is asked for IPv6 groups. */
  readonly ipv6?: Uint8Array;
}

/** Where a message is, and the addresses of its packet. */
export interface FoundMessage {
  readonly family: 4 | 6;
  readonly at: number;
  readonly length: number;
  readonly addressesAt: number;
}

const HEADER_LEN = 14;
const IPV4_LEN = 24;
const IPV6_LEN = 40;
const HOP_BY_HOP_LEN = 8;
const IPV4_SOURCE_AT = 12;
const IPV6_SOURCE_AT = 8;
const ALL_SYSTEMS = Uint8Array.of(224, 0, 0, 1);
const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** The message of IGMP or MLD in a packet; undefined for any other, and why where it may be none (TTL and hop limit are 1). */
export function groupOf(
  bytes: Uint8Array,
  l3At: number,
  end: number,
): FoundMessage | 'bad-hop-limit' | 'truncated' | undefined {
  const version = (bytes[l3At] as number) >> 4;
  if (version === 4 && end - l3At >= 20) return igmpOf(bytes, l3At, end);
  if (version === 6 && end - l3At >= IPV6_LEN + HOP_BY_HOP_LEN + 4) return mldOf(bytes, l3At, end);
  return undefined;
}

function igmpOf(
  bytes: Uint8Array,
  l3At: number,
  end: number,
): FoundMessage | 'bad-hop-limit' | 'truncated' | undefined {
  if (bytes[l3At + 9] !== IpProtocol.igmp) return undefined;
  const headerLen = ((bytes[l3At] as number) & 0x0f) * 4;
  const totalLen = ((bytes[l3At + 2] as number) << 8) | (bytes[l3At + 3] as number);
  if (headerLen < 20 || totalLen < headerLen || l3At + totalLen > end) return 'truncated';
  if (bytes[l3At + 8] !== 1) return 'bad-hop-limit';
  return { family: 4, at: l3At + headerLen, length: totalLen - headerLen, addressesAt: l3At + IPV4_SOURCE_AT };
}

/** Behind a hop-by-hop header with the router alert, as all of them are (RFC 2710 section 3). */
function mldOf(bytes: Uint8Array, l3At: number, end: number): FoundMessage | 'bad-hop-limit' | 'truncated' | undefined {
  const hopByHopAt = l3At + IPV6_LEN;
  if (bytes[l3At + 6] !== IpProtocol.hopByHop || bytes[hopByHopAt] !== IpProtocol.icmpv6) return undefined;
  const at = hopByHopAt + ((bytes[hopByHopAt + 1] as number) + 1) * 8;
  const totalEnd = hopByHopAt + (((bytes[l3At + 4] as number) << 8) | (bytes[l3At + 5] as number));
  if (at >= totalEnd || totalEnd > end) return 'truncated';
  const type = bytes[at] as number;
  const isMld = (type >= Icmpv6Type.mldQuery && type <= Icmpv6Type.mldDone) || type === Icmpv6Type.mldv2Report;
  if (!isMld) return undefined;
  if (bytes[l3At + 7] !== 1) return 'bad-hop-limit';
  return { family: 6, at, length: totalEnd - at, addressesAt: l3At + IPV6_SOURCE_AT };
}

/** True for hardware addresses of groups of this link alone: 224.0.0.0/24, ff0x::/120, and whatever is no group of IP. */
export function isOfThisLink(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === 0x33 && bytes[at + 1] === 0x33)
    return bytes[at + 2] === 0 && bytes[at + 3] === 0 && bytes[at + 4] === 0;
  if (bytes[at] !== 0x01 || bytes[at + 1] !== 0 || bytes[at + 2] !== 0x5e) return true;
  return bytes[at + 3] === 0 && bytes[at + 4] === 0;
}

/** A number for a VLAN and the hardware address of a group. */
export function macKeyOf(vlan: number, bytes: Uint8Array, at: number): number {
  const low =
    (((bytes[at + 2] as number) << 24) |
      ((bytes[at + 3] as number) << 16) |
      ((bytes[at + 4] as number) << 8) |
      (bytes[at + 5] as number)) >>>
    0;
  // Exact up to 2^53: 12 bits, one for the family, 32.
  return (vlan * 2 + (bytes[at] === 0x33 ? 1 : 0)) * 2 ** 32 + low;
}

/** A query in a frame without a tag; undefined where this family is not asked. @param group undefined for all of them */
export function writeQuery(
  { mac, ipv4, ipv6 }: QueryAddresses,
  family: 4 | 6,
  group: Uint8Array | undefined,
  maxResponseMs: number,
): Uint8Array | undefined {
  if (family === 4) return ipv4 && igmpQuery(mac, ipv4, group, maxResponseMs);
  return ipv6 && mldQuery(mac, ipv6, group, maxResponseMs);
}

function igmpQuery(
  mac: Uint8Array,
  source: Uint8Array,
  group: Uint8Array | undefined,
  maxResponseMs: number,
): Uint8Array {
  const frame = new Uint8Array(HEADER_LEN + IPV4_LEN + igmpQueryLen);
  const to = group ?? ALL_SYSTEMS;
  const [, b = 0, c = 0, d = 0] = to;
  putHeader(frame, [1, 0, 0x5e, b & 0x7f, c, d], mac, EtherType.ipv4);
  const at = HEADER_LEN;
  // Precedence of internetwork control, TTL 1, the router alert option.
  frame.set([0x46, 0xc0, 0, IPV4_LEN + igmpQueryLen, 0, 0, 0x40, 0, 1, IpProtocol.igmp], at);
  frame.set(source, at + IPV4_SOURCE_AT);
  frame.set(to, at + 16);
  frame.set([0x94, 0x04, 0, 0], at + 20);
  const checksum = internetChecksum(frame, at, IPV4_LEN);
  frame.set([checksum >> 8, checksum & 0xff], at + 10);
  emitIgmpQuery({ group, maxResponseMs }, frame, at + IPV4_LEN);
  return frame;
}

function mldQuery(
  mac: Uint8Array,
  source: Uint8Array,
  group: Uint8Array | undefined,
  maxResponseMs: number,
): Uint8Array {
  const frame = new Uint8Array(HEADER_LEN + IPV6_LEN + HOP_BY_HOP_LEN + mldQueryLen);
  const to = group ?? ALL_NODES;
  putHeader(frame, [0x33, 0x33, ...to.subarray(12)], mac, EtherType.ipv6);
  const at = HEADER_LEN;
  frame.set([0x60, 0, 0, 0, 0, HOP_BY_HOP_LEN + mldQueryLen, IpProtocol.hopByHop, 1], at);
  frame.set(source, at + IPV6_SOURCE_AT);
  frame.set(to, at + IPV6_SOURCE_AT + 16);
  // Router alert (RFC 2711), and padding.
  frame.set([IpProtocol.icmpv6, 0, 5, 2, 0, 0, 1, 0], at + IPV6_LEN);
  emitMldQuery({ group, maxResponseMs }, frame, at + IPV6_LEN + HOP_BY_HOP_LEN, at + IPV6_SOURCE_AT);
  return frame;
}

function putHeader(frame: Uint8Array, to: readonly number[], from: Uint8Array, etherType: number): void {
  frame.set(to, 0);
  frame.set(from, 6);
  frame.set([etherType >> 8, etherType & 0xff], 12);
}
