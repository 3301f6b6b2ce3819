/**
 * Keeps one thing running.
 *
 * Theory of operation
 *
 *   starting -> running -> (it ends) -> waiting -> starting …
 *
 *   back-off  The wait doubles from half a second to half a minute, each time by chance up to a quarter less. It begins anew once
 *             the thing has run for ten seconds, and when somebody asks for an attempt (`retryNow`).
 *   failed    What no waiting mends is not tried again until it is asked for.
 *   log       The same reason over and over is one line. All lines of a thing together are a few at once and then one every ten
 *             seconds; the next one says how many were left out.
 *   close     Ends it wherever it is. One that is being started is given up, and closed should it come all the same.
 */

import { isVnicError, VnicError } from '../base/index.ts';
import { type SystemClock, systemClock } from '../netdev/index.ts';
import type { Log, LogLevel } from './log.ts';
import { LogBudget } from './log-budget.ts';
import type { Runnable, RunnerState, RunnerStatus, Running, RunningEvent } from './runnable.ts';

/** What a runner is given. */
export interface RunnerOptions {
  readonly log: Log;
  /** Told after every change of the state. */
  onChange?(): void;
  /** Default the clock of the process. */
  readonly clock?: SystemClock;
  /** From 0 to below 1; default `Math.random`. */
  readonly random?: () => number;
  /** Milliseconds of the epoch; default `Date.now`. */
  readonly wallMs?: () => number;
}

const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 30_000;
/** What has run for so long was good. */
const LASTED_MS = 10_000;

/** Errors of what was asked for, which are the same the next time. */
const hopeless = new Set([
  'VNIC_MEDIUM_MISMATCH',
  'VNIC_INVALID_ARGUMENT',
  'VNIC_INVALID_NAME',
  'VNIC_INVALID_ADDRESS',
  'VNIC_NATIVE_MISSING',
  // Another key than before: somebody has to look.
  'VNIC_PEER_CHANGED',
]);

/** One thing under supervision. Make it, `start()` it, `close()` it. */
export class Runner implements AsyncDisposable {
  readonly runnable: Runnable;
  /** Resolves when the first attempt is over, however it went. */
  readonly settled: Promise<void>;
  readonly #options: RunnerOptions;
  readonly #clock: SystemClock;
  readonly #budget = new LogBudget();
  readonly #ending = new AbortController();
  #settle: () => void = () => undefined;
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #running: Running | undefined;
  #state: RunnerState = 'starting';
  #sinceMs: number;
  #startedMs = 0;
  #starts = 0;
  #error: VnicError | undefined;
  #againAtMs: number | undefined;
  #told = '';

