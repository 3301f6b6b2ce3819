/**
 * A route netlink socket and its requests.
 *
 * Theory of operation
 *
 * rtnetlink works inside `send`: when it returns, the answer (of a dump: its first part) lies in the receive
 * queue, and each `receive` makes the kernel fill in the next part. So a request receives at once and waits
 * for readiness only when the kernel says EAGAIN.
 *
 *   queue     One request at a time: a second dump on a socket is refused with EBUSY while one runs.
 *             Requests run in the order of the calls.
 *   abort     The caller is released at once; the exchange itself runs to its end, because a dump that is
 *             half read blocks the next one.
 *   fairness  Answers are there at once, so nothing would ever let the event loop turn: after every
 *             `DATAGRAMS_PER_TURN` datagrams, of one request or of many, the requester does.
 *   close     A waiting and all queued requests end with VNIC_LINK_CLOSED.
 */

import { aborted, throwIfAborted } from '../base/index.ts';
import { errno, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import { type NetnsOptions, withNamespace } from '../netns/index.ts';
import {
  AF_NETLINK,
  MSG_PEEK,
  MSG_TRUNC,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  SOCK_RAW,
  SOL_NETLINK,
} from './constants.ts';
import { Exchange, type ExchangeEnd } from './exchange.ts';
import { littleEndian, MessageBuilder, type MessageFault, type NetlinkMessage } from './message.ts';
import { closedError, exchangeError, type RequestContext } from './request-error.ts';

/** The kernel fills at most 32 KiB of a dump into one datagram; single answers can be longer (many VFs). */
const RECEIVE_BUFFER_LEN = 32 * 1024;
const DATAGRAMS_PER_TURN = 8;
/** How often an inconsistent dump is asked for again. */
const DUMP_ATTEMPTS = 10;
const SOCKADDR_NL_LEN = 12;
const ONE = new Uint8Array(Int32Array.of(1).buffer);

/** One request as the operations hand it to the socket. */
export interface NetlinkRequest extends RequestContext {
  readonly message: MessageBuilder;
  /**
   * Takes each answer, valid during the call only; gives a fault if it cannot be parsed.
   * Called anew from the first answer after `onRestart`.
   */
  readonly onMessage?: (message: NetlinkMessage) => MessageFault | undefined;
  /** A dump starts again: forget what was collected. */
  readonly onRestart?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** A builder with the flags of a request that reads or changes one thing. */
export function requestMessage(type: number, flags = 0): MessageBuilder {
  return new MessageBuilder(type, NLM_F_REQUEST | NLM_F_ACK | flags);
}

/** A builder with the flags of a request for a whole table. */
export function dumpMessage(type: number): MessageBuilder {
  // Without NLM_F_ACK: on a dump it changes nothing, and NLMSG_DONE is the answer.
  return new MessageBuilder(type, NLM_F_REQUEST | NLM_F_DUMP);
}

/** What a netlink socket is for. */
export interface NetlinkSocketOptions extends NetnsOptions {
  /** Bit mask of multicast groups to join. */
  readonly groups?: number;
  /** `NETLINK_ROUTE` (the default) or another of `linux/netlink.h`. */
  readonly protocol?: number;
  /** Memory to receive into, for a socket that is closed before another uses it; default its own. */
  readonly buffer?: Uint8Array;
}

/** The raw socket: opened, bound, configured; receives whole datagrams of the kernel only. */
export class NetlinkSocket {
  readonly fd: number;
  #buffer: Uint8Array;
  readonly #sender = new Uint8Array(SOCKADDR_NL_LEN);
  #closed = false;

  /** @throws VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES, VNIC_NATIVE_MISSING, and what opening a namespace throws */
  constructor(attempted: string, options: NetlinkSocketOptions = {}) {
    const { groups = 0, protocol = NETLINK_ROUTE, netns } = options;
    this.#buffer = options.buffer ?? new Uint8Array(RECEIVE_BUFFER_LEN);
    const core = nativeCore();
    this.fd = withNamespace(netns, (namespace) => (namespace ?? core).socket(AF_NETLINK, SOCK_RAW, protocol));
    if (this.fd < 0) throw systemError(attempted, 'socket(AF_NETLINK)', -this.fd);
    const bound = core.bind(this.fd, socketAddress(groups));
    if (bound < 0) {
      this.close();
      throw systemError(attempted, 'bind(AF_NETLINK)', -bound);
    }
    // Kernels before 4.12 and 4.20 lack them: then errors have no text, and filters are applied here.
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
      core.setsockopt(this.fd, SOL_NETLINK, option, ONE);
    }
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @returns 0 or errno. */
  send(message: Uint8Array): number {
    for (;;) {
      const result = nativeCore().send(this.fd, message, 0);
      if (result !== -errno.EINTR) return Math.max(0, -result);
    }
  }

  /** The next whole datagram, valid until the next call, or the errno that says why there is none. */
  receive(): Uint8Array | number {
    const core = nativeCore();
    for (;;) {
      const length = core.receive(this.fd, this.#sender, MSG_PEEK | MSG_TRUNC);
      if (length === -errno.EINTR) continue;
      if (length < 0) return -length;
      if (length > this.#buffer.length) this.#buffer = new Uint8Array(length);
      const received = core.receive(this.fd, this.#buffer, 0, this.#sender);
      if (received === -errno.EINTR) continue;
      if (received < 0) return -received;
      // Any process may send to a netlink socket; only the kernel has port id 0.
      if (new DataView(this.#sender.buffer).getUint32(4, littleEndian) === 0) return this.#buffer.subarray(0, received);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.fd >= 0) nativeCore().close(this.fd);
  }
}

// Every device that is opened asks a few times; memory of its own for each would be most of what that allocates.
let syncBuffer: Uint8Array | undefined;

/**
 * Does one request on a socket of its own, without waiting: the kernel answers route, netfilter and generic
 * requests inside `send`.
 * @throws whatever `NetlinkRequester.request` does, and VNIC_NETLINK if the kernel kept us waiting.
 */
export function requestSync(request: NetlinkRequest, options: Omit<NetlinkSocketOptions, 'buffer'> = {}): void {
  syncBuffer ??= new Uint8Array(RECEIVE_BUFFER_LEN);
  const socket = new NetlinkSocket(request.attempted, { ...options, buffer: syncBuffer });
  try {
    const exchange = new Exchange(1, request.message.flags, (message) => request.onMessage?.(message));
    const sent = socket.send(request.message.finish(1));
    if (sent !== 0) throw systemError(request.attempted, `send(${request.call})`, sent);
    for (;;) {
      const datagram = socket.receive();
      if (typeof datagram === 'number') throw systemError(request.attempted, `receive(${request.call})`, datagram);
      const end = exchange.take(datagram);
      if (end === undefined) continue;
      const error = exchangeError(end, request);
      if (error !== undefined) throw error;
      return;
    }
  } finally {
    socket.close();
  }
}

/** Requests one after the other over one socket. */
export class NetlinkRequester {
  readonly #socket: NetlinkSocket;
  #poll: Poll | undefined;
  #wake: (() => void) | undefined;
  #sequence = 0;
  #datagrams = 0;
  #tail: Promise<unknown> = Promise.resolve();
  readonly #closeHandlers = new Set<() => void>();

  constructor(attempted: string, options: NetlinkSocketOptions = {}) {
    this.#socket = new NetlinkSocket(attempted, options);
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  /**
   * Resolves when the kernel has acknowledged the request, after its answers went to `onMessage`.
   * @throws the refusal (see `refusalError`), VNIC_ABORTED, VNIC_LINK_CLOSED, VNIC_SYSTEM_CALL
   */
  async request(request: NetlinkRequest): Promise<void> {
    const { attempted, signal } = request;
    throwIfAborted(signal, attempted);
    if (this.closed) throw closedError(attempted);
    const turn = this.#tail.then(() => {
      throwIfAborted(signal, attempted);
      return this.#run(request);
    });
    this.#tail = turn.catch(() => undefined);
    await this.#unlessEnded(turn, attempted, signal);
  }

  /** Idempotent; wakes whoever waits. */
  close(): void {
    if (this.closed) return;
    this.#poll?.close();
    this.#socket.close();
    this.#wake?.();
    for (const handler of [...this.#closeHandlers]) handler();
  }

  async #run(request: NetlinkRequest): Promise<void> {
    let end: ExchangeEnd = { end: 'inconsistent' };
    for (let attempt = 0; attempt < DUMP_ATTEMPTS && end.end === 'inconsistent'; attempt++) {
      if (attempt > 0) request.onRestart?.();
      end = await this.#exchange(request);
    }
    const error = exchangeError(end, request);
    if (error !== undefined) throw error;
  }

  async #exchange(request: NetlinkRequest): Promise<ExchangeEnd> {
    const { attempted, call, message } = request;
    if (this.closed) throw closedError(attempted);
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    const exchange = new Exchange(this.#sequence, message.flags, (answer) => request.onMessage?.(answer));
    const sent = this.#socket.send(message.finish(this.#sequence));
    if (sent !== 0) throw systemError(attempted, `send(${call})`, sent);
    for (;;) {
      await this.#giveWay();
      if (this.closed) throw closedError(attempted);
      const datagram = this.#socket.receive();
      if (typeof datagram !== 'number') {
        const end = exchange.take(datagram);
        if (end !== undefined) return end;
      } else if (datagram === errno.EAGAIN) {
        await this.#readable();
      } else if (datagram === errno.ENOBUFS && (message.flags & NLM_F_DUMP) === NLM_F_DUMP) {
        exchange.markLoss();
      } else {
        throw systemError(attempted, `receive(${call})`, datagram);
      }
    }
  }

  /** Counted over requests: a caller that awaits one after the other would else never leave the microtasks. */
  async #giveWay(): Promise<void> {
    if (++this.#datagrams % DATAGRAMS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  #readable(): Promise<void> {
    this.#poll ??= new Poll(this.#socket.fd, () => this.#wake?.());
    const poll = this.#poll;
    poll.watch(PollEvent.readable);
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        poll.watch(PollEvent.none);
        resolve();
      };
    });
  }

  /** The outcome of `turn`, or the caller's abort or the close of the socket, whichever comes first. */
  #unlessEnded(turn: Promise<void>, attempted: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const onClose = (): void => reject(closedError(attempted));
      const onAbort = (): void => reject(aborted(signal as AbortSignal, attempted));
      this.#closeHandlers.add(onClose);
      signal?.addEventListener('abort', onAbort, { once: true });
      turn.then(resolve, reject).finally(() => {
        this.#closeHandlers.delete(onClose);
        signal?.removeEventListener('abort', onAbort);
      });
    });
  }
}

/** `struct sockaddr_nl` (`netlink.h`): family, padding, port id 0 (the kernel chooses), groups. */
function socketAddress(groups: number): Uint8Array {
  const address = new Uint8Array(SOCKADDR_NL_LEN);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, littleEndian);
  view.setUint32(8, groups, littleEndian);
  return address;
}
