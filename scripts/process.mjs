/** Running other programs, for the scripts of this folder. */

import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the checkout. */
export const root = fileURLToPath(new URL('../', import.meta.url));

/** Path inside the checkout. */
export const inRoot = (...parts) => join(root, ...parts);

/** Tells what a script is doing; stderr, so that stdout stays the program's own. */
export const say = (text) => process.stderr.write(`${text}\n`);

/** Ends the script with what is wrong and what to do about it. */
export function fail(problem, hint) {
  say(`error: ${problem}`);
  if (hint !== undefined) say(`hint: ${hint}`);
  process.exit(1);
}

/** Full path of a program, or undefined. Debian keeps some outside a plain user's PATH. */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program to its end with the terminal handed through, and resolves to its exit status.
 *
 * Ctrl-C reaches the program by itself, because it is in the terminal's process group; this process
 * waits for its orderly end. SIGTERM and SIGHUP come to one process only, so they are passed on.
 */
export function runProgram([program, ...args], options = {}) {
  const child = spawn(program, args, { stdio: 'inherit', cwd: root, ...options });
  const ignore = () => {};
  const passOn = (signal) => child.kill(signal);
  process.on('SIGINT', ignore).on('SIGTERM', passOn).on('SIGHUP', passOn);
  return new Promise((resolve) => {
    const end = (status) => {
      process.off('SIGINT', ignore).off('SIGTERM', passOn).off('SIGHUP', passOn);
      resolve(status);
    };
    child.once('error', (error) => {
      say(`error: cannot run ${program}: ${error.message}`);
      end(127);
    });
    child.once('exit', (code, signal) => end(code ?? 128 + (signalNumbers[signal] ?? 0)));
  });
}

const signalNumbers = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** Runs a program quietly. `ok` tells whether it ended with 0; `output` is its stdout and stderr. */
export function capture([program, ...args], options = {}) {
  const done = spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20, ...options });
  return { ok: done.status === 0, output: `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}` };
}
