/**
 * The largest segment that a TCP connection is told of when it begins (the MSS option of a SYN, RFC 9293 section 3.7.1),
 * lowered in the packet itself. Pure; the checksum is mended by the difference (RFC 1624).
 *
 * Where packets that are too long vanish without a word, connections whose ends know a larger MTU than the link has would
 * stall with their first full segment; told of a smaller segment, they never send one.
 *
 * Not supported: a SYN without the option (its sender takes 536, or 1220 with IPv6, by itself), TCP inside of other tunnels.
 */

import type { Medium } from '../link/index.ts';
import {
  EtherType,
  IpProtocol,
  Ipv4View,
  Ipv6ExtensionWalker,
  Ipv6View,
  putU16,
  TcpFlag,
  TcpOptionKind,
  tcpMinHeaderLen,
  u8,
  u16,
  updateChecksum16,
  VlanStack,
} from '../wire/index.ts';

/** Headers of IPv4 and TCP without options. */
export const MSS_OVERHEAD_V4 = 40;
/** Headers of IPv6 and TCP without options. */
export const MSS_OVERHEAD_V6 = 60;

const ETHERNET_HEADER_LEN = 14;
const MSS_OPTION_LEN = 4;

// Reused: one packet at a time is looked at.
const ipv4 = new Ipv4View();
const ipv6 = new Ipv6View();
const walker = new Ipv6ExtensionWalker();
const tags = new VlanStack();

/**
 * Hot: finds the MSS option of a packet.
 * @returns the offset of its kind octet in `bytes`, or -1 when the packet is no TCP SYN or has none
 */
export function findMss(bytes: Uint8Array, offset: number, length: number, medium: Medium): number {
  const tcp = findSyn(bytes, offset, length, medium);
  if (tcp < 0) return -1;
  const end = tcp + (u8(bytes, tcp + 12) >> 4) * 4;
  for (let at = tcp + tcpMinHeaderLen; at < end; ) {
    const kind = u8(bytes, at);
    if (kind === TcpOptionKind.endOfList) return -1;
    if (kind === TcpOptionKind.noOperation) {
      at++;
      continue;
    }
    const optionLen = at + 1 < end ? u8(bytes, at + 1) : 0;
    if (optionLen < 2 || at + optionLen > end) return -1;
    if (kind === TcpOptionKind.maximumSegmentSize) return optionLen === MSS_OPTION_LEN ? at : -1;
    at += optionLen;
  }
  return -1;
}

/** The header that `findMss` has found last begins here. */
let tcpOffset = 0;
let isIpv6 = false;

/**
 * Hot: lowers the MSS of a TCP SYN in place, and leaves any other packet as it is.
 * @param mssV4 bytes that segments over IPv4 may have
 * @param mssV6 the same over IPv6
 * @returns true when the packet was changed
 */
export function lowerMss(
  bytes: Uint8Array,
  offset: number,
  length: number,
  medium: Medium,
  mssV4: number,
  mssV6: number,
): boolean {
  const at = findMss(bytes, offset, length, medium);
  const mss = isIpv6 ? mssV6 : mssV4;
  if (at < 0 || u16(bytes, at + 2) <= mss) return false;
  const before = u16(bytes, at + 2);
  putU16(bytes, at + 2, mss);
  const checksumAt = tcpOffset + 16;
  // At an odd offset the two octets belong to two words; the sum is the same with all words turned round.
  const isOdd = (at - tcpOffset) % 2 === 1;
  const [old, now] = isOdd ? [swapped(before), swapped(mss)] : [before, mss];
  putU16(bytes, checksumAt, updateChecksum16(u16(bytes, checksumAt), old as number, now as number));
  return true;
}

/** Hot: where the TCP header of a SYN begins, its options checked to be there; -1 of any other packet. */
function findSyn(bytes: Uint8Array, offset: number, length: number, medium: Medium): number {
  const end = offset + length;
  let at = offset;
  if (medium === 'ethernet') {
    if (length < ETHERNET_HEADER_LEN) return -1;
    if (tags.walk(bytes, u16(bytes, offset + 12), offset + ETHERNET_HEADER_LEN, end) !== undefined) return -1;
    if (tags.etherType !== EtherType.ipv4 && tags.etherType !== EtherType.ipv6) return -1;
    at = tags.payloadOffset;
  }
  if (at >= end) return -1;
  isIpv6 = u8(bytes, at) >> 4 === 6;
  const tcpEnd = isIpv6 ? findTcp6(bytes, at, end) : findTcp4(bytes, at, end);
  const isSyn = tcpEnd >= 0 && tcpEnd - tcpOffset >= tcpMinHeaderLen && (u8(bytes, tcpOffset + 13) & TcpFlag.syn) !== 0;
  if (!isSyn) return -1;
  const headerLen = (u8(bytes, tcpOffset + 12) >> 4) * 4;
  return headerLen < tcpMinHeaderLen || tcpOffset + headerLen > tcpEnd ? -1 : tcpOffset;
}

/** Sets `tcpOffset`. @returns the end of the segment; -1 when there is none */
function findTcp4(bytes: Uint8Array, at: number, end: number): number {
  if (ipv4.wrap(bytes, at, end - at) !== undefined) return -1;
  if (ipv4.protocol !== IpProtocol.tcp || ipv4.fragmentOffset > 0) return -1;
  tcpOffset = ipv4.payloadOffset;
  return ipv4.end;
}

/** As `findTcp4`. */
function findTcp6(bytes: Uint8Array, at: number, end: number): number {
  if (ipv6.wrap(bytes, at, end - at) !== undefined || walker.walk(ipv6) !== undefined) return -1;
  if (walker.protocol !== IpProtocol.tcp || walker.fragmentOffset > 0) return -1;
  tcpOffset = walker.payloadOffset;
  return ipv6.end;
}

function swapped(word: number): number {
  return ((word & 0xff) << 8) | (word >> 8);
}
