/** Errors as the command reports them: `error: …` and `hint: …` on stderr, or one line of JSON with `--json`. */

import { CommanderError } from 'commander';

import { ExitStatus, VnicError } from '../base/index.ts';
import { printable, printNote, style } from './output.ts';

export interface ReportErrorOptions {
  /** One line of JSON, `{"error":{"code":…,"message":…,"hint":…}}`; default false. */
  readonly json?: boolean;
}

/** Writes the error to stderr. A `CommanderError` ends `--help` and `--version`, which wrote what there is to say. */
export function reportError(error: unknown, options: ReportErrorOptions = {}): void {
  if (error instanceof CommanderError) return;
  const report = reportOf(error);
  if (options.json) {
    printNote(JSON.stringify({ error: report }));
    return;
  }
  printNote(`${style(['red', 'bold'], 'error:', process.stderr)} ${printable(report.message)}`);
  printNote(`${style(['cyan', 'bold'], 'hint:', process.stderr)} ${printable(report.hint)}`);
  if (!(error instanceof VnicError) && process.env['VNIC_DEBUG'] && error instanceof Error) {
    printNote(error.stack ?? '');
  }
}

export function exitStatusOf(error: unknown): number {
  if (error instanceof VnicError) return error.exitStatus;
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitStatus.ok : ExitStatus.usage;
  return ExitStatus.software;
}

/** A wrong command line that has no error of its own; exit status 2. */
export function usageError(attempted: string, reason: string, hint: string): VnicError {
  return new VnicError('VNIC_INVALID_ARGUMENT', { attempted, reason, hint });
}

interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** Every mistake or conflict, where there may be several. */
  readonly details?: readonly unknown[];
}

function reportOf(error: unknown): ErrorReport {
  if (error instanceof VnicError)
    return {
      ...error.toJSON(),
      code: error.code,
      message: error.message,
      hint: error.hint,
      ...(Array.isArray(error.cause) && { details: error.cause as readonly unknown[] }),
    };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'VNIC_INTERNAL',
    message: `unexpected: ${message}`,
    hint: 'This is a fault of vnic. Please report it with the output of the same command under VNIC_DEBUG=1.',
  };
}