  constructor(runnable: Runnable, options: RunnerOptions) {
    this.runnable = runnable;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#sinceMs = this.#wallMs();
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** What is true now. */
  get status(): RunnerStatus {
    const { kind, name, about } = this.runnable;
    const running = this.#running?.status();
    this.#note(running === undefined ? this.#state : running.isUp ? 'up' : 'waiting');
    const againAtMs = running === undefined ? this.#againAtMs : running.againAtMs;
    const reason = running === undefined ? this.#error?.message : running.reason;
    return {
      kind,
      name,
      state: this.#state,
      since: new Date(this.#sinceMs).toISOString(),
      ...(reason !== undefined && { reason }),
      ...(running === undefined && this.#error && { code: this.#error.code, hint: this.#error.hint }),
      ...(againAtMs !== undefined && { again: new Date(againAtMs).toISOString() }),
      starts: this.#starts,
      ...(this.#running && { started: new Date(this.#startedMs).toISOString(), label: this.#running.label }),
      about,
      ...(running && { detail: running.detail }),
    };
  }

  /** Why it does not run at all; undefined while it runs, even if it has to wait for something outside. */
  get error(): VnicError | undefined {
    return this.#error;
  }

  /** Has the first attempt made. Idempotent. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Has the next attempt made at once, unless it runs. */
  retryNow(): void {
    this.#wake?.();
  }

  /** Ends it. Idempotent. */
  async close(): Promise<void> {
    if (!this.#ending.signal.aborted) {
      this.#ending.abort();
      this.#wake?.();
      await this.#running?.close();
    }
    await this.#loop;
    this.#note('closed');
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    for (let delayMs = FIRST_DELAY_MS; !this.#ending.signal.aborted; ) {
      const { error, lastedMs } = await this.#once();
      this.#settle();
      if (this.#ending.signal.aborted) return;
      if (lastedMs >= LASTED_MS) delayMs = FIRST_DELAY_MS;
      const isHopeless = hopeless.has(error.code);
      const waitMs = isHopeless ? undefined : this.#jittered(delayMs);
      this.#fail(error, waitMs);
      const wasAsked = await this.#pause(waitMs);
      delayMs = wasAsked ? FIRST_DELAY_MS : Math.min(LAST_DELAY_MS, delayMs * 2);
    }
  }

  /** Starts it and waits for its end. Never throws. */
  async #once(): Promise<{ readonly error: VnicError; readonly lastedMs: number }> {
    let sinceMs: number | undefined;
    const lastedMs = (): number => (sinceMs === undefined ? 0 : this.#clock.nowMs() - sinceMs);
    try {
      const { signal } = this.#ending;
      const running = await this.runnable.start(signal, (event) => this.#tell(event));
      sinceMs = this.#clock.nowMs();
      try {
        if (!signal.aborted) {
          this.#begin(running);
          await running.done;
        }
      } finally {
        await running.close();
        this.#running = undefined;
      }
      return { error: ended(this.runnable), lastedMs: lastedMs() };
    } catch (error) {
      return { error: asVnicError(error, this.runnable), lastedMs: lastedMs() };
    }
  }

  #begin(running: Running): void {
    this.#running = running;
    this.#startedMs = this.#wallMs();
    this.#starts++;
    this.#error = undefined;
    this.#againAtMs = undefined;
    this.#told = '';
    this.#note(running.status().isUp ? 'up' : 'waiting');
    this.#log('info', 'joined', `joined ${running.label}`);
    this.#settle();
    this.#options.onChange?.();
  }

  #fail(error: VnicError, waitMs: number | undefined): void {
    this.#error = error;
    this.#againAtMs = waitMs === undefined ? undefined : this.#wallMs() + waitMs;
    this.#note(waitMs === undefined ? 'failed' : 'waiting');
    if (error.message !== this.#told) {
      const again = waitMs === undefined ? '' : `; again in ${(waitMs / 1000).toFixed(1)} s`;
      const { code, hint, errno } = error;
      const fields = { code, errno, hint, ...(waitMs !== undefined && { retryMs: waitMs }) };
      this.#log(
        waitMs === undefined ? 'error' : 'warn',
        waitMs === undefined ? 'failed' : 'retry',
        error.message + again,
        fields,
      );
    }
    this.#told = error.message;
    this.#options.onChange?.();
  }

  #tell({ level, event, message, fields, isRepeated = false }: RunningEvent): void {
    if (this.#ending.signal.aborted) return;
    if (this.#running !== undefined) this.#note(this.#running.status().isUp ? 'up' : 'waiting');
    if (!isRepeated) this.#log(level, event, message, fields);
    this.#options.onChange?.();
  }

  /** Resolves with true when somebody asked for it, false when the time is over. */
  #pause(waitMs: number | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (wasAsked: boolean): void => {
        this.#wake = undefined;
        cancel();
        resolve(wasAsked);
      };
      const cancel = waitMs === undefined ? () => undefined : this.#clock.setTimer(waitMs, () => end(false));
      this.#wake = () => end(true);
    });
  }

  #note(state: RunnerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#sinceMs = this.#wallMs();
  }

  #log(level: LogLevel, event: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const { kind, name } = this.runnable;
    const leftOut = this.#budget.take(this.#clock.nowMs());
    if (leftOut === undefined) return;
    this.#options.log({
      level,
      event,
      message: `${kind} ${name}: ${message}`,
      fields: { [kind]: name, ...fields, ...(leftOut > 0 && { leftOut }) },
    });
  }

  #jittered(delayMs: number): number {
    return Math.round(delayMs * (0.75 + (this.#options.random ?? Math.random)() / 4));
  }

  #wallMs(): number {
    return (this.#options.wallMs ?? Date.now)();
  }
}

function ended({ kind, name }: Runnable): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `keep ${kind} ${name}`,
    reason: 'it has ended',
    hint: 'It is started again.',
  });
}

/** A fault of vnic ends nothing that a next attempt may do better. */
function asVnicError(error: unknown, { kind, name }: Runnable): VnicError {
  if (isVnicError(error)) return error;
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `keep ${kind} ${name}`,
    reason: error instanceof Error ? error.message : String(error),
    hint: 'This is a fault of vnic. Please report it with the log.',
    cause: error,
  });
}
