/** Where packets for an Ethernet segment go: what is on it, its routers, and the MACs of groups. */

import type { Cidr, IpAddress } from '../base/index.ts';
import { equalAt } from './address-set.ts';

const broadcast = new Uint8Array(6).fill(0xff);

/** Fixed when it is made. */
export class SegmentRoutes {
  readonly gateway4: Uint8Array | undefined;
  readonly gateway6: Uint8Array | undefined;
  readonly #ipv4: readonly Cidr[];
  readonly #ipv6: readonly Cidr[];
  readonly #broadcasts: readonly Uint8Array[];
  // One answer at a time.
  readonly #group = new Uint8Array(6);

  constructor(onLink: readonly Cidr[], gateways: readonly IpAddress[]) {
    this.#ipv4 = onLink.filter(({ family }) => family === 4);
    this.#ipv6 = onLink.filter(({ family }) => family === 6);
    this.#broadcasts = this.#ipv4.flatMap(({ broadcast: address }) => (address === undefined ? [] : [address.bytes]));
    this.gateway4 = gateways.find(({ family }) => family === 4)?.bytes;
    this.gateway6 = gateways.find(({ family }) => family === 6)?.bytes;
  }

  /** Hot. Whether the address of `length` octets lies in a prefix of the segment. */
  isOnLink(bytes: Uint8Array, offset: number, length: 4 | 16): boolean {
    const prefixes = length === 4 ? this.#ipv4 : this.#ipv6;
    for (const prefix of prefixes) if (prefix.containsBytes(bytes, offset)) return true;
    return false;
  }

  /** Hot. The MAC of a multicast (RFC 1112 section 6.4) or broadcast address, valid until the next call; undefined for another. */
  ipv4GroupMac(bytes: Uint8Array, offset: number): Uint8Array | undefined {
    const first = bytes[offset] as number;
    if (first >> 4 === 0xe) {
      const mac = this.#group;
      mac[0] = 0x01;
      mac[1] = 0x00;
      mac[2] = 0x5e;
      mac[3] = (bytes[offset + 1] as number) & 0x7f;
      mac[4] = bytes[offset + 2] as number;
      mac[5] = bytes[offset + 3] as number;
      return mac;
    }
    if (first === 0xff && equalAt(limitedBroadcast, bytes, offset)) return broadcast;
    for (const address of this.#broadcasts) if (equalAt(address, bytes, offset)) return broadcast;
    return undefined;
  }

  /** Hot. The MAC of a multicast address (RFC 2464 section 7), valid until the next call. */
  ipv6GroupMac(bytes: Uint8Array, offset: number): Uint8Array {
    const mac = this.#group;
    mac[0] = 0x33;
    mac[1] = 0x33;
    for (let i = 0; i < 4; i++) mac[2 + i] = bytes[offset + 12 + i] as number;
    return mac;
  }
}

const limitedBroadcast = new Uint8Array(4).fill(0xff);
