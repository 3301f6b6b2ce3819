/**
 * Packets that wait for their time, in fixed memory: a heap of due times over equal slots.
 *
 * Jitter lets packets overtake each other, so a ring would not do. Packets with the same due time leave in the
 * order in which they came.
 */

import type { PacketBatch } from './packet-batch.ts';

/** See the head of this file. */
export class DelayQueue {
  /** Memory of the slots; `reserve` gives offsets in it. */
  readonly bytes: Uint8Array;
  readonly #slotLen: number;
  readonly #lengths: Uint32Array;
  readonly #dueMs: Float64Array;
  readonly #order: Float64Array;
  readonly #freeSlots: Uint32Array;
  // The heap: slot numbers, the earliest first.
  readonly #heap: Uint32Array;
  #count = 0;
  #pushed = 0;

  /**
   * @param packets slots at most
   * @param bytesLen memory at most, of which each slot takes `slotLen`
   * @param slotLen the longest packet
   */
  constructor(packets: number, bytesLen: number, slotLen: number) {
    const slots = Math.max(1, Math.min(packets, Math.floor(bytesLen / slotLen)));
    this.#slotLen = slotLen;
    this.bytes = new Uint8Array(slots * slotLen);
    this.#lengths = new Uint32Array(slots);
    this.#dueMs = new Float64Array(slots);
    this.#order = new Float64Array(slots);
    this.#heap = new Uint32Array(slots);
    this.#freeSlots = Uint32Array.from({ length: slots }, (_, i) => i);
  }

  /** Packets that it holds at most. */
  get capacity(): number {
    return this.#heap.length;
  }

  get count(): number {
    return this.#count;
  }

  /** When the next packet is due; undefined when none waits. */
  get nextDueMs(): number | undefined {
    return this.#count === 0 ? undefined : this.#dueMs[this.#heap[0] as number];
  }

  /**
   * Adds a packet of `length` bytes for the caller to fill in.
   * @returns its offset in `bytes`, or -1 when there is no slot
   */
  reserve(length: number, dueMs: number): number {
    if (this.#count === this.#heap.length || length > this.#slotLen) return -1;
    const slot = this.#freeSlots[this.#freeSlots.length - 1 - this.#count] as number;
    this.#lengths[slot] = length;
    this.#dueMs[slot] = dueMs;
    this.#order[slot] = this.#pushed++;
    this.#heap[this.#count] = slot;
    this.#siftUp(this.#count++);
    return slot * this.#slotLen;
  }

  /** Moves packets that are due to a batch, as far as it has room. */
  moveDue(nowMs: number, batch: PacketBatch): void {
    while (this.#count > 0) {
      const slot = this.#heap[0] as number;
      if ((this.#dueMs[slot] as number) > nowMs) return;
      const at = slot * this.#slotLen;
      if (!batch.append(this.bytes.subarray(at, at + (this.#lengths[slot] as number)))) return;
      this.#removeFirst();
    }
  }

  /** Moves all packets to another queue, which keeps their times and their order, and has slots enough. */
  moveAll(target: DelayQueue): void {
    while (this.#count > 0) {
      const slot = this.#heap[0] as number;
      const length = this.#lengths[slot] as number;
      const at = target.reserve(length, this.#dueMs[slot] as number);
      if (at >= 0) target.bytes.set(this.bytes.subarray(slot * this.#slotLen, slot * this.#slotLen + length), at);
      this.#removeFirst();
    }
  }

  #removeFirst(): void {
    const slot = this.#heap[0] as number;
    this.#count--;
    this.#heap[0] = this.#heap[this.#count] as number;
    this.#freeSlots[this.#freeSlots.length - 1 - this.#count] = slot;
    this.#siftDown();
  }

  #siftUp(from: number): void {
    for (let i = from; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #siftDown(): void {
    for (let i = 0; ; ) {
      let least = i;
      for (let child = 2 * i + 1; child <= 2 * i + 2; child++) {
        if (child < this.#count && this.#isBefore(child, least)) least = child;
      }
      if (least === i) return;
      this.#swap(i, least);
      i = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const slotA = this.#heap[a] as number;
    const slotB = this.#heap[b] as number;
    const difference = (this.#dueMs[slotA] as number) - (this.#dueMs[slotB] as number);
    return difference === 0 ? (this.#order[slotA] as number) < (this.#order[slotB] as number) : difference < 0;
  }

  #swap(a: number, b: number): void {
    const kept = this.#heap[a] as number;
    this.#heap[a] = this.#heap[b] as number;
    this.#heap[b] = kept;
  }
}
