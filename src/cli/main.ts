#!/usr/bin/env node
/**
 * The `vnic` command.
 *
 * Each sub-command is a file of `commands/` that exports `define(command)`: it gives the commander command its
 * arguments, options, help and action, with the helpers of `values.ts`. `command-list.ts` names the files; only
 * the file of the command that runs is loaded. An action writes with `output.ts`, throws a `VnicError` for
 * everything that goes wrong, and watches `interruption()` where it waits. Nothing below `cli` prints or exits.
 */

import { isVnicError } from '../base/index.ts';
import { interruptedStatus } from './interruption.ts';
import { guardOutput } from './output.ts';
import { buildProgram, selectCommand } from './program.ts';
import { exitStatusOf, reportError } from './report-error.ts';

async function main(argv: readonly string[]): Promise<void> {
  const json = wantsJson(argv);
  guardOutput((error) => fail(error, json));
  process.on('uncaughtException', (error) => fail(error, json));
  try {
    const program = await buildProgram(selectCommand(argv));
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (isVnicError(error, 'VNIC_ABORTED') && interruptedStatus() !== undefined) return;
    reportError(error, { json });
    // Set, not exit(): what is open gets closed and what was written gets out.
    process.exitCode = exitStatusOf(error);
  }
}

function fail(error: unknown, json: boolean): void {
  reportError(error, { json });
  process.exit(exitStatusOf(error));
}

/** Known before the options are parsed, since their own errors are reported in the same form. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

await main(process.argv.slice(2));
