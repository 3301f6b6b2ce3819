/**
 * Ethernet frames in VXLAN datagrams (RFC 7348) of one peer and one network: what the kernel's `vxlan` interface with `remote`
 * sends and takes. In the clear.
 *
 * Theory of operation
 *
 *   receiving   The socket is bound to the port of VXLAN and not connected, since a peer sends from ports that it chooses by flow.
 *               A datagram of another address than the peer's is a stranger. The header is taken off by moving the start
 *               of the packet, so batches and `UDP_GRO` stay as they are.
 *   sending     To one port, whatever the peer sends from. The header is written into the headroom of the batch where it has one;
 *               else the packets are copied into memory of the link's own, which is fixed.
 *   listening   Without a remote address the first that sends a frame of this network is the peer, until it was silent for
 *               `PEER_SILENCE_MS`; before there is one, packets are lost: `link-down`.
 */

import { invalidArgument } from '../base/index.ts';
import { DESCRIPTOR_WORDS } from '../link/index.ts';
import { maxVni, putVxlan, readVni, vxlanHeaderLen, vxlanPort } from '../wire/index.ts';
import { PEER, UdpBaseLink } from './udp-base-link.ts';
import type { UdpBatch } from './udp-batch.ts';
import { checkPort, type UdpEndpoint, UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';
import type { UdpSocket } from './udp-socket.ts';

/** Which network, and with whom. */
export interface VxlanLinkOptions {
  /** Network identifier, 0 to 16,777,215. Frames of others are left out. */
  readonly vni: number;
  /** The peer, and the port to send to; default the first that sends, at port `port`. */
  readonly remote?: UdpEndpoint;
  /** The port to which a peer that is not known yet is answered; default 4789. */
  readonly port?: number;
  /** Longest payload in bytes, Ethernet header not counted; longer frames are dropped both ways. Default 1450. */
  readonly mtu?: number;
  /** For people and logs; default the name of the socket. */
  readonly name?: string;
}

/** What came in and is no frame of the peer. */
export interface VxlanLinkDrops {
  /** Too short, or without a network identifier. */
  readonly malformed: number;
  /** Of another network. */
  readonly foreignVni: number;
  /** Longer than the MTU allows. */
  readonly tooLong: number;
  /** From somebody who is not the peer. */
  readonly stranger: number;
}

const DEFAULT_MTU = 1450;
const PEER_SILENCE_MS = 30_000;
const ETHERNET_HEADER_LEN = 14;
/** Memory for packets that come without headroom: so many at once, and no fewer than four of the longest. */
const COPY_PACKETS = 128;
const COPY_LEN = COPY_PACKETS * 2048;

/** A packet link over an unconnected UDP socket, which it closes with itself. */
export class VxlanLink extends UdpBaseLink {
  readonly vni: number;
  /** Totals of what was received and left out. */
  readonly readDropped: { -readonly [Key in keyof VxlanLinkDrops]: number } = {
    malformed: 0,
    foreignVni: 0,
    tooLong: 0,
    stranger: 0,
  };

  readonly #peers = new UdpEndpointTable(PEER + 1);
  readonly #isFixed: boolean;
  readonly #port: number;
  #descriptors = new Uint32Array(COPY_PACKETS * DESCRIPTOR_WORDS);
  #copies: Uint8Array | undefined;
  #peerHeardMs = Number.NEGATIVE_INFINITY;

  /** @throws VNIC_INVALID_ARGUMENT for a VNI out of range, a port that is none, or a connected socket */
  constructor(socket: UdpSocket, options: VxlanLinkOptions) {
    const { vni, remote, port = vxlanPort, mtu = DEFAULT_MTU, name = socket.name } = options;
    super(socket, { name, medium: 'ethernet', mtu, headerLen: vxlanHeaderLen });
    if (!Number.isInteger(vni) || vni < 0 || vni > maxVni) {
      throw invalidArgument('open a VXLAN link', `a VNI of 0 to ${maxVni}`, vni);
    }
    if (socket.remote !== undefined) {
      throw invalidArgument('open a VXLAN link', 'a socket that is not connected', socket.name);
    }
    this.vni = vni;
    this.#port = checkPort(port);
    this.#isFixed = remote !== undefined;
    if (remote !== undefined) this.#peers.add(remote);
  }

  /** Who is sent to; undefined as long as nobody has sent anything. */
  get peer(): UdpEndpointValue | undefined {
    return this.#peers.get(PEER)?.remote;
  }

  protected override admit(batch: UdpBatch): number {
    const { bytes, descriptors } = batch;
    const nowMs = this.#isFixed ? 0 : performance.now();
    let packets = 0;
    for (let i = 0; i < batch.count; i++) {
      const word = i * DESCRIPTOR_WORDS;
      const at = descriptors[word] as number;
      const length = descriptors[word + 1] as number;
      const reason = this.#reasonAgainst(bytes, at, length) ?? this.#strangeness(batch, i, nowMs);
      if (reason !== undefined) {
        this.readDropped[reason]++;
        batch.drop(i);
        continue;
      }
      descriptors[word] = at + vxlanHeaderLen;
      descriptors[word + 1] = length - vxlanHeaderLen;
      packets++;
      this.counters.bytesRead += length - vxlanHeaderLen;
    }
    this.counters.packetsRead += packets;
    return packets;
  }

  protected override send(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    headroom: number,
  ): number {
    if (this.#peers.count <= PEER) return this.loseAll(descriptors, from, to);
    for (let next = from; next < to; ) {
      const isInPlace = headroom >= vxlanHeaderLen;
      const stop = isInPlace
        ? this.#wrapInPlace(bytes, descriptors, next, to)
        : this.#wrapCopies(bytes, descriptors, next, to);
      const memory = isInPlace ? bytes : this.#copyMemory();
      const taken = this.sendDatagrams(memory, this.#descriptors, stop - next, this.#peers);
      this.loseTooLong(descriptors, next, next + taken);
      next += taken;
      if (next < stop) return next - from;
    }
    return to - from;
  }

  #reasonAgainst(bytes: Uint8Array, at: number, length: number): keyof VxlanLinkDrops | undefined {
    const vni = readVni(bytes, at, length);
    if (vni < 0 || length < vxlanHeaderLen + ETHERNET_HEADER_LEN) return 'malformed';
    if (vni !== this.vni) return 'foreignVni';
    return length - vxlanHeaderLen > this.maxLen ? 'tooLong' : undefined;
  }

  #strangeness(batch: UdpBatch, index: number, nowMs: number): 'stranger' | undefined {
    const endpoint = batch.endpoint(index);
    const isPeer = this.#peers.sameAddress(PEER, batch.endpoints, endpoint);
    if (this.#isFixed) return isPeer ? undefined : 'stranger';
    if (!isPeer) {
      if (nowMs - this.#peerHeardMs < PEER_SILENCE_MS) return 'stranger';
      this.#peers.copy(PEER, batch.endpoints, endpoint);
      this.#peers.setPort(PEER, this.#port);
      this.events.emit('up', undefined);
    }
    this.#peerHeardMs = nowMs;
    return undefined;
  }

  /** Hot. Writes headers before the packets, and describes the datagrams; returns the index after the last. */
  #wrapInPlace(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    if (this.#descriptors.length < (to - from) * DESCRIPTOR_WORDS) {
      this.#descriptors = new Uint32Array((to - from) * DESCRIPTOR_WORDS);
    }
    for (let i = from; i < to; i++) {
      const at = (descriptors[i * DESCRIPTOR_WORDS] as number) - vxlanHeaderLen;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      const isSent = length > 0 && length <= this.maxLen;
      if (isSent) putVxlan(bytes, at, this.vni);
      this.#describe(i - from, at, isSent ? length + vxlanHeaderLen : 0);
    }
    return to;
  }

  /** Hot. As `#wrapInPlace`, with copies of as many packets as there is room for. */
  #wrapCopies(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const copies = this.#copyMemory();
    let end = 0;
    let i = from;
    for (; i < to && i - from < COPY_PACKETS; i++) {
      const start = descriptors[i * DESCRIPTOR_WORDS] as number;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0 || length > this.maxLen) {
        this.#describe(i - from, 0, 0);
        continue;
      }
      if (end + vxlanHeaderLen + length > copies.length) break;
      putVxlan(copies, end, this.vni);
      copies.set(bytes.subarray(start, start + length), end + vxlanHeaderLen);
      this.#describe(i - from, end, length + vxlanHeaderLen);
      end += vxlanHeaderLen + length;
    }
    return i;
  }

  #describe(index: number, at: number, length: number): void {
    const word = index * DESCRIPTOR_WORDS;
    this.#descriptors[word] = at;
    this.#descriptors[word + 1] = length;
    this.#descriptors[word + 2] = PEER;
  }

  #copyMemory(): Uint8Array {
    this.#copies ??= new Uint8Array(Math.max(COPY_LEN, 4 * (this.maxLen + vxlanHeaderLen)));
    return this.#copies;
  }
}
