/** Wakes a protocol core when it wants to be woken. */

import type { Clock } from '../link/index.ts';

/** A core that says when it is to be called next. */
export interface TimedCore {
  /** Infinity for never. */
  readonly nextWakeupMs: number;
  advance(nowMs: number): void;
}

/** One timer for one core. */
export class CoreTimer {
  readonly #core: TimedCore;
  readonly #clock: Clock;
  #cancel: () => void = () => undefined;
  #atMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(core: TimedCore, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
  }

  /** To be called after each call of the core. */
  schedule(): void {
    const atMs = this.#core.nextWakeupMs;
    if (this.#closed || atMs === this.#atMs) return;
    this.#cancel();
    this.#atMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#cancel = this.#clock.setTimer(Math.max(0, Math.ceil(atMs - this.#clock.nowMs())), () => {
      this.#atMs = Number.POSITIVE_INFINITY;
      this.#core.advance(this.#clock.nowMs());
      this.schedule();
    });
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#cancel();
  }
}
