/**
 * Endpoints of datagrams: where they come from and go to, as records in a table instead of objects.
 *
 *     word 0     family: 4, 6, or 0 for the peer of a connected socket
 *     word 1     port
 *     word 2-5   address, first word first; IPv4 has one word
 *     word 6     scope id of a link-local IPv6 address: the index of its interface
 *     word 7     index of the interface on which a datagram came
 *     word 8-11  address to which it came. For IPv4 word 8 is that and word 9 the one to answer from; they differ for
 *                broadcast and multicast
 *
 * All words are numbers of this machine: 10.0.0.1 is 0x0a000001. Record 0 is the peer of a connected socket and stays
 * empty. A descriptor names the endpoint of its datagram by index, so that nothing is allocated per datagram, and a
 * connected socket pays nothing at all.
 */

import { IpAddress, invalidArgument } from '../base/index.ts';

/** 32-bit words per record of a `UdpEndpointTable`. */
export const ENDPOINT_WORDS = 12;

/** Most records in a table: a descriptor has 16 bits for the index. */
export const MAX_ENDPOINTS = 65_536;

/** An address and a port, for people and for options; the hot path uses records of a `UdpEndpointTable`. */
export interface UdpEndpoint {
  readonly address: IpAddress | string;
  /** 0 to 65,535. */
  readonly port: number;
  /** Index of the interface of a link-local IPv6 address. */
  readonly scopeId?: number;
}

/** What a record says. */
export interface UdpPath {
  readonly remote: UdpEndpointValue;
  /** Address to which the datagram came, or from which to send; undefined where the kernel was not asked. */
  readonly local?: IpAddress;
  /** Index of the interface on which the datagram came; 0 where the kernel was not asked. */
  readonly ifindex: number;
}

/** A `UdpEndpoint` whose address has been parsed. */
export interface UdpEndpointValue extends UdpEndpoint {
  readonly address: IpAddress;
}

/** What `UdpEndpointTable.set` takes beside the remote endpoint. */
export interface UdpSource {
  /** Address of this machine to send from; default: the kernel chooses by route. */
  readonly from?: IpAddress | string;
  /** Interface to send out of, where the socket has `stickyInterface`. */
  readonly ifindex?: number;
}

/** A bounded table of endpoints. Nothing is allocated after construction, save by `get`. */
export class UdpEndpointTable {
  /** `ENDPOINT_WORDS` words a record, as this module describes them. */
  readonly words: Uint32Array;
  readonly capacity: number;
  /** Records in use, record 0 included. */
  count = 1;

  /** @param capacity records, record 0 included: 1 to `MAX_ENDPOINTS` */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_ENDPOINTS) {
      throw invalidArgument('create an endpoint table', `a capacity of 1 to ${MAX_ENDPOINTS}`, capacity);
    }
    this.capacity = capacity;
    this.words = new Uint32Array(capacity * ENDPOINT_WORDS);
  }

  /** Adds an endpoint. @returns its index, or -1 when the table is full. @throws VNIC_INVALID_ARGUMENT */
  add(endpoint: UdpEndpoint, source: UdpSource = {}): number {
    if (this.count >= this.capacity) return -1;
    this.set(this.count, endpoint, source);
    return this.count++;
  }

  /** Overwrites record `index`, which is at least 1. @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_ADDRESS */
  set(index: number, endpoint: UdpEndpoint, source: UdpSource = {}): void {
    this.#check(index);
    const at = index * ENDPOINT_WORDS;
    this.words.fill(0, at, at + ENDPOINT_WORDS);
    const address = toAddress(endpoint.address);
    this.words[at] = address.family;
    this.words[at + 1] = checkPort(endpoint.port);
    writeAddress(this.words, at + 2, address);
    this.words[at + 6] = endpoint.scopeId ?? 0;
    this.words[at + 7] = source.ifindex ?? 0;
    if (source.from === undefined) return;
    const from = toAddress(source.from);
    if (from.family !== address.family) {
      throw invalidArgument('add an endpoint', `a source of IPv${address.family}`, from.toString());
    }
    writeAddress(this.words, at + 8, from);
    if (from.family === 4) this.words[at + 9] = this.words[at + 8] as number;
  }

  /** Hot. Copies a record, for example of a received datagram into the table of the peers. */
  copy(index: number, from: UdpEndpointTable, fromIndex: number): void {
    const at = index * ENDPOINT_WORDS;
    const fromAt = fromIndex * ENDPOINT_WORDS;
    for (let i = 0; i < ENDPOINT_WORDS; i++) this.words[at + i] = from.words[fromAt + i] as number;
    if (index >= this.count) this.count = index + 1;
  }

  /** Hot. Whether two records name the same remote address, port and scope. */
  sameRemote(index: number, other: UdpEndpointTable, otherIndex: number): boolean {
    const at = index * ENDPOINT_WORDS;
    const otherAt = otherIndex * ENDPOINT_WORDS;
    for (let i = 0; i < 7; i++) if (this.words[at + i] !== other.words[otherAt + i]) return false;
    return true;
  }

  /** Hot. Whether two records name the same remote address and scope, whatever the ports. */
  sameAddress(index: number, other: UdpEndpointTable, otherIndex: number): boolean {
    const at = index * ENDPOINT_WORDS;
    const otherAt = otherIndex * ENDPOINT_WORDS;
    if (this.words[at] !== other.words[otherAt]) return false;
    for (let i = 2; i < 7; i++) if (this.words[at + i] !== other.words[otherAt + i]) return false;
    return true;
  }

  /** Hot. Sets the port of the remote end of record `index`. */
  setPort(index: number, port: number): void {
    this.words[index * ENDPOINT_WORDS + 1] = port;
  }

  /** Hot. Port of the remote end of record `index`. */
  port(index: number): number {
    return this.words[index * ENDPOINT_WORDS + 1] as number;
  }

  /** Record `index` as an object; undefined for the peer of a connected socket. */
  get(index: number): UdpPath | undefined {
    const at = index * ENDPOINT_WORDS;
    const family = this.words[at] as number;
    if (family !== 4 && family !== 6) return undefined;
    const scopeId = this.words[at + 6] as number;
    const remote = {
      address: readAddress(this.words, at + 2, family),
      port: this.words[at + 1] as number,
      ...(scopeId === 0 ? {} : { scopeId }),
    };
    const local = readAddress(this.words, at + 8, family);
    return { remote, ifindex: this.words[at + 7] as number, ...(local.isUnspecified ? {} : { local }) };
  }

  /** Forgets all records. */
  clear(): void {
    this.count = 1;
  }

  #check(index: number): void {
    if (Number.isInteger(index) && index >= 1 && index < this.capacity) return;
    throw invalidArgument('set an endpoint', `an index of 1 to ${this.capacity - 1}`, index);
  }
}

/** @throws VNIC_INVALID_ADDRESS */
export function toAddress(address: IpAddress | string): IpAddress {
  return typeof address === 'string' ? IpAddress.parse(address) : address;
}

/** @throws VNIC_INVALID_ARGUMENT */
export function checkPort(port: number): number {
  if (Number.isInteger(port) && port >= 0 && port <= 0xffff) return port;
  throw invalidArgument('use a UDP port', 'a port of 0 to 65535', port);
}

function writeAddress(words: Uint32Array, at: number, { bytes }: IpAddress): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < bytes.length; i += 4) words[at + i / 4] = view.getUint32(i);
}

function readAddress(words: Uint32Array, at: number, family: 4 | 6): IpAddress {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < bytes.length; i += 4) view.setUint32(i, words[at + i / 4] as number);
  return IpAddress.fromBytes(bytes);
}
