/** Checks of what a caller hands to `emit…`: wrong fields are the caller's error and are thrown, not emitted. */

import { type IpAddress, type IpFamily, invalidArgument } from '../base/index.ts';

/**
 * Throws unless `value` is an integer from 0 to `max`.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function requireUint(header: string, field: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw invalidArgument(`emit ${header} with ${field} ${value}`, `an integer from 0 to ${max}`, value);
}

/**
 * Throws unless `length` octets fit into `out` at `offset`.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function requireRoom(header: string, out: Uint8Array, offset: number, length: number): void {
  if (Number.isInteger(offset) && offset >= 0 && offset + length <= out.length) return;
  throw invalidArgument(
    `emit ${header} of ${length} bytes at offset ${offset}`,
    `room for it in the buffer of ${out.length} bytes`,
    `offset ${offset}`,
  );
}

/**
 * Throws unless `address` is of `family`.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function requireFamily(header: string, field: string, address: IpAddress, family: IpFamily): void {
  if (address.family === family) return;
  throw invalidArgument(`emit ${header} with ${field} ${address}`, `an IPv${family} address`, address.toString());
}

/**
 * Throws unless `data` has a length that is a multiple of `unit` and at most `max`.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function requireLen(header: string, field: string, data: Uint8Array, unit: number, max: number): void {
  if (data.length % unit === 0 && data.length <= max) return;
  const multiple = unit === 1 ? '' : `, in multiples of ${unit}`;
  throw invalidArgument(
    `emit ${header} with ${field} of ${data.length} bytes`,
    `at most ${max} bytes${multiple}`,
    `${data.length} bytes`,
  );
}
