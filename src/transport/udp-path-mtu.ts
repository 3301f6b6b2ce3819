/**
 * The MTU of the path of a UDP link, as it changes: what the kernel has learned of it, and what probes find.
 *
 * Theory of operation
 *
 *   kernel   ICMP "too big" reaches the socket; the kernel keeps the path MTU for ten minutes, and fragments longer datagrams
 *            meanwhile (`IP_PMTUDISC_WANT`). It is asked when there is a peer, after each such event, and every `RECHECK_MS`
 *            while it is less than what is of use. A socket that is not connected does not tell: another one is connected to the peer
 *            for that moment.
 *   probes   A `PathMtuSearch` decides. Each probe goes out with `IP_PMTUDISC_PROBE`, which ignores what the kernel believes, so
 *            that a forged "too big" is found out. While the peer acknowledges none, the kernel's value counts.
 *   size     What comes of it is the longest payload of a datagram; `onSize` is told when it becomes less, and of more when the
 *            search is done or the step is worth a change of devices.
 *
 * Timers keep no process alive.
 */

import { randomInt } from 'node:crypto';

import { type IpFamily, isVnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import {
  emitPathProbe,
  PathMtuSearch,
  type PathMtuSearchOptions,
  type PathMtuSearchState,
  parsePathProbe,
  pathProbeMinLen,
} from '../mtu/index.ts';
import { UDP_GRO_SEGMENTS, UDP_SLOT_LEN } from '../native/index.ts';
import type { UdpEndpointValue } from './udp-endpoints.ts';
import type { UdpPathMtu as UdpPathMtuEvent } from './udp-errors.ts';
import { UdpSocket } from './udp-socket.ts';

/** How a link follows its path. */
export interface UdpPathMtuOptions {
  /** Bytes of IP and UDP header that the path MTU counts and a payload does not. */
  readonly overheadLen: number;
  /** Find it by probes, which a peer acknowledges that does the same (RFC 8899); with other times than usual. Default no. */
  readonly probe?: true | Partial<Pick<PathMtuSearchOptions, 'probeTimeoutMs' | 'confirmMs' | 'raiseMs' | 'retryMs'>>;
}

/** What the link does for it. */
export interface UdpPath {
  readonly socket: UdpSocket;
  readonly medium: Medium;
  /** Longest payload that is of use, in bytes. */
  readonly maxSize: number;
  /** Undefined before there is one. */
  peer(): UdpEndpointValue | undefined;
  /** Sends to the peer. @returns false when this machine finds it too long */
  send(datagram: Uint8Array): boolean;
  onSize(size: number): void;
}

const RECHECK_MS = 30_000;
/** Bytes by which a search that is not done raises the size. */
const RAISE_STEP = 64;
/** IP and UDP header. */
const HEADERS_LEN: Readonly<Record<IpFamily, number>> = { 4: 28, 6: 48 };
/** The least payload that paths are asked for: 576 bytes (RFC 791) and 1280 (RFC 8200) without IP and UDP headers. */
const MIN_SIZE: Readonly<Record<IpFamily, number>> = { 4: 548, 6: 1232 };
/** RFC 8899 section 5.1.2. */
const BASE_SIZE: Readonly<Record<IpFamily, number>> = { 4: 1200, 6: 1232 };

/** Follows the path of one link. */
export class UdpPathFollower {
  readonly #path: UdpPath;
  readonly #options: UdpPathMtuOptions;
  readonly #probeBytes: Uint8Array;
  readonly #answerBytes: Uint8Array;
  readonly #stopListening: () => void;
  #search: PathMtuSearch | undefined;
  #kernelSize: number;
  #size: number;
  #recheck: NodeJS.Timeout | undefined;
  #wakeup: NodeJS.Timeout | undefined;

  constructor(path: UdpPath, options: UdpPathMtuOptions) {
    this.#path = path;
    this.#options = options;
    this.#kernelSize = path.maxSize;
    this.#size = path.maxSize;
    this.#probeBytes = new Uint8Array(options.probe === undefined ? 0 : path.maxSize);
    this.#answerBytes = new Uint8Array(pathProbeMinLen(path.medium));
    this.#stopListening = path.socket.on('pathMtu', (event) => this.#onTooBig(event));
    this.restart();
  }

  /** Longest payload now. */
  get size(): number {
    return this.#size;
  }

  /** True when datagrams may be probes. */
  get probes(): boolean {
    return this.#options.probe !== undefined;
  }

  /** Undefined when nothing is probed. */
  get state(): PathMtuSearchState | undefined {
    return this.#search?.state;
  }

  /** There is another peer, or the first. */
  restart(): void {
    const { probe } = this.#options;
    const family = this.#path.peer()?.address.family;
    this.#kernelSize = this.#sizeOf(this.#kernelMtu() ?? Number.POSITIVE_INFINITY);
    this.#watchKernel();
    if (probe !== undefined && family !== undefined) {
      const { maxSize } = this.#path;
      const baseSize = Math.min(BASE_SIZE[family], maxSize);
      this.#search = new PathMtuSearch(
        {
          minSize: Math.min(MIN_SIZE[family], baseSize),
          baseSize,
          maxSize,
          assumedSize: this.#kernelSize,
          firstSequence: randomInt(0x1_0000_0000),
          ...(probe === true ? {} : probe),
        },
        performance.now(),
      );
    }
    // Not within the constructor of the link, or the handling of a batch.
    this.#wakeAt(0);
    this.#update();
  }

  /** Takes what looks like a probe. @returns false when it is none, and may be a packet */
  receive(bytes: Uint8Array, offset: number, length: number): boolean {
    const { medium } = this.#path;
    const message = parsePathProbe(bytes, offset, length, medium);
    if (message === undefined) return false;
    const nowMs = performance.now();
    if (message.kind === 'probe') {
      emitPathProbe({ ...message, kind: 'acknowledgement' }, medium, this.#answerBytes);
      this.#path.send(this.#answerBytes);
      this.#search?.heard(nowMs);
    } else {
      this.#search?.acknowledged(message.sequence, nowMs);
    }
    this.#wakeAt(0);
    this.#update();
    return true;
  }

  /** Idempotent. */
  close(): void {
    this.#stopListening();
    clearTimeout(this.#recheck);
    clearTimeout(this.#wakeup);
    this.#search = undefined;
  }

  #onTooBig({ mtu, remote }: UdpPathMtuEvent): void {
    const peer = this.#path.peer();
    const isConnected = this.#path.socket.remote !== undefined;
    const isPeer =
      isConnected || (remote?.port === peer?.port && remote?.address.equals(peer?.address ?? remote.address));
    if (peer === undefined || !isPeer) return;
    // The kernel has checked it, and has bounds of its own.
    const known = this.#kernelMtu() ?? mtu;
    this.#kernelSize = this.#sizeOf(known);
    this.#search?.tooBig(known - HEADERS_LEN[peer.address.family], performance.now());
    this.#watchKernel();
    this.#wakeAt(0);
    this.#update();
  }

  /** What the kernel has forgotten is not said by an event. */
  #watchKernel(): void {
    clearTimeout(this.#recheck);
    if (this.#kernelSize >= this.#path.maxSize) return;
    this.#recheck = setTimeout(() => {
      const mtu = this.#kernelMtu();
      if (mtu !== undefined) this.#kernelSize = this.#sizeOf(mtu);
      this.#watchKernel();
      this.#update();
    }, RECHECK_MS).unref();
  }

  /** Undefined while there is no route, or no peer. */
  #kernelMtu(): number | undefined {
    const { socket } = this.#path;
    const peer = this.#path.peer();
    if (peer === undefined || socket.closed) return undefined;
    try {
      if (socket.remote !== undefined) return socket.pathMtu();
      const connected = UdpSocket.open({ remote: peer, batch: { capacity: UDP_GRO_SEGMENTS, bytesLen: UDP_SLOT_LEN } });
      try {
        return connected.pathMtu();
      } finally {
        void connected.close();
      }
    } catch (error) {
      if (isVnicError(error)) return undefined;
      throw error;
    }
  }

  #sizeOf(mtu: number): number {
    return Math.max(1, Math.min(this.#path.maxSize, mtu - this.#options.overheadLen));
  }

  #wakeAt(atMs: number): void {
    if (this.#search === undefined) return;
    clearTimeout(this.#wakeup);
    const delayMs = Math.max(0, Math.ceil(atMs - performance.now()));
    this.#wakeup = setTimeout(this.#onWakeup, Math.min(delayMs, 0x7fff_ffff)).unref();
  }

  readonly #onWakeup = (): void => {
    const search = this.#search;
    const { socket, medium } = this.#path;
    if (search === undefined || socket.closed) return;
    const nowMs = performance.now();
    for (let probe = search.poll(nowMs); probe !== undefined; probe = search.poll(nowMs)) {
      const length = emitPathProbe({ kind: 'probe', ...probe }, medium, this.#probeBytes);
      socket.setPathMtuDiscovery('probe');
      const isSent = this.#path.send(this.#probeBytes.subarray(0, length));
      socket.setPathMtuDiscovery('want');
      if (!isSent) search.refused(probe.size, nowMs);
    }
    this.#wakeAt(search.nextWakeupMs);
    this.#update();
  };

  #update(): void {
    const size = this.#search?.size ?? this.#kernelSize;
    const isRaise = size > this.#size;
    if (size === this.#size) return;
    if (isRaise && this.#search?.state === 'searching' && size - this.#size < RAISE_STEP) return;
    this.#size = size;
    this.#path.onSize(size);
  }
}
