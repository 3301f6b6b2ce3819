/**
 * The addresses that a responder answers for: single ones and whole subnets, less the exceptions.
 *
 * A subnet never includes what no host may have: its network and broadcast address (IPv4 up to /30), its
 * subnet-router anycast address (IPv6 up to /126, RFC 4291 section 2.6.1), multicast, loopback, 0.0.0.0/8, `::`,
 * and link-local IPv6 addresses unless the prefix itself is link-local: those belong to the kernel, which would
 * find its own taken during duplicate address detection.
 */

import { type Cidr, type IpAddress, invalidArgument } from '../base/index.ts';
import { u16, u32 } from '../wire/index.ts';

interface Ipv6Range {
  readonly cidr: Cidr;
  readonly withLinkLocal: boolean;
}

export class AddressSet {
  readonly #ipv4Hosts: Int32Array;
  readonly #ipv4Except: Int32Array;
  readonly #ipv4Networks: Int32Array;
  readonly #ipv4Masks: Int32Array;
  readonly #ipv6Hosts: Uint8Array[];
  readonly #ipv6Except: Uint8Array[];
  readonly #ipv6Ranges: Ipv6Range[];

  /** @throws VNIC_INVALID_ARGUMENT for a single address that no host may have */
  constructor(answer: readonly Cidr[], except: readonly IpAddress[]) {
    for (const cidr of answer) requireHostAddress(cidr);
    const ipv4 = answer.filter((cidr) => cidr.family === 4);
    const ipv4Ranges = ipv4.filter((cidr) => !cidr.isHost);
    this.#ipv4Hosts = sortedIpv4(ipv4.filter((cidr) => cidr.isHost).map((cidr) => cidr.address));
    this.#ipv4Except = sortedIpv4(except.filter(({ family }) => family === 4));
    this.#ipv4Masks = Int32Array.from(ipv4Ranges, ({ prefixLen }) => maskOf(prefixLen));
    this.#ipv4Networks = Int32Array.from(ipv4Ranges, ({ address, prefixLen }) => {
      return int32At(address.bytes, 0) & maskOf(prefixLen);
    });
    const ipv6 = answer.filter((cidr) => cidr.family === 6);
    this.#ipv6Hosts = ipv6.filter((cidr) => cidr.isHost).map((cidr) => cidr.address.bytes);
    this.#ipv6Except = except.filter(({ family }) => family === 6).map(({ bytes }) => bytes);
    this.#ipv6Ranges = ipv6
      .filter((cidr) => !cidr.isHost)
      .map((cidr) => ({ cidr, withLinkLocal: cidr.address.isLinkLocal && cidr.prefixLen >= 10 }));
  }

  /** Hot: true when the IPv4 address at `bytes[offset]` is answered. */
  hasIpv4(bytes: Uint8Array, offset: number): boolean {
    if (!isIpv4Unicast(bytes, offset)) return false;
    const address = int32At(bytes, offset);
    if (!this.#inIpv4Range(address) && !isAmong(this.#ipv4Hosts, address)) return false;
    return !isAmong(this.#ipv4Except, address);
  }

  /** Hot: true for the network or broadcast address of an answered IPv4 subnet. */
  isIpv4Broadcast(bytes: Uint8Array, offset: number): boolean {
    const address = int32At(bytes, offset);
    for (let i = 0; i < this.#ipv4Masks.length; i++) {
      const mask = this.#ipv4Masks[i] as number;
      if ((address & mask) === this.#ipv4Networks[i] && isEdge(address & ~mask, mask)) return true;
    }
    return false;
  }

  /** Hot: true when the IPv6 address at `bytes[offset]` is answered. */
  hasIpv6(bytes: Uint8Array, offset: number): boolean {
    if (!isIpv6Unicast(bytes, offset)) return false;
    if (!this.#inIpv6Range(bytes, offset) && !includes(this.#ipv6Hosts, bytes, offset)) return false;
    return !includes(this.#ipv6Except, bytes, offset);
  }

  #inIpv4Range(address: number): boolean {
    for (let i = 0; i < this.#ipv4Masks.length; i++) {
      const mask = this.#ipv4Masks[i] as number;
      if ((address & mask) === this.#ipv4Networks[i] && !isEdge(address & ~mask, mask)) return true;
    }
    return false;
  }

  #inIpv6Range(bytes: Uint8Array, offset: number): boolean {
    const linkLocal = (u16(bytes, offset) & 0xffc0) === 0xfe80;
    for (const { cidr, withLinkLocal } of this.#ipv6Ranges) {
      if (linkLocal && !withLinkLocal) continue;
      if (cidr.containsBytes(bytes, offset) && !isSubnetRouterAnycast(bytes, offset, cidr.prefixLen)) return true;
    }
    return false;
  }
}

/** Hot: false for 0.0.0.0/8, loopback, multicast, reserved and limited broadcast. */
export function isIpv4Unicast(bytes: Uint8Array, offset: number): boolean {
  const first = bytes[offset] as number;
  return first !== 0 && first !== 127 && first < 224;
}

/** Hot: false for `::`, loopback and multicast. */
export function isIpv6Unicast(bytes: Uint8Array, offset: number): boolean {
  if (bytes[offset] === 0xff) return false;
  const zero = u32(bytes, offset) === 0 && u32(bytes, offset + 4) === 0 && u32(bytes, offset + 8) === 0;
  return !zero || u32(bytes, offset + 12) > 1;
}

function requireHostAddress(cidr: Cidr): void {
  const { address } = cidr;
  if (!cidr.isHost && !address.isMulticast) return;
  const unicast = address.family === 4 ? isIpv4Unicast(address.bytes, 0) : isIpv6Unicast(address.bytes, 0);
  if (unicast) return;
  throw invalidArgument(`answer for ${cidr}`, 'a unicast address other than loopback, or a subnet', cidr.toString());
}

function sortedIpv4(addresses: readonly IpAddress[]): Int32Array {
  return Int32Array.from(addresses, ({ bytes }) => int32At(bytes, 0)).sort();
}

/** Binary search: faster than a `Set`, whose hashing shows in the echo path. */
function isAmong(sorted: Int32Array, value: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === value;
}

function int32At(bytes: Uint8Array, offset: number): number {
  return u32(bytes, offset) | 0;
}

function maskOf(prefixLen: number): number {
  // A shift by 32 is a shift by 0 in JavaScript.
  return prefixLen === 0 ? 0 : -1 << (32 - prefixLen);
}

/** Host bits all clear or all set, in a subnet that has a network and a broadcast address (RFC 3021: up to /30). */
function isEdge(host: number, mask: number): boolean {
  return (host === 0 || host === ~mask) && ~mask >>> 0 >= 3;
}

function isSubnetRouterAnycast(bytes: Uint8Array, offset: number, prefixLen: number): boolean {
  // RFC 6164: on a /127 both addresses are hosts.
  if (prefixLen > 126) return false;
  const whole = prefixLen >> 3;
  const mask = 0xff >> (prefixLen & 7);
  if (((bytes[offset + whole] as number) & mask) !== 0) return false;
  for (let i = whole + 1; i < 16; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}

function includes(addresses: readonly Uint8Array[], bytes: Uint8Array, offset: number): boolean {
  for (const address of addresses) if (equalAt(address, bytes, offset)) return true;
  return false;
}

/** Hot: true when the octets of `address` stand at `bytes[offset]`. */
export function equalAt(address: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  // From the end: addresses of one subnet differ there.
  for (let i = address.length - 1; i >= 0; i--) if (address[i] !== bytes[offset + i]) return false;
  return true;
}
