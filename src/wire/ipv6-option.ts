/**
 * Options of IPv6 hop-by-hop and destination options headers (RFC 8200 section 4.2).
 *
 * ```
 * octet 0          1            2
 *       +----------+------------+---------------
 *       | type (1) | length (1) | data (length)        type 0 (Pad1) is a single octet
 *       +----------+------------+---------------
 * ```
 * The two highest bits of the type say what a host does that does not know it: 0 skip, 1 drop, 2 drop and
 * report, 3 drop and report unless multicast. Every option that vnic knows has them 0.
 */

import { u8 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireLen, requireUint } from './emit-check.ts';

/** Option types (RFC 8200, router alert RFC 2711). */
export const Ipv6OptionType: { readonly pad1: 0; readonly padN: 1; readonly routerAlert: 5 } = {
  pad1: 0,
  padN: 1,
  routerAlert: 5,
};

/** One option; `data` of a parsed option is a view. */
export interface Ipv6Option {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Hot: true when the options from `offset` to `end` fill that area exactly. */
export function ipv6OptionsOk(bytes: Uint8Array, offset: number, end: number): boolean {
  let at = offset;
  while (at < end) {
    if (u8(bytes, at) === Ipv6OptionType.pad1) at += 1;
    else if (at + 1 < end) at += 2 + u8(bytes, at + 1);
    else return false;
  }
  return at === end;
}

/** Reads an option area without its padding. */
export function parseIpv6Options(area: Uint8Array): Ipv6Option[] | DropReason {
  if (!ipv6OptionsOk(area, 0, area.length)) return 'bad-option';
  const options: Ipv6Option[] = [];
  let at = 0;
  while (at < area.length) {
    const type = u8(area, at);
    const length = type === Ipv6OptionType.pad1 ? 1 : 2 + u8(area, at + 1);
    if (type > Ipv6OptionType.padN) options.push({ type, data: area.subarray(at + 2, at + length) });
    at += length;
  }
  return options;
}

/**
 * The octets of an option area: the options one after the other, then padding so that with the two octets of
 * the header before it the area fills units of 8. Alignment beyond that is the caller's (order and PadN).
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIpv6Options(options: readonly Ipv6Option[]): Uint8Array {
  const octets: number[] = [];
  for (const { type, data } of options) {
    requireUint('IPv6 option', 'type', type, 0xff);
    requireLen('IPv6 option', 'data', data, 1, 0xff);
    if (type === Ipv6OptionType.pad1) octets.push(0);
    else octets.push(type, data.length, ...data);
  }
  const missing = (8 - ((octets.length + 2) % 8)) % 8;
  if (missing === 1) octets.push(Ipv6OptionType.pad1);
  else if (missing > 1) octets.push(Ipv6OptionType.padN, missing - 2, ...new Uint8Array(missing - 2));
  return Uint8Array.from(octets);
}
