/**
 * Events of links, addresses, routes, rules, neighbours, forwarding entries and namespace ids as they happen.
 *
 * Theory of operation
 *
 *   queue    The bounded queue is the socket's receive buffer in the kernel. A datagram is read when the
 *            consumer wants the next event, so a slow consumer costs no memory here; when the buffer is full
 *            the kernel drops, says ENOBUFS once, and takes nothing more until the buffer is empty. The
 *            `lost` event comes then, behind the events from before the loss, so that what is listed anew on
 *            it is newer than every event seen until then.
 *   reader   idle -> iterating (one `for await`) -> idle (break, abort, close)
 *            idle -> pushing (`onEvent`) -> idle (all handlers removed)
 *   poll     Watched only while somebody waits. libuv stops watching on an error queued on the socket, so
 *            after each wake-up the socket is read, which clears the error, and watched anew.
 *   close    The waiting iterator ends; handlers are removed. Events not read are lost.
 */

import { aborted, Listeners, throwIfAborted, VnicError } from '../base/index.ts';
import { errno, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { SO_RCVBUF, SO_RCVBUFFORCE, SOL_SOCKET } from './constants.ts';
import { type EventGroup, groupMask, isWanted, lostEvent, type NetlinkEvent, parseEvent } from './event.ts';
import { splitMessages } from './message.ts';
import { NetlinkSocket } from './socket.ts';

const ATTEMPTED = 'receive netlink events';
const DEFAULT_RECEIVE_BUFFER_BYTES = 1024 * 1024;
/** After this many datagrams without a wait, the event loop turns once. */
const DATAGRAMS_PER_TURN = 16;

/** What to be told of, and how. */
export interface LinkEventsOptions extends NetnsOptions {
  /** Default `['link']`. */
  readonly groups?: readonly EventGroup[];
  /**
   * Room for events that wait, as the kernel counts it (about 2 KiB a link event). Default 1 MiB; without
   * privilege in the initial namespace the kernel cuts it to `net.core.rmem_max`.
   */
  readonly receiveBufferBytes?: number;
  /** Ends a waiting iteration with VNIC_ABORTED. */
  readonly signal?: AbortSignal;
}

/**
 * Starts to listen, in the network namespace of this thread or that of `netns`. Events from now on are kept until they are read.
 * Needs no privilege. Does not wait.
 * @throws VNIC_NATIVE_MISSING, VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export function openLinkEvents(options: LinkEventsOptions = {}): LinkEvents {
  return new LinkEvents(options);
}

/** An open stream of events: `for await` it, or add handlers by `onEvent`. Close it at the end. */
export class LinkEvents implements AsyncIterable<NetlinkEvent>, AsyncDisposable {
  readonly #socket: NetlinkSocket;
  readonly #groups: readonly EventGroup[];
  readonly #signal: AbortSignal | undefined;
  readonly #handlers = new Listeners<{ event: NetlinkEvent }>();
  #reader: 'none' | 'iterating' | 'pushing' = 'none';
  #pending: NetlinkEvent[] = [];
  #poll: Poll | undefined;
  #wake: (() => void) | undefined;
  #keepsAlive = true;
  #malformed = 0;
  #hasLost = false;
  #datagramsSinceWait = 0;

  /** Use `openLinkEvents`. */
  constructor(options: LinkEventsOptions) {
    this.#groups = options.groups ?? ['link'];
    this.#socket = new NetlinkSocket('listen to netlink events', {
      groups: groupMask(this.#groups),
      ...(options.netns !== undefined && { netns: options.netns }),
    });
    this.#signal = options.signal;
    setReceiveBuffer(this.#socket.fd, options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES);
  }

  get closed(): boolean {
    return this.#socket.closed;
  }

  /** Messages of the kernel that could not be parsed and were skipped. */
  get malformed(): number {
    return this.#malformed;
  }

  /**
   * Calls the handler for each event until the returned function is called or the stream is closed. An error
   * that it throws becomes an uncaught exception after the events of the datagram were delivered.
   * @throws VNIC_READER_BUSY while iterating, VNIC_LINK_CLOSED
   */
  onEvent(handler: (event: NetlinkEvent) => void): () => void {
    if (this.closed) throw closedError();
    if (this.#reader === 'iterating') throw readerBusy();
    this.#reader = 'pushing';
    const remove = this.#handlers.on('event', handler);
    this.#watch();
    return () => {
      remove();
      if (this.#reader !== 'pushing' || this.#handlers.count('event') > 0) return;
      this.#reader = 'none';
      this.#poll?.watch(PollEvent.none);
    };
  }

  /**
   * Ends when the stream is closed; leaving the loop does not close it.
   * @throws VNIC_READER_BUSY, VNIC_ABORTED
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<NetlinkEvent, void, undefined> {
    if (this.#reader !== 'none') throw readerBusy();
    this.#reader = 'iterating';
    try {
      for (;;) {
        const event = await this.#next();
        if (event === undefined) return;
        yield event;
      }
    } finally {
      this.#reader = 'none';
    }
  }

  /** Lets the process end although somebody waits for events. */
  unref(): void {
    this.#keepsAlive = false;
    this.#poll?.unref();
  }

  /** Undoes `unref`. */
  ref(): void {
    this.#keepsAlive = true;
    this.#poll?.ref();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.closeSync();
  }

  /** The same, for synchronous paths. */
  closeSync(): void {
    if (this.closed) return;
    this.#poll?.close();
    this.#socket.close();
    this.#pending = [];
    this.#handlers.clear();
    this.#wake?.();
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The next event; undefined when closed. */
  async #next(): Promise<NetlinkEvent | undefined> {
    for (;;) {
      throwIfAborted(this.#signal, ATTEMPTED);
      const event = this.#pending.shift();
      if (event !== undefined || this.closed) return event;
      if (!this.#fill()) await this.#readable();
      else if (this.#datagramsSinceWait >= DATAGRAMS_PER_TURN) await this.#turn();
    }
  }

  /** Reads one datagram into `pending`; false when there is none. */
  #fill(): boolean {
    const datagram = this.#socket.receive();
    if (datagram === errno.EAGAIN) return this.#reportLoss();
    this.#datagramsSinceWait++;
    if (datagram === errno.ENOBUFS) {
      this.#hasLost = true;
      return true;
    }
    if (typeof datagram === 'number') throw systemError(ATTEMPTED, 'recvfrom', datagram);
    const { messages, fault } = splitMessages(datagram);
    if (fault !== undefined) this.#malformed++;
    for (const message of messages) {
      const event = parseEvent(message);
      if (typeof event === 'string') this.#malformed++;
      // Neighbours and forwarding entries share a group of the kernel.
      else if (event !== undefined && isWanted(event, this.#groups)) this.#pending.push(event);
    }
    return true;
  }

  #reportLoss(): boolean {
    if (!this.#hasLost) return false;
    this.#hasLost = false;
    this.#pending.push(lostEvent(ATTEMPTED));
    return true;
  }

  async #turn(): Promise<void> {
    this.#datagramsSinceWait = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }

  #readable(): Promise<void> {
    const signal = this.#signal;
    this.#datagramsSinceWait = 0;
    this.#watch();
    return new Promise((resolve, reject) => {
      const settle = (then: () => void): void => {
        this.#wake = undefined;
        signal?.removeEventListener('abort', onAbort);
        this.#poll?.watch(PollEvent.none);
        then();
      };
      const onAbort = (): void => settle(() => reject(aborted(signal as AbortSignal, ATTEMPTED)));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => settle(resolve);
    });
  }

  #watch(): void {
    if (this.#poll === undefined) {
      this.#poll = new Poll(this.#socket.fd, () => this.#onReadable());
      if (!this.#keepsAlive) this.#poll.unref();
    }
    this.#poll.watch(PollEvent.readable);
  }

  #onReadable(): void {
    if (this.#reader !== 'pushing') {
      this.#wake?.();
      return;
    }
    try {
      this.#deliver();
    } finally {
      // After an error queued on the socket libuv has stopped watching.
      if (!this.closed && this.#handlers.count('event') > 0) this.#watch();
    }
  }

  /** Hands out what is there, up to a number of datagrams: what is left wakes the poll again. */
  #deliver(): void {
    const errors: unknown[] = [];
    let more = true;
    for (let count = 0; more && count < DATAGRAMS_PER_TURN && !this.closed; count++) {
      more = this.#fill();
      for (const event of this.#pending.splice(0)) {
        try {
          this.#handlers.emit('event', event);
        } catch (error) {
          errors.push(error);
        }
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}

/** The larger sizes need privilege in the initial namespace; what is granted is not an error either way. */
function setReceiveBuffer(fd: number, bytes: number): void {
  const value = new Uint8Array(Int32Array.of(Math.min(0x3fff_ffff, Math.max(0, Math.trunc(bytes)))).buffer);
  if (nativeCore().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, value) === 0) return;
  nativeCore().setsockopt(fd, SOL_SOCKET, SO_RCVBUF, value);
}

function readerBusy(): VnicError {
  return new VnicError('VNIC_READER_BUSY', {
    attempted: ATTEMPTED,
    reason: 'the events are being read already',
    hint: 'Open a second stream with openLinkEvents(), or share the events of this one.',
  });
}

function closedError(): VnicError {
  return new VnicError('VNIC_LINK_CLOSED', {
    attempted: ATTEMPTED,
    reason: 'the stream of events is closed',
    hint: 'Open a new one with openLinkEvents().',
  });
}
