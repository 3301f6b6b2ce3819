/** What IGMP and MLD have in common: who wants which group, and who asks. */

import { u8, u16 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';

/** A message about groups; addresses are copies of 4 or 16 bytes. */
export type MembershipMessage =
  | {
      readonly kind: 'query';
      /** Undefined for a general query. */
      readonly group: Uint8Array | undefined;
      /** Within which answers are wanted. */
      readonly maxResponseMs: number;
    }
  | { readonly kind: 'report'; readonly joins: readonly Uint8Array[]; readonly leaves: readonly Uint8Array[] };

/** Types of group records (RFC 3376 section 4.2.12, RFC 3810 section 5.2.12). */
const modeIsInclude = 1;
const changeToInclude = 3;
const blockOldSources = 6;

/**
 * Reads the group records of a report of IGMPv3 or MLDv2. Lists of sources are not kept: a group of which any source is wanted is
 * joined, one of which none is left.
 *
 * ```
 * octet 0          1             2              4           4 + address
 *       +----------+-------------+--------------+-----------+-------------------+---------------------------+
 *       | type (1) | auxiliary   | sources (2)  | group     | sources, each an  | auxiliary, in words of 4  |
 *       |          | words (1)   |              |           | address           |                           |
 *       +----------+-------------+--------------+-----------+-------------------+---------------------------+
 * ```
 */
export function parseGroupRecords(
  bytes: Uint8Array,
  at: number,
  end: number,
  { count, addressLen }: { readonly count: number; readonly addressLen: 4 | 16 },
): MembershipMessage | DropReason {
  const joins: Uint8Array[] = [];
  const leaves: Uint8Array[] = [];
  let offset = at;
  for (let i = 0; i < count; i++) {
    if (offset + 4 + addressLen > end) return 'truncated';
    const type = u8(bytes, offset);
    const sources = u16(bytes, offset + 2);
    const group = bytes.slice(offset + 4, offset + 4 + addressLen);
    offset += 4 + addressLen + sources * addressLen + u8(bytes, offset + 1) * 4;
    if (offset > end) return 'truncated';
    if (type === 0 || type > blockOldSources) continue;
    if ((type === modeIsInclude || type === changeToInclude) && sources === 0) leaves.push(group);
    else if (type !== blockOldSources) joins.push(group);
  }
  return { kind: 'report', joins, leaves };
}

/** A maximum response code of version 2 or later to units: a small floating-point number above a limit. */
export function responseUnits(code: number, mantissaBits: 4 | 12): number {
  const limit = 1 << (mantissaBits + 3);
  if (code < limit) return code;
  const exponent = (code >> mantissaBits) & 7;
  const mantissa = code & ((1 << mantissaBits) - 1);
  return (mantissa | (1 << mantissaBits)) << (exponent + 3);
}
