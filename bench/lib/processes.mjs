/** Programs that are measured or help to: started on a processor, asked for their time, ended. */

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';

import { fail, inRoot } from '../../scripts/process.mjs';

const compiled = new Set();

/** Compiles bench/baseline/NAME.c, or another folder's, once; returns the program. */
export function baselineProgram(name, { folder = 'baseline', flags = [], suffix = '' } = {}) {
  mkdirSync(inRoot('build/bench'), { recursive: true });
  const program = inRoot(`build/bench/${name}${suffix}`);
  if (compiled.has(program)) return program;
  const standard = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', `-I${inRoot('bench/baseline')}`];
  execFileSync('cc', [...standard, inRoot(`bench/${folder}/${name}.c`), '-o', program, ...flags]);
  compiled.add(program);
  return program;
}

/** A command that runs the text of a module in node, with `ipc` telling when it is ready. */
export const nodeCommand = (body, ...flags) => [process.execPath, ...flags, '--input-type=module', '-e', body];

/**
 * Starts a program on these processors; `stop()` kills it and waits for its end.
 * It dies with the bench, however that ends.
 */
export function pinned(processors, command, options = {}) {
  const wrapped = ['--pdeathsig', 'KILL', 'taskset', '-c', String(processors), ...command];
  const child = spawn('setpriv', wrapped, { stdio: ['ignore', 'ignore', 'inherit'], ...options });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = () => {
    child.kill('SIGKILL');
    return exited;
  };
  return { child, pid: child.pid, stop };
}

/** User and system time of a process in seconds, its threads included. */
export function processTimes(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) / 100, system: Number(fields[12]) / 100 };
}

/** Both together. */
export function cpuSeconds(pid) {
  const { user, system } = processTimes(pid);
  return user + system;
}

/** Memory of a process that is its own, in MiB. */
export function ownMebibytes(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = ['Private_Clean', 'Private_Dirty'].map((key) =>
    Number(new RegExp(`${key}: +(\\d+)`).exec(rollup)?.[1]),
  );
  return kilobytes.reduce((sum, value) => sum + value, 0) / 1024;
}

/** What a program printed, or undefined when it failed. */
export function output(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 60_000 });
  } catch {
    return undefined;
  }
}

/** Waits for a condition, at most ten seconds. */
export async function until(condition) {
  for (let i = 0; i < 200; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  fail('the bench waited ten seconds in vain');
}
