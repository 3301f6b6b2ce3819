/** Options that several kinds of ends have. */

import { IP_MAX_LEN, IPV4_MIN_MTU } from '../mtu/index.ts';
import { type EndSpec, readOption } from './end-spec.ts';

/** Payload of Ethernet, and of what nothing else is known of. */
export const DEFAULT_MTU = 1500;
/** The least that IPv4 asks of a link. */
export const MIN_MTU: number = IPV4_MIN_MTU;
/** The longest IP packet. */
export const MAX_MTU: number = IP_MAX_LEN;
/** Ethernet header and one 802.1Q tag. */
export const ETHERNET_OVERHEAD_LEN = 18;

/** The option `mtu`. @throws VNIC_INVALID_END */
export function readMtu(spec: EndSpec): number | undefined {
  return readOption(spec, 'mtu', `a whole number from ${MIN_MTU} to ${MAX_MTU}`, (text) =>
    wholeNumber(text, MIN_MTU, MAX_MTU),
  );
}

/** A decimal number within bounds, or undefined. */
export function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}
