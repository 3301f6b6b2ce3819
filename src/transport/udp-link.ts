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

import { DESCRIPTOR_WORDS, type Medium } from '../link/index.ts';
import { looksLikePathProbe, type PathMtuSearchState } from '../mtu/index.ts';
import { PEER, UdpBaseLink } from './udp-base-link.ts';
import type { UdpBatch } from './udp-batch.ts';
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
/** The longest payload of UDP over IPv4. */
const MAX_PAYLOAD_LEN = 65_507;
const PEER_SILENCE_MS = 30_000;
const ENDPOINT_MASK = 0xffff;

/** A packet link over a UDP socket, which it closes with itself. */
export class UdpLink extends UdpBaseLink {
  /** Totals of what was received and left out. */
  readonly readDropped: { -readonly [Key in keyof UdpLinkDrops]: number } = { tooLong: 0, stranger: 0 };

  readonly #maxReadLen: number;
  readonly #follower: UdpPathFollower | undefined;
  readonly #probes: boolean;
  readonly #peers = new UdpEndpointTable(PEER + 1);
  // Own descriptors: those of the writer name endpoints of another socket, or nothing.
  #descriptors = new Uint32Array(64 * DESCRIPTOR_WORDS);
  #peerHeardMs = Number.NEGATIVE_INFINITY;

  constructor(socket: UdpSocket, { medium, mtu = DEFAULT_MTU, name = socket.name, path }: UdpLinkOptions) {
    super(socket, { name, medium, mtu, headerLen: 0 });
    this.#maxReadLen = path === undefined ? this.maxLen : MAX_PAYLOAD_LEN;
    this.#follower = path === undefined ? undefined : this.#follow(path);
    this.#probes = this.#follower?.probes ?? false;
    if (this.#follower !== undefined) this.#setMaxLen(this.#follower.size);
  }

  /** How far the search for the path MTU is; undefined where nothing is probed, or there is no peer yet. */
  get pathMtuState(): PathMtuSearchState | undefined {
    return this.#follower?.state;
  }

  /** Who is sent to; undefined as long as nobody has sent anything to a listening link. */
  get peer(): UdpEndpointValue | undefined {
    return this.socket.remote ?? this.#peers.get(PEER)?.remote;
  }

  /** Stops to follow the path, and closes the socket. Idempotent. */
  override close(): Promise<void> {
    this.#follower?.close();
    return super.close();
  }

  protected override admit(batch: UdpBatch): number {
    let packets = 0;
    const isListening = this.socket.remote === undefined;
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

  protected override send(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    if (this.#endpoint === PEER && this.#peers.count <= PEER) return this.loseAll(descriptors, from, to);
    const own = this.#describe(descriptors, from, to, this.#endpoint);
    const taken = this.sendDatagrams(bytes, own, to - from, this.#peers);
    this.loseTooLong(descriptors, from, from + taken);
    return taken;
  }

  /** The record of whom is sent to: none for the peer of a connected socket. */
  get #endpoint(): number {
    return this.socket.remote === undefined ? PEER : 0;
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
      this.events.emit('up', undefined);
    }
    this.#peerHeardMs = nowMs;
    return true;
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
      own[i * DESCRIPTOR_WORDS + 1] = length > this.maxLen ? 0 : length;
      own[i * DESCRIPTOR_WORDS + 2] = endpoint & ENDPOINT_MASK;
    }
    return own;
  }

  #follow(options: UdpPathMtuOptions): UdpPathFollower {
    return new UdpPathFollower(
      {
        socket: this.socket,
        medium: this.medium,
        maxSize: Math.min(this.maxLen, MAX_PAYLOAD_LEN),
        peer: () => this.peer,
        send: (datagram) => this.sendOwn(datagram, this.#endpoint, this.#peers),
        onSize: (size) => {
          this.#setMaxLen(size);
          this.events.emit('mtu', this.mtu);
        },
      },
      options,
    );
  }

  #setMaxLen(size: number): void {
    this.maxLen = Math.max(1, size - this.linkHeaderLen) + this.linkHeaderLen;
  }
}
