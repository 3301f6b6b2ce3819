/**
 * Packets in UDP datagrams, one in each: a UDP socket as a packet link. In the clear.
 *
 * Theory of operation
 *
 * The batches of the socket are those of the link, so nothing is copied and segmentation (`UDP_SEGMENT`, `UDP_GRO`) works.
 *
 *   connected   Everything goes to the peer and comes from it; the kernel sees to that.
 *   empty       A datagram without payload is a sign of life.
 *   path        With `path` the MTU follows what the path takes (`udp-path-mtu.ts`), up to `mtu`; what comes in may be longer then, since
 *               the peer finds its own. Without, it stays: what the path does not take is fragmented by this machine.
 *   listening   The first that sends is the peer. Others are counted as strangers, until the peer was silent for
 *               `PEER_SILENCE_MS`; then the next that sends is the peer. Before there is one, packets are lost: `link-down`.
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
import { looksLikePathProbe, type PathMtuSearchState } from '../mtu/index.ts';
import type { UdpBatch } from './udp-batch.ts';
import { type UdpDropReason, zeroCounters } from './udp-counters.ts';
import { UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';
import { UdpPathFollower, type UdpPathMtuOptions } from './udp-path-mtu.ts';
import type { UdpSocket } from './udp-socket.ts';

/** How packets are put into datagrams. */
export interface UdpLinkOptions {
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. Default 1500. */
  readonly mtu?: number;
  /** For people and logs; default the name of the socket. */
  readonly name?: string;
  /** Follow the MTU of the path, up to `mtu`; default no. */
  readonly path?: UdpPathMtuOptions;
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
/** The longest payload of UDP over IPv4. */
const MAX_PAYLOAD_LEN = 65_507;
const PEER_SILENCE_MS = 30_000;
const PEER = 1;
const ENDPOINT_MASK = 0xffff;

/** A packet link over a UDP socket, which it closes with itself. */
export class UdpLink implements PacketLink {
  readonly name: string;
  readonly medium: Medium;
  readonly offload: boolean = false;
  readonly counters: MutableCounters = zeroLinkCounters();
  /** Totals of what was received and left out. */
  readonly readDropped: { -readonly [Key in keyof UdpLinkDrops]: number } = { tooLong: 0, stranger: 0 };

  readonly #socket: UdpSocket;
  readonly #headerLen: number;
  readonly #maxReadLen: number;
  readonly #follower: UdpPathFollower | undefined;
  readonly #probes: boolean;
  #mtu: number;
  #maxLen: number;
  readonly #peers = new UdpEndpointTable(PEER + 1);
  readonly #events: Listeners<LinkEvents> = new Listeners();
  readonly #drops = new WriteDrops(this.counters, this.#events);
  // Own descriptors: those of the writer name endpoints of another socket, or nothing.
  #descriptors = new Uint32Array(64 * DESCRIPTOR_WORDS);
  // A single packet is written as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  /** What the socket had refused by the last look. */
  readonly #refused = { ...zeroCounters().sendDropped };
  #peerHeardMs = Number.NEGATIVE_INFINITY;

  constructor(socket: UdpSocket, { medium, mtu = DEFAULT_MTU, name = socket.name, path }: UdpLinkOptions) {
    this.name = name;
    this.medium = medium;
    this.#socket = socket;
    this.#headerLen = medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0;
    this.#mtu = mtu;
    this.#maxLen = mtu + this.#headerLen;
    this.#maxReadLen = path === undefined ? this.#maxLen : MAX_PAYLOAD_LEN;
    this.#follower = path === undefined ? undefined : this.#follow(path);
    this.#probes = this.#follower?.probes ?? false;
    if (this.#follower !== undefined) this.#setMaxLen(this.#follower.size);
  }

  /** In bytes, link header not counted; with `path` it follows what the path takes, and an event tells. */
  get mtu(): number {
    return this.#mtu;
  }

  /** How far the search for the path MTU is; undefined where nothing is probed, or there is no peer yet. */
  get pathMtuState(): PathMtuSearchState | undefined {
    return this.#follower?.state;
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
      const end = endOfRange(this.name, source, from, to);
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
    this.#follower?.close();
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
      if (this.#probes && !isStranger && this.#isProbe(batch, i, length)) {
        batch.drop(i);
        continue;
      }
      if (!isStranger && length > 0 && length <= this.#maxReadLen) {
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

  /** Hot. */
  #isProbe(batch: UdpBatch, index: number, length: number): boolean {
    const at = batch.offset(index);
    if (!looksLikePathProbe(batch.bytes, at, length, this.medium)) return false;
    return this.#follower?.receive(batch.bytes, at, length) ?? false;
  }

  #isFromPeer(batch: UdpBatch, index: number, nowMs: number): boolean {
    const endpoint = batch.endpoint(index);
    if (!this.#peers.sameRemote(PEER, batch.endpoints, endpoint)) {
      if (nowMs - this.#peerHeardMs < PEER_SILENCE_MS) return false;
      this.#peers.copy(PEER, batch.endpoints, endpoint);
      this.#follower?.restart();
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
    this.#drops.count(reason, packets, () => lossError(this.name, reason, this.mtu));
  }

  #follow(options: UdpPathMtuOptions): UdpPathFollower {
    const socket = this.#socket;
    return new UdpPathFollower(
      {
        socket,
        medium: this.medium,
        maxSize: Math.min(this.#maxLen, MAX_PAYLOAD_LEN),
        peer: () => this.peer,
        send: (datagram) => this.#sendOwn(datagram),
        onSize: (size) => {
          this.#setMaxLen(size);
          this.#events.emit('mtu', this.#mtu);
        },
      },
      options,
    );
  }

  #setMaxLen(size: number): void {
    this.#mtu = Math.max(1, size - this.#headerLen);
    this.#maxLen = this.#mtu + this.#headerLen;
  }

  /** What is not of the link's packets, and not counted with them. False when this machine finds it too long. */
  #sendOwn(datagram: Uint8Array): boolean {
    const endpoint = this.#socket.remote === undefined ? PEER : 0;
    const { sendDropped } = this.#socket.counters;
    const before = sendDropped['too-long'];
    this.#socket.sendDescribed(datagram, Uint32Array.of(0, datagram.length, endpoint, 0), this.#peers, 0, 1);
    const isTooLong = sendDropped['too-long'] > before;
    for (const reason of refusals) this.#refused[reason] = sendDropped[reason];
    return !isTooLong;
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
