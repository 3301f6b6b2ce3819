/**
 * How often a thing is mended that somebody keeps breaking.
 *
 * Theory of operation
 *
 *   The first repairs of a thing are made at once. Who needs more of them within a minute is in a fight with another
 *   program: each further one waits twice as long, up to a minute. A minute without a repair ends the fight.
 */

const FREE_REPAIRS = 3;
const FIRST_HOLD_MS = 1000;
const MAX_HOLD_MS = 60_000;
const QUIET_MS = 60_000;

interface Account {
  repairs: number;
  lastMs: number;
  untilMs: number;
}

/** Accounts of repairs by subject. Time is handed in, in milliseconds of any clock that does not go back. */
export class RepairBackoff {
  readonly #accounts = new Map<string, Account>();

  /**
   * Notes a repair.
   * @returns for how long the subject is to be left alone, in milliseconds; 0 when it is not
   */
  note(subject: string, nowMs: number): number {
    const known = this.#accounts.get(subject);
    const fights = known !== undefined && nowMs - Math.max(known.lastMs, known.untilMs) < QUIET_MS;
    const repairs = fights ? known.repairs + 1 : 1;
    const holdMs =
      repairs <= FREE_REPAIRS ? 0 : Math.min(MAX_HOLD_MS, FIRST_HOLD_MS * 2 ** (repairs - FREE_REPAIRS - 1));
    this.#accounts.set(subject, { repairs, lastMs: nowMs, untilMs: nowMs + holdMs });
    return holdMs;
  }

  /** What is to be left alone now. Forgets what has been quiet. */
  held(nowMs: number): Set<string> {
    const held = new Set<string>();
    for (const [subject, { untilMs }] of this.#accounts) {
      if (untilMs > nowMs) held.add(subject);
      else if (nowMs - untilMs >= QUIET_MS) this.#accounts.delete(subject);
    }
    return held;
  }

  /** When the next subject may be mended again; undefined when none is held. */
  nextMs(nowMs: number): number | undefined {
    const times = [...this.#accounts.values()].map(({ untilMs }) => untilMs).filter((untilMs) => untilMs > nowMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Forgets everything: who asks for something new gets it at once. */
  reset(): void {
    this.#accounts.clear();
  }
}
