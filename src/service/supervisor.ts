/**
 * Keeps the state that a configuration file asks for.
 *
 * Theory of operation
 *
 *   pass      Compares the file with the kernel and makes what is missing; one at a time. Without `prune` it is all that
 *             it does, so that a pass may leave a part out; only what a new file no longer names is pruned.
 *   events    Every event of the kernel asks for a pass, as does the clock, since settings and masquerading have no events.
 *             Events are gathered for a moment, and passes keep a distance of a few times their own length. What a
 *             pass does makes events too: one more pass, which finds nothing to do, ends it.
 *   waiting   Links that others make and that are not there are left out until they come.
 *   fights    What has to be mended again and again is left alone for a while, ever longer (`repair-backoff.ts`); the
 *             rest is not held up by it.
 *   failures  A pass that fails has taken back what it did. It is tried again, ever later. The first one is different: it
 *             fails the start.
 *   runners   Links, and what else a process has to carry, are started once a pass has made the devices, and supervised each by itself
 *             (`runner.ts`). A reload ends those that are asked for differently before its pass, which may make what they held,
 *             and starts them after it; when it fails, those of the last good file are started again.
 *   reload    A file with mistakes, or one that cannot be applied, changes nothing: the state of the last good one is kept.
 *   stop      Undoes all that was made of the file, or leaves it as it is. Idempotent; a pass under way is ended first.
 */

import { isVnicError, VnicError } from '../base/index.ts';
import { type Change, describeChange } from '../changes/index.ts';
import { type Config, type ConfigMistake, formatMistake, readConfig } from '../config/index.ts';
import { applyConfig, type Plan, takeDown } from '../state/index.ts';
import { availableConfig, subjectOf, subjectText, withoutHeld } from './available-config.ts';
import { KernelWatch } from './kernel-watch.ts';
import type { Log, LogLevel } from './log.ts';
import { RepairBackoff } from './repair-backoff.ts';
import type { RunnerStatus, RunnerSummary } from './runnable.ts';
import { runnablesOf } from './runnables.ts';
import { RunnerSet } from './runner-set.ts';

/** Where a service is. `degraded`: it runs, and something is not as the file asks for. */
export type SupervisorState = 'starting' | 'running' | 'degraded' | 'reloading' | 'stopping' | 'stopped';

/** What is true now. */
export interface SupervisorStatus {
  readonly state: SupervisorState;
  /** One line for people. */
  readonly text: string;
  readonly devices: number;
  /** Changes that were made again because somebody had undone them. */
  readonly repairs: number;
  readonly reloads: number;
  /** Links that are waited for. */
  readonly waiting: readonly string[];
  /** What is left alone for a while because somebody keeps changing it. */
  readonly heldBack: readonly string[];
  /** Links and what else runs, in the order of the file. */
  readonly running: readonly RunnerSummary[];
  /** Why the last pass or the last reload failed; undefined when it did not. */
  readonly error: VnicError | undefined;
}

/** How a file is kept. */
export interface SupervisorOptions {
  /** Path of the file. */
  readonly path: string;
  readonly log: Log;
  /** Told after every change of the status. */
  readonly onStatus?: (status: SupervisorStatus) => void;
  /** How often it is looked at what the kernel tells no events of, in milliseconds. Default 30,000. */
  readonly resyncMs?: number;
  /** Folder of the journals. */
  readonly folder?: string;
}

const RESYNC_MS = 30_000;
/** Events within this time are one. */
const GATHER_MS = 50;
/** Passes take at most this part of the time. */
const DUTY = 1 / 5;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** An apply by hand has the journal for a moment. */
const BUSY_RETRY_MS = 200;
const BUSY_ATTEMPTS = 50;
/** How long a start waits for the first attempt of each link. */
const SETTLE_MS = 5000;
/** States of links change many at a time. */
const TELL_MS = 100;

/** Why a pass is made. */
type Cause = 'start' | 'reload' | 'repair';

