/**
 * Packets that leave at times of their own. One whose time has come goes straight to where it is fetched from, unless others
 * that are due wait before it; the memory for waiting ones is made when the first has to wait.
 */

import { DelayQueue, PACKET_ALIGNMENT, type PacketBatch } from '../link/index.ts';

/** Memory of waiting packets at most, in bytes. What is never used of it costs nothing. */
const MEMORY_LEN_MAX = 256 * 1024 * 1024;

/** See the head of this file. */
export class TimedQueue {
  /** Packets that may wait. */
  limit: number;
  /** Where the packet that was put last lies. */
  lastBytes: Uint8Array = new Uint8Array(0);
  lastOffset = 0;
  #queue: DelayQueue | undefined;
  #slots = 0;
  #maxLen: number;

  /** @param maxLen the longest packet in bytes that is expected; longer ones make it larger */
  constructor(limit: number, maxLen: number) {
    this.limit = limit;
    this.#maxLen = maxLen;
  }

  get count(): number {
    return this.#queue?.count ?? 0;
  }

  get nextDueMs(): number | undefined {
    return this.#queue?.nextDueMs;
  }

  /** True when nothing more may wait. */
  get isFull(): boolean {
    return this.count >= Math.min(this.limit, slotsFor(this.#maxLen));
  }

  /** Hot: true when something is due. */
  isDue(nowMs: number): boolean {
    const dueMs = this.#queue?.nextDueMs;
    return dueMs !== undefined && dueMs <= nowMs;
  }

  /**
   * Hot: takes a packet; `ready` gets it at once when it is due.
   * @returns false when there is no room for it
   */
  put(bytes: Uint8Array, offset: number, length: number, dueMs: number, nowMs: number, ready: PacketBatch): boolean {
    const isNext = dueMs <= nowMs && !this.isDue(nowMs);
    if (!isNext && this.isFull) return false;
    if (!isNext) this.setMaxLen(length);
    if (!isNext && length > this.#maxLen) return false;
    const queue = isNext ? undefined : this.#ensureQueue();
    const at = queue === undefined ? ready.reserve(length) : queue.reserve(length, dueMs);
    if (at < 0) return false;
    this.lastBytes = (queue ?? ready).bytes;
    this.lastOffset = at;
    this.lastBytes.set(bytes.subarray(offset, offset + length), at);
    return true;
  }

  /** Hot: moves what is due to the end of `ready`, as far as it has room. */
  shift(nowMs: number, ready: PacketBatch): void {
    this.#queue?.moveDue(nowMs, ready);
  }

  /** Makes room for longer packets, unless those that wait would then find none. */
  setMaxLen(maxLen: number): void {
    if (maxLen <= this.#maxLen || slotsFor(maxLen) < this.count) return;
    this.#maxLen = maxLen;
    if (this.#queue !== undefined) this.#rebuild();
  }

  #ensureQueue(): DelayQueue {
    return this.#queue !== undefined && this.#slots >= this.limit ? this.#queue : this.#rebuild();
  }

  /** For longer packets, or for more of them. */
  #rebuild(): DelayQueue {
    this.#slots = Math.max(this.#slots, this.limit);
    const queue = new DelayQueue(this.#slots, MEMORY_LEN_MAX, slotLenFor(this.#maxLen));
    this.#queue?.moveAll(queue);
    this.#queue = queue;
    return queue;
  }
}

function slotLenFor(maxLen: number): number {
  return (maxLen + PACKET_ALIGNMENT - 1) & ~(PACKET_ALIGNMENT - 1);
}

/** How many packets the memory holds. */
function slotsFor(maxLen: number): number {
  return Math.floor(MEMORY_LEN_MAX / slotLenFor(maxLen));
}
