/** Time as it is handed to what runs in real time and in virtual time. */

/** Time and timers: those of the system, or virtual ones in tests. */
export interface Clock {
  /** Milliseconds of a clock that does not go back, of any zero. */
  nowMs(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
}

/** The clock and the timers of the process. Its zero is the start of the process; a waiting timer keeps the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  setTimer: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