/** One file under supervision. Make it, `start()` it, and `stop()` it. */
export class Supervisor implements AsyncDisposable {
  readonly #options: SupervisorOptions;
  readonly #watch = new KernelWatch(() => this.#ask(GATHER_MS));
  readonly #backoff = new RepairBackoff();
  readonly #ending = new AbortController();
  readonly #runners: RunnerSet;
  #telling: NodeJS.Timeout | undefined;
  #config: Config | undefined;
  #queue: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #timerMs = 0;
  #resync: NodeJS.Timeout | undefined;
  #notBeforeMs = 0;
  #passSinceMs: number | undefined;
  #failures = 0;
  #state: SupervisorState = 'starting';
  #repairs = 0;
  #reloads = 0;
  #waiting: readonly string[] = [];
  #remarks = '';
  #error: VnicError | undefined;
  #reloadError: VnicError | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#runners = new RunnerSet({ log: options.log, onChange: () => this.#tellSoon() });
  }

  /** How each link is, with its counters. */
  get running(): readonly RunnerStatus[] {
    return this.#runners.statuses;
  }

  /** What is true now. */
  get status(): SupervisorStatus {
    const error = this.#error ?? this.#reloadError;
    const heldBack = [...this.#backoff.held(performance.now())].map(subjectText);
    const failing = this.#runners.failing.map(({ runnable: { kind, name } }) => `${kind} ${name}`);
    const isDegraded = this.#state === 'running' && (error !== undefined || heldBack.length > 0 || failing.length > 0);
    const status = {
      state: isDegraded ? 'degraded' : this.#state,
      devices: this.#config?.devices.length ?? 0,
      repairs: this.#repairs,
      reloads: this.#reloads,
      waiting: this.#waiting,
      heldBack,
      running: this.#runners.summaries,
      error,
    } as const;
    return { ...status, text: statusText(status, failing, this.#options.path) };
  }

  /** For how long the pass under way has been going on, in milliseconds; 0 while there is none. */
  get busyMs(): number {
    return this.#passSinceMs === undefined ? 0 : performance.now() - this.#passSinceMs;
  }

  /**
   * Reads and applies the file, and keeps its state from then on.
   * @throws what `readConfig` and `applyConfig` throw; then nothing was changed
   */
  async start(): Promise<void> {
    const { path } = this.#options;
    const config = await this.#read(path);
    await this.#enqueue(async () => {
      await this.#apply(config, 'start');
      this.#config = config;
      if (!this.#ending.signal.aborted) this.#runners.follow(runnablesOf(config));
    });
    await this.#runners.settled(SETTLE_MS);
    if (this.#ending.signal.aborted) return;
    this.#resync = setInterval(() => this.#ask(0), this.#options.resyncMs ?? RESYNC_MS);
    this.#setState('running');
    // What happened while the first pass went on.
    this.#ask(GATHER_MS);
  }

  /** Reads the file again and applies it. Never throws: a mistake is logged, and the state stays. @returns false for a mistake */
  async reload(): Promise<boolean> {
    if (this.#config === undefined || this.#ending.signal.aborted) return false;
    this.#setState('reloading');
    try {
      const config = await this.#read(this.#options.path);
      await this.#enqueue(async () => {
        this.#backoff.reset();
        await this.#runners.release(runnablesOf(config));
        try {
          await this.#apply(config, 'reload');
          this.#config = config;
        } finally {
          // Of the new file, or of the old one when it could not be applied.
          this.#followRunners();
        }
      });
      this.#reloads++;
      this.#reloadError = undefined;
      this.#log('info', 'reloaded', `the state is that of ${this.#options.path}`, { devices: config.devices.length });
    } catch (error) {
      if (this.#ending.signal.aborted) return false;
      this.#reloadError = asVnicError(error);
      this.#logError('reload-failed', this.#reloadError, { kept: 'the state from before' });
    }
    this.#setState('running');
    return this.#reloadError === undefined;
  }

  /**
   * Ends it.
   * @param options `keep`: leave everything as it is, for a next start to find; default false: undo it
   * @throws the first thing that could not be undone, after the rest was
   */
  async stop(options: { readonly keep?: boolean } = {}): Promise<void> {
    if (this.#ending.signal.aborted) return this.#queue;
    this.#setState('stopping');
    this.#ending.abort();
    clearTimeout(this.#timer);
    clearInterval(this.#resync);
    this.#watch.close();
    await this.#queue;
    // Before the devices that they hold.
    await this.#runners.close();
    clearTimeout(this.#telling);
    this.#queue = options.keep ? Promise.resolve() : this.#undo();
    try {
      await this.#queue;
    } finally {
      this.#queue = Promise.resolve();
      this.#setState('stopped');
    }
  }

  /** As `stop()`, leaving everything as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop({ keep: true });
  }

  #followRunners(): void {
    if (this.#config !== undefined && !this.#ending.signal.aborted) this.#runners.follow(runnablesOf(this.#config));
  }

  async #undo(): Promise<void> {
    const { changes, left } = await patiently(() => takeDown(this.#scope()));
    for (const change of changes) this.#logChange('undone', change);
    for (const { change, reason } of left) {
      this.#log('warn', 'left', `left as it is: ${describeChange(change)}: ${reason}`);
    }
  }

  #scope(): { readonly path: string; readonly folder?: string } {
    const { path, folder } = this.#options;
    return { path, ...(folder !== undefined && { folder }) };
  }

  /** One after the other; a failure is the caller's and does not stop the next. */
  #enqueue(run: () => Promise<void>): Promise<void> {
    const result = this.#queue.then(run);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** Asks for a pass in so many milliseconds at the earliest; an earlier one that is asked for already will do. */
  #ask(delayMs: number): void {
    if (this.#config === undefined || this.#ending.signal.aborted) return;
    const atMs = Math.max(performance.now() + delayMs, this.#notBeforeMs);
    if (this.#timer !== undefined && this.#timerMs <= atMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = atMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#enqueue(() => this.#repair());
    }, atMs - performance.now());
  }

  /** A pass over what there is; its failure is noted and tried again. */
  async #repair(): Promise<void> {
    if (this.#config === undefined || this.#ending.signal.aborted) return;
    try {
      await this.#apply(this.#config, 'repair');
      if (this.#error !== undefined) this.#log('info', 'recovered', 'everything is as the file asks for again');
      this.#failures = 0;
      this.#error = undefined;
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.#noteFailure(asVnicError(error));
    }
    const nextMs = this.#backoff.nextMs(performance.now());
    if (nextMs !== undefined) this.#ask(nextMs - performance.now());
    this.#setState(this.#state);
  }

  #noteFailure(error: VnicError): void {
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
    const isNew = error.message !== this.#error?.message;
    this.#error = error;
    // A pass that was taken back has made events of its own; a conflict changes nothing, and may end with an event.
    if (error.code !== 'VNIC_CONFIG_CONFLICT') this.#notBeforeMs = performance.now() + delayMs;
    // The same failure over and over is one line.
    if (isNew) this.#logError('failed', error, { retryMs: delayMs });
    this.#ask(delayMs);
  }

  async #apply(config: Config, cause: Cause): Promise<void> {
    const sinceMs = performance.now();
    this.#passSinceMs = sinceMs;
    try {
      // Before the comparison, so that nothing that happens after it goes unnoticed.
      this.#watch.follow(config);
      const { config: available, waiting } = await availableConfig(config);
      const held = cause === 'repair' ? this.#backoff.held(sinceMs) : new Set<string>();
      const { changes, plan } = await patiently(() =>
        applyConfig(withoutHeld({ ...available, links: [], switches: [] }, held), {
          ...this.#scope(),
          prune: cause !== 'repair',
          signal: this.#ending.signal,
        }),
      );
      for (const change of changes) this.#logChange(cause === 'repair' ? 'mended' : 'applied', change);
      if (cause === 'repair') {
        this.#noteRepairs(changes);
        this.#runners.devicesChanged();
      }
      this.#noteWaiting(waiting);
      this.#noteRemarks(plan);
      // Namespaces that were made just now.
      if (changes.some(({ resource }) => resource === 'namespace')) this.#watch.follow(config);
    } finally {
      this.#passSinceMs = undefined;
      const endMs = performance.now();
      this.#notBeforeMs = Math.max(this.#notBeforeMs, endMs + (endMs - sinceMs) * (1 / DUTY - 1));
    }
  }

  #noteRepairs(changes: readonly Change[]): void {
    const nowMs = performance.now();
    this.#repairs += changes.length;
    for (const subject of new Set(changes.map(subjectOf))) {
      const holdMs = this.#backoff.note(subject, nowMs);
      if (holdMs === 0) continue;
      const what = subjectText(subject);
      this.#log('warn', 'held-back', `somebody keeps changing ${what}: it is left alone for ${holdMs / 1000} s`, {
        subject: what,
        holdMs,
      });
    }
  }

  #noteWaiting(waiting: readonly string[]): void {
    const known = new Set(this.#waiting);
    for (const name of waiting) {
      if (!known.has(name)) this.#log('warn', 'waiting', `there is no interface ${name} yet: waiting for it`);
    }
    this.#waiting = waiting;
  }

  /** What somebody else has changed since and therefore stays; each once. */
  #noteRemarks({ left }: Plan): void {
    const lines = left.map(({ change, reason }) => `left as it is: ${describeChange(change)}: ${reason}`);
    if (lines.join() !== this.#remarks) for (const line of lines) this.#log('warn', 'left', line);
    this.#remarks = lines.join();
  }

  #setState(state: SupervisorState): void {
    this.#state = state;
    this.#options.onStatus?.(this.status);
  }

  /** Of links, whose states may change often. */
  #tellSoon(): void {
    if (this.#ending.signal.aborted) return;
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#options.onStatus?.(this.status);
    }, TELL_MS);
  }

  #logChange(event: string, change: Change): void {
    const device = 'link' in change ? change.link?.name : undefined;
    const text = describeChange(change);
    this.#log('info', event, text, { resource: change.resource, device, netns: change.netns?.name });
  }

  /** Every mistake is logged with its place, not the first only. */
  async #read(path: string): Promise<Config> {
    try {
      return await readConfig(path, { signal: this.#ending.signal });
    } catch (error) {
      this.#logMistakes(error);
      throw error;
    }
  }

  #logMistakes(error: unknown): void {
    if (!isVnicError(error, 'VNIC_CONFIG_INVALID') || !Array.isArray(error.cause)) return;
    for (const mistake of error.cause as ConfigMistake[]) {
      const { line, column, path } = mistake;
      const [first = ''] = formatMistake(this.#options.path, mistake).split('\n');
      this.#log('error', 'mistake', first, { line, column, path });
    }
  }

  #logError(event: string, { code, message, hint, errno }: VnicError, fields: Record<string, unknown>): void {
    this.#log('error', event, message, { code, errno, hint, ...fields });
  }

  #log(level: LogLevel, event: string, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#options.log({ level, event, message, fields });
  }
}

