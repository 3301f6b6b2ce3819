/**
 * Shaping in one direction, as a pure core: a token bucket before a bounded queue. Packets keep their order; what finds the
 * queue full is lost, so that senders learn of the rate.
 */

import { invalidArgument } from '../base/index.ts';
import type { PacketBatch } from '../link/index.ts';
import { QUEUE_PACKETS_MAX, RATE_MAX } from './impairment-settings.ts';
import {
  countIn,
  countOut,
  hasRoomForTwo,
  type MutableStageCounters,
  type PacketStage,
  zeroStageCounters,
} from './stage.ts';
import { TimedQueue } from './timed-queue.ts';
import { TokenBucket } from './token-bucket.ts';

/** The rate of one direction. */
export interface ShapeSettings {
  /** Bits a second, link headers counted; 1 to 10^12. */
  readonly rateBitsPerSecond: number;
  /** Bytes that may leave at once after a pause; 0 to 10^9, default what 10 ms carry, and 3000 at the least. */
  readonly burstBytes?: number;
  /** Packets that wait; 1 to 1,000,000, default 256. */
  readonly queuePackets?: number;
}

const DEFAULT_BURST_MS = 10;
const DEFAULT_BURST_LEN_MIN = 3000;
const DEFAULT_QUEUE_PACKETS = 256;
/** The largest burst. */
export const BURST_LEN_MAX = 1e9;

/** The core of one direction. */
export class Shaper implements PacketStage {
  readonly counters: MutableStageCounters = zeroStageCounters();
  readonly #bucket: TokenBucket;
  readonly #queue: TimedQueue;

  /**
   * @param maxLen the longest packet in bytes, link header counted
   * @throws VNIC_INVALID_ARGUMENT
   */
  constructor(settings: ShapeSettings, maxLen: number) {
    const { rateBitsPerSecond, queuePackets = DEFAULT_QUEUE_PACKETS } = settings;
    requireNumber('rateBitsPerSecond', rateBitsPerSecond, 1, RATE_MAX);
    const tenMsLen = ((rateBitsPerSecond / 8) * DEFAULT_BURST_MS) / 1000;
    const burstBytes = settings.burstBytes ?? Math.min(BURST_LEN_MAX, Math.max(DEFAULT_BURST_LEN_MIN, tenMsLen));
    requireNumber('burstBytes', burstBytes, 0, BURST_LEN_MAX);
    requireNumber('queuePackets', queuePackets, 1, QUEUE_PACKETS_MAX);
    this.#bucket = new TokenBucket(rateBitsPerSecond, burstBytes);
    this.#queue = new TimedQueue(Math.floor(queuePackets), maxLen);
  }

  get queued(): number {
    return this.#queue.count;
  }

  get nextDueMs(): number | undefined {
    return this.#queue.nextDueMs;
  }

  setMaxLen(maxLen: number): void {
    this.#queue.setMaxLen(maxLen);
  }

  push(bytes: Uint8Array, offset: number, length: number, nowMs: number, ready: PacketBatch): boolean {
    if (!hasRoomForTwo(ready, length) || (this.#queue.isFull && this.#queue.isDue(nowMs))) return false;
    countIn(this.counters, length);
    if (this.#queue.isFull) {
      this.counters.dropped['queue-full']++;
      return true;
    }
    const before = ready.count;
    const leavesMs = this.#bucket.take(nowMs, length);
    if (!this.#queue.put(bytes, offset, length, leavesMs, nowMs, ready)) this.counters.dropped['too-long']++;
    countOut(this.counters, ready, before);
    return true;
  }

  shift(nowMs: number, ready: PacketBatch): void {
    const before = ready.count;
    this.#queue.shift(nowMs, ready);
    countOut(this.counters, ready, before);
  }
}

function requireNumber(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw invalidArgument('shape a link', `${name} as a number from ${min} to ${max}`, value);
}
