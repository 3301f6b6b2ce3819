/**
 * Packets in UDP datagrams, one in each: a UDP socket as a packet link. In the clear.
 *
 * Theory of operation
 *
 * The batches of the socket are those of the link, so nothing is copied and segmentation (`UDP_SEGMENT`, `UDP_GRO`) works.
 *
 *   connected   Everything goes to the peer and comes from it; the kernel sees to that.
 *   empty       A datagram without payload is a sign of life.
 *   listening   The first that sends is the peer. Others are counted as strangers, until the peer was silent for
 *               `PEER_SILENCE_MS`; then the next that sends is the peer. Before there is one, packets are lost: `link-down`.
 */

import { invalidArgument, Listeners, VnicError } from '../base/index.ts';

import type { Medium, MutableCounters, WaitOptions, WebStreams, WriteDropReason } from '../link/index.ts';
import { DESCRIPTOR_WORDS, type LinkEvents, PacketBatch, type PacketLink, toWebStreams } from '../link/index.ts';
import type { UdpBatch } from './udp-batch.ts';
import { type UdpDropReason, zeroCounters } from './udp-counters.ts';
import { UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';
import type { UdpSocket } from './udp-socket.ts';

/** How packets are put into datagrams. */
export interface UdpLinkOptions {
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. Default 1500. */
  readonly mtu?: number;
  /** For people and logs; default the name of the socket. */
  readonly name?: string;
}

/** What came in and is no packet of the peer. */
export interface UdpLinkDrops {
  /** Longer than the MTU allows. */
  readonly tooLong: number;
  /** From somebody who is not the peer. */
  readonly stranger: number;
}

const DEFAULT_MTU = 1500;
/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
const PEER_SILENCE_MS = 30_000;
const PEER = 1;
const ENDPOINT_MASK = 0xffff;

/** A packet link over a UDP socket, which it closes with itself. */
export class UdpLink implements PacketLink {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly offload: boolean = false;
  readonly counters: MutableCounters = {
    packetsRead: 0,
    bytesRead: 0,
    packetsWritten: 0,
    bytesWritten: 0,
    writeDropped: { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 },
  };
  /** Totals of what was received and left out. */
  readonly readDropped: { -readonly [Key in keyof UdpLinkDrops]: number } = { tooLong: 0, stranger: 0 };

  readonly #socket: UdpSocket;
  readonly #maxLen: number;
  readonly #peers = new UdpEndpointTable(PEER + 1);
  readonly #events: Listeners<LinkEvents> = new Listeners();
  // Own descriptors: those of the writer name endpoints of another socket, or nothing.
  #descriptors = new Uint32Array(64 * DESCRIPTOR_WORDS);
  // A single packet is written as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  /** What the socket had refused by the last look. */
  readonly #refused = { ...zeroCounters().sendDropped };
  #peerHeardMs = Number.NEGATIVE_INFINITY;

  constructor(socket: UdpSocket, { medium, mtu = DEFAULT_MTU, name = socket.name }: UdpLinkOptions) {
    this.name = name;
    this.medium = medium;
    this.mtu = mtu;
    this.#socket = socket;
    this.#maxLen = mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  /** Who is sent to; undefined as long as nobody has sent anything to a listening link. */
  get peer(): UdpEndpointValue | undefined {
    return this.#socket.remote ?? this.#peers.get(PEER)?.remote;
  }

  async read(options: WaitOptions = {}): Promise<PacketBatch | undefined> {
    for (;;) {
      const batch = await this.#socket.receive(options);
      if (batch === undefined || this.#admit(batch) > 0) return batch;
    }
  }

  async *batches(options: WaitOptions = {}): AsyncIterableIterator<PacketBatch> {
    for await (const batch of this.#socket.batches(options)) if (this.#admit(batch) > 0) yield batch;
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.#socket.onBatch((batch) => {
      if (this.#admit(batch) > 0) handler(batch);
    }, onEnd);
  }

  write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof PacketBatch) {
      const end = to ?? source.count;
      if (from < 0 || end > source.count) {
        throw invalidArgument(`write to ${this.name}`, `a range inside 0 to ${source.count}`, `${from} to ${end}`);
      }
      return from >= end ? 0 : this.#send(source.bytes, source.descriptors, from, end);
    }
    this.#single[1] = source.length;
    return this.#send(source, this.#single, 0, 1);
  }

  writable(options: WaitOptions = {}): Promise<void> {
    return this.#socket.writable(options);
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    if (event === 'gone') return this.#socket.on('gone', handler as (error: VnicError) => void);
    return this.#events.on(event, handler);
  }

  close(): Promise<void> {
    return this.#socket.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Hot. Takes out what is no packet of the peer; returns how many are left. */
  #admit(batch: UdpBatch): number {
    let packets = 0;
    const isListening = this.#socket.remote === undefined;
    const nowMs = isListening ? performance.now() : 0;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      const isStranger = isListening && !this.#isFromPeer(batch, i, nowMs);
      if (!isStranger && length > 0 && length <= this.#maxLen) {
        packets++;
        this.counters.bytesRead += length;
        continue;
      }
      if (isStranger) this.readDropped.stranger++;
      else if (length > 0) this.readDropped.tooLong++;
      batch.drop(i);
    }
    this.counters.packetsRead += packets;
    return packets;
  }

  #isFromPeer(batch: UdpBatch, index: number, nowMs: number): boolean {
    const endpoint = batch.endpoint(index);
    if (!this.#peers.sameRemote(PEER, batch.endpoints, endpoint)) {
      if (nowMs - this.#peerHeardMs < PEER_SILENCE_MS) return false;
      this.#peers.copy(PEER, batch.endpoints, endpoint);
      this.#events.emit('up', undefined);
    }
    this.#peerHeardMs = nowMs;
    return true;
  }

  /** Hot. */
  #send(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const endpoint = this.#socket.remote === undefined ? PEER : 0;
    const own = this.#describe(descriptors, from, to, endpoint);
    if (endpoint === PEER && this.#peers.count <= PEER) {
      for (let i = 0; i < to - from; i++) if (own[i * DESCRIPTOR_WORDS + 1] !== 0) this.#lose('link-down', 1);
      return to - from;
    }
    const { datagramsSent, bytesSent } = this.#socket.counters;
    const taken = this.#socket.sendDescribed(bytes, own, this.#peers, 0, to - from);
    const after = this.#socket.counters;
    this.counters.packetsWritten += after.datagramsSent - datagramsSent;
    this.counters.bytesWritten += after.bytesSent - bytesSent;
    for (const reason of refusals) {
      this.#lose(reasons[reason], after.sendDropped[reason] - this.#refused[reason]);
      this.#refused[reason] = after.sendDropped[reason];
    }
    return taken;
  }

  #describe(descriptors: Uint32Array, from: number, to: number, endpoint: number): Uint32Array {
    const count = to - from;
    if (this.#descriptors.length < count * DESCRIPTOR_WORDS)
      this.#descriptors = new Uint32Array(count * DESCRIPTOR_WORDS);
    const own = this.#descriptors;
    for (let i = 0; i < count; i++) {
      const word = (from + i) * DESCRIPTOR_WORDS;
      const length = descriptors[word + 1] as number;
      own[i * DESCRIPTOR_WORDS] = descriptors[word] as number;
      own[i * DESCRIPTOR_WORDS + 1] = length > this.#maxLen ? 0 : length;
      own[i * DESCRIPTOR_WORDS + 2] = endpoint & ENDPOINT_MASK;
      if (length > this.#maxLen) this.#lose('too-long', 1);
    }
    return own;
  }

  #lose(reason: WriteDropReason, packets: number): void {
    if (packets === 0) return;
    this.counters.writeDropped[reason] += packets;
    if (this.#events.count('writeDropped') === 0) return;
    this.#events.emit('writeDropped', { reason, error: lossError(this.name, reason, this.mtu) });
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
