/**
 * Ctrl-C and its kin as an AbortSignal, for commands that wait and have something to put away.
 *
 * A command that never asks for the signal is ended by the kernel as any other program, which closes its
 * devices. Once asked for: the first SIGINT, SIGTERM, SIGHUP, or reader of stdout that goes away, fires the
 * signal; the command ends in its own time with the status of that cause. A second one ends it at once.
 */

import { constants } from 'node:os';

let controller: AbortController | undefined;
let status: number | undefined;

/** Fires when the command is to end; asking for it takes over SIGINT, SIGTERM and SIGHUP. */
export function interruption(): AbortSignal {
  if (controller === undefined) {
    controller = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => interrupt(128 + constants.signals[name]));
    }
  }
  return controller.signal;
}

/** Ends the command: through its signal if it watches one and was not told before, at once otherwise. */
export function interrupt(exitStatus: number): void {
  if (controller === undefined || status !== undefined) process.exit(status ?? exitStatus);
  status = exitStatus;
  process.exitCode = exitStatus;
  controller.abort();
}

/** The exit status of the interruption; undefined as long as there was none. */
export function interruptedStatus(): number | undefined {
  return status;
}
