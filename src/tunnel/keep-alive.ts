/**
 * Whether the other side is still there. Pure: time is handed in.
 *
 *   quiet     something was heard in the last `keepAliveMs`: nothing to do
 *   asking    nothing was: a ping, and another every `ASK_INTERVAL_MS`
 *   dead      nothing for `DEAD_INTERVALS` times `keepAliveMs`
 *
 * `suspect` is for when the network has changed underneath: it asks at once, and only `SUSPECT_MS` are left for an answer, so
 * that a side that has moved to another network is back in seconds.
 */

/** What is due. */
export type KeepAliveAction = 'ping' | 'dead' | undefined;

const DEAD_INTERVALS = 2.5;
const ASKS_PER_INTERVAL = 4;
const SUSPECT_MS = 3000;

/** One side's watch over the other. */
export class KeepAlive {
  readonly #intervalMs: number;
  #heardMs: number;
  #askedMs = Number.NEGATIVE_INFINITY;
  #deadMs: number;

  /** @param keepAliveMs so long without a word is nothing to ask about */
  constructor(keepAliveMs: number, nowMs: number) {
    this.#intervalMs = keepAliveMs;
    this.#heardMs = nowMs;
    this.#deadMs = nowMs + DEAD_INTERVALS * keepAliveMs;
  }

  /** When to call `poll` next. */
  get nextWakeupMs(): number {
    const askMs = Math.max(this.#heardMs + this.#intervalMs, this.#askedMs + this.#intervalMs / ASKS_PER_INTERVAL);
    return Math.min(this.#deadMs, askMs);
  }

  /** Something came from the other side. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#deadMs = nowMs + DEAD_INTERVALS * this.#intervalMs;
  }

  /** The network has changed: what was heard until now means nothing. */
  suspect(nowMs: number): void {
    this.#heardMs = nowMs - this.#intervalMs;
    this.#askedMs = Number.NEGATIVE_INFINITY;
    this.#deadMs = Math.min(this.#deadMs, nowMs + SUSPECT_MS);
  }

  /** What is due now. */
  poll(nowMs: number): KeepAliveAction {
    if (nowMs >= this.#deadMs) return 'dead';
    if (nowMs < this.nextWakeupMs) return undefined;
    this.#askedMs = nowMs;
    return 'ping';
  }
}
