/**
 * Stage: one direction of a middleware as a pure core. Packets go in with the time, and come out at once, later, changed,
 * twice or never. No clock, timer, socket or randomness inside; `StagedLink` drives two of them on a link.
 *
 *     packetsIn (+ duplicated) = packetsOut + queued + the sum of dropped
 */

import { PACKET_ALIGNMENT, type PacketBatch } from '../link/index.ts';

/** Why a packet that went into a stage did not come out, in the order in which reports list them. */
export const middlewareDropReasons = {
  loss: 'Lost by chance, as the impairment was told.',
  'burst-loss': 'Lost in a burst, as the impairment was told.',
  'queue-full': 'The queue of packets that wait for their time was full.',
  'too-long': 'Longer than the link carries, or than it may become.',
  malformed: 'Not what the other side of this middleware sends.',
  ended: 'Still on its way when the link ended.',
} as const;

/** A key of `middlewareDropReasons`. */
export type MiddlewareDropReason = keyof typeof middlewareDropReasons;

/** Totals of one direction since the middleware was made. */
export interface StageCounters {
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
  readonly dropped: Readonly<Record<MiddlewareDropReason, number>>;
}

/** The counters, open for a stage to add to. */
export interface MutableStageCounters extends StageCounters {
  packetsIn: number;
  bytesIn: number;
  packetsOut: number;
  bytesOut: number;
  readonly dropped: Record<MiddlewareDropReason, number>;
}

/** See the head of this file. Times are milliseconds of any clock that does not go back. */
export interface PacketStage {
  readonly counters: MutableStageCounters;
  /** Packets that wait for their time. */
  readonly queued: number;
  /** When `shift` is due; undefined when nothing waits. */
  readonly nextDueMs: number | undefined;
  /**
   * Hot: takes a packet, whose bytes are copied. What comes out at once goes to the end of `ready`.
   * @returns false when nothing was taken, since `ready` or what is due has to be fetched first
   */
  push(bytes: Uint8Array, offset: number, length: number, nowMs: number, ready: PacketBatch): boolean;
  /** Hot: moves packets that are due to the end of `ready`, as far as it has room. */
  shift(nowMs: number, ready: PacketBatch): void;
  /** The longest packet that the link carries from now on, in bytes with link header. */
  setMaxLen(maxLen: number): void;
}

/** Counters that stand at zero. */
export function zeroStageCounters(): MutableStageCounters {
  return {
    packetsIn: 0,
    bytesIn: 0,
    packetsOut: 0,
    bytesOut: 0,
    dropped: { loss: 0, 'burst-loss': 0, 'queue-full': 0, 'too-long': 0, malformed: 0, ended: 0 },
  };
}

/** Hot: counts a packet that goes in. */
export function countIn(counters: MutableStageCounters, length: number): void {
  counters.packetsIn++;
  counters.bytesIn += length;
}

/** Hot: true when a packet of this length finds room twice. An empty outbox or inbox has it for any packet. */
export function hasRoomForTwo(ready: PacketBatch, length: number): boolean {
  const last = ready.count - 1;
  const end = last < 0 ? 0 : ready.offset(last) + ready.length(last);
  return ready.count + 2 <= ready.capacity && end + 2 * (length + PACKET_ALIGNMENT) <= ready.bytes.length;
}

/** Hot: counts packets that come out: those of `ready` from index `from` on. */
export function countOut(counters: MutableStageCounters, ready: PacketBatch, from: number): void {
  for (let i = from; i < ready.count; i++) {
    counters.packetsOut++;
    counters.bytesOut += ready.length(i);
  }
}

/** Takes back what was counted as out and is left in `ready`, from index `from` on, since the link ends. */
export function countEnded(counters: MutableStageCounters, ready: PacketBatch, from: number): void {
  for (let i = from; i < ready.count; i++) {
    counters.packetsOut--;
    counters.bytesOut -= ready.length(i);
    counters.dropped.ended++;
  }
}

/** A stage through which packets pass as they are. */
export function createPassStage(): PacketStage {
  const counters = zeroStageCounters();
  return {
    counters,
    queued: 0,
    nextDueMs: undefined,
    push(bytes, offset, length, _nowMs, ready): boolean {
      if (!ready.append(bytes.subarray(offset, offset + length))) return false;
      countIn(counters, length);
      countOut(counters, ready, ready.count - 1);
      return true;
    },
    shift: () => undefined,
    setMaxLen: () => undefined,
  };
}
