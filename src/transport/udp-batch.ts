/**
 * A batch of datagrams: a `PacketBatch` whose descriptors also name the endpoint and the traffic class.
 *
 *     word 2  bits 0-15   index into `endpoints`; 0 is the peer of a connected socket
 *             bits 16-23  IPv4 type of service or IPv6 traffic class, DSCP and ECN. Sending: 0 is the socket's own
 *             bit 24      an empty datagram, where otherwise a length of 0 means: dropped
 *     word 3  free for the user
 *
 * A received batch can be edited in place and sent back as it is: each datagram then goes to where it came from, from
 * the address to which it came.
 */

import { DESCRIPTOR_WORDS, PacketBatch, type PacketBatchOptions } from '../link/index.ts';
import { UdpEndpointTable } from './udp-endpoints.ts';

/** Size of a `UdpBatch`. */
export interface UdpBatchOptions extends PacketBatchOptions {
  /**
   * Where the descriptors' endpoints stand; default a table of its own, with a record per packet. Batches that are sent
   * may share one, for example with a record per tunnel peer.
   */
  readonly endpoints?: UdpEndpointTable;
}

const ENDPOINT = 0xffff;
const CLASS_SHIFT = 16;
const CLASS = 0xff;
const EMPTY = 1 << 24;
const ECN = 3;

/** A fixed amount of memory holding up to `capacity` datagrams. Nothing is allocated after construction. */
export class UdpBatch extends PacketBatch {
  readonly endpoints: UdpEndpointTable;
  readonly #ownsEndpoints: boolean;

  constructor(options: UdpBatchOptions = {}) {
    super(options);
    this.#ownsEndpoints = options.endpoints === undefined;
    this.endpoints = options.endpoints ?? new UdpEndpointTable(Math.min(this.capacity + 1, 0xffff));
  }

  /** Index of the endpoint of datagram `index` in `endpoints`; 0 for the peer of a connected socket. */
  endpoint(index: number): number {
    return this.#tag(index) & ENDPOINT;
  }

  /** Sets to whom datagram `index` is sent. */
  setEndpoint(index: number, endpoint: number): void {
    this.#setTag(index, (this.#tag(index) & ~ENDPOINT) | (endpoint & ENDPOINT));
  }

  /** IPv4 type of service or IPv6 traffic class of datagram `index`, 0 to 255. */
  trafficClass(index: number): number {
    return (this.#tag(index) >>> CLASS_SHIFT) & CLASS;
  }

  /** Sets the traffic class with which datagram `index` is sent; 0 for that of the socket. */
  setTrafficClass(index: number, trafficClass: number): void {
    const kept = this.#tag(index) & ~(CLASS << CLASS_SHIFT);
    this.#setTag(index, kept | ((trafficClass & CLASS) << CLASS_SHIFT));
  }

  /** ECN codepoint of datagram `index` (RFC 3168): 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
  ecn(index: number): number {
    return this.trafficClass(index) & ECN;
  }

  /** Whether datagram `index` has no payload. A dropped one is not empty. */
  isEmpty(index: number): boolean {
    return this.length(index) === 0 && (this.#tag(index) & EMPTY) !== 0;
  }

  /** Copies a datagram in, an empty one too. False, and nothing changed, when there is no room for it. */
  override append(datagram: Uint8Array, endpoint = 0, trafficClass = 0): boolean {
    if (!super.append(datagram)) return false;
    if (endpoint !== 0) this.setEndpoint(this.count - 1, endpoint);
    if (trafficClass !== 0) this.setTrafficClass(this.count - 1, trafficClass);
    return true;
  }

  override reserve(length: number): number {
    const at = super.reserve(length);
    if (length === 0 && at >= 0) this.#setTag(this.count - 1, EMPTY);
    return at;
  }

  override drop(index: number): void {
    super.drop(index);
    this.#setTag(index, this.#tag(index) & ~EMPTY);
  }

  override clear(): void {
    super.clear();
    if (this.#ownsEndpoints) this.endpoints.clear();
  }

  /** Views of the datagrams, dropped ones left out. They share memory with the batch. */
  override *[Symbol.iterator](): IterableIterator<Uint8Array> {
    for (let i = 0; i < this.count; i++) if (this.length(i) > 0 || this.isEmpty(i)) yield this.packet(i);
  }

  #tag(index: number): number {
    return this.descriptors[index * DESCRIPTOR_WORDS + 2] as number;
  }

  #setTag(index: number, tag: number): void {
    this.descriptors[index * DESCRIPTOR_WORDS + 2] = tag;
  }
}
