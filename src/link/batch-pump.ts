/**
 * BatchPump: readers, waiters and the end of anything that is read and written in batches without ever blocking.
 *
 * Theory of operation
 *
 * A carrier offers calls that never wait, and wakes the pump when one of them is worth calling again. The pump
 * turns that into promises, iterators and callbacks.
 *
 *   reader     idle -> waiting (a read found nothing) -> idle (woken, aborted, closed, gone)
 *              idle -> pushing (onBatch) -> idle
 *   wake-ups   A waiting or pushing reader asks for readability. Nobody waiting: a wake-up switches the
 *              interest off, so that an idle carrier costs nothing and an unread one fills its kernel queue,
 *              which is the back-pressure that its senders see. The interest is left on between two reads
 *              of one loop, which saves two system calls a batch.
 *   fairness   A reader that always finds packets would never let the event loop turn. Every
 *              `BATCHES_PER_TURN` batches it waits for the next turn.
 *   busy poll  With `busyPollUs`, a reader that had packets asks for more once a turn of the event loop, for so long
 *              after the last packet, before it waits for a wake-up. The loop does not sleep meanwhile, which
 *              saves the wake-up of a sleeping processor; timers and other carriers have their turn in between.
 *   end        `close()` resolves waiting readers with undefined and writers with VNIC_LINK_CLOSED.
 *              `fail(error)` rejects them with the error, once, and closes the carrier.
 */

import { aborted, invalidArgument, throwIfAborted, VnicError, type VnicErrorCode } from '../base/index.ts';
import type { PacketBatch } from './packet-batch.ts';
import type { WaitOptions } from './packet-link.ts';

/** After this many batches without a wait, a reader lets the event loop turn once. */
const BATCHES_PER_TURN = 8;

/** The longest time that a reader may spin after a packet: 1 s. */
const BUSY_POLL_US_MAX = 1_000_000;

/** What a `BatchPump` drives. */
export interface PumpedCarrier<Batch extends PacketBatch> {
  /** For errors: what is read and written. */
  readonly name: string;
  /** Memory for reads. */
  readonly batch: Batch;
  /** Microseconds; as `BaseLinkOptions.busyPollUs`. */
  readonly busyPollUs?: number | undefined;
  /** Fills the batch without waiting. Returns how many packets it holds now; 0 means: none for now. */
  readNow(batch: Batch): number;
  /** Sets which of `wakeReader` and `wakeWriter` the carrier shall call. */
  setInterest(readable: boolean, writable: boolean): void;
  /** True when the last write was not taken whole. */
  hasBackPressure(): boolean;
  /** Frees the carrier. Called once. */
  close(): void | Promise<void>;
  /** Tells listeners that the carrier has vanished. */
  announce(error: VnicError): void;
  /** Whether `announce` reaches anybody. */
  isHeard(): boolean;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

interface PushReader<Batch> {
  readonly handler: (batch: Batch) => void;
  readonly onEnd: ((error?: unknown) => void) | undefined;
}

/** Turns a carrier that never waits into promises, iterators and callbacks, as `PacketLink` documents them. */
export class BatchPump<Batch extends PacketBatch> {
  readonly #carrier: PumpedCarrier<Batch>;
  #reader: 'none' | 'pull' | 'push' = 'none';
  #readWaiter: Waiter | undefined;
  #push: PushReader<Batch> | undefined;
  #writeWaiters: Waiter[] = [];
  #wantsWritable = false;
  #readsThisTurn = 0;
  #busyPollMs: number;
  // Until when a reader spins; in the past when it does not.
  #busyUntilMs = 0;
  #spinning = false;
  #pumping = false;
  #state: 'open' | 'closed' | 'gone' = 'open';
  #failure: VnicError | undefined;
  #closing: Promise<void> | undefined;

  constructor(carrier: PumpedCarrier<Batch>) {
    this.#carrier = carrier;
    this.#busyPollMs = checkBusyPoll(carrier.name, carrier.busyPollUs ?? 0) / 1000;
  }

  /** As `PacketLink.closed`. */
  get closed(): boolean {
    return this.#state !== 'open';
  }

