/**
 * DHCP snooping, with inspection of ARP and neighbour discovery by what was learned from it. Pure.
 *
 * Theory of operation
 *
 *   trust      Servers of DHCP and routers are behind trusted ports alone; what they would say from elsewhere is dropped.
 *   requests   Which port a station has asked from is remembered, so that the answer binds its address to that port. A station speaks for
 *              itself: the address in a request is that of its frame.
 *   bindings   VLAN, hardware address, IP address, port, until the lease ends, it is released, or the port is gone. Bounded: what finds no room
 *              is not bound.
 *   inspection Of an untrusted port ARP says nothing of an IPv4 address that is not bound to it, or is dropped (0.0.0.0 asks whether an
 *              address is free). IPv6 addresses are also made without DHCP: there nobody speaks for one that is bound to another.
 */

import { formatMac, IpAddress } from '../base/index.ts';
import { EtherType, Icmpv6Type, IpProtocol } from '../wire/index.ts';
import { type DhcpMessage, readDhcp4, readDhcp6 } from './dhcp-messages.ts';

/** How addresses are looked at. */
export interface AddressInspectionOptions {
  /** Bindings, and requests that are remembered, at most; default 4096 of each. */
  readonly capacity?: number;
  /** Inspect ARP and neighbour discovery as well; default false. */
  readonly arp?: boolean;
}

/** Why a frame does not pass. */
export type InspectionDropReason =
  | 'dhcp-server'
  | 'dhcp-source'
  | 'router-advertisement'
  | 'arp-inspection'
  | 'nd-inspection';

/** An address of a station. */
export interface AddressBinding {
  readonly vlan: number;
  /** `02:00:…`. */
  readonly mac: string;
  readonly address: string;
  readonly port: number;
  /** Milliseconds of the clock; Infinity for one that was set by hand. */
  readonly expiresMs: number;
}

const DEFAULT_CAPACITY = 4096;
const IPV6_LEN = 40;
const ND_TARGET_AT = 8;

/** The addresses of one switch. */
export class AddressInspection {
  readonly #capacity: number;
  readonly #inspectsArp: boolean;
  /** By VLAN and IP address. */
  readonly #bindings = new Map<string, AddressBinding>();
  /** By VLAN and hardware address: the port that a station has asked from. The oldest goes first. */
  readonly #requests = new Map<string, number>();
  /** Bindings that found no room. */
  refused = 0;

  constructor({ capacity = DEFAULT_CAPACITY, arp = false }: AddressInspectionOptions = {}) {
    this.#capacity = capacity;
    this.#inspectsArp = arp;
  }

  /**
   * Hot. Why a frame does not pass, or undefined; what is said of addresses is learned on the way.
   * @param at the Ethernet header
   * @param l3At what is behind it and its tags
   */
  inspect(
    port: number,
    trust: 'trusted' | 'untrusted',
    vlan: number,
    bytes: Uint8Array,
    at: number,
    l3At: number,
    end: number,
    nowMs: number,
  ): InspectionDropReason | undefined {
    const etherType = ((bytes[l3At - 2] as number) << 8) | (bytes[l3At - 1] as number);
    const isTrusted = trust === 'trusted';
    if (etherType === EtherType.arp) {
      return this.#inspectsArp && !isTrusted ? this.#inspectArp(port, vlan, bytes, l3At, end, nowMs) : undefined;
    }
    if (etherType === EtherType.ipv4 && bytes[l3At + 9] === IpProtocol.udp) {
      const message = readDhcp4(bytes, l3At, end);
      return message && this.#take(message, { port, vlan, isTrusted, source: formatMac(bytes, at + 6), nowMs });
    }
    if (etherType !== EtherType.ipv6 || l3At + IPV6_LEN > end) return undefined;
    if (bytes[l3At + 6] === IpProtocol.udp) {
      const message = readDhcp6(bytes, at, l3At, end);
      return message && this.#take(message, { port, vlan, isTrusted, source: formatMac(bytes, at + 6), nowMs });
    }
    return isTrusted ? undefined : this.#inspectIcmpv6(port, vlan, bytes, at, l3At, end, nowMs);
  }

  /** An address that no DHCP hands out. False when there is no room. */
  bind(vlan: number, mac: string, address: string, port: number): boolean {
    return this.#bind({ vlan, mac, address, port, expiresMs: Number.POSITIVE_INFINITY }, 0);
  }

