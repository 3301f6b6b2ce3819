/** A `vnic` command that runs until it is told to end. */

import type { ChildProcess, SpawnOptions } from 'node:child_process';

import { type RunResult, start, VNIC } from './run-vnic.ts';

/** A command under way. */
export interface LiveVnic {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: { stdout: string; stderr: string };
  /** Resolves once stdout and stderr together match; rejects when the command ends before. */
  until(pattern: RegExp): Promise<void>;
  /** Sends the signal, if one is given, and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<RunResult>;
}

const running = new Set<ChildProcess>();

/** Starts `vnic` with these arguments, without a terminal. */
export function startVnic(args: readonly string[], options: SpawnOptions = {}): LiveVnic {
  return startLive([process.execPath, VNIC, ...args], options);
}

/** Starts any program in the same way. */
export function startLive(argv: readonly string[], options: SpawnOptions = {}): LiveVnic {
  const child = start(argv, options);
  running.add(child);
  const output = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  let status: number | undefined;
  const collect = (name: 'stdout' | 'stderr') => (chunk: string) => {
    output[name] += chunk;
    for (const check of [...waiting]) check();
  };
  child.stdout?.setEncoding('utf8').on('data', collect('stdout'));
  child.stderr?.setEncoding('utf8').on('data', collect('stderr'));
  const ended = new Promise<RunResult>((resolve) => {
    child.once('close', (code, signal) => {
      running.delete(child);
      status = code ?? (signal === 'SIGKILL' ? 137 : 128);
      for (const check of [...waiting]) check();
      resolve({ status, ...output });
    });
  });
  return {
    child,
    output,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const matches = pattern.test(output.stdout + output.stderr);
          if (!matches && status === undefined) return;
          waiting.delete(check);
          if (matches) resolve();
          else reject(new Error(`ended with ${status} before ${pattern}: ${output.stdout}${output.stderr}`));
        };
        waiting.add(check);
        check();
      }),
    end(signal) {
      if (signal !== undefined) child.kill(signal);
      return ended;
    },
  };
}

/** For `afterEach`: ends what a failed test left running. */
export async function endLive(): Promise<void> {
  // All at once: the end of one may be that of another, which is not to be missed.
  const ended = [...running].map((child) => new Promise((resolve) => child.once('close', resolve)));
  for (const child of [...running]) child.kill('SIGKILL');
  await Promise.all(ended);
}
