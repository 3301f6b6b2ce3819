/**
 * Framings with a byte that ends each frame and stands nowhere else, so that the next frame is found after any damage. What a
 * frame holds until then is kept, with the escapes taken out on the way.
 */

import type { PacketBatch } from '../link/index.ts';
import type { FrameCounters, FrameDecoder } from './framing.ts';

/** What a framing makes of the bytes between two marks. */
export interface StuffedFormat {
  readonly mark: number;
  /** Announces an escaped byte; undefined where the bytes are decoded as a whole. */
  readonly escape?: number;
  /** The byte that an escaped one stands for; -1 for one that may not be escaped. */
  unescape?(byte: number): number;
  /** Turns the collected bytes, `length` of them, into the packet in place; gives its length, or -1 for a malformed one. */
  finish(frame: Uint8Array, length: number): number;
}

/** Hot. */
export class StuffedDecoder implements FrameDecoder {
  readonly counters: FrameCounters = { tooLong: 0, malformed: 0 };
  readonly lost: boolean = false;
  readonly #format: StuffedFormat;
  readonly #frame: Uint8Array;
  #have = 0;
  #escaped = false;
  #state: 'good' | 'too-long' | 'malformed' = 'good';
  /** Length of the packet in `#frame` that found no room in the batch; -1 for none. */
  #finished = -1;

  /** @param frameLen of the longest frame without its escapes */
  constructor(format: StuffedFormat, frameLen: number) {
    this.#format = format;
    this.#frame = new Uint8Array(frameLen);
  }

  decode(bytes: Uint8Array, at: number, batch: PacketBatch): number {
    let place = at;
    while (place < bytes.length) {
      const mark = bytes.indexOf(this.#format.mark, place);
      const end = mark < 0 ? bytes.length : mark;
      this.#collect(bytes, place, end);
      if (mark < 0) return end;
      // The mark stays until there is room for what it ends.
      if (!this.#deliver(batch)) return mark;
      place = mark + 1;
    }
    return place;
  }

  #collect(bytes: Uint8Array, from: number, to: number): void {
    const { escape: mark } = this.#format;
    let place = from;
    while (place < to && this.#state === 'good') {
      if (this.#escaped) {
        const byte = this.#format.unescape?.(bytes[place++] as number) ?? -1;
        this.#escaped = false;
        if (byte < 0) this.#state = 'malformed';
        else if (this.#have === this.#frame.length) this.#state = 'too-long';
        else this.#frame[this.#have++] = byte;
        continue;
      }
      const next = mark === undefined ? -1 : bytes.subarray(place, to).indexOf(mark);
      const end = next < 0 ? to : place + next;
      const room = this.#frame.length - this.#have;
      if (end - place > room) this.#state = 'too-long';
      else this.#frame.set(bytes.subarray(place, end), this.#have);
      this.#have += Math.min(end - place, room);
      this.#escaped = next >= 0;
      place = end + (next >= 0 ? 1 : 0);
    }
  }

  /** False when the batch has no room for the packet. */
  #deliver(batch: PacketBatch): boolean {
    const length = this.#finished >= 0 ? this.#finished : this.#finish();
    if (length > 0 && !batch.append(this.#frame.subarray(0, length))) {
      this.#finished = length;
      return false;
    }
    this.#have = 0;
    this.#escaped = false;
    this.#state = 'good';
    this.#finished = -1;
    return true;
  }

  /** Length of the packet; 0 when there is none. */
  #finish(): number {
    if (this.#state === 'too-long') this.counters.tooLong++;
    else if (this.#state === 'malformed' || this.#escaped) this.counters.malformed++;
    else if (this.#have > 0) {
      const length = this.#format.finish(this.#frame, this.#have);
      if (length > 0) return length;
      this.counters.malformed++;
    }
    return 0;
  }
}