  /** What is bound now. */
  bindings(nowMs: number): AddressBinding[] {
    return [...this.#bindings.values()].filter(({ expiresMs }) => expiresMs > nowMs);
  }

  /** Forgets a port that is gone. */
  removePort(port: number): void {
    for (const [key, binding] of this.#bindings) if (binding.port === port) this.#bindings.delete(key);
    for (const [key, asked] of this.#requests) if (asked === port) this.#requests.delete(key);
  }

  #take(
    message: DhcpMessage,
    frame: {
      readonly port: number;
      readonly vlan: number;
      readonly isTrusted: boolean;
      readonly source: string;
      readonly nowMs: number;
    },
  ): InspectionDropReason | undefined {
    const { port, vlan, isTrusted, source, nowMs } = frame;
    if (message.from === 'server') {
      if (!isTrusted) return 'dhcp-server';
      const asked = this.#requests.get(`${vlan} ${message.mac}`);
      for (const { address, leaseMs } of asked === undefined ? [] : message.leases) {
        this.#bind({ vlan, mac: message.mac, address, port: asked ?? port, expiresMs: nowMs + leaseMs }, nowMs);
      }
      return undefined;
    }
    if (isTrusted) return undefined;
    if (message.mac !== source) return 'dhcp-source';
    for (const address of message.released) {
      const bound = this.#bindings.get(`${vlan} ${address}`);
      if (bound === undefined) continue;
      if (bound.port !== port || bound.mac !== source) return 'dhcp-source';
      this.#bindings.delete(`${vlan} ${address}`);
    }
    this.#remember(`${vlan} ${source}`, port);
    return undefined;
  }

  #remember(key: string, port: number): void {
    this.#requests.delete(key);
    const [oldest] = this.#requests.keys();
    if (this.#requests.size >= this.#capacity && oldest !== undefined) this.#requests.delete(oldest);
    this.#requests.set(key, port);
  }

  #bind(binding: AddressBinding, nowMs: number): boolean {
    const key = `${binding.vlan} ${binding.address}`;
    if (!this.#bindings.has(key) && this.#bindings.size >= this.#capacity) {
      for (const [one, { expiresMs }] of this.#bindings) if (expiresMs <= nowMs) this.#bindings.delete(one);
      if (this.#bindings.size >= this.#capacity) {
        this.refused++;
        return false;
      }
    }
    this.#bindings.set(key, binding);
    return true;
  }

  #inspectArp(
    port: number,
    vlan: number,
    bytes: Uint8Array,
    l3At: number,
    end: number,
    nowMs: number,
  ): InspectionDropReason | undefined {
    if (l3At + 28 > end) return 'arp-inspection';
    const isUnspecified = bytes.subarray(l3At + 14, l3At + 18).every((byte) => byte === 0);
    if (isUnspecified) return undefined;
    const address = IpAddress.fromBytes(bytes.slice(l3At + 14, l3At + 18)).toString();
    const bound = this.#bindings.get(`${vlan} ${address}`);
    const isRight =
      bound !== undefined && bound.port === port && bound.expiresMs > nowMs && bound.mac === formatMac(bytes, l3At + 8);
    return isRight ? undefined : 'arp-inspection';
  }

  /** Router advertisements, and who speaks for an address: the source of a solicitation, the target of an advertisement. */
  #inspectIcmpv6(
    port: number,
    vlan: number,
    bytes: Uint8Array,
    at: number,
    l3At: number,
    end: number,
    nowMs: number,
  ): InspectionDropReason | undefined {
    const icmpAt = icmpv6At(bytes, l3At, end);
    if (icmpAt === undefined) return undefined;
    const type = bytes[icmpAt];
    if (type === Icmpv6Type.routerAdvertisement || type === Icmpv6Type.redirect) return 'router-advertisement';
    if (!this.#inspectsArp) return undefined;
    const isAdvertisement = type === Icmpv6Type.neighborAdvertisement;
    if (!isAdvertisement && type !== Icmpv6Type.neighborSolicitation) return undefined;
    const addressAt = isAdvertisement ? icmpAt + ND_TARGET_AT : l3At + 8;
    if (addressAt + 16 > end) return 'nd-inspection';
    const address = IpAddress.fromBytes(bytes.slice(addressAt, addressAt + 16)).toString();
    const bound = this.#bindings.get(`${vlan} ${address}`);
    if (bound === undefined || bound.expiresMs <= nowMs) return undefined;
    return bound.port === port && bound.mac === formatMac(bytes, at + 6) ? undefined : 'nd-inspection';
  }
}

/** Behind extension headers that have a length; undefined for other packets. */
function icmpv6At(bytes: Uint8Array, l3At: number, end: number): number | undefined {
  let next = bytes[l3At + 6] as number;
  let offset = l3At + IPV6_LEN;
  for (let headers = 0; headers < 8; headers++) {
    if (next === IpProtocol.icmpv6) return offset < end ? offset : undefined;
    const isExtension =
      next === IpProtocol.hopByHop || next === IpProtocol.routing || next === IpProtocol.destinationOptions;
    if ((!isExtension && next !== IpProtocol.fragment) || offset + 8 > end) return undefined;
    const length = next === IpProtocol.fragment ? 8 : ((bytes[offset + 1] as number) + 1) * 8;
    next = bytes[offset] as number;
    offset += length;
  }
  return undefined;
}
