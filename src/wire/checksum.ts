/**
 * The internet checksum (RFC 1071), its incremental update (RFC 1624), and the pseudo headers of IPv4
 * (RFC 9293 section 3.1, RFC 768) and IPv6 (RFC 8200 section 8.1).
 *
 * A "sum" here is the folded one's complement sum, 0 to 0xffff, before it is inverted; sums can be added and
 * continued. A "checksum" is the inverted sum as it stands in a header. Hot: nothing is allocated.
 *
 * Not supported: adding ranges of odd length one after the other, except as the last one.
 */

import type { IpAddress } from '../base/index.ts';
import { u16, u32 } from './bytes.ts';

/** Folds a number below 2^53 to the one's complement 16-bit sum it stands for. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0x7fff_ffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  // Integers from here on, which division would not be.
  folded = (folded & 0xffff) + (folded >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

/**
 * The one's complement sum of `length` octets at `offset`, of any alignment; an odd last octet counts as the
 * high half of a word.
 * @param initial a sum to go on from, such as that of a pseudo header
 * @returns 0 to 0xffff
 */
export function sumBytes(bytes: Uint8Array, offset: number, length: number, initial = 0): number {
  let sum = 0;
  let i = offset;
  const end = offset + length;
  if (length >= 16) {
    const view = viewOf(bytes);
    // Four words at a time; up to 64 KiB the sum stays below 2^31.
    for (let blocks = (length >> 3) & 0x1fff; blocks > 0; blocks--, i += 8) {
      const first = view.getInt32(i);
      const second = view.getInt32(i + 4);
      sum += (first & 0xffff) + (first >>> 16) + (second & 0xffff) + (second >>> 16);
    }
    // Longer ones come in pieces.
    if (end - i > 7) return sumBytes(bytes, i, end - i, foldSum(sum) + initial);
  }
  for (; i + 1 < end; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if (i < end) sum += (bytes[i] as number) << 8;
  return foldSum(foldSum(sum) + initial);
}

// The packets of a batch share one array, so that its view serves them all. Reads through it are wider.
let viewed: Uint8Array = new Uint8Array(0);
let view: DataView = new DataView(viewed.buffer);

function viewOf(bytes: Uint8Array): DataView {
  if (bytes === viewed) return view;
  viewed = bytes;
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return view;
}

/** The checksum that stands for a sum: its one's complement, 0 to 0xffff. */
export function finishSum(sum: number): number {
  return ~foldSum(sum) & 0xffff;
}

/**
 * The checksum over `length` octets at `offset`. Over a range that includes a correct checksum it is 0.
 * @param initial a sum to go on from
 */
export function internetChecksum(bytes: Uint8Array, offset: number, length: number, initial = 0): number {
  return ~sumBytes(bytes, offset, length, initial) & 0xffff;
}

/**
 * The sum of a pseudo header whose source and destination address stand one after the other, as they do in
 * both IP headers.
 * @param addressesOffset offset of the source address
 * @param addressLen octets of one address: 4 or 16
 * @param protocol number of the upper-layer protocol
 * @param length octets of the upper-layer header and payload
 */
export function pseudoHeaderSumAt(
  bytes: Uint8Array,
  addressesOffset: number,
  addressLen: 4 | 16,
  protocol: number,
  length: number,
): number {
  // The IPv6 length is 32 bits wide; folding its two words is adding it.
  return sumBytes(bytes, addressesOffset, addressLen * 2, protocol + length);
}

/** The sum of the pseudo header of two addresses of one family; see `pseudoHeaderSumAt`. */
export function pseudoHeaderSum(source: IpAddress, destination: IpAddress, protocol: number, length: number): number {
  const sum = sumBytes(source.bytes, 0, source.bytes.length, protocol + length);
  return sumBytes(destination.bytes, 0, destination.bytes.length, sum);
}

/**
 * The checksum after one aligned 16-bit word changed from `before` to `after`: HC' = ~(~HC + ~m + m'), RFC 1624
 * equation 3.
 */
export function updateChecksum16(checksum: number, before: number, after: number): number {
  let sum = (~checksum & 0xffff) + (~before & 0xffff) + (after & 0xffff);
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The checksum after a 32-bit field at an even offset changed; see `updateChecksum16`. */
export function updateChecksum32(checksum: number, before: number, after: number): number {
  const high = updateChecksum16(checksum, before >>> 16, after >>> 16);
  return updateChecksum16(high, before & 0xffff, after & 0xffff);
}

/**
 * The checksum after `length` octets, from an even offset on and even in number (such as an address), changed
 * from those of `before` to those of `after`; see `updateChecksum16`.
 */
export function updateChecksumRange(
  checksum: number,
  before: Uint8Array,
  beforeOffset: number,
  after: Uint8Array,
  afterOffset: number,
  length: number,
): number {
  let updated = checksum;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    updated = updateChecksum32(updated, u32(before, beforeOffset + i), u32(after, afterOffset + i));
  }
  for (; i + 1 < length; i += 2) {
    updated = updateChecksum16(updated, u16(before, beforeOffset + i), u16(after, afterOffset + i));
  }
  return updated;
}
