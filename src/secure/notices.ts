/** Bounds what strangers can have written to a log. Pure: the time is handed in. */

const BURST = 10;
const INTERVAL_MS = 1000;

/** So many notices at once, and one more a second. */
export class Notices {
  #left = BURST;
  #atMs = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /** Asks for one. @returns how many were not told since the last that was, or undefined: this one is not told either */
  take(nowMs: number): number | undefined {
    const earned = Math.min(BURST, (nowMs - this.#atMs) / INTERVAL_MS);
    this.#left = Math.min(BURST, this.#left + Math.max(0, earned));
    this.#atMs = nowMs;
    if (this.#left < 1) {
      this.#untold++;
      return undefined;
    }
    this.#left--;
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }
}
