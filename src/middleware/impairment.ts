/**
 * What a bad link does to packets in one direction, as a pure core: the same seed, packets and times give the same run.
 *
 * Theory of operation
 *
 *   loss       by chance and in bursts; what is lost costs neither rate nor room
 *   duplicate  a packet becomes two, each of which goes on as if it had come by itself
 *   queue      packets that wait for the rate and those under way; what finds it full is lost
 *   rate       a packet leaves when its last bit is on the wire, one after the other
 *   delay      from then on, each with its jitter; a packet that is reordered has none
 *   corrupt    one bit of what arrives is flipped
 *
 * Chance is asked only for what is set. Settings can change at any time: packets under way keep their times, and the burst
 * model its state unless it is changed itself.
 */

import type { Random } from '../base/index.ts';
import type { PacketBatch } from '../link/index.ts';
import { GilbertElliott } from './gilbert-elliott.ts';
import {
  checkImpairment,
  type ImpairmentConfig,
  type ImpairmentSettings,
  noImpairment,
} from './impairment-settings.ts';
import { sampleJitter } from './jitter.ts';
import {
  countIn,
  countOut,
  hasRoomForTwo,
  type MutableStageCounters,
  type PacketStage,
  type StageCounters,
  zeroStageCounters,
} from './stage.ts';
import { TimedQueue } from './timed-queue.ts';
import { TokenBucket } from './token-bucket.ts';

/** Totals of an impairment in one direction. */
export interface ImpairmentCounters extends StageCounters {
  /** Packets that became two. */
  readonly duplicated: number;
  /** Packets that were not delayed as the others are. */
  readonly reordered: number;
  /** Packets in which a bit was flipped. */
  readonly corrupted: number;
}

interface MutableImpairmentCounters extends MutableStageCounters {
  duplicated: number;
  reordered: number;
  corrupted: number;
}

/** The core of one direction. */
export class Impairment implements PacketStage {
  readonly counters: MutableImpairmentCounters = { ...zeroStageCounters(), duplicated: 0, reordered: 0, corrupted: 0 };
  readonly #random: Random;
  readonly #queue: TimedQueue;
  #config: ImpairmentConfig = noImpairment;
  #burst: GilbertElliott | undefined;
  #rate: TokenBucket | undefined;

  /**
   * @param maxLen the longest packet in bytes, link header counted
   * @throws VNIC_INVALID_ARGUMENT
   */
  constructor(settings: ImpairmentSettings, random: Random, maxLen: number) {
    this.#random = random;
    this.#queue = new TimedQueue(noImpairment.queuePackets, maxLen);
    this.set(settings);
  }

  /** What is set, with defaults. */
  get config(): ImpairmentConfig {
    return this.#config;
  }

  get queued(): number {
    return this.#queue.count;
  }

  get nextDueMs(): number | undefined {
    return this.#queue.nextDueMs;
  }

  /**
   * Changes what is given and leaves the rest.
   * @throws VNIC_INVALID_ARGUMENT, and nothing is changed
   */
  set(settings: ImpairmentSettings): void {
    const before = this.#config;
    const config = checkImpairment(settings, before);
    this.#config = config;
    this.#queue.limit = config.queuePackets;
    if (config.burstLoss !== before.burstLoss) {
      this.#burst = config.burstLoss === undefined ? undefined : new GilbertElliott(config.burstLoss);
    }
    if (config.rateBitsPerSecond !== before.rateBitsPerSecond) {
      this.#rate = config.rateBitsPerSecond === 0 ? undefined : new TokenBucket(config.rateBitsPerSecond, 0);
    }
  }

  setMaxLen(maxLen: number): void {
    this.#queue.setMaxLen(maxLen);
  }

  push(bytes: Uint8Array, offset: number, length: number, nowMs: number, ready: PacketBatch): boolean {
    // Room for a packet that becomes two: nothing may be asked of chance twice.
    if (!hasRoomForTwo(ready, length) || (this.#queue.isFull && this.#queue.isDue(nowMs))) return false;
    countIn(this.counters, length);
    const { loss, duplicate } = this.#config;
    if (loss > 0 && this.#random() < loss) {
      this.counters.dropped.loss++;
      return true;
    }
    if (this.#burst?.step(this.#random)) {
      this.counters.dropped['burst-loss']++;
      return true;
    }
    const isTwo = duplicate > 0 && this.#random() < duplicate;
    if (isTwo) this.counters.duplicated++;
    this.#send(bytes, offset, length, nowMs, ready);
    if (isTwo) this.#send(bytes, offset, length, nowMs, ready);
    return true;
  }

  shift(nowMs: number, ready: PacketBatch): void {
    const before = ready.count;
    this.#queue.shift(nowMs, ready);
    countOut(this.counters, ready, before);
  }

  #send(bytes: Uint8Array, offset: number, length: number, nowMs: number, ready: PacketBatch): void {
    const { corrupt } = this.#config;
    if (this.#queue.isFull) {
      this.counters.dropped['queue-full']++;
      return;
    }
    const before = ready.count;
    const leavesMs = this.#rate === undefined ? nowMs : this.#rate.take(nowMs, length);
    if (!this.#queue.put(bytes, offset, length, leavesMs + this.#delayMs(), nowMs, ready)) {
      this.counters.dropped['too-long']++;
      return;
    }
    if (corrupt > 0 && this.#random() < corrupt) this.#flipBit(length);
    countOut(this.counters, ready, before);
  }

  #delayMs(): number {
    const { delayMs, jitterMs, distribution, reorder } = this.#config;
    if (delayMs === 0 && jitterMs === 0) return 0;
    if (reorder > 0 && this.#random() < reorder) {
      this.counters.reordered++;
      return 0;
    }
    if (jitterMs === 0) return delayMs;
    return Math.max(0, delayMs + jitterMs * sampleJitter(distribution, this.#random));
  }

  #flipBit(length: number): void {
    const bit = Math.floor(this.#random() * length * 8);
    const { lastBytes, lastOffset } = this.#queue;
    const at = lastOffset + (bit >> 3);
    lastBytes[at] = (lastBytes[at] as number) ^ (1 << (bit & 7));
    this.counters.corrupted++;
  }
}
