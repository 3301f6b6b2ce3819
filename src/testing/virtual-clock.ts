/** Time that stands still until a test moves it: hours of protocol time in milliseconds, without a sleep. */

import { invalidArgument } from '../base/index.ts';

/** A clock with timers, as drivers take it. */
export interface VirtualClock {
  /** Milliseconds since the clock was created, plus its start. */
  nowMs(): number;
  /** Calls `fn` once, `delayMs` (0 or more) from now, while time is moved. The returned function cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
  /** Moves time on, running every timer on its due time, in the order of due times. */
  advance(ms: number): void;
  /** Moves time to the next timer and runs it. False when there is none. */
  advanceToNextTimer(): boolean;
  /** When the next timer is due; undefined when there is none. */
  readonly nextTimerMs: number | undefined;
  /** How many timers are pending. */
  readonly pendingTimers: number;
}

interface Timer {
  readonly dueMs: number;
  readonly fn: () => void;
}

/** Creates a clock that stands at `startMs`, default 0. */
export function createVirtualClock(startMs = 0): VirtualClock {
  // In the order of due times; equal ones in the order in which they were set.
  const timers: Timer[] = [];
  let now = startMs;

  function runDue(untilMs: number): void {
    for (let next = timers[0]; next !== undefined && next.dueMs <= untilMs; next = timers[0]) {
      timers.shift();
      now = Math.max(now, next.dueMs);
      next.fn();
    }
  }

  return {
    nowMs: () => now,
    setTimer(delayMs, fn): () => void {
      const timer: Timer = { dueMs: now + Math.max(0, delayMs), fn };
      const later = timers.findIndex((other) => other.dueMs > timer.dueMs);
      timers.splice(later < 0 ? timers.length : later, 0, timer);
      return () => {
        const at = timers.indexOf(timer);
        if (at >= 0) timers.splice(at, 1);
      };
    },
    advance(ms): void {
      if (!(ms >= 0) || ms === Number.POSITIVE_INFINITY) {
        throw invalidArgument('advance a virtual clock', '0 or more milliseconds', ms);
      }
      const untilMs = now + ms;
      runDue(untilMs);
      now = untilMs;
    },
    advanceToNextTimer(): boolean {
      const next = timers[0];
      if (next === undefined) return false;
      timers.shift();
      now = Math.max(now, next.dueMs);
      next.fn();
      return true;
    },
    get nextTimerMs(): number | undefined {
      return timers[0]?.dueMs;
    },
    get pendingTimers(): number {
      return timers.length;
    },
  };
}
