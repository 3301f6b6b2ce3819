/**
 * A route netlink socket and its requests.
 *
 * Theory of operation
 *
 * rtnetlink works inside `send`: when it returns, the answer (of a dump: its first part) lies in the receive
 * queue, and each `receive` makes the kernel fill in the next part. So a request receives at once and waits
 * for readiness only when the kernel says EAGAIN.
 *
 *   queue     Requests run in the order of the calls. A dump runs alone: a second one on the socket is refused with
 *             EBUSY while one runs.
 *   flight    Other requests that are queued when it is their turn go out together, in one `send`, and are told
 *             apart by their sequence numbers: the kernel works them off in order and answers each. So callers that
 *             do not await one before they ask for the next pay for a system call once per flight. Only the last
 *             asks for an acknowledgement: a refusal always comes, and in order, so an answer to one says of all
 *             before it, of which nothing came, that they were carried out. A flight is small
 *             enough for its answers to fit into the receive queue, where the kernel would drop what does not.
 *   abort     The caller is released at once; the exchange itself runs to its end, because a dump that is
 *             half read blocks the next one.
 *   fairness  Answers are there at once, so nothing would ever let the event loop turn: after every
 *             `DATAGRAMS_PER_TURN` datagrams, of one dump or of many, and after every flight, the requester does.
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
import {
  align4,
  littleEndian,
  MESSAGE_HEADER_LEN,
  MessageBuilder,
  type MessageFault,
  type NetlinkMessage,
} from './message.ts';
import { closedError, exchangeError, type RequestContext } from './request-error.ts';

/** The kernel fills at most 32 KiB of a dump into one datagram; single answers can be longer (many VFs). */
const RECEIVE_BUFFER_LEN = 32 * 1024;
const DATAGRAMS_PER_TURN = 8;
/**
 * What the default receive queue of 208 KiB takes with room to spare: an acknowledgement counts 1 and takes about
 * a kilobyte, one with an answer counts 4.
 */
