/** Addresses inside packets. */

import { IpAddress } from '../base/index.ts';

/** The two addresses that a pseudo header covers; the fields of both IP headers have this shape. */
export interface AddressPair {
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

/** The address of `length` octets at `offset`, copied. */
export function ipAt(bytes: Uint8Array, offset: number, length: 4 | 16): IpAddress {
  return IpAddress.fromBytes(bytes.subarray(offset, offset + length));
}
