/**
 * All that runs, brought in line with what the file asks for.
 *
 *   release   closes what is no longer asked for, or is asked for differently: before devices are changed, which it may hold
 *   follow    starts what is missing: once devices are there
 *
 * What stays the same is touched by neither. Idempotent, both.
 */

import type { Runnable, RunnerStatus, RunnerSummary } from './runnable.ts';
import { Runner, type RunnerOptions } from './runner.ts';

/** Runners by kind and name. */
export class RunnerSet implements AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #runners = new Map<string, Runner>();
  #closed = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** How each is, in the order of the file. */
  get statuses(): readonly RunnerStatus[] {
    return [...this.#runners.values()].map(({ status }) => status);
  }

  /** What anybody may know of each. */
  get summaries(): readonly RunnerSummary[] {
    return this.statuses.map(({ kind, name, state, since }) => ({ kind, name, state, since }));
  }

  /** Those that cannot run now, for whatever reason of their own. */
  get failing(): readonly Runner[] {
    return [...this.#runners.values()].filter(({ error }) => error !== undefined);
  }

  /** Closes what these do not ask for. Resolves when all of it has ended. */
  async release(wanted: readonly Runnable[]): Promise<void> {
    const identities = new Map(wanted.map((one) => [keyOf(one), one.identity]));
    const leaving = [...this.#runners].filter(([key, { runnable }]) => identities.get(key) !== runnable.identity);
    await Promise.all(
      leaving.map(async ([key, runner]) => {
        await runner.close();
        this.#runners.delete(key);
        const { kind, name } = runner.runnable;
        this.#options.log({
          level: 'info',
          event: 'closed',
          message: `${kind} ${name}: closed`,
          fields: { [kind]: name },
        });
      }),
    );
  }

  /** Starts what is not there yet, and has another attempt made of what has failed. Call `release` first. */
  follow(wanted: readonly Runnable[]): void {
    if (this.#closed) return;
    const known = new Map(this.#runners);
    this.#runners.clear();
    for (const runnable of wanted) {
      const key = keyOf(runnable);
      const runner = known.get(key);
      known.delete(key);
      // In the order of the file.
      this.#runners.set(key, runner ?? this.#launch(runnable));
      runner?.retryNow();
    }
    // Not released: they stay what they are.
    for (const [key, runner] of known) this.#runners.set(key, runner);
  }

  /** Has another attempt made of those that wait for a device. */
  devicesChanged(): void {
    for (const runner of this.failing) if (runner.error?.code === 'VNIC_NO_SUCH_INTERFACE') runner.retryNow();
  }

  /** Resolves when of each the first attempt is over, or after so long. */
  async settled(limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([limit, Promise.all([...this.#runners.values()].map((runner) => runner.settled))]);
    clearTimeout(timer);
  }

  /** Ends all. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#runners.values()].map((runner) => runner.close()));
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #launch(runnable: Runnable): Runner {
    const runner = new Runner(runnable, this.#options);
    runner.start();
    return runner;
  }
}

function keyOf({ kind, name }: Runnable): string {
  return `${kind} ${name}`;
}
