/**
 * Who gets a packet, among a device and the clients behind it. Pure; works on bytes and numbers.
 *
 *   IP         by address, as crypto-routing does: a packet from the device goes to the client that its destination belongs to, one
 *              from a client must have a source that belongs to it. What goes from client to client takes the way
 *              through the device, and the kernel's routes and firewall.
 *   Ethernet   by learning, as a bridge does: the kernel hands nothing back through the port that it came by, so
 *              frames between clients are switched here.
 */

import { type Cidr, PrefixTable } from '../base/index.ts';
import { ForwardingDatabase, NO_PORT } from '../switch/index.ts';

/** To the device. */
export const TO_DEVICE = -1;
/** To everybody but the sender. */
export const TO_ALL = -2;
/** Nobody of that address is there. */
export const DROP_NO_CLIENT = -3;
/** The source is not one of the client's. */
export const DROP_SOURCE = -4;
/** The access list of the client forbids it. */
export const DROP_ACCESS = -5;
/** No IP packet, or shorter than its header. */
export const DROP_MALFORMED = -6;

/** What a client is, to the fabric. */
export interface FabricClient {
  /** Addresses and networks that are behind it. */
  readonly networks: readonly Cidr[];
  /** Where it may send to and hear from; left out, everywhere. */
  readonly access?: readonly Cidr[];
}

/** Decides about packets; ids of clients are small numbers. */
export interface Fabric {
  attach(id: number, client: FabricClient): void;
  detach(id: number): void;
  /** Hot. For a packet from the device: the id of a client, `TO_ALL`, or a reason to drop it. */
  fromDevice(bytes: Uint8Array, at: number, length: number, nowMs: number): number;
  /** Hot. For a packet from a client: `TO_DEVICE`, `TO_ALL`, the id of another, or a reason to drop it. */
  fromClient(id: number, bytes: Uint8Array, at: number, length: number, nowMs: number): number;
}

const IPV4_HEADER_LEN = 20;
const IPV6_HEADER_LEN = 40;

/** Routes IP packets. */
export class IpFabric implements Fabric {
  readonly #owners = new PrefixTable();
  readonly #networks = new Map<number, readonly Cidr[]>();
  readonly #access = new Map<number, PrefixTable>();

  attach(id: number, { networks, access }: FabricClient): void {
    this.#networks.set(id, networks);
    for (const network of networks) this.#owners.set(network, id);
    if (access === undefined) return;
    const table = new PrefixTable();
    for (const network of access) table.set(network, 1);
    this.#access.set(id, table);
  }

  detach(id: number): void {
    for (const network of this.#networks.get(id) ?? []) {
      // Another client may have got it since.
      if (this.#owners.get(network) === id) this.#owners.delete(network);
    }
    this.#networks.delete(id);
    this.#access.delete(id);
  }

  fromDevice(bytes: Uint8Array, at: number, length: number): number {
    const family = familyOf(bytes, at, length);
    if (family === 0) return DROP_MALFORMED;
    const id = this.#owners.lookup(family, bytes, at + (family === 4 ? 16 : 24));
    if (id < 0) return DROP_NO_CLIENT;
    return this.#mayTalkTo(id, family, bytes, at + (family === 4 ? 12 : 8)) ? id : DROP_ACCESS;
  }

  fromClient(id: number, bytes: Uint8Array, at: number, length: number): number {
    const family = familyOf(bytes, at, length);
    if (family === 0) return DROP_MALFORMED;
    if (this.#owners.lookup(family, bytes, at + (family === 4 ? 12 : 8)) !== id) return DROP_SOURCE;
    return this.#mayTalkTo(id, family, bytes, at + (family === 4 ? 16 : 24)) ? TO_DEVICE : DROP_ACCESS;
  }

  #mayTalkTo(id: number, family: 4 | 6, bytes: Uint8Array, at: number): boolean {
    const access = this.#access.get(id);
    return access === undefined || access.lookup(family, bytes, at) >= 0;
  }
}

/** Switches Ethernet frames: a switch whose port 0 is the device, and the others the clients. */
export class EthernetFabric implements Fabric {
  readonly #stations = new ForwardingDatabase({ capacity: MAX_STATIONS });

  attach(_id: number, _client: FabricClient): void {
    // It is known by what it sends.
  }

  detach(id: number): void {
    this.#stations.flush(id + 1);
  }

  fromDevice(bytes: Uint8Array, at: number, length: number, nowMs: number): number {
    return this.#forward(0, bytes, at, length, nowMs);
  }

  fromClient(id: number, bytes: Uint8Array, at: number, length: number, nowMs: number): number {
    return this.#forward(id + 1, bytes, at, length, nowMs);
  }

  #forward(from: number, bytes: Uint8Array, at: number, length: number, nowMs: number): number {
    if (length < ETHERNET_HEADER_LEN) return DROP_MALFORMED;
    this.#stations.learn(0, bytes, at + 6, from, nowMs);
    if (((bytes[at] as number) & 1) === 1) return TO_ALL;
    const to = this.#stations.find(0, bytes, at, nowMs);
    if (to === NO_PORT) return TO_ALL;
    if (to === from) return DROP_NO_CLIENT;
    return to === 0 ? TO_DEVICE : to - 1;
  }
}

const MAX_STATIONS = 8192;
const ETHERNET_HEADER_LEN = 14;

function familyOf(bytes: Uint8Array, at: number, length: number): 0 | 4 | 6 {
  const version = length <= 0 ? 0 : (bytes[at] as number) >> 4;
  if (version === 4) return length < IPV4_HEADER_LEN ? 0 : 4;
  return version === 6 && length >= IPV6_HEADER_LEN ? 6 : 0;
}
