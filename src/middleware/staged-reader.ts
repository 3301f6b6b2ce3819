/**
 * The reading half of a middleware: from the inner link through a stage to its reader.
 *
 * Theory of operation
 *
 *   inner link -> stage -> inbox -> reader
 *                   |
 *                   +- what waits for its time; one timer, for the earliest
 *
 * The inner link hands over whole batches, so the inbox has room for one, each packet twice. The inner link is read only
 * while somebody wants to read here and all that was ready has been fetched: a reader that does not come is
 * back-pressure for the inner link, and nothing is lost for it.
 *
 *   open      reading or paused
 *   ending    The inner link has vanished. What came before is still given, in its time; then the error is told.
 */

import { isVnicError, type VnicError } from '../base/index.ts';
import { type Clock, MAX_FRAME_LEN, PACKET_ALIGNMENT, PacketBatch, type PacketLink } from '../link/index.ts';
import { countEnded, type PacketStage } from './stage.ts';

/** Memory for packets that are inflated, in bytes: what of a batch finds no room in it is lost. */
const INBOX_LEN_MAX = 16 * 1024 * 1024;

/** What a reader works with and tells. */
export interface StagedReaderOptions {
  readonly inner: PacketLink;
  readonly stage: PacketStage;
  readonly clock: Clock;
  /** The longest packet, in bytes with link header. */
  readonly maxLen: number;
  /** `readInto` is worth calling. */
  onReady(): void;
  /** The same, on the next turn of the event loop: what is there was not all fetched, or has become due just now. */
  onLeft(): void;
  /** The inner link has ended, without an error when it was closed, and nothing is left to read. */
  onEnd(error?: unknown): void;
}

/** See the head of this file. */
export class StagedReader {
  readonly #options: StagedReaderOptions;
  #inbox = new PacketBatch({ capacity: 1, bytesLen: 8 });
  #next = 0;
  #maxLen: number;
  #isWanted = false;
  #isStopped = false;
  #ending: VnicError | undefined;
  #stopReading: (() => void) | undefined;
  #timerDueMs: number | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(options: StagedReaderOptions) {
    this.#options = options;
    this.#maxLen = options.maxLen;
  }

  /** Why the inner link has vanished, while something of it is left to read. */
  get ending(): VnicError | undefined {
    return this.#ending;
  }

  /** True when `readInto` would find packets. */
  get isReady(): boolean {
    const dueMs = this.#options.stage.nextDueMs;
    return this.#next < this.#inbox.count || (dueMs !== undefined && dueMs <= this.#options.clock.nowMs());
  }

  /** Whether somebody waits for packets. */
  setWanted(isWanted: boolean): void {
    this.#isWanted = isWanted;
    this.#update();
  }

  /** Hot: fills a batch with what is ready, without waiting. */
  readInto(batch: PacketBatch): void {
    while (this.#next < this.#inbox.count) {
      if (!batch.append(this.#inbox.packet(this.#next))) return;
      this.#next++;
    }
    this.#options.stage.shift(this.#options.clock.nowMs(), batch);
    if (batch.count === 0) this.endWhenEmpty();
    this.#update();
  }

  /** The inner link has vanished. */
  end(error: VnicError): void {
    if (this.#isStopped || this.#ending !== undefined) return;
    this.#ending = error;
    this.endWhenEmpty();
    this.#update();
  }

  /** The longest packet from now on. */
  setMaxLen(maxLen: number): void {
    this.#maxLen = maxLen;
    this.#options.stage.setMaxLen(maxLen);
  }

  /** Stops for good, and counts what nobody has fetched. */
  close(): void {
    const { counters, queued } = this.#options.stage;
    this.#isStopped = true;
    this.#update();
    counters.dropped.ended += queued;
    countEnded(counters, this.#inbox, this.#next);
  }

  /** Tells the end once nothing is left to read. */
  endWhenEmpty(): void {
    if (this.#ending === undefined || this.#next < this.#inbox.count || this.#options.stage.queued > 0) return;
    this.#tellEnd(this.#ending);
  }

  /** Hot. */
  readonly #onBatch = (batch: PacketBatch): void => {
    const { stage, clock, onReady } = this.#options;
    // What has become due meanwhile goes first, and makes room.
    if (this.isReady) onReady();
    if (this.#isStopped) return;
    const nowMs = clock.nowMs();
    this.#makeRoom(batch);
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length === 0) continue;
      if (!stage.push(batch.bytes, batch.offset(i), length, nowMs, this.#inbox)) {
        // Only what is due and was not fetched stands in the way, and the inner link is not read then.
        stage.counters.packetsIn++;
        stage.counters.bytesIn += length;
        stage.counters.dropped['queue-full']++;
      }
    }
    if (this.isReady) onReady();
    this.#update();
  };

  /** A batch that finds the inbox empty, as it always does, fits in whole. */
  #makeRoom(batch: PacketBatch): void {
    if (this.#next < this.#inbox.count) return;
    this.#inbox.clear();
    this.#next = 0;
    const capacity = 2 * batch.capacity + 2;
    const wantedLen = Math.max(capacity * (this.#maxLen + PACKET_ALIGNMENT), 2 * (MAX_FRAME_LEN + PACKET_ALIGNMENT));
    const bytesLen = Math.max(
      Math.min(INBOX_LEN_MAX, wantedLen),
      2 * (batch.bytes.length + PACKET_ALIGNMENT * capacity),
    );
    if (this.#inbox.capacity >= capacity && this.#inbox.bytes.length >= bytesLen) return;
    this.#inbox = new PacketBatch({ capacity, bytesLen });
  }

  /** Reads the inner link, or does not, and sets the timer. */
  #update(): void {
    const isReady = this.isReady;
    if (this.#isWanted && !isReady && !this.#isStopped && this.#ending === undefined) this.#startReading();
    else this.#pause();
    if (this.#isWanted && isReady && !this.#isStopped) this.#options.onLeft();
    this.#setTimer(this.#isStopped || isReady ? undefined : this.#options.stage.nextDueMs);
  }

  #startReading(): void {
    if (this.#stopReading !== undefined) return;
    try {
      this.#stopReading = this.#options.inner.onBatch(this.#onBatch, (error) => {
        this.#stopReading = undefined;
        if (isVnicError(error, 'VNIC_DEVICE_GONE')) this.end(error);
        // Pausing ends the reader too; then the inner link is open.
        else if (error !== undefined || this.#options.inner.closed) this.#tellEnd(error);
      });
    } catch (error) {
      if (isVnicError(error, 'VNIC_DEVICE_GONE')) this.end(error);
      else this.#tellEnd(isVnicError(error, 'VNIC_LINK_CLOSED') ? undefined : error);
    }
  }

  #pause(): void {
    const stop = this.#stopReading;
    this.#stopReading = undefined;
    stop?.();
  }

  #tellEnd(error?: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#options.onEnd(error);
  }

  #setTimer(dueMs: number | undefined): void {
    if (dueMs === this.#timerDueMs) return;
    this.#cancelTimer();
    this.#timerDueMs = dueMs;
    if (dueMs === undefined) return;
    const { clock, onReady } = this.#options;
    this.#cancelTimer = clock.setTimer(Math.max(0, dueMs - clock.nowMs()), () => {
      this.#timerDueMs = undefined;
      if (this.isReady) onReady();
      this.#update();
    });
  }
}
