/**
 * A token bucket, as the time at which each packet may leave: a packet needs as many tokens as it has bits, they come at the
 * rate, and up to `burstBytes` of them are kept. What leaves one after the other never exceeds `rate * time + burst`.
 *
 * In place of a count of tokens it remembers when the bucket would be full again (the "theoretical arrival time" of the
 * generic cell rate algorithm, ITU-T I.371). A packet longer than the burst leaves when its missing tokens have come.
 */
export class TokenBucket {
  readonly #bitsPerMs: number;
  readonly #burstMs: number;
  #fullAtMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;

  /**
   * @param bitsPerSecond more than 0
   * @param burstBytes 0 for the time on the wire: each packet leaves when its last bit would have
   */
  constructor(bitsPerSecond: number, burstBytes: number) {
    this.#bitsPerMs = bitsPerSecond / 1000;
    this.#burstMs = (burstBytes * 8) / this.#bitsPerMs;
  }

  /** Hot: takes the tokens of a packet of `length` bytes. @returns when it leaves, never before the one ahead of it */
  take(nowMs: number, length: number): number {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + (length * 8) / this.#bitsPerMs;
    this.#lastMs = Math.max(nowMs, this.#lastMs, this.#fullAtMs - this.#burstMs);
    return this.#lastMs;
  }
}
