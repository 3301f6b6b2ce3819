/**
 * Multicast listener discovery, versions 1 and 2 (RFC 2710, RFC 3810), without the IPv6 header.
 *
 * ```
 * octet 0          1          2              4                  6              8            24
 *       +----------+----------+--------------+------------------+--------------+------------+----------------------
 *       | type (1) | code = 0 | checksum (2) | max response (2) | reserved (2) | group (16) | version 2: flags, sources
 *       +----------+----------+--------------+------------------+--------------+------------+----------------------
 *       | 143      | 0        | checksum (2) | 0 (2)            | records (2)  | group records
 *       +----------+----------+--------------+------------------+--------------+-----------------------------------
 * ```
 * Not supported: lists of sources, which are read to their end and not kept. The ICMPv6 codec keeps these messages as `other`.
 */

import { isZero, putU16, u8, u16 } from './bytes.ts';
import { finishSum, pseudoHeaderSumAt, sumBytes } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom } from './emit-check.ts';
import { type MembershipMessage, parseGroupRecords, responseUnits } from './membership.ts';
import { Icmpv6Type, IpProtocol } from './protocol-numbers.ts';

const minLenV1 = 24;
const minLenV2Report = 8;
const responseAt = 4;
const recordCountAt = 6;
const groupAt = 8;

/** Octets of the query that `emitMldQuery` writes. */
export const mldQueryLen = 28;
/** The name of an MLD message by ICMPv6 type; undefined for other types. */
export function mldName(type: number): string | undefined {
  switch (type) {
    case Icmpv6Type.mldQuery:
      return 'multicast listener query';
    case Icmpv6Type.mldReport:
      return 'multicast listener report';
    case Icmpv6Type.mldDone:
      return 'multicast listener done';
    case Icmpv6Type.mldv2Report:
      return 'multicast listener report v2';
    default:
      return undefined;
  }
}

/**
 * Reads a message, an ICMPv6 message of types 130 to 132 or 143.
 * @param addressesOffset where source and destination of the packet stand, for the checksum
 */
export function parseMld(
  bytes: Uint8Array,
  at: number,
  length: number,
  addressesOffset: number,
): MembershipMessage | DropReason {
  if (length < minLenV2Report || at + length > bytes.length) return 'truncated';
  const pseudo = pseudoHeaderSumAt(bytes, addressesOffset, 16, IpProtocol.icmpv6, length);
  if (finishSum(sumBytes(bytes, at, length, pseudo)) !== 0) return 'bad-checksum';
  const type = u8(bytes, at);
  if (type === Icmpv6Type.mldv2Report) {
    const records = { count: u16(bytes, at + recordCountAt), addressLen: 16 } as const;
    return parseGroupRecords(bytes, at + minLenV2Report, at + length, records);
  }
  if (length < minLenV1) return 'truncated';
  const group = bytes.slice(at + groupAt, at + groupAt + 16);
  if (type === Icmpv6Type.mldQuery) {
    const code = u16(bytes, at + responseAt);
    const maxResponseMs = length > minLenV1 ? responseUnits(code, 12) : code;
    return { kind: 'query', group: isZero(group, 0, 16) ? undefined : group, maxResponseMs };
  }
  if (u8(group, 0) !== 0xff) return 'bad-address';
  if (type === Icmpv6Type.mldReport) return { kind: 'report', joins: [group], leaves: [] };
  return type === Icmpv6Type.mldDone ? { kind: 'report', joins: [], leaves: [group] } : 'bad-type';
}

/**
 * Writes a query of version 2 at `offset`, with the checksum of the packet whose addresses stand at `addressesOffset` of `out`.
 * `group` has 16 bytes, and is undefined for a general query; `maxResponseMs` goes up to 32,767.
 * @throws VNIC_INVALID_ARGUMENT when there is no room
 */
export function emitMldQuery(
  { group, maxResponseMs }: { readonly group: Uint8Array | undefined; readonly maxResponseMs: number },
  out: Uint8Array,
  offset: number,
  addressesOffset: number,
): void {
  requireRoom('an MLD query', out, offset, mldQueryLen);
  out.fill(0, offset, offset + mldQueryLen);
  out[offset] = Icmpv6Type.mldQuery;
  putU16(out, offset + responseAt, Math.min(32_767, Math.round(maxResponseMs)));
  if (group !== undefined) out.set(group, offset + groupAt);
  // Robustness and query interval of RFC 3810 sections 9.1 and 9.2.
  out[offset + 24] = 2;
  out[offset + 25] = 125;
  const pseudo = pseudoHeaderSumAt(out, addressesOffset, 16, IpProtocol.icmpv6, mldQueryLen);
  putU16(out, offset + 2, finishSum(sumBytes(out, offset, mldQueryLen, pseudo)));
}
