/**
 * Drives a responder on a link: reads, answers, writes back, and polls it in time.
 *
 * What the link does not take at once waits in the responder's outbox, which is bounded; what does not fit there
 * is dropped and counted. Reading goes on meanwhile, as a host's does whose network is slow to send.
 */

import { invalidArgument, isVnicError } from '../base/index.ts';
import type { PacketBatch, PacketLink } from '../link/index.ts';
import type { Responder } from './responder.ts';

/** Time, as the driver needs it: that of the system, or a virtual one in tests. */
export interface HostClock {
  /** Milliseconds of a clock that does not go back. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
}

/** A responder at work. */
export interface AttachedResponder {
  /** Replies that were dropped because neither the link nor the outbox took them. */
  readonly queueFull: number;
  /**
   * Resolves when the link was closed or `close` was called; rejects with the link's error, such as
   * VNIC_DEVICE_GONE, when it failed.
   */
  readonly done: Promise<void>;
  /** Stops answering. The link stays open. Idempotent. */
  close(): void;
}

/**
 * Answers what comes from a link, until the link ends or `close` is called.
 * @throws VNIC_INVALID_ARGUMENT when link and responder have different media
 * @throws VNIC_READER_BUSY when the link has a reader
 */
export function attachResponder(link: PacketLink, responder: Responder, clock: HostClock): AttachedResponder {
  if (link.medium !== responder.medium) {
    throw invalidArgument(`attach a responder to ${link.name}`, `one for medium '${link.medium}'`, responder.medium);
  }
  return new Driver(link, responder, clock);
}

class Driver implements AttachedResponder {
  readonly done: Promise<void>;
  readonly #link: PacketLink;
  readonly #responder: Responder;
  readonly #clock: HostClock;
  readonly #stopReading: () => void;
  readonly #stopped = new AbortController();
  #queueFull = 0;
  #written = 0;
  #waitsForRoom = false;
  #timerDueMs: number | undefined;
  #cancelTimer: () => void = () => undefined;
  #finish: (error?: unknown) => void = () => undefined;

  constructor(link: PacketLink, responder: Responder, clock: HostClock) {
    this.#link = link;
    this.#responder = responder;
    this.#clock = clock;
    this.done = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.#stopReading = link.onBatch(
      (batch) => this.#onBatch(batch),
      (error) => this.#end(error),
    );
  }

  get queueFull(): number {
    return this.#queueFull;
  }

  close(): void {
    this.#stopReading();
    this.#end(undefined);
  }

  #onBatch(batch: PacketBatch): void {
    this.#responder.handle(batch, this.#clock.nowMs());
    const taken = this.#waitsForRoom ? 0 : this.#link.write(batch);
    for (let i = taken; i < batch.count; i++) this.#keep(batch, i);
    this.#flush();
  }

  /** Keeps a reply for later: the batch is the link's own. */
  #keep(batch: PacketBatch, index: number): void {
    if (batch.length(index) === 0) return;
    if (!this.#responder.outbox.append(batch.packet(index))) this.#queueFull++;
  }

  /** Writes the outbox as far as the link takes it. */
  #flush(): void {
    const { outbox } = this.#responder;
    if (!this.#waitsForRoom && outbox.count > this.#written) {
      this.#written += this.#link.write(outbox, this.#written);
      if (this.#written < outbox.count) void this.#waitForRoom();
    }
    if (this.#written === outbox.count) {
      outbox.clear();
      this.#written = 0;
    }
    this.#setTimer();
  }

  async #waitForRoom(): Promise<void> {
    this.#waitsForRoom = true;
    try {
      await this.#link.writable({ signal: this.#stopped.signal });
      this.#waitsForRoom = false;
      this.#poll();
    } catch (error) {
      if (!isVnicError(error, 'VNIC_ABORTED') && !isVnicError(error, 'VNIC_LINK_CLOSED')) this.#end(error);
    }
  }

  #poll(): void {
    if (this.#stopped.signal.aborted) return;
    this.#responder.poll(this.#clock.nowMs());
    this.#flush();
  }

  /** One timer, for the earliest thing to do; none while the link takes nothing, since a poll could not help. */
  #setTimer(): void {
    const dueMs = this.#waitsForRoom ? undefined : this.#responder.nextWakeupMs;
    if (dueMs === this.#timerDueMs) return;
    this.#cancelTimer();
    this.#timerDueMs = dueMs;
    if (dueMs === undefined) return;
    this.#cancelTimer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.nowMs()), () => {
      this.#timerDueMs = undefined;
      this.#onTimer();
    });
  }

  #onTimer(): void {
    try {
      this.#poll();
    } catch (error) {
      this.#stopReading();
      this.#end(error);
    }
  }

  #end(error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#cancelTimer();
    this.#finish(error);
  }
}
