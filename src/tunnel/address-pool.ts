/**
 * Addresses that a listening side hands out: one of each of its subnets to each client, the same as long as it can. Pure.
 *
 * Where a client's search begins is a hash of its key, so that it gets the same address also after the listening side was
 * started anew, unless another has got it before. When all are given away, the client that has been gone longest loses its own.
 */

import { Cidr, IpAddress } from '../base/index.ts';

/** Of a larger subnet only so many addresses are used. */
const MAX_HOSTS = 65_536;

interface Lease {
  readonly addresses: readonly Cidr[];
  inUse: boolean;
}

/** One address a client and subnet. */
export class AddressPool {
  readonly #subnets: readonly Cidr[];
  /** By address, in text. */
  readonly #taken = new Set<string>();
  /** By client; the one released longest ago first. */
  readonly #leases = new Map<string, Lease>();

  /** @param own addresses of the listening side with their prefix lengths; the rest of each subnet is handed out */
  constructor(own: readonly Cidr[]) {
    this.#subnets = own.filter(({ isHost }) => !isHost);
    for (const { address } of own) this.#taken.add(address.toString());
  }

  /** Keeps an address for somebody who asks for it by other means. */
  reserve(address: IpAddress): void {
    this.#taken.add(address.toString());
  }

  /** The addresses of a client, from now on in use; undefined when a subnet has none left. */
  lease(key: string): readonly Cidr[] | undefined {
    const known = this.#leases.get(key);
    if (known !== undefined) {
      known.inUse = true;
      return known.addresses;
    }
    const addresses: Cidr[] = [];
    for (const subnet of this.#subnets) {
      const found = this.#find(subnet, key) ?? (this.#takeBackOldest() ? this.#find(subnet, key) : undefined);
      if (found === undefined) {
        for (const { address } of addresses) this.#taken.delete(address.toString());
        return undefined;
      }
      this.#taken.add(found.address.toString());
      addresses.push(found);
    }
    this.#leases.set(key, { addresses, inUse: true });
    return addresses;
  }

  /** The client is gone; it gets the same addresses again when it comes back in time. */
  release(key: string): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    lease.inUse = false;
    this.#leases.delete(key);
    this.#leases.set(key, lease);
  }

  #find(subnet: Cidr, key: string): Cidr | undefined {
    const bits = subnet.address.bytes.length * 8 - subnet.prefixLen;
    // Neither the network's own address nor, of IPv4, the broadcast address.
    const [first, last] = bits === 1 ? [0, 1] : [1, Math.min(MAX_HOSTS, 2 ** Math.min(bits, 17)) - 1];
    const end = subnet.family === 4 && bits > 1 && 2 ** bits <= MAX_HOSTS ? last - 1 : last;
    const count = end - first + 1;
    const start = hashOf(key) % count;
    for (let i = 0; i < count; i++) {
      const address = hostOf(subnet, first + ((start + i) % count));
      if (!this.#taken.has(address.toString())) return new Cidr(address, subnet.prefixLen);
    }
    return undefined;
  }

  #takeBackOldest(): boolean {
    for (const [key, { addresses, inUse }] of this.#leases) {
      if (inUse) continue;
      this.#leases.delete(key);
      for (const { address } of addresses) this.#taken.delete(address.toString());
      return true;
    }
    return false;
  }
}

/** Host number `host` of a subnet. */
function hostOf(subnet: Cidr, host: number): IpAddress {
  const bytes = subnet.network.address.bytes.slice();
  for (let i = bytes.length - 1, rest = host; rest > 0; i--, rest = Math.floor(rest / 256)) {
    bytes[i] = (bytes[i] as number) | (rest & 0xff);
  }
  return IpAddress.fromBytes(bytes);
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193) >>> 0;
  return hash;
}
