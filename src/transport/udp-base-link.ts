/**
 * What packet links over a UDP socket have in common: the batches of the socket are those of the link, so nothing is copied and
 * segmentation (`UDP_SEGMENT`, `UDP_GRO`) works. What a datagram holds beside its packet is up to the link.
 */

import { Listeners, VnicError } from '../base/index.ts';
import type { Medium, MutableCounters, WaitOptions, WebStreams, WriteDropReason } from '../link/index.ts';
import {
  DESCRIPTOR_WORDS,
  endOfRange,
  type LinkEvents,
  PacketBatch,
  type PacketLink,
  toWebStreams,
  WriteDrops,
  zeroLinkCounters,
} from '../link/index.ts';
import type { UdpBatch } from './udp-batch.ts';
import { type UdpDropReason, zeroCounters } from './udp-counters.ts';
import type { UdpEndpointTable } from './udp-endpoints.ts';
import type { UdpSocket } from './udp-socket.ts';

/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
/** The record of the peer in the table of whoever is sent to. */
export const PEER = 1;

/** How packets are put into datagrams. */
export interface UdpBaseLinkOptions {
  readonly name: string;
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted. */
  readonly mtu: number;
  /** Bytes of a datagram before its packet. */
  readonly headerLen: number;
}

/** A packet link over a UDP socket, which it closes with itself. */
export abstract class UdpBaseLink implements PacketLink {
  readonly name: string;
  readonly medium: Medium;
  readonly offload: boolean = false;
  readonly counters: MutableCounters = zeroLinkCounters();
  protected readonly socket: UdpSocket;
  protected readonly events: Listeners<LinkEvents> = new Listeners();
  /** Longest packet that is written, in bytes, link header counted. */
  protected maxLen: number;
  /** Bytes of the link header. */
  protected readonly linkHeaderLen: number;
  readonly #headerLen: number;
  readonly #drops = new WriteDrops(this.counters, this.events);
  // A single packet is written as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  /** What the socket had refused by the last look. */
  readonly #refused = { ...zeroCounters().sendDropped };

  protected constructor(socket: UdpSocket, { name, medium, mtu, headerLen }: UdpBaseLinkOptions) {
    this.name = name;
    this.medium = medium;
    this.socket = socket;
    this.linkHeaderLen = medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0;
    this.maxLen = mtu + this.linkHeaderLen;
    this.#headerLen = headerLen;
  }

  /** Hot. Takes out what is no packet of the peer; returns how many are left. */
  protected abstract admit(batch: UdpBatch): number;
  /**
   * Hot. Sends packets without waiting, and counts.
   * @param headroom free bytes before each packet, which may be written to
   * @returns how many were taken
   */
  protected abstract send(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    headroom: number,
  ): number;

  /** In bytes, link header not counted. */
  get mtu(): number {
    return this.maxLen - this.linkHeaderLen;
  }

  get closed(): boolean {
    return this.socket.closed;
  }

  async read(options: WaitOptions = {}): Promise<PacketBatch | undefined> {
    for (;;) {
      const batch = await this.socket.receive(options);
      if (batch === undefined || this.admit(batch) > 0) return batch;
    }
  }

  async *batches(options: WaitOptions = {}): AsyncIterableIterator<PacketBatch> {
    for await (const batch of this.socket.batches(options)) if (this.admit(batch) > 0) yield batch;
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.socket.onBatch((batch) => {
      if (this.admit(batch) > 0) handler(batch);
    }, onEnd);
  }

  write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof PacketBatch) {
      const end = endOfRange(this.name, source, from, to);
      return from >= end ? 0 : this.send(source.bytes, source.descriptors, from, end, source.headroom);
    }
    this.#single[1] = source.length;
    return this.send(source, this.#single, 0, 1, 0);
  }

  writable(options: WaitOptions = {}): Promise<void> {
    return this.socket.writable(options);
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    if (event === 'gone') return this.socket.on('gone', handler as (error: VnicError) => void);
    return this.events.on(event, handler);
  }

  close(): Promise<void> {
    return this.socket.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Hot. Sends the first `count` datagrams of `descriptors`, and counts their packets; returns how many were taken. */
  protected sendDatagrams(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    count: number,
    endpoints: UdpEndpointTable,
  ): number {
    const { datagramsSent, bytesSent } = this.socket.counters;
    const taken = this.socket.sendDescribed(bytes, descriptors, endpoints, 0, count);
    const after = this.socket.counters;
    const packets = after.datagramsSent - datagramsSent;
    this.counters.packetsWritten += packets;
    this.counters.bytesWritten += after.bytesSent - bytesSent - packets * this.#headerLen;
    for (const reason of refusals) {
      this.lose(reasons[reason], after.sendDropped[reason] - this.#refused[reason]);
      this.#refused[reason] = after.sendDropped[reason];
    }
    return taken;
  }

  /** Sends what is no packet of the link, and is not counted with them. False when this machine finds it too long. */
  protected sendOwn(datagram: Uint8Array, endpoint: number, endpoints: UdpEndpointTable): boolean {
    const { sendDropped } = this.socket.counters;
    const before = sendDropped['too-long'];
    this.socket.sendDescribed(datagram, Uint32Array.of(0, datagram.length, endpoint, 0), endpoints, 0, 1);
    const isTooLong = sendDropped['too-long'] > before;
    for (const reason of refusals) this.#refused[reason] = sendDropped[reason];
    return !isTooLong;
  }

  /** Hot. Counts those of the packets that are longer than the link takes. */
  protected loseTooLong(descriptors: Uint32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      if ((descriptors[i * DESCRIPTOR_WORDS + 1] as number) > this.maxLen) this.lose('too-long', 1);
    }
  }

  /** Counts all of the packets as lost, since nobody is there. */
  protected loseAll(descriptors: Uint32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) if (descriptors[i * DESCRIPTOR_WORDS + 1] !== 0) this.lose('link-down', 1);
    return to - from;
  }

  /** Counts packets that were taken and are not sent. */
  protected lose(reason: WriteDropReason, packets: number): void {
    this.#drops.count(reason, packets, () => lossError(this.name, reason, this.mtu));
  }
}

const reasons: Readonly<Record<UdpDropReason, WriteDropReason>> = {
  'too-long': 'too-long',
  'queue-full': 'queue-full',
  refused: 'link-down',
  'host-unreachable': 'link-down',
  'network-unreachable': 'link-down',
  forbidden: 'refused',
  'no-destination': 'refused',
  invalid: 'refused',
};
const refusals = Object.keys(reasons) as UdpDropReason[];

function lossError(name: string, reason: WriteDropReason, mtu: number): VnicError {
  const [why, hint] = lossTexts[reason];
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `send a packet by ${name}`,
    reason: reason === 'too-long' ? `it is longer than the MTU of ${mtu} bytes, or than its path takes` : why,
    hint,
  });
}

const lossTexts: Readonly<Record<WriteDropReason, readonly [why: string, hint: string]>> = {
  'too-long': ['', 'Lower the MTU of the device behind it.'],
  'link-down': ['nobody is there to take it', 'Start the other side, and see that it is reached.'],
  'queue-full': ['a queue of the machine is full', 'Send more slowly.'],
  refused: ['the kernel does not send it', 'Look at the firewall: `sudo nft list ruleset`.'],
};
