/** Framings in which the start of a frame says how long it is. */

import type { PacketBatch } from '../link/index.ts';
import type { FrameCounters, FrameDecoder } from './framing.ts';

/** Where the length is. */
export interface PrefixedFormat {
  /** Bytes of a frame from which its length is known. */
  readonly headLen: number;
  /** Bytes of a frame before its packet. */
  readonly prefixLen: number;
  /** Length of the frame that starts at `at`, or -1 for one that cannot be. `headLen` bytes are there. */
  frameLen(bytes: Uint8Array, at: number): number;
}

/** Hot. */
export class PrefixedDecoder implements FrameDecoder {
  readonly counters: FrameCounters = { tooLong: 0, malformed: 0 };
  lost = false;
  readonly #format: PrefixedFormat;
  readonly #maxFrameLen: number;
  // The frame that has begun, as far as it has come, and its length once that is known.
  readonly #partial: Uint8Array;
  #have = 0;
  #frameLen = 0;

  /** @param maxLen longest packet */
  constructor(format: PrefixedFormat, maxLen: number) {
    this.#format = format;
    this.#maxFrameLen = format.prefixLen + maxLen;
    this.#partial = new Uint8Array(Math.max(format.headLen, this.#maxFrameLen));
  }

  decode(bytes: Uint8Array, at: number, batch: PacketBatch): number {
    let place = at;
    if (this.#have > 0) {
      place = this.#fill(bytes, place);
      if (this.lost || this.#frameLen === 0 || this.#have < this.#frameLen) return place;
      if (!this.#deliver(this.#partial, 0, this.#frameLen, batch)) return place;
      this.#have = 0;
      this.#frameLen = 0;
    }
    return this.#decodeWhole(bytes, place, batch);
  }

  /** Frames that begin in this chunk; what is less than one at its end is kept. */
  #decodeWhole(bytes: Uint8Array, at: number, batch: PacketBatch): number {
    let place = at;
    while (place < bytes.length) {
      const left = bytes.length - place;
      const frameLen = left < this.#format.headLen ? 0 : this.#frameLenAt(bytes, place);
      if (this.lost) return place;
      if (frameLen === 0 || frameLen > left) {
        this.#partial.set(bytes.subarray(place), 0);
        this.#have = left;
        this.#frameLen = frameLen;
        return bytes.length;
      }
      if (!this.#deliver(bytes, place, frameLen, batch)) return place;
      place += frameLen;
    }
    return place;
  }

  /** Takes what is missing of the frame that has begun. */
  #fill(bytes: Uint8Array, at: number): number {
    let place = at;
    if (this.#frameLen === 0) {
      place = this.#take(bytes, place, this.#format.headLen);
      if (this.#have < this.#format.headLen) return place;
      this.#frameLen = this.#frameLenAt(this.#partial, 0);
    }
    return this.lost ? place : this.#take(bytes, place, this.#frameLen);
  }

  #take(bytes: Uint8Array, at: number, upTo: number): number {
    const end = Math.min(bytes.length, at + Math.max(0, upTo - this.#have));
    this.#partial.set(bytes.subarray(at, end), this.#have);
    this.#have += end - at;
    return end;
  }

  /** False when the batch has no room for it. */
  #deliver(bytes: Uint8Array, at: number, frameLen: number, batch: PacketBatch): boolean {
    const { prefixLen } = this.#format;
    return frameLen === prefixLen || batch.append(bytes.subarray(at + prefixLen, at + frameLen));
  }

  /** What cannot be a length ends it: nobody knows what is a packet and what is not from here on. */
  #frameLenAt(bytes: Uint8Array, at: number): number {
    const length = this.#format.frameLen(bytes, at);
    if (length >= this.#format.headLen && length <= this.#maxFrameLen) return length;
    if (length > this.#maxFrameLen) this.counters.tooLong++;
    else this.counters.malformed++;
    this.lost = true;
    return 0;
  }
}
