/**
 * A UDP socket that receives and sends in batches.
 *
 * Theory of operation
 *
 * One crossing into the native core receives or sends a whole batch: `recvmmsg` and `sendmmsg`, and on top of them
 * `UDP_GRO`, by which the kernel hands over a run of datagrams as one that is split into descriptors, and `UDP_SEGMENT`,
 * by which a run of equal datagrams to the same endpoint is one message straight out of the batch's memory. Both are
 * invisible: the datagrams, their order and their boundaries are the same without.
 *
 *   pressure   EAGAIN stops `send`, which says how many were taken; `writable()` resolves when there is room.
 *   refusals   What the kernel refuses otherwise is counted by reason, and the rest is sent; see `udp-sender.ts`.
 *   errors     ICMP errors wait in the socket's error queue. The kernel also reports each once on the next call, which
 *              then has done nothing; so that call is made again. They are read when a call fails or the socket is
 *              watched, that is while somebody receives or waits for `writable()`, and become events.
 *   drops      The kernel drops what finds no room in the receive buffer. It tells how many with the next datagram.
 */

import { invalidArgument, Listeners, type VnicError } from '../base/index.ts';
import { BatchPump, DESCRIPTOR_WORDS, PacketBatch, type WaitOptions } from '../link/index.ts';
import {
  errno,
  nativeCore,
  Poll,
  PollEvent,
  systemError,
  UDP_SLOT_LEN,
  UDP_STATUS_WORDS,
  UdpCall,
} from '../native/index.ts';
import { UdpBatch } from './udp-batch.ts';
import { type MutableUdpCounters, type UdpCounters, zeroCounters } from './udp-counters.ts';
import { type UdpEndpoint, UdpEndpointTable, type UdpEndpointValue } from './udp-endpoints.ts';
import { UdpErrorQueue, type UdpPathMtu, type UdpUnreachable } from './udp-errors.ts';
import {
  type OpenedUdp,
  openUdpSocket,
  type PathMtuDiscovery,
  setPathMtuDiscovery,
  type UdpOptions,
} from './udp-open.ts';
import { type SenderSocket, UdpSender } from './udp-sender.ts';
import {
  formatEndpoint,
  Ipv4Option,
  Ipv6Option,
  MEMORY_INFO_DROPS,
  MEMORY_INFO_WORDS,
  SocketLevel,
  SocketOption,
} from './udp-sockaddr.ts';

/** What happens to a socket beside datagrams. */
export interface UdpEvents {
  /** A datagram was too long for its path. The same news of one second is told once. */
  pathMtu: UdpPathMtu;
  /** A datagram did not arrive. */
  unreachable: UdpUnreachable;
  /** The kernel does not let the socket be used any more. Readers end with this error. */
  gone: VnicError;
}

/**
 * Opens a UDP socket.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_ADDRESS, VNIC_SYSTEM_CALL (address in use or not of this machine,
 *   no route to the peer, no such protocol), VNIC_TOO_MANY_FILES
 */
export async function openUdp(options: UdpOptions = {}): Promise<UdpSocket> {
  return UdpSocket.open(options);
}

const DEFAULT_CAPACITY = 1024;
const DEFAULT_SLOTS = 16;
const ERRORS_PER_CALL = 64;
/** Wake-ups for an error of which nothing can be found before the socket is given up. */
const MAX_BLIND_ERRORS = 64;
const PATH_MTU_INTERVAL_MS = 1000;
const EMPTY_DATAGRAM = 1 << 24;

/** Errors that say that the socket itself is of no use any more; all others come from the network. */
const FATAL_ERRORS: ReadonlySet<number> = new Set([errno.EBADF, errno.ENOTSOCK, errno.EFAULT, errno.EINVAL]);

/** A UDP socket in batches; create it with `openUdp`. At most one reader at a time. */
export class UdpSocket implements AsyncIterable<UdpBatch>, AsyncDisposable {
  /** For people and logs, for example `udp 0.0.0.0:51820`. */
  readonly name: string;
  /** Where the socket receives; the port is the one it got. */
  readonly local: UdpEndpointValue;
  /** The peer of a connected socket. */
  readonly remote: UdpEndpointValue | undefined;
  /** True when the kernel joins received datagrams. */
  readonly gro: boolean;

  readonly #counters: MutableUdpCounters = zeroCounters();
  readonly #events: Listeners<UdpEvents> = new Listeners();
  readonly #fd: number;
  readonly #isIpv6: boolean;
  readonly #core = nativeCore();
  readonly #poll: Poll;
  readonly #pump: BatchPump<UdpBatch>;
  readonly #errors: UdpErrorQueue;
  readonly #status = new Uint32Array(UDP_STATUS_WORDS);
  readonly #receiveOptions: number;
  readonly #sender: UdpSender;
  // A single datagram is sent as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  readonly #singleEndpoint = new UdpEndpointTable(2);
  #interest: number = PollEvent.none;
  #mayKeepAlive = true;
  #keepsAlive = true;
  #blindErrors = 0;
  #dropsSeen = 0;
  #lastPathMtu = { key: '', atMs: 0 };

