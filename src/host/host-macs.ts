/** The hardware addresses of the answered hosts: one for all, or one each, derived from the IP address. */

import type { MacAddress } from '../base/index.ts';
import { putU32, u32 } from '../wire/index.ts';

export class HostMacs {
  readonly #mac: Uint8Array;
  readonly #perAddress: boolean;

  constructor(mac: MacAddress, perAddress: boolean) {
    this.#mac = mac.bytes;
    this.#perAddress = perAddress;
  }

  /** Hot: true when the MAC at `bytes[at]` is that of the host whose address of `length` octets is at `addressAt`. */
  isFor(bytes: Uint8Array, at: number, addressAt: number, length: 4 | 16): boolean {
    const mac = this.#mac;
    if (bytes[at] !== mac[0] || bytes[at + 1] !== mac[1]) return false;
    return u32(bytes, at + 2) === (this.#perAddress ? tailOf(bytes, addressAt, length) : u32(mac, 2));
  }

  /** Writes the MAC of the host whose address is at `address[addressAt]`. */
  write(out: Uint8Array, at: number, address: Uint8Array, addressAt: number, length: 4 | 16): void {
    out.set(this.#mac, at);
    if (this.#perAddress) putU32(out, at + 2, tailOf(address, addressAt, length));
  }
}

/** The last four octets of a MAC: an IPv4 address as it is, the FNV-1a hash of an IPv6 address. */
function tailOf(bytes: Uint8Array, offset: number, length: 4 | 16): number {
  if (length === 4) return u32(bytes, offset);
  let hash = 0x811c_9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ (bytes[offset + i] as number), 0x0100_0193);
  return hash >>> 0;
}
