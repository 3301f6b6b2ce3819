/**
 * Options of the IPv4 header (RFC 791 section 3.1, router alert RFC 2113).
 *
 * ```
 * octet 0          1            2
 *       +----------+------------+------------------
 *       | type (1) | length (1) | data (length - 2)      types 0 (end) and 1 (no operation) are a single octet
 *       +----------+------------+------------------
 * ```
 * Data is kept as octets; no option is acted upon.
 */

import { u8 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireUint } from './emit-check.ts';
import { Ipv4OptionType } from './protocol-numbers.ts';

/** One option; `data` is empty for no operation. */
export interface Ipv4Option {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Reads an option area up to the end-of-list option; `data` are views into it. */
export function parseIpv4Options(area: Uint8Array): Ipv4Option[] | DropReason {
  const options: Ipv4Option[] = [];
  let at = 0;
  while (at < area.length) {
    const type = u8(area, at);
    if (type === Ipv4OptionType.endOfList) break;
    const length = type === Ipv4OptionType.noOperation ? 1 : optionLen(area, at);
    if (length === 0) return 'bad-option';
    options.push({ type, data: area.subarray(at + Math.min(2, length), at + length) });
    at += length;
  }
  return options;
}

/** Length of the option at `at` from its length octet; 0 when that is wrong. */
function optionLen(area: Uint8Array, at: number): number {
  if (at + 2 > area.length) return 0;
  const length = u8(area, at + 1);
  return length < 2 || at + length > area.length ? 0 : length;
}

/**
 * The octets of an option area, padded with end-of-list to a multiple of 4, as `Ipv4Fields.options` has it.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIpv4Options(options: readonly Ipv4Option[]): Uint8Array {
  const octets: number[] = [];
  for (const { type, data } of options) {
    requireUint('IPv4 option', 'type', type, 0xff);
    if (type === Ipv4OptionType.noOperation) octets.push(type);
    else octets.push(type, data.length + 2, ...data);
  }
  while (octets.length % 4 !== 0) octets.push(Ipv4OptionType.endOfList);
  requireUint('IPv4 options', 'total octets', octets.length, 40);
  return Uint8Array.from(octets);
}
