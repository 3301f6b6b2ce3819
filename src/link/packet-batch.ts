/**
 * Many packets in one piece of memory: the unit in which links read and write.
 *
 *     bytes        |‥‥‥‥|packet 0|‥|packet 1        |‥|packet 2|‥‥‥ free ‥‥‥|
 *     descriptors  [offset, length, tag, tag2] per packet
 *
 * Packets lie one behind the other, so that small ones share cache lines and a 64 KiB one still fits.
 * Policy works on the descriptors; only what must look into a packet touches `bytes`.
 */

import { invalidArgument } from '../base/index.ts';

/** 32-bit words per packet in `PacketBatch.descriptors`. */
export const DESCRIPTOR_WORDS = 4;

/** The longest frame any link hands over: 64 KiB of payload, Ethernet and VLAN headers, virtio-net header. */
export const MAX_FRAME_LEN = 65_600;

/** Packets start on multiples of this, unless the headroom is no multiple of it. */
export const PACKET_ALIGNMENT = 8;

/** Size of a batch, fixed for its life. */
export interface PacketBatchOptions {
  /** How many packets at most; default 64. */
  readonly capacity?: number;
  /** Bytes of packet memory; default room for `capacity` packets of 2 KiB and one of `MAX_FRAME_LEN`. */
  readonly bytesLen?: number;
  /** Free bytes kept before each packet that is appended or read, for headers added later; default 0. */
  readonly headroom?: number;
}

/** A fixed amount of memory holding up to `capacity` packets. Nothing is allocated after construction. */
export class PacketBatch implements Iterable<Uint8Array> {
  /** The packet memory. */
  readonly bytes: Uint8Array;
  /** `DESCRIPTOR_WORDS` words a packet: offset in `bytes`, length, and two words free for the reader's use. */
  readonly descriptors: Uint32Array;
  readonly capacity: number;
  readonly headroom: number;
  /** How many packets the batch holds. Whoever fills `descriptors` itself sets it. */
  count = 0;

  constructor(options: PacketBatchOptions = {}) {
    const capacity = options.capacity ?? 64;
    const headroom = options.headroom ?? 0;
    const bytesLen = options.bytesLen ?? capacity * (2048 + headroom) + MAX_FRAME_LEN;
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw invalidArgument('create a packet batch', 'a capacity of at least 1', capacity);
    }
    if (!Number.isInteger(headroom) || headroom < 0) {
      throw invalidArgument('create a packet batch', 'a headroom of 0 or more bytes', headroom);
    }
    if (!Number.isInteger(bytesLen) || bytesLen < 1) {
      throw invalidArgument('create a packet batch', 'at least 1 byte of packet memory', bytesLen);
    }
    this.capacity = capacity;
    this.headroom = headroom;
    this.bytes = new Uint8Array(bytesLen);
    this.descriptors = new Uint32Array(capacity * DESCRIPTOR_WORDS);
  }

  /** Where packet `index` starts in `bytes`. */
  offset(index: number): number {
    return this.descriptors[index * DESCRIPTOR_WORDS] as number;
  }

  /** Length of packet `index` in bytes; 0 when it was dropped. */
  length(index: number): number {
    return this.descriptors[index * DESCRIPTOR_WORDS + 1] as number;
  }

  /** Shortens packet `index`, or restores it to at most its first length. */
  setLength(index: number, length: number): void {
    this.descriptors[index * DESCRIPTOR_WORDS + 1] = length;
  }

  /** Takes packet `index` out: writers skip packets of length 0. */
  drop(index: number): void {
    this.descriptors[index * DESCRIPTOR_WORDS + 1] = 0;
  }

  /** A view of packet `index`. It shares memory with the batch; copy it to keep it. */
  packet(index: number): Uint8Array {
    const at = this.offset(index);
    return this.bytes.subarray(at, at + this.length(index));
  }

  /** Copies a packet in. False, and nothing changed, when there is no room for it. */
  append(packet: Uint8Array): boolean {
    const at = this.reserve(packet.length);
    if (at < 0) return false;
    this.bytes.set(packet, at);
    return true;
  }

  /**
   * Adds a packet of `length` bytes for the caller to fill in.
   * @returns its offset in `bytes`, or -1 when the batch is full. The bytes there are not cleared.
   */
  reserve(length: number): number {
    if (this.count === this.capacity) return -1;
    const at = this.freeOffset + this.headroom;
    if (at + length > this.bytes.length) return -1;
    const word = this.count * DESCRIPTOR_WORDS;
    this.descriptors[word] = at;
    this.descriptors[word + 1] = length;
    this.descriptors[word + 2] = 0;
    this.descriptors[word + 3] = 0;
    this.#reservedEnd = at + length;
    this.count++;
    return at;
  }

  /** Forgets all packets; the memory stays. */
  clear(): void {
    this.count = 0;
    this.#reservedEnd = 0;
  }

  /** Views of the packets, dropped ones left out. They share memory with the batch. */
  *[Symbol.iterator](): IterableIterator<Uint8Array> {
    for (let i = 0; i < this.count; i++) if (this.length(i) > 0) yield this.packet(i);
  }

  // End of the last packet that `reserve` placed; a later `setLength` must not hand its memory out again.
  #reservedEnd = 0;

  private get freeOffset(): number {
    if (this.count === 0) return 0;
    const last = this.offset(this.count - 1) + this.length(this.count - 1);
    const end = Math.max(last, this.#reservedEnd);
    return (end + PACKET_ALIGNMENT - 1) & ~(PACKET_ALIGNMENT - 1);
  }
}
