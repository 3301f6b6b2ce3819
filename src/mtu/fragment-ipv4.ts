/**
 * Fragmentation of IPv4 packets as a router does it (RFC 791 section 3.2): each fragment has the header of the packet, those after
 * the first only the options that are marked to be copied, and data on a multiple of 8 octets. IPv6 routers fragment nothing.
 */

import type { PacketBatch } from '../link/index.ts';
import { type Ipv4View, ipv4MinHeaderLen, putU16, sumBytes, u8 } from '../wire/index.ts';

const MORE_FRAGMENTS = 0x2000;
/** Option types with this bit are in every fragment. */
const COPIED = 0x80;
const END_OF_LIST = 0;
const NO_OPERATION = 1;

/**
 * Appends the fragments of a packet, each with the link header that stands before it, to a batch: all of them or none.
 * @param ip a packet without "don't fragment"; `ip.bytes` before `ip.offset` is the link header
 * @param mtu the longest fragment in bytes, link header not counted
 * @returns how many; 0 when the MTU is too small or the batch has no room
 */
export function fragmentIpv4(ip: Ipv4View, mtu: number, out: PacketBatch): number {
  const before = out.count;
  const later = laterHeader(ip);
  let fragments = 0;
  for (let from = 0; from < ip.payloadLen; fragments++) {
    const header = from === 0 ? ip.bytes.subarray(ip.offset, ip.payloadOffset) : later;
    const room = mtu - header.length;
    const left = ip.payloadLen - from;
    const length = left <= room ? left : room & ~7;
    if (length < 8 && length < left) return giveUp(out, before);
    if (!append(ip, header, from, length, out)) return giveUp(out, before);
    from += length;
  }
  return fragments;
}

function giveUp(out: PacketBatch, count: number): 0 {
  out.count = count;
  return 0;
}

function append(ip: Ipv4View, header: Uint8Array, from: number, length: number, out: PacketBatch): boolean {
  const linkLen = ip.offset;
  const at = out.reserve(linkLen + header.length + length);
  if (at < 0) return false;
  const start = at + linkLen;
  out.bytes.set(ip.bytes.subarray(0, linkLen), at);
  out.bytes.set(header, start);
  out.bytes.set(ip.bytes.subarray(ip.payloadOffset + from, ip.payloadOffset + from + length), start + header.length);
  const isLast = from + length === ip.payloadLen && !ip.moreFragments;
  out.bytes[start] = 0x40 | (header.length / 4);
  putU16(out.bytes, start + 2, header.length + length);
  putU16(out.bytes, start + 6, (isLast ? 0 : MORE_FRAGMENTS) | ((ip.fragmentOffset + from) / 8));
  putU16(out.bytes, start + 10, 0);
  putU16(out.bytes, start + 10, ~sumBytes(out.bytes, start, header.length));
  return true;
}

/** The header of the second fragment and all behind it. */
function laterHeader(ip: Ipv4View): Uint8Array {
  const header = new Uint8Array(ip.headerLen);
  header.set(ip.bytes.subarray(ip.offset, ip.offset + ipv4MinHeaderLen));
  let length = ipv4MinHeaderLen;
  for (let at = ip.optionsOffset; at < ip.payloadOffset; ) {
    const type = u8(ip.bytes, at);
    if (type === END_OF_LIST) break;
    const optionLen = type === NO_OPERATION ? 1 : at + 1 < ip.payloadOffset ? u8(ip.bytes, at + 1) : 0;
    // What is broken here was so before; the fragments do without it.
    if (optionLen === 0 || at + optionLen > ip.payloadOffset || (optionLen < 2 && type !== NO_OPERATION)) break;
    if ((type & COPIED) !== 0) {
      header.set(ip.bytes.subarray(at, at + optionLen), length);
      length += optionLen;
    }
    at += optionLen;
  }
  return header.subarray(0, (length + 3) & ~3);
}
