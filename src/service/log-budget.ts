/** How many lines of one thing are written: a few at once, then one in a while. */

const BURST = 10;
const REFILL_MS = 10_000;

/** Lines that may be written. Time is handed in, in milliseconds of any clock that does not go back. */
export class LogBudget {
  #tokens = BURST;
  #refilledMs: number | undefined;
  #leftOut = 0;

  /** @returns how many lines were left out before this one; undefined when this one is to be left out as well */
  take(nowMs: number): number | undefined {
    this.#refilledMs ??= nowMs;
    const earned = Math.floor((nowMs - this.#refilledMs) / REFILL_MS);
    this.#tokens = Math.min(BURST, this.#tokens + earned);
    this.#refilledMs += earned * REFILL_MS;
    if (this.#tokens === 0) {
      this.#leftOut++;
      return undefined;
    }
    this.#tokens--;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}
