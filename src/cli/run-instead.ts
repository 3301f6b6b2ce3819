/** Hands the terminal over to another program, and ends with its status. */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';

import { VnicError } from '../base/index.ts';

/** Runs the program to its end. @throws VNIC_PROGRAM_MISSING */
export function runInstead([program = '', ...args]: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'inherit' });
  // Ctrl-C is for the program, which the terminal tells as well.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => {
      const hint = `Install ${program}, or look for it in another place.`;
      reject(
        new VnicError('VNIC_PROGRAM_MISSING', { attempted: `run ${program}`, reason: 'it cannot be run', hint, cause }),
      );
    });
    child.on('close', (status, signal) => {
      process.off('SIGINT', ignore);
      process.exitCode = status ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      resolve();
    });
  });
}
