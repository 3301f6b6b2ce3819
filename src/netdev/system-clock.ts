/** Real time for what is pure and has time handed in. */

/** Real time in the shape that `attachResponder` and other drivers take. */
export interface SystemClock {
  /** Milliseconds of a clock that does not go back; its zero is the start of the process. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. A waiting timer keeps the process alive. */
  setTimer(delayMs: number, fn: () => void): () => void;
}

/** The clock and the timers of the process. */
export const systemClock: SystemClock = {
  nowMs: () => performance.now(),
  setTimer: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
