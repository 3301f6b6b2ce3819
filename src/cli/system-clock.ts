/** The time of this machine, as drivers of protocol cores take it. */

import type { HostClock } from '../host/index.ts';

/** Monotonic milliseconds and Node's own timers; a pending timer keeps the process alive. */
export const systemClock: HostClock = {
  nowMs: () => performance.now(),
  setTimer(delayMs, fn) {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
