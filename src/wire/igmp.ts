/**
 * IGMP, versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376), without the IP header.
 *
 * ```
 * octet 0          1                2              4          8
 *       +----------+----------------+--------------+----------+------------------------------------------
 *       | type (1) | max response(1)| checksum (2) | group (4)| version 3: flags, sources
 *       +----------+----------------+--------------+----------+------------------------------------------
 *       | 0x22     | 0              | checksum (2) | 0 (2)    records (2) at 6, group records from 8
 *       +----------+----------------+--------------+----------+------------------------------------------
 * ```
 * Not supported: lists of sources, which are read to their end and not kept.
 */

import { isZero, putU16, u8, u16 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom } from './emit-check.ts';
import { type MembershipMessage, parseGroupRecords, responseUnits } from './membership.ts';

const query = 0x11;
const reportV1 = 0x12;
const reportV2 = 0x16;
const leaveV2 = 0x17;
const reportV3 = 0x22;
const minLen = 8;
const groupAt = 4;
const recordCountAt = 6;
/** Of version 1, which has no field for it. */
const defaultResponseMs = 10_000;

/** Octets of the query that `emitIgmpQuery` writes. */
export const igmpQueryLen = 12;

/** Reads a message, the payload of an IPv4 packet of protocol 2. */
export function parseIgmp(bytes: Uint8Array, at: number, length: number): MembershipMessage | DropReason {
  if (length < minLen || at + length > bytes.length) return 'truncated';
  if (internetChecksum(bytes, at, length) !== 0) return 'bad-checksum';
  const type = u8(bytes, at);
  if (type === reportV3) {
    const records = { count: u16(bytes, at + recordCountAt), addressLen: 4 } as const;
    return parseGroupRecords(bytes, at + minLen, at + length, records);
  }
  const group = bytes.slice(at + groupAt, at + groupAt + 4);
  if (type === query) {
    const code = u8(bytes, at + 1);
    const units = length > minLen ? responseUnits(code, 4) : code;
    const maxResponseMs = units === 0 ? defaultResponseMs : units * 100;
    return { kind: 'query', group: isZero(group, 0, 4) ? undefined : group, maxResponseMs };
  }
  if ((u8(group, 0) & 0xf0) !== 0xe0) return 'bad-address';
  if (type === reportV1 || type === reportV2) return { kind: 'report', joins: [group], leaves: [] };
  return type === leaveV2 ? { kind: 'report', joins: [], leaves: [group] } : 'bad-type';
}

/**
 * Writes a query of version 3 at `offset`.
 * `group` has 4 bytes, and is undefined for a general query; `maxResponseMs` goes up to 12,700.
 * @throws VNIC_INVALID_ARGUMENT when there is no room
 */
export function emitIgmpQuery(
  { group, maxResponseMs }: { readonly group: Uint8Array | undefined; readonly maxResponseMs: number },
  out: Uint8Array,
  offset: number,
): void {
  requireRoom('an IGMP query', out, offset, igmpQueryLen);
  out.fill(0, offset, offset + igmpQueryLen);
  out[offset] = query;
  out[offset + 1] = Math.min(127, Math.round(maxResponseMs / 100));
  if (group !== undefined) out.set(group, offset + groupAt);
  // Robustness and query interval of RFC 3376 sections 8.1 and 8.2.
  out[offset + 8] = 2;
  out[offset + 9] = 125;
  putU16(out, offset + 2, internetChecksum(out, offset, igmpQueryLen));
}