  private constructor(opened: OpenedUdp, options: UdpOptions) {
    this.name = `udp ${formatEndpoint(opened.local)}`;
    this.local = opened.local;
    this.remote = opened.remote;
    this.gro = opened.gro;
    this.#fd = opened.fd;
    this.#isIpv6 = opened.family === 6;
    const family = this.#isIpv6 ? UdpCall.ipv6 : 0;
    const names = opened.remote === undefined ? UdpCall.names : 0;
    this.#receiveOptions = family | names | UdpCall.control | (opened.gro ? UdpCall.offload : 0);
    this.#errors = new UdpErrorQueue(opened.fd);
    this.#pump = new BatchPump({
      name: this.name,
      batch: new UdpBatch({
        capacity: options.batch?.capacity ?? DEFAULT_CAPACITY,
        bytesLen: options.batch?.bytesLen ?? DEFAULT_SLOTS * UDP_SLOT_LEN,
      }),
      readNow: (batch) => this.#receiveNow(batch),
      setInterest: (readable, writable) => this.#setInterest(readable, writable),
      hasBackPressure: () => this.#sender.blocked,
      close: () => this.#close(),
      announce: (error) => this.#events.emit('gone', error),
      isHeard: () => this.#events.count('gone') > 0,
    });
    this.#sender = new UdpSender(this.#senderSocket(opened, options));
    this.#poll = new Poll(opened.fd, (error, events) => this.#onReady(error, events));
  }

  /** As `openUdp`. */
  static open(options: UdpOptions = {}): UdpSocket {
    const opened = openUdpSocket(options);
    try {
      return new UdpSocket(opened, options);
    } catch (error) {
      nativeCore().close(opened.fd);
      throw error;
    }
  }

  get counters(): UdpCounters {
    return this.#counters;
  }

  /** True while runs of equal datagrams are sent by `UDP_SEGMENT`. */
  get gso(): boolean {
    return this.#sender.gso;
  }

  /** True once `close()` was called. */
  get closed(): boolean {
    return this.#pump.closed;
  }

  /**
   * Waits for datagrams and gives all that are there, as far as they fit.
   * The batch belongs to the socket and is valid until the next read.
   * @returns undefined when the socket was closed.
   * @throws VNIC_READER_BUSY, VNIC_ABORTED
   */
  receive(options: WaitOptions = {}): Promise<UdpBatch | undefined> {
    return this.#pump.read(options);
  }

  /** `receive` until the socket is closed. Leaving the loop stops receiving and keeps the socket open. */
  batches(options: WaitOptions = {}): AsyncIterableIterator<UdpBatch> {
    return this.#pump.batches(options);
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<UdpBatch> {
    return this.batches();
  }

  /**
   * The hot path: calls `handler` with every batch, straight from the event loop. The batch is valid during the call
   * only; datagrams may be edited in place and the batch sent back. See `PacketLink.onBatch` for `onEnd`.
   * @returns a function that stops receiving and keeps the socket open.
   */
  onBatch(handler: (batch: UdpBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.#pump.onBatch(handler, onEnd);
  }

  /**
   * Sends one datagram without waiting; to the peer of a connected socket when no endpoint is given.
   * @returns 1 when it was taken, 0 when the socket can take none now: `await writable()` and try again.
   * @throws VNIC_INVALID_ARGUMENT without endpoint on an unconnected socket, VNIC_LINK_CLOSED
   */
  send(datagram: Uint8Array, to?: UdpEndpoint): number;
  /**
   * Sends the datagrams `from` (included) to `to` (excluded) of a batch without waiting; dropped ones are skipped.
   * Those of a `PacketBatch` that is no `UdpBatch` all go to the peer of the connected socket.
   * Fastest are runs of equal length to the same endpoint, of which the last may be shorter.
   * @returns how many were taken. Fewer than asked for means back-pressure: `await writable()`, then go on there.
   *   A datagram taken and then refused by the kernel is counted in `counters.sendDropped`.
   * @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED
   */
  send(batch: PacketBatch, from?: number, to?: number): number;
  send(source: Uint8Array | PacketBatch, first?: number | UdpEndpoint, end?: number): number {
    this.#pump.requireOpen(`send on ${this.name}`);
    if (!(source instanceof PacketBatch)) return this.#sendOne(source, first as UdpEndpoint | undefined);
    const from = (first as number | undefined) ?? 0;
    const to = end ?? source.count;
    if (from < 0 || to > source.count) {
      throw invalidArgument(`send on ${this.name}`, `a range inside 0 to ${source.count}`, `${from} to ${to}`);
    }
    const endpoints = source instanceof UdpBatch ? source.endpoints.words : undefined;
    if (endpoints === undefined && this.remote === undefined) throw this.#noDestination();
    return from >= to ? 0 : this.#sender.send(source.bytes, source.descriptors, endpoints, from, to);
  }

  /**
   * Hot. As `send`, for whoever keeps descriptors of its own: word 2 of each names a record of `endpoints`, 0 the peer of a connected
   * socket; the memory stays the caller's.
   */
  sendDescribed(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    endpoints: UdpEndpointTable,
    from: number,
    to: number,
  ): number {
    this.#pump.requireOpen(`send on ${this.name}`);
    return from >= to ? 0 : this.#sender.send(bytes, descriptors, endpoints.words, from, to);
  }

  /** Resolves when a send is worth trying. Resolves at once when there is no back-pressure. */
  writable(options: WaitOptions = {}): Promise<void> {
    return this.#pump.writable(options);
  }

  /**
   * Adds a handler for one kind of event; the returned function removes it. What is said of datagrams that were sent
   * is heard also while nobody receives; listening alone does not keep the process alive.
   */
  on<Name extends keyof UdpEvents>(event: Name, handler: (event: UdpEvents[Name]) => void): () => void {
    const remove = this.#events.on(event, handler);
    this.#watch();
    return () => {
      remove();
      this.#watch();
    };
  }

  /**
   * The longest IP packet that the kernel believes the path to the peer takes, in bytes.
   * @throws VNIC_SYSTEM_CALL when the socket is not connected, VNIC_LINK_CLOSED
   */
  pathMtu(): number {
    const attempted = `tell the path MTU of ${this.name}`;
    this.#pump.requireOpen(attempted);
    const value = new Int32Array(1);
    const [level, option] = this.#isIpv6
      ? [SocketLevel.ipv6, Ipv6Option.mtu]
      : ([SocketLevel.ip, Ipv4Option.mtu] as const);
    const result = this.#core.getsockopt(this.#fd, level, option, new Uint8Array(value.buffer));
    if (result < 0) throw systemError(attempted, 'getsockopt(IP_MTU)', -result);
    return value[0] as number;
  }

  /** From now on, what becomes of datagrams longer than the path takes. A system call, so not for every datagram. */
  setPathMtuDiscovery(discovery: PathMtuDiscovery): void {
    this.#pump.requireOpen(`set the path MTU discovery of ${this.name}`);
    setPathMtuDiscovery(this.#fd, this.#isIpv6, discovery);
  }

  /** Asks the kernel for `receiveDropped`, which it otherwise tells with the next datagram. */
  refreshCounters(): UdpCounters {
    if (this.closed) return this.#counters;
    const words = new Uint32Array(MEMORY_INFO_WORDS);
    const bytes = new Uint8Array(words.buffer);
    const { socket } = SocketLevel;
    if (this.#core.getsockopt(this.#fd, socket, SocketOption.memoryInfo, bytes) >= bytes.length) {
      this.#noteDrops(words[MEMORY_INFO_DROPS] as number);
    }
    return this.#counters;
  }

  /** Lets the process end although the socket is being read. */
  unref(): void {
    this.#mayKeepAlive = false;
    this.#watch();
  }

  /** Wakes waiting readers and writers and frees the port. Idempotent. */
  close(): Promise<void> {
    return this.#pump.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Hot. */
  #receiveNow(batch: UdpBatch): number {
    const status = this.#status;
    const { bytes, descriptors, endpoints } = batch;
    for (let attempt = 0; attempt < ERRORS_PER_CALL; attempt++) {
      const count = this.#core.udpReceive(this.#fd, bytes, descriptors, endpoints.words, this.#receiveOptions, status);
      const counters = this.#counters;
      counters.datagramsReceived += count;
      counters.bytesReceived += status[1] as number;
      counters.messagesReceived += status[3] as number;
      counters.receiveTruncated += status[6] as number;
      endpoints.count = status[2] as number;
      if (status[5] === 1) this.#noteDrops(status[4] as number);
      const error = status[0] as number;
      if (count > 0 || error === 0 || error === errno.EAGAIN) return count;
      if (FATAL_ERRORS.has(error)) {
        this.#pump.fail(systemError(`receive on ${this.name}`, 'recvmmsg', error));
        return 0;
      }
      this.#drainErrors();
    }
    return 0;
  }

  #sendOne(datagram: Uint8Array, to: UdpEndpoint | undefined): number {
    if (to === undefined && this.remote === undefined) throw this.#noDestination();
    if (to !== undefined) this.#singleEndpoint.set(1, to);
    const single = this.#single;
    single[0] = 0;
    single[1] = datagram.length;
    single[2] = (to === undefined ? 0 : 1) | (datagram.length === 0 ? EMPTY_DATAGRAM : 0);
    return this.#sender.send(datagram, single, this.#singleEndpoint.words, 0, 1);
  }

  #setInterest(readable: boolean, writable: boolean): void {
    this.#interest = (readable ? PollEvent.readable : 0) | (writable ? PollEvent.writable : 0);
    this.#watch();
  }

  /** Errors wake whatever is watched for; for them alone, that is what never happens to a UDP socket. */
  #watch(): void {
    const hears = this.#events.count('pathMtu') + this.#events.count('unreachable') > 0;
    const keepsAlive = this.#mayKeepAlive && this.#interest !== PollEvent.none;
    if (keepsAlive !== this.#keepsAlive) {
      this.#keepsAlive = keepsAlive;
      if (keepsAlive) this.#poll.ref();
      else this.#poll.unref();
    }
    this.#poll.watch(this.#interest | (hears ? PollEvent.disconnect : PollEvent.none));
  }

  #onReady(error: number, events: number): void {
    if (error !== 0) {
      this.#onError(error);
      return;
    }
    this.#blindErrors = 0;
    if ((events & PollEvent.writable) !== 0) this.#pump.wakeWriter();
    if ((events & PollEvent.readable) !== 0 && !this.closed) this.#pump.wakeReader();
  }

  /** POLLERR: libuv has stopped watching, and goes on once the errors were fetched. */
  #onError(error: number): void {
    const { count } = this.#drainErrors();
    const value = new Int32Array(1);
    this.#core.getsockopt(this.#fd, SocketLevel.socket, SocketOption.error, new Uint8Array(value.buffer));
    this.#blindErrors = count > 0 || value[0] !== 0 ? 0 : this.#blindErrors + 1;
    if (this.#blindErrors > MAX_BLIND_ERRORS) {
      this.#pump.fail(systemError(`use ${this.name}`, 'epoll_wait', error));
      return;
    }
    this.#watch();
  }

  /** Empties the error queue, up to a bound: whoever can send ICMP must not keep the loop busy. */
  #drainErrors(): { count: number; onlyLocal: boolean } {
    let count = 0;
    let locals = 0;
    for (; count < ERRORS_PER_CALL; count++) {
      const queued = this.#errors.next();
      if (queued === undefined) break;
      this.#counters.errorsReceived++;
      if (queued.isLocal) locals++;
      if (queued.pathMtu !== undefined) this.#tellPathMtu(queued.pathMtu);
      if (queued.unreachable !== undefined) this.#tell('unreachable', queued.unreachable);
    }
    return { count, onlyLocal: count > 0 && locals === count };
  }

  #tellPathMtu(event: UdpPathMtu): void {
    if (event.reporter !== undefined) this.#sender.forgetLimit();
    if (this.#events.count('pathMtu') === 0) return;
    const nowMs = performance.now();
    const key = `${event.mtu} ${event.remote === undefined ? '' : formatEndpoint(event.remote)}`;
    const isOld = key === this.#lastPathMtu.key && nowMs - this.#lastPathMtu.atMs < PATH_MTU_INTERVAL_MS;
    if (isOld) return;
    this.#lastPathMtu = { key, atMs: nowMs };
    this.#tell('pathMtu', event);
  }

  /** Not at once: a handler that sends or closes must not do so in the middle of a call. */
  #tell<Name extends 'pathMtu' | 'unreachable'>(name: Name, event: UdpEvents[Name]): void {
    if (this.#events.count(name) === 0) return;
    queueMicrotask(() => {
      if (!this.closed) this.#events.emit(name, event);
    });
  }

  /** The kernel counts in 32 bits, and a datagram that was queued tells what was so when it came. */
  #noteDrops(total: number): void {
    const more = (total - this.#dropsSeen) >>> 0;
    if (more >= 0x8000_0000) return;
    this.#dropsSeen = total;
    this.#counters.receiveDropped += more;
  }

  #senderSocket({ fd, gso }: OpenedUdp, { stickyInterface = false }: UdpOptions): SenderSocket {
    return {
      fd,
      core: this.#core,
      gso,
      options: (this.#isIpv6 ? UdpCall.ipv6 : 0) | (stickyInterface ? UdpCall.stickyInterface : 0),
      counters: this.#counters,
      drainErrors: () => this.#drainErrors().onlyLocal,
    };
  }

  #close(): void {
    this.#poll.close();
    this.#core.close(this.#fd);
  }

  #noDestination(): VnicError {
    return invalidArgument(`send on ${this.name}`, 'an endpoint, since the socket is not connected', undefined);
  }
}