  /** @throws what a call made now has to end with: VNIC_LINK_CLOSED, or why the carrier has vanished. */
  requireOpen(attempted: string): void {
    if (this.#state !== 'open') throw this.#endError(attempted);
  }

  /** As `PacketLink.read`. */
  async read(options: WaitOptions = {}): Promise<Batch | undefined> {
    this.#claim('pull', 'read');
    try {
      return await this.#next(options.signal);
    } finally {
      this.#reader = 'none';
    }
  }

  /** As `PacketLink.batches`. */
  async *batches(options: WaitOptions = {}): AsyncIterableIterator<Batch> {
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

  /** As `PacketLink.onBatch`. */
  onBatch(handler: (batch: Batch) => void, onEnd?: (error?: unknown) => void): () => void {
    this.#claim('push', 'attach a batch handler');
    const push: PushReader<Batch> = { handler, onEnd };
    this.#push = push;
    this.#updateInterest();
    return () => {
      if (this.#push === push) this.#stopPush();
    };
  }

  /** As `PacketLink.writable`. */
  async writable(options: WaitOptions = {}): Promise<void> {
    const attempted = `wait until ${this.#carrier.name} takes packets`;
    throwIfAborted(options.signal, attempted);
    if (this.#state !== 'open') throw this.#endError(attempted);
    if (!this.#wantsWritable && !this.#carrier.hasBackPressure()) return;
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

  /** As `PacketLink.close`. */
  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closed';
      this.#end(undefined);
    }
    return this.#closing ?? Promise.resolve();
  }

  /** Switches busy polling off for good. */
  endBusyPoll(): void {
    this.#busyPollMs = 0;
    this.#busyUntilMs = 0;
  }

  /** The carrier says that `readNow` will find packets. */
  wakeReader(): void {
    if (this.#readWaiter !== undefined) {
      this.#readWaiter.resolve();
    } else if (this.#push !== undefined) {
      if (this.#busyPollMs > 0) this.#beginSpin();
      this.#pump();
    } else {
      this.#updateInterest();
    }
  }

  /** The carrier says that `writeNow` will take packets. */
  wakeWriter(): void {
    this.#wantsWritable = false;
    const waiters = this.#writeWaiters;
    this.#writeWaiters = [];
    this.#updateInterest();
    for (const waiter of waiters) waiter.resolve();
  }

  /** The carrier has vanished: everything that waits ends with this error, as do later calls. */
  fail(error: VnicError): void {
    if (this.#state !== 'open') return;
    this.#state = 'gone';
    this.#failure = error;
    try {
      this.#end(error);
    } finally {
      this.#carrier.announce(error);
    }
  }

  #claim(kind: 'pull' | 'push', what: string): void {
    if (this.#state !== 'open' && kind === 'push') throw this.#endError(`${what} on ${this.#carrier.name}`);
    if (this.#reader !== 'none') {
      throw new VnicError('VNIC_READER_BUSY', {
        attempted: `${what} on ${this.#carrier.name}`,
        hint: 'Await the first read, leave its loop or stop its handler before you start another reader.',
      });
    }
    this.#reader = kind;
  }

  async #next(signal: AbortSignal | undefined): Promise<Batch | undefined> {
    const attempted = `read from ${this.#carrier.name}`;
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
        return this.#carrier.batch;
      }
      if (this.closed) continue;
      this.#readsThisTurn = 0;
      if (this.#isBusy()) {
        await nextTurn();
        continue;
      }
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
    // Woken by its own handler, which still uses the batch.
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let i = 0; i < BATCHES_PER_TURN && push !== undefined && this.#push === push; i++) {
        const count = this.#fill();
        if (count > 0) push.handler(this.#carrier.batch);
        // The carrier had no more. If it has by now it will say so: asking would cost a call that mostly finds none.
        if (count < this.#carrier.batch.capacity) return;
      }
    } catch (error) {
      // A handler that has stopped itself before it threw has nobody left to tell.
      if (this.#push !== push) throw error;
      this.#stopPush(error);
    } finally {
      this.#pumping = false;
    }
  }

  #beginSpin(): void {
    if (this.#spinning) return;
    this.#spinning = true;
    setImmediate(this.#spin);
  }

  /** Hot while it lasts: one look for packets a turn, until none has come for the time that was asked for. */
  readonly #spin = (): void => {
    this.#spinning = this.#push !== undefined && this.#isBusy();
    if (!this.#spinning) return;
    setImmediate(this.#spin);
    this.#pump();
  };

  #isBusy(): boolean {
    return this.#busyPollMs > 0 && performance.now() < this.#busyUntilMs;
  }

  #fill(): number {
    const { batch } = this.#carrier;
    batch.clear();
    const count = this.#carrier.readNow(batch);
    batch.count = count;
    if (count > 0 && this.#busyPollMs > 0) this.#busyUntilMs = performance.now() + this.#busyPollMs;
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
    const toldByEvent = error === this.#failure && this.#carrier.isHeard();
    // Nobody to tell: an error must not vanish.
    if (!toldByEvent) throw error;
  }

  #updateInterest(): void {
    this.#carrier.setInterest(this.#readWaiter !== undefined || this.#push !== undefined, this.#wantsWritable);
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
    await this.#carrier.close();
  }

  #endError(attempted: string): VnicError {
    if (this.#failure !== undefined) return this.#failure;
    return closedError('VNIC_LINK_CLOSED', attempted, this.#carrier.name);
  }
}

function checkBusyPoll(name: string, busyPollUs: number): number {
  if (busyPollUs >= 0 && busyPollUs <= BUSY_POLL_US_MAX) return busyPollUs;
  throw invalidArgument(`open ${name}`, `busyPollUs of 0 to ${BUSY_POLL_US_MAX} microseconds`, busyPollUs);
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
