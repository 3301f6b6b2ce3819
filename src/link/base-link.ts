/**
 * BaseLink: everything of the PacketLink contract that does not depend on the carrier.
 *
 * Theory of operation
 *
 * A carrier offers two calls that never wait, `readNow` and `writeNow`, and wakes the link when one of them
 * is worth calling again. The link turns that into promises, iterators, callbacks and streams.
 *
 *   reader     idle -> waiting (a read found nothing) -> idle (woken, aborted, closed, gone)
 *              idle -> pushing (onBatch) -> idle
 *   wake-ups   A waiting or pushing reader asks for readability. Nobody waiting: a wake-up switches the
 *              interest off, so that an idle link costs nothing and an unread device fills its kernel queue,
 *              which is the back-pressure that its senders see. The interest is left on between two reads
 *              of one loop, which saves two system calls a batch.
 *   fairness   A reader that always finds packets would never let the event loop turn. Every
 *              `BATCHES_PER_TURN` batches it waits for the next turn.
 *   end        `close()` resolves waiting readers with undefined and writers with VNIC_LINK_CLOSED.
 *              `fail(error)` rejects them with the error, once, and closes the carrier.
 */

import { aborted, invalidArgument, Listeners, throwIfAborted, VnicError, type VnicErrorCode } from '../base/index.ts';
import { DESCRIPTOR_WORDS, PacketBatch } from './packet-batch.ts';
import type {
  LinkCounters,
  LinkEvents,
  Medium,
  PacketLink,
  WaitOptions,
  WebStreams,
  WriteDropReason,
} from './packet-link.ts';
import { toWebStreams } from './web-streams.ts';

/** After this many batches without a wait, a reader lets the event loop turn once. */
const BATCHES_PER_TURN = 8;

/** At most one `writeDropped` event per reason in this time. */
const DROP_EVENT_INTERVAL_MS = 1000;

/** The counters, open for the carrier to add to. */
export interface MutableCounters extends LinkCounters {
  packetsRead: number;
  bytesRead: number;
  packetsWritten: number;
  bytesWritten: number;
  readonly writeDropped: Record<WriteDropReason, number>;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

interface PushReader {
  readonly handler: (batch: PacketBatch) => void;
  readonly onEnd: ((error?: unknown) => void) | undefined;
}

export interface BaseLinkOptions {
  readonly name: string;
  readonly medium: Medium;
  /** Memory for reads; default `new PacketBatch()`. */
  readonly batch?: PacketBatch;
}

export abstract class BaseLink implements PacketLink {
  abstract readonly mtu: number;
  readonly name: string;
  readonly medium: Medium;
  readonly offload: boolean = false;
  readonly counters: MutableCounters = {
    packetsRead: 0,
    bytesRead: 0,
    packetsWritten: 0,
    bytesWritten: 0,
    writeDropped: { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 },
  };

  protected readonly events: Listeners<LinkEvents> = new Listeners();

  readonly #batch: PacketBatch;
  // A single packet is written as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  readonly #dropEventAtMs = new Map<WriteDropReason, number>();
  #reader: 'none' | 'pull' | 'push' = 'none';
  #readWaiter: Waiter | undefined;
  #push: PushReader | undefined;
  #writeWaiters: Waiter[] = [];
  #wantsWritable = false;
  #readsThisTurn = 0;
  #state: 'open' | 'closed' | 'gone' = 'open';
  #failure: VnicError | undefined;
  #closing: Promise<void> | undefined;

  protected constructor(options: BaseLinkOptions) {
    this.name = options.name;
    this.medium = options.medium;
    this.#batch = options.batch ?? new PacketBatch();
  }

  /** Fills the batch without waiting. Returns how many packets it holds now; 0 means: none for now. */
  protected abstract readNow(batch: PacketBatch): number;
  /**
   * Takes packets `from` to `to` without waiting, counting them and what was dropped.
   * Returns how many were taken; fewer than asked for means: wake me when there is room.
   */
  protected abstract writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number;
  /** Sets which of `wakeReader` and `wakeWriter` the carrier shall call. */
  protected abstract setInterest(readable: boolean, writable: boolean): void;
  /** Frees the carrier. Called once. */
  protected abstract closeCarrier(): void | Promise<void>;

