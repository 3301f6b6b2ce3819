/**
 * Many peers at one UDP port, each as a packet link of its own. In the clear.
 *
 * Theory of operation
 *
 *   known     Datagrams are handed to the link of the endpoint that they come from, through its own bounded queue: who does not read
 *             loses its own (`queueFull`).
 *   unknown   A datagram that greets (`isGreeting`) makes a link, as long as there are fewer than `maxPeers`; others are counted as
 *             strangers. A sender's address is not proved by that: whoever is told of the link decides what it is worth.
 *   closed    The link of a peer is forgotten; what it sends then is a stranger's.
 *
 * Runs of datagrams come from one endpoint mostly, so the last one found is looked at first.
 */

import { VnicError } from '../base/index.ts';
import {
  BaseLink,
  DESCRIPTOR_WORDS,
  type Medium,
  type PacketBatch,
  type PacketLink,
  PacketRing,
} from '../link/index.ts';
import type { UdpBatch } from './udp-batch.ts';
import { UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';
import type { UdpSocket } from './udp-socket.ts';

/** How peers are told apart and taken in. */
export interface UdpPeersOptions {
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. */
  readonly mtu: number;
  /** Default 256. */
  readonly maxPeers?: number;
  /** Hot. True for a datagram with which an unknown sender may begin. */
  isGreeting(bytes: Uint8Array, offset: number, length: number): boolean;
  /** A new peer; the datagram that it began with is read from the link. */
  onPeer(link: PacketLink, remote: UdpEndpointValue): void;
}

const DEFAULT_MAX_PEERS = 256;
/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
const QUEUE_PACKETS = 512;
const QUEUE_BYTES = 1 << 20;

/** The peers of a socket, which it closes with itself. */
export class UdpPeers implements AsyncDisposable {
  /** Datagrams from senders that are no peers, longer than the MTU, or without room in the queue of their peer. */
  readonly dropped: { stranger: number; tooLong: number; queueFull: number } = {
    stranger: 0,
    tooLong: 0,
    queueFull: 0,
  };

  readonly #socket: UdpSocket;
  readonly #options: UdpPeersOptions;
  readonly #maxLen: number;
  readonly #endpoints: UdpEndpointTable;
  /** By record of the table; record 0 is nobody. */
  readonly #peers: (UdpPeerLink | undefined)[] = [undefined];
  readonly #byEndpoint = new Map<string, number>();
  #last = 0;

  constructor(socket: UdpSocket, options: UdpPeersOptions) {
    const { medium, mtu, maxPeers = DEFAULT_MAX_PEERS } = options;
    this.#socket = socket;
    this.#options = options;
    this.#maxLen = mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
    this.#endpoints = new UdpEndpointTable(maxPeers + 1);
    socket.onBatch(
      (batch) => this.#onBatch(batch),
      () => void this.close(),
    );
  }

  /** Where it receives. */
  get local(): UdpEndpointValue {
    return this.#socket.local;
  }

  /** Closes every link and the socket. Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer?.close()));
    await this.#socket.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Hot. */
  #onBatch(batch: UdpBatch): void {
    const woken = new Set<UdpPeerLink>();
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length === 0) continue;
      if (length > this.#maxLen) {
        this.dropped.tooLong++;
        continue;
      }
      const peer = this.#peerOf(batch, i, length);
      if (peer === undefined) this.dropped.stranger++;
      else if (peer.take(batch, i)) woken.add(peer);
      else this.dropped.queueFull++;
    }
    for (const peer of woken) peer.wake();
  }

  #peerOf(batch: UdpBatch, index: number, length: number): UdpPeerLink | undefined {
    const endpoint = batch.endpoint(index);
    if (this.#last > 0 && this.#endpoints.sameRemote(this.#last, batch.endpoints, endpoint))
      return this.#peers[this.#last];
    const key = keyOf(batch.endpoints, endpoint);
    const known = this.#byEndpoint.get(key);
    if (known !== undefined) {
      this.#last = known;
      return this.#peers[known];
    }
    if (!this.#options.isGreeting(batch.bytes, batch.offset(index), length)) return undefined;
    return this.#takeIn(batch, endpoint, key);
  }

  #takeIn(batch: UdpBatch, endpoint: number, key: string): UdpPeerLink | undefined {
    const remote = batch.endpoints.get(endpoint)?.remote;
    let record = this.#peers.indexOf(undefined, 1);
    if (record < 0) record = this.#peers.length;
    if (remote === undefined || record >= this.#endpoints.capacity) return undefined;
    this.#endpoints.copy(record, batch.endpoints, endpoint);
    const { medium, mtu } = this.#options;
    const link = new UdpPeerLink({
      name: `udp ${remote.address}:${remote.port}`,
      medium,
      mtu,
      maxLen: this.#maxLen,
      socket: this.#socket,
      endpoints: this.#endpoints,
      record,
      onClose: () => {
        this.#peers[record] = undefined;
        this.#byEndpoint.delete(key);
        if (this.#last === record) this.#last = 0;
      },
    });
    this.#peers[record] = link;
    this.#byEndpoint.set(key, record);
    this.#options.onPeer(link, remote);
    return link;
  }
}

function keyOf(table: UdpEndpointTable, index: number): string {
  const path = table.get(index);
  return `${path?.remote.address} ${path?.remote.port} ${path?.remote.scopeId}`;
}

interface UdpPeerLinkOptions {
  readonly name: string;
  readonly medium: Medium;
  readonly mtu: number;
  readonly maxLen: number;
  readonly socket: UdpSocket;
  readonly endpoints: UdpEndpointTable;
  readonly record: number;
  onClose(): void;
}

/** One peer. */
class UdpPeerLink extends BaseLink {
  override readonly mtu: number;
  readonly #options: UdpPeerLinkOptions;
  readonly #incoming = new PacketRing(QUEUE_PACKETS, QUEUE_BYTES);
  #descriptors = new Uint32Array(64 * DESCRIPTOR_WORDS);
  #wantsReadable = false;
  #turnPending = false;

  constructor(options: UdpPeerLinkOptions) {
    super(options);
    this.mtu = options.mtu;
    this.#options = options;
  }

  /** Hot. Queues a datagram; false when there is no room. */
  take(batch: UdpBatch, index: number): boolean {
    return this.#incoming.push(batch.bytes, batch.descriptors, index, index + 1, this.#options.maxLen) > index;
  }

  /** Tells the reader of what was taken. */
  wake(): void {
    if (this.#wantsReadable && !this.closed) this.wakeReader();
  }

  protected override readNow(batch: PacketBatch): number {
    batch.clear();
    const count = this.#incoming.shift(batch);
    this.counters.packetsRead += count;
    for (let i = 0; i < count; i++) this.counters.bytesRead += batch.length(i);
    if (this.#wantsReadable && this.#incoming.count > 0) this.#wakeNextTurn(false);
    return count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const { socket, endpoints } = this.#options;
    const { datagramsSent, bytesSent } = socket.counters;
    const before = { ...socket.counters.sendDropped };
    const taken = socket.sendDescribed(bytes, this.#describe(descriptors, from, to), endpoints, 0, to - from);
    const after = socket.counters;
    this.counters.packetsWritten += after.datagramsSent - datagramsSent;
    this.counters.bytesWritten += after.bytesSent - bytesSent;
    for (const [reason, count] of Object.entries(after.sendDropped)) {
      const lost = count - (before[reason as keyof typeof before] ?? 0);
      for (let i = 0; i < lost; i++) {
        this.countWriteDrop(reason === 'too-long' ? 'too-long' : 'link-down', () => refusedError(this.name, reason));
      }
    }
    return taken;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    if ((readable && this.#incoming.count > 0) || writable) this.#wakeNextTurn(writable);
  }

  protected override hasBackPressure(): boolean {
    return false;
  }

  protected override closeCarrier(): void {
    this.#options.onClose();
  }

  #describe(descriptors: Uint32Array, from: number, to: number): Uint32Array {
    const { maxLen, record } = this.#options;
    const count = to - from;
    if (this.#descriptors.length < count * DESCRIPTOR_WORDS)
      this.#descriptors = new Uint32Array(count * DESCRIPTOR_WORDS);
    const own = this.#descriptors;
    for (let i = 0; i < count; i++) {
      const word = (from + i) * DESCRIPTOR_WORDS;
      const length = descriptors[word + 1] as number;
      const isTooLong = length > maxLen;
      if (isTooLong) this.countWriteDrop('too-long', () => refusedError(this.name, 'too-long'));
      own[i * DESCRIPTOR_WORDS] = descriptors[word] as number;
      own[i * DESCRIPTOR_WORDS + 1] = isTooLong ? 0 : length;
      own[i * DESCRIPTOR_WORDS + 2] = record;
      own[i * DESCRIPTOR_WORDS + 3] = 0;
    }
    return own;
  }

  #wakeNextTurn(writable: boolean): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      if (this.closed) return;
      if (writable) this.wakeWriter();
      if (this.#wantsReadable && this.#incoming.count > 0) this.wakeReader();
    });
  }
}

function refusedError(name: string, reason: string): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `send a packet by ${name}`,
    reason: reason === 'too-long' ? 'it is longer than its path takes' : `the kernel does not send it: ${reason}`,
    hint: 'See that the other side is there, and lower the MTU of the device behind it.',
  });
}
