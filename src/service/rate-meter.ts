/** Rates of totals that only grow, over the last second or so, also for who asks once. */

const INTERVAL_MS = 1000;
/** Rates of so long ago say nothing. */
const STALE_MS = 5000;

/** Measures by samples; time is handed in, in milliseconds of any clock that does not go back. */
export class RateMeter {
  #totals: readonly number[];
  #atMs: number;
  #rates: readonly number[];
  #measuredMs: number;

  /** @param totals as they are at the beginning */
  constructor(totals: readonly number[], nowMs: number) {
    this.#totals = totals;
    this.#atMs = nowMs;
    this.#measuredMs = nowMs;
    this.#rates = totals.map(() => 0);
  }

  /** To be called at least once a second. Keeps the array. */
  sample(totals: readonly number[], nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs < INTERVAL_MS / 2) return;
    this.#rates = totals.map((total, i) => ((total - (this.#totals[i] ?? 0)) * 1000) / elapsedMs);
    this.#totals = totals;
    this.#atMs = nowMs;
    this.#measuredMs = nowMs;
  }

  /** Of each total, a second. */
  rates(nowMs: number): readonly number[] {
    return nowMs - this.#measuredMs > STALE_MS ? this.#rates.map(() => 0) : this.#rates;
  }
}
