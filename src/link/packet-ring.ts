/**
 * A bounded queue of whole packets in fixed memory: what one end of an in-memory pair writes until the other
 * reads it.
 *
 *     slab   |‥ free ‥|packet 3|‥|packet 4  |‥|packet 5|‥ free ‥|
 *                     ^ head                           ^ tail
 *
 * A packet is never split: where it does not fit before the end of the slab, it goes to the start. Packets
 * keep their order and their `PACKET_ALIGNMENT`, so that a run of neighbours is copied in one piece.
 */

import { DESCRIPTOR_WORDS, PACKET_ALIGNMENT, type PacketBatch } from './packet-batch.ts';

/** The queue; see above. */
export class PacketRing {
  readonly #slab: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #copy = new RunCopy();
  #first = 0;
  #count = 0;
  #tail = 0;

  /** @param bytesLen at least the aligned length of the longest packet that is ever pushed */
  constructor(capacity: number, bytesLen: number) {
    this.#slab = new Uint8Array(bytesLen);
    this.#offsets = new Uint32Array(capacity);
    this.#lengths = new Uint32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Hot. Copies packets `from` to `to` in, skipping those of length 0, up to the first that finds no room or
   * is longer than `maxLen`.
   * @returns the index of the packet that stopped it, or `to`
   */
  push(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number, maxLen: number): number {
    this.#copy.begin(bytes, this.#slab);
    let i = from;
    for (; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      if (length > maxLen) break;
      const at = this.#place(length);
      if (at < 0) break;
      this.#copy.add(descriptors[i * DESCRIPTOR_WORDS] as number, at, length);
    }
    this.#copy.flush();
    return i;
  }

  /** Hot. Moves packets to the end of the batch until one of the two is exhausted. Returns how many. */
  shift(batch: PacketBatch): number {
    this.#copy.begin(this.#slab, batch.bytes);
    let moved = 0;
    while (this.#count > 0) {
      const length = this.#lengths[this.#first] as number;
      const at = batch.reserve(length);
      if (at < 0) break;
      this.#copy.add(this.#offsets[this.#first] as number, at, length);
      this.#first = (this.#first + 1) % this.#offsets.length;
      this.#count--;
      moved++;
    }
    this.#copy.flush();
    return moved;
  }

  /** Reserves memory behind the newest packet; -1 when there is none. */
  #place(length: number): number {
    if (this.#count === this.#offsets.length) return -1;
    const aligned = (length + PACKET_ALIGNMENT - 1) & ~(PACKET_ALIGNMENT - 1);
    const at = this.#freeOffset(aligned);
    if (at < 0) return -1;
    const slot = (this.#first + this.#count) % this.#offsets.length;
    this.#offsets[slot] = at;
    this.#lengths[slot] = length;
    this.#count++;
    this.#tail = at + aligned;
    return at;
  }

  #freeOffset(length: number): number {
    const size = this.#slab.length;
    if (this.#count === 0) return length <= size ? 0 : -1;
    const head = this.#offsets[this.#first] as number;
    // With packets queued, tail === head means full: a wrapped queue has caught up with its oldest packet.
    if (this.#tail <= head) return this.#tail + length <= head ? this.#tail : -1;
    if (this.#tail + length <= size) return this.#tail;
    return length <= head ? 0 : -1;
  }
}

/**
 * Copies packets, joining neighbours into one `set`: the view that `set` needs is made once per run and not
 * once per packet. The few bytes of padding between neighbours are copied along.
 */
class RunCopy {
  #source: Uint8Array = new Uint8Array(0);
  #target: Uint8Array = this.#source;
  #from = 0;
  #end = 0;
  #shift = 0;

  begin(source: Uint8Array, target: Uint8Array): void {
    this.#source = source;
    this.#target = target;
    this.#from = 0;
    this.#end = 0;
  }

  add(from: number, to: number, length: number): void {
    const gap = from - this.#end;
    const joins = to - from === this.#shift && gap >= 0 && gap < PACKET_ALIGNMENT && this.#end > this.#from;
    if (!joins) {
      this.flush();
      this.#from = from;
      this.#shift = to - from;
    }
    this.#end = from + length;
  }

  flush(): void {
    const { length } = this.#source;
    if (this.#end === this.#from) return;
    const run = this.#from === 0 && this.#end === length ? this.#source : this.#source.subarray(this.#from, this.#end);
    this.#target.set(run, this.#from + this.#shift);
    this.#from = this.#end;
  }
}
