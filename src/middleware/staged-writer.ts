/**
 * The writing half of a middleware: from its writer through a stage to the inner link.
 *
 * Theory of operation
 *
 *   writer -> stage -> outbox -> inner link
 *               |
 *               +- what waits for its time; one timer, for the earliest
 *
 *   open      Packets are taken. What the stage gives at once is written in the same call.
 *   blocked   The inner link has not taken all of the outbox: no packet is taken until it has. What becomes due meanwhile
 *             waits in the stage, whose queue is bounded.
 */

import { isVnicError } from '../base/index.ts';
import {
  type Clock,
  DESCRIPTOR_WORDS,
  MAX_FRAME_LEN,
  PACKET_ALIGNMENT,
  PacketBatch,
  type PacketLink,
  type WriteDropReason,
} from '../link/index.ts';
import { countEnded, type PacketStage } from './stage.ts';

/** Packets that a write to the inner link hands over at most. */
const OUTBOX_PACKETS = 64;

/** What a writer works with and tells. */
export interface StagedWriterOptions {
  readonly inner: PacketLink;
  readonly stage: PacketStage;
  readonly clock: Clock;
  /** The longest packet, in bytes with link header. */
  readonly maxLen: number;
  /** Packets are taken again. */
  onRoom(): void;
  /** The inner link has dropped packets that were taken before. */
  onDropped(reason: WriteDropReason, count: number): void;
  /** The inner link has failed outside of `write`. */
  onError(error: unknown): void;
}

/** See the head of this file. */
export class StagedWriter {
  readonly #options: StagedWriterOptions;
  readonly #stopped = new AbortController();
  #outbox: PacketBatch;
  #next = 0;
  #isBlocked = false;
  #timerDueMs: number | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(options: StagedWriterOptions) {
    this.#options = options;
    this.#outbox = outboxFor(options.maxLen);
  }

  /** True while no packet is taken. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /**
   * Hot: takes packets `from` to `to`, of which those of length 0 are skipped.
   * @returns how many were taken
   * @throws what the inner link throws
   */
  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const { stage, clock } = this.#options;
    const nowMs = clock.nowMs();
    let next = from;
    while (next < to && !this.#isBlocked) {
      const offset = descriptors[next * DESCRIPTOR_WORDS] as number;
      const length = descriptors[next * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0 || stage.push(bytes, offset, length, nowMs, this.#outbox)) next++;
      else this.#flush(nowMs);
    }
    if (!this.#isBlocked) this.#flush(nowMs);
    this.#setTimer(nowMs);
    return next - from;
  }

  /** The longest packet from now on. */
  setMaxLen(maxLen: number): void {
    this.#options.stage.setMaxLen(maxLen);
    if (this.#outbox.bytes.length >= outboxLen(maxLen)) return;
    const outbox = outboxFor(maxLen);
    for (let i = this.#next; i < this.#outbox.count; i++) outbox.append(this.#outbox.packet(i));
    this.#outbox = outbox;
    this.#next = 0;
  }

  /** Stops for good, and counts what the inner link has not taken. */
  close(): void {
    const { counters, queued } = this.#options.stage;
    this.#stopped.abort();
    this.#cancelTimer();
    counters.dropped.ended += queued;
    countEnded(counters, this.#outbox, this.#next);
  }

  /** Writes what is due until the inner link takes no more. */
  #flush(nowMs: number): void {
    const { inner, stage } = this.#options;
    for (;;) {
      if (this.#next === this.#outbox.count) {
        this.#outbox.clear();
        this.#next = 0;
        stage.shift(nowMs, this.#outbox);
        if (this.#outbox.count === 0) break;
      }
      const { 'link-down': down, refused, 'too-long': tooLong, 'queue-full': full } = inner.counters.writeDropped;
      this.#next += inner.write(this.#outbox, this.#next);
      const { writeDropped } = inner.counters;
      this.#countDropped('link-down', writeDropped['link-down'] - down);
      this.#countDropped('refused', writeDropped.refused - refused);
      this.#countDropped('too-long', writeDropped['too-long'] - tooLong);
      this.#countDropped('queue-full', writeDropped['queue-full'] - full);
      if (this.#next < this.#outbox.count) {
        this.#isBlocked = true;
        void this.#waitForRoom();
        return;
      }
    }
    this.#isBlocked = false;
  }

  #countDropped(reason: WriteDropReason, count: number): void {
    if (count > 0) this.#options.onDropped(reason, count);
  }

  async #waitForRoom(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      await this.#options.inner.writable({ signal });
      this.#flushLater();
    } catch (error) {
      if (!signal.aborted && !isVnicError(error, 'VNIC_ABORTED')) this.#options.onError(error);
    }
  }

  /** As `#flush`, outside of `write`. */
  #flushLater(): void {
    if (this.#stopped.signal.aborted) return;
    const wasBlocked = this.#isBlocked;
    const nowMs = this.#options.clock.nowMs();
    try {
      this.#flush(nowMs);
    } catch (error) {
      this.#options.onError(error);
      return;
    }
    this.#setTimer(nowMs);
    if (wasBlocked && !this.#isBlocked) this.#options.onRoom();
  }

  /** None while blocked: what becomes due could not be written. */
  #setTimer(nowMs: number): void {
    const dueMs = this.#isBlocked || this.#stopped.signal.aborted ? undefined : this.#options.stage.nextDueMs;
    if (dueMs === this.#timerDueMs) return;
    this.#cancelTimer();
    this.#timerDueMs = dueMs;
    if (dueMs === undefined) return;
    this.#cancelTimer = this.#options.clock.setTimer(Math.max(0, dueMs - nowMs), () => {
      this.#timerDueMs = undefined;
      this.#flushLater();
    });
  }
}

/** Room for packets of full length, and in any case for the longest frame twice. */
function outboxLen(maxLen: number): number {
  return Math.max(OUTBOX_PACKETS * (maxLen + PACKET_ALIGNMENT), 2 * (MAX_FRAME_LEN + PACKET_ALIGNMENT));
}

function outboxFor(maxLen: number): PacketBatch {
  return new PacketBatch({ capacity: OUTBOX_PACKETS, bytesLen: outboxLen(maxLen) });
}