/** Waits for whoever works with the journal. */
async function patiently<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (!isVnicError(error, 'VNIC_JOURNAL_BUSY') || attempt >= BUSY_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
    }
  }
}

/** A fault of vnic ends nothing that a next pass may do better. */
function asVnicError(error: unknown): VnicError {
  if (isVnicError(error)) return error;
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: 'keep the state of the file',
    reason: error instanceof Error ? error.message : String(error),
    hint: 'This is a fault of vnic. Please report it with the log.',
    cause: error,
  });
}

function statusText(status: Omit<SupervisorStatus, 'text'>, failing: readonly string[], path: string): string {
  const { state, devices, waiting, heldBack, running, error } = status;
  if (state === 'starting') return `applying ${path}`;
  if (state === 'reloading') return `reading ${path} again`;
  if (state === 'stopping' || state === 'stopped') return state;
  const parts = [
    error === undefined ? `${devices} ${devices === 1 ? 'device' : 'devices'} as ${path} asks for` : error.message,
    ...countsText(running),
    ...(failing.length === 0 ? [] : [`cannot run now: ${failing.join(', ')}`]),
    ...(waiting.length === 0 ? [] : [`waiting for ${waiting.join(', ')}`]),
    ...(heldBack.length === 0 ? [] : [`left alone for a while: ${heldBack.join(', ')}`]),
  ];
  return parts.join('; ');
}

/** `2 of 3 links up`, for each kind that there is. */
function countsText(running: readonly RunnerSummary[]): string[] {
  return [...new Set(running.map(({ kind }) => kind))].map((kind) => {
    const all = running.filter((one) => one.kind === kind);
    const up = all.filter(({ state }) => state === 'up').length;
    return `${up === all.length ? '' : `${up} of `}${all.length} ${all.length === 1 ? kind : `${kind}s`} up`;
  });
}
