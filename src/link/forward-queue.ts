/**
 * What one direction of a forwarding holds while its sink takes nothing: a bounded queue of whole packets that
 * is written from its front and may lose packets at either end.
 *
 *     push -> |ring: newer packets| -> |front: a batch, written from #next on| -> sink
 *
 * A link writes batches, so the oldest packets stand in one; the ring behind it holds the rest in order. Memory
 * is fixed when the queue is made.
 */

import { MAX_FRAME_LEN, PACKET_ALIGNMENT, PacketBatch } from './packet-batch.ts';
import type { PacketLink } from './packet-link.ts';
import { PacketRing } from './packet-ring.ts';

/** Ring memory a packet, beyond one of full length. */
const TYPICAL_PACKET_LEN = 2048;

/** Capacity of the front: how many packets a write hands over at once. */
const FRONT_PACKETS = 64;

export class ForwardQueue {
  readonly #ring: PacketRing;
  readonly #front: PacketBatch;
  readonly #capacity: number;
  readonly #ringBytes: number;
  readonly #longest: number;
  #next = 0;

  /** @param capacity how many packets at most */
  constructor(capacity: number, bytesLen: number) {
    this.#capacity = capacity;
    this.#ringBytes = bytesLen;
    // What the front holds, whatever stands in it.
    this.#longest = Math.min(bytesLen, MAX_FRAME_LEN);
    this.#ring = new PacketRing(capacity, bytesLen);
    this.#front = new PacketBatch({ capacity: Math.min(capacity, FRONT_PACKETS) });
  }

  /** A queue of `packets` packets of 2 KiB, or fewer longer ones. */
  static ofPackets(packets: number): ForwardQueue {
    return new ForwardQueue(packets, packets * TYPICAL_PACKET_LEN + MAX_FRAME_LEN);
  }

  /** A queue that takes any batch of this size whole while it is empty, and one of the size of `extra` with it. */
  static ofBatch(batch: PacketBatch, extra?: PacketBatch): ForwardQueue {
    const capacity = batch.capacity + (extra?.capacity ?? 0);
    return new ForwardQueue(capacity, lengthOf(batch) + lengthOf(extra));
  }

  /** True when it is one of `ofBatch` for such batches, or larger. */
  holds(batch: PacketBatch, extra?: PacketBatch): boolean {
    return (
      this.#capacity >= batch.capacity + (extra?.capacity ?? 0) &&
      this.#ringBytes >= batch.bytes.length + (extra?.bytes.length ?? 0)
    );
  }

  /** Packets queued. */
  get count(): number {
    return this.#ring.count + this.#front.count - this.#next;
  }

  /**
   * Copies packets from index `from` on in, up to the first that finds no room or is longer than any link's.
   * @returns the index of that packet, or the batch's count
   */
  push(batch: PacketBatch, from: number): number {
    let at = from;
    while (at < batch.count) {
      const to = Math.min(batch.count, at + this.#capacity - this.count);
      if (to <= at) return at;
      const stop = this.#ring.push(batch.bytes, batch.descriptors, at, to, this.#longest);
      if (stop < to) return stop;
      at = to;
    }
    return at;
  }

  /** Takes the oldest packet out. False when there is none. */
  dropOldest(): boolean {
    if (!this.#fillFront()) return false;
    this.#next++;
    return true;
  }

  /** Writes from the front until the sink takes no more. True when the queue is empty then. */
  writeTo(sink: PacketLink): boolean {
    while (this.#fillFront()) {
      this.#next += sink.write(this.#front, this.#next);
      if (this.#next < this.#front.count) return false;
    }
    return true;
  }

  #fillFront(): boolean {
    if (this.#next < this.#front.count) return true;
    this.#front.clear();
    this.#next = 0;
    return this.#ring.shift(this.#front) > 0;
  }
}

function lengthOf(batch: PacketBatch | undefined): number {
  return batch === undefined ? 0 : batch.bytes.length + batch.capacity * PACKET_ALIGNMENT;
}