const FLIGHT_WEIGHT = 64;
const ANSWER_WEIGHT = 4;
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

  /**
   * The next whole datagram, valid until the next call, or the errno that says why there is none.
   * Without `anyLength` one that exceeds 32 KiB is cut short, which no acknowledgement does, and a call is spared.
   */
  receive(options: { readonly anyLength: boolean } = { anyLength: true }): Uint8Array | number {
    const core = nativeCore();
    for (;;) {
      if (options.anyLength) {
        const length = core.receive(this.fd, this.#sender, MSG_PEEK | MSG_TRUNC);
        if (length === -errno.EINTR) continue;
        if (length < 0) return -length;
        if (length > this.#buffer.length) this.#buffer = new Uint8Array(length);
      }
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

/** A request in the queue or on its way. */
interface Pending {
  readonly request: NetlinkRequest;
  exchange: Exchange | undefined;
  resolve(): void;
  reject(error: unknown): void;
}

/** Requests in the order of the calls over one socket. */
export class NetlinkRequester {
  readonly #socket: NetlinkSocket;
  #poll: Poll | undefined;
  #wake: (() => void) | undefined;
  #sequence = 0;
  #datagrams = 0;
  readonly #queue: Pending[] = [];
  #working = false;
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
    const turn = new Promise<void>((resolve, reject) => {
      this.#queue.push({ request, exchange: undefined, resolve, reject });
    });
    if (!this.#working) {
      this.#working = true;
      // Not at once, so that what is asked for in the same turn goes out together.
      queueMicrotask(() => void this.#work());
    }
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

  /** Works the queue off. Whatever goes wrong is told to those who wait. */
  async #work(): Promise<void> {
    while (this.#queue.length > 0) {
      const turn = isDump(this.#queue[0]) ? [this.#queue.shift() as Pending] : this.#takeFlight();
      try {
        if (isDump(turn[0])) await this.#dump(turn[0] as Pending);
        else await this.#fly(turn);
      } catch (error) {
        for (const pending of turn) pending.reject(error);
      }
    }
    this.#working = false;
  }

  async #dump(pending: Pending): Promise<void> {
    const { request } = pending;
    throwIfAborted(request.signal, request.attempted);
    let end: ExchangeEnd = { end: 'inconsistent' };
    for (let attempt = 0; attempt < DUMP_ATTEMPTS && end.end === 'inconsistent'; attempt++) {
      if (attempt > 0) request.onRestart?.();
      end = await this.#exchange(request);
    }
    settle(pending, end);
  }

  async #exchange(request: NetlinkRequest): Promise<ExchangeEnd> {
    const { attempted, call, message } = request;
    if (this.closed) throw closedError(attempted);
    const sequence = this.#nextSequence();
    const exchange = new Exchange(sequence, message.flags, (answer) => request.onMessage?.(answer));
    const sent = this.#socket.send(message.finish(sequence));
    if (sent !== 0) throw systemError(attempted, `send(${call})`, sent);
    for (;;) {
      await this.#giveWay();
      const datagram = await this.#nextDatagram(request, true);
      if (typeof datagram === 'number') {
        if (datagram !== errno.ENOBUFS) throw systemError(attempted, `receive(${call})`, datagram);
        exchange.markLoss();
        continue;
      }
      const end = exchange.take(datagram);
      if (end !== undefined) return end;
    }
  }

  /** Takes what may go out together from the head of the queue. */
  #takeFlight(): Pending[] {
    const flight: Pending[] = [];
    let weight = 0;
    for (const pending of this.#queue) {
      weight += pending.request.onMessage === undefined ? 1 : ANSWER_WEIGHT;
      if (isDump(pending) || (flight.length > 0 && weight > FLIGHT_WEIGHT)) break;
      flight.push(pending);
    }
    this.#queue.splice(0, flight.length);
    return flight;
  }

  /** Sends the requests together and gives each its answer. A failure of the socket itself is thrown. */
  async #fly(flight: readonly Pending[]): Promise<void> {
    const waiting = new Map<number, Pending>();
    const messages: Uint8Array[] = [];
    for (const pending of flight) {
      const { request } = pending;
      if (request.signal?.aborted) {
        pending.reject(aborted(request.signal, request.attempted));
        continue;
      }
      const sequence = this.#nextSequence();
      pending.exchange = new Exchange(sequence, request.message.flags, (answer) => request.onMessage?.(answer));
      waiting.set(sequence, pending);
    }
    const last = this.#sequence;
    for (const [sequence, { request }] of waiting) {
      const { message, onMessage } = request;
      const isSilent = sequence !== last && onMessage === undefined;
      messages.push(message.finish(sequence, isSilent ? message.flags & ~NLM_F_ACK : message.flags));
    }
    const [first] = waiting.values();
    if (first === undefined) return;
    const { attempted, call } = first.request;
    if (this.closed) throw closedError(attempted);
    const sent = this.#socket.send(concatenate(messages));
    if (sent !== 0) throw systemError(attempted, `send(${call})`, sent);
    await this.#land(waiting, first.request);
    await nextTurn();
  }

  /** Takes answers until none is missing. */
  async #land(waiting: Map<number, Pending>, first: NetlinkRequest): Promise<void> {
    const anyLength = [...waiting.values()].some(({ request }) => request.onMessage !== undefined);
    while (waiting.size > 0) {
      const datagram = await this.#nextDatagram(first, anyLength);
      if (typeof datagram === 'number') throw systemError(first.attempted, `receive(${first.call})`, datagram);
      // The kernel puts the answers to different requests into different datagrams.
      const sequence = sequenceOf(datagram);
      const pending = waiting.get(sequence);
      const end = pending?.exchange?.take(datagram);
      if (pending === undefined || end === undefined) continue;
      for (const [earlier, silent] of waiting) {
        if (earlier === sequence) break;
        waiting.delete(earlier);
        settle(silent, { end: 'ok' });
      }
      waiting.delete(sequence);
      settle(pending, end);
    }
  }

  /** Waits for a datagram; an errno other than EAGAIN comes back. @throws VNIC_LINK_CLOSED */
  async #nextDatagram(request: NetlinkRequest, anyLength: boolean): Promise<Uint8Array | number> {
    for (;;) {
      if (this.closed) throw closedError(request.attempted);
      const datagram = this.#socket.receive({ anyLength });
      if (datagram !== errno.EAGAIN) return datagram;
      await this.#readable();
    }
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    return this.#sequence;
  }

  /** Counted over requests: a caller that awaits one after the other would else never leave the microtasks. */
  async #giveWay(): Promise<void> {
    if (++this.#datagrams % DATAGRAMS_PER_TURN === 0) await nextTurn();
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

function isDump(pending: Pending | undefined): boolean {
  return pending !== undefined && (pending.request.message.flags & NLM_F_DUMP) === NLM_F_DUMP;
}

function settle({ request, resolve, reject }: Pending, end: ExchangeEnd): void {
  const error = exchangeError(end, request);
  if (error === undefined) resolve();
  else reject(error);
}

/** The sequence number of the first message; 0, which no request has, of what is too short. */
function sequenceOf(datagram: Uint8Array): number {
  if (datagram.length < MESSAGE_HEADER_LEN) return 0;
  return new DataView(datagram.buffer, datagram.byteOffset).getUint32(8, littleEndian);
}

/** Messages one behind the other, each at a multiple of 4. */
function concatenate(messages: readonly Uint8Array[]): Uint8Array {
  const [only] = messages;
  if (messages.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(messages.reduce((sum, { length }) => sum + align4(length), 0));
  let offset = 0;
  for (const message of messages) {
    bytes.set(message, offset);
    offset += align4(message.length);
  }
  return bytes;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** `struct sockaddr_nl` (`netlink.h`): family, padding, port id 0 (the kernel chooses), groups. */
function socketAddress(groups: number): Uint8Array {
  const address = new Uint8Array(SOCKADDR_NL_LEN);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_NETLINK, littleEndian);
  view.setUint32(8, groups, littleEndian);
  return address;
}
