/** A token bucket, as RFC 4443 section 2.4 (f) suggests for ICMP errors, and RFC 1812 section 4.3.2.8 allows. */
export class RateLimiter {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #lastMs: number | undefined;

  /** @param burst how many at once, after a pause */
  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** True when one more may be sent now, which uses it up. */
  take(nowMs: number): boolean {
    const passedMs = Math.max(0, nowMs - (this.#lastMs ?? nowMs));
    this.#lastMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + passedMs * this.#perMs);
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