  get closed(): boolean {
    return this.#state !== 'open';
  }

  async read(options: WaitOptions = {}): Promise<PacketBatch | undefined> {
    this.#claim('pull', 'read');
    try {
      return await this.#next(options.signal);
    } finally {
      this.#reader = 'none';
    }
  }

  async *batches(options: WaitOptions = {}): AsyncIterableIterator<PacketBatch> {
    this.#claim('pull', 'iterate');
    try {
      for (;;) {
        const batch = await this.#next(options.signal);
        if (batch === undefined) return;
        yield batch;
      }
    } finally {
      this.#reader = 'none';
    }
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    this.#claim('push', 'attach a batch handler');
    const push: PushReader = { handler, onEnd };
    this.#push = push;
    this.#updateInterest();
    return () => {
      if (this.#push === push) this.#stopPush();
    };
  }

  write(source: Uint8Array | PacketBatch, from?: number, to?: number): number {
    if (this.#state !== 'open') throw this.#endError('write a packet');
    if (source instanceof PacketBatch) {
      const first = from ?? 0;
      const end = to ?? source.count;
      if (first < 0 || end > source.count) {
        throw invalidArgument(`write to ${this.name}`, `a range inside 0 to ${source.count}`, `${first} to ${end}`);
      }
      return first >= end ? 0 : this.writeNow(source.bytes, source.descriptors, first, end);
    }
    this.#single[1] = source.length;
    return this.writeNow(source, this.#single, 0, 1);
  }

  async writable(options: WaitOptions = {}): Promise<void> {
    const attempted = `wait until ${this.name} takes packets`;
    throwIfAborted(options.signal, attempted);
    if (this.#state !== 'open') throw this.#endError(attempted);
    if (!this.#wantsWritable && !this.hasBackPressure()) return;
    this.#wantsWritable = true;
    this.#updateInterest();
    await this.#wait(
      (waiter) => {
        this.#writeWaiters.push(waiter);
        return () => {
          this.#writeWaiters = this.#writeWaiters.filter((other) => other !== waiter);
          if (this.#writeWaiters.length === 0) this.#wantsWritable = false;
        };
      },
      options.signal,
      attempted,
    );
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    return this.events.on(event, handler);
  }

  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closed';
      this.#end(undefined);
    }
    return this.#closing ?? Promise.resolve();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** True when the last write was not taken whole. The carrier may know better. */
  protected hasBackPressure(): boolean {
    return true;
  }

  /** The carrier says that `readNow` will find packets. */
  protected wakeReader(): void {
    if (this.#readWaiter !== undefined) {
      this.#readWaiter.resolve();
    } else if (this.#push !== undefined) {
      this.#pump();
    } else {
      this.#updateInterest();
    }
  }

  /** The carrier says that `writeNow` will take packets. */
  protected wakeWriter(): void {
    this.#wantsWritable = false;
    const waiters = this.#writeWaiters;
    this.#writeWaiters = [];
    this.#updateInterest();
    for (const waiter of waiters) waiter.resolve();
  }

  /** The carrier has vanished: everything that waits ends with this error, as do later calls. */
  protected fail(error: VnicError): void {
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    this.#failure = error;
    try {
      this.#end(error);
    } finally {
      this.events.emit('gone', error);
    }
  }

  /** Counts a packet that was taken and then dropped; `explain` is called only when somebody gets to see it. */
  protected countWriteDrop(reason: WriteDropReason, explain: () => VnicError): void {
    this.counters.writeDropped[reason]++;
    if (this.events.count('writeDropped') === 0) return;
    const nowMs = performance.now();
    const lastMs = this.#dropEventAtMs.get(reason);
    if (lastMs !== undefined && nowMs - lastMs < DROP_EVENT_INTERVAL_MS) return;
    this.#dropEventAtMs.set(reason, nowMs);
    this.events.emit('writeDropped', { reason, error: explain() });
  }

  #claim(kind: 'pull' | 'push', what: string): void {
    if (this.#state !== 'open' && kind === 'push') throw this.#endError(`${what} on ${this.name}`);
    if (this.#reader !== 'none') {
      throw new VnicError('VNIC_READER_BUSY', {
        attempted: `${what} on ${this.name}`,
        hint: 'Await the first read, leave its loop or stop its handler before you start another reader.',
      });
    }
    this.#reader = kind;
  }

  async #next(signal: AbortSignal | undefined): Promise<PacketBatch | undefined> {
    const attempted = `read from ${this.name}`;
    for (;;) {
      throwIfAborted(signal, attempted);
      if (this.#state === 'closed') return undefined;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#readsThisTurn >= BATCHES_PER_TURN) {
        await nextTurn();
        this.#readsThisTurn = 0;
        continue;
      }
      if (this.#fill() > 0) {
        this.#readsThisTurn++;
        return this.#batch;
      }
      if (this.closed) continue;
      this.#readsThisTurn = 0;
      await this.#wait(
        (waiter) => {
          this.#readWaiter = waiter;
          this.#updateInterest();
          return () => {
            this.#readWaiter = undefined;
          };
        },
        signal,
        attempted,
      );
    }
  }

  /** Hot: called once a wake-up; hands over a few batches, then lets the event loop turn. */
  #pump(): void {
    const push = this.#push;
    try {
      for (let i = 0; i < BATCHES_PER_TURN && push !== undefined && this.#push === push; i++) {
        const count = this.#fill();
        if (count > 0) push.handler(this.#batch);
        // The carrier had no more. If it has by now it will say so: asking would cost a call that mostly finds none.
        if (count < this.#batch.capacity) return;
      }
    } catch (error) {
      // A handler that has stopped itself before it threw has nobody left to tell.
      if (this.#push !== push) throw error;
      this.#stopPush(error);
    }
  }

  #fill(): number {
    this.#batch.clear();
    const count = this.readNow(this.#batch);
    this.#batch.count = count;
    return count;
  }

  #stopPush(error?: unknown): void {
    const push = this.#push;
    if (push === undefined) return;
    this.#push = undefined;
    this.#reader = 'none';
    if (this.#state === 'open') this.#updateInterest();
    push.onEnd?.(error);
    if (error === undefined || push.onEnd !== undefined) return;
    const toldByEvent = error === this.#failure && this.events.count('gone') > 0;
    // Nobody to tell: an error must not vanish.
    if (!toldByEvent) throw error;
  }

  #updateInterest(): void {
    this.setInterest(this.#readWaiter !== undefined || this.#push !== undefined, this.#wantsWritable);
  }

  async #wait(
    enter: (waiter: Waiter) => () => void,
    signal: AbortSignal | undefined,
    attempted: string,
  ): Promise<void> {
    let leave: (() => void) | undefined;
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        onAbort = () => reject(aborted(signal as AbortSignal, attempted));
        signal?.addEventListener('abort', onAbort, { once: true });
        leave = enter({ resolve, reject });
      });
    } finally {
      leave?.();
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
    }
  }

  #end(error: VnicError | undefined): void {
    this.#closing = this.#close();
    const writers = this.#writeWaiters;
    this.#writeWaiters = [];
    for (const waiter of writers) waiter.reject(error ?? this.#endError('write a packet'));
    // The reader looks at the state itself and ends by itself.
    this.#readWaiter?.resolve();
    this.#stopPush(error);
  }

  async #close(): Promise<void> {
    await this.closeCarrier();
  }

  #endError(attempted: string): VnicError {
    if (this.#failure !== undefined) return this.#failure;
    return closedError('VNIC_LINK_CLOSED', attempted, this.name);
  }
}

function closedError(code: VnicErrorCode, attempted: string, name: string): VnicError {
  return new VnicError(code, {
    attempted,
    reason: `${name} was closed`,
    hint: 'Check `closed` before, or open the link again.',
  });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
