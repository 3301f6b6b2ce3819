/** `vnic cleanup`: undoes what ended processes have left behind. */

import type { Command } from 'commander';

import { ExitStatus } from '../../base/index.ts';
import type { UndoneJournal } from '../../journal/index.ts';
import { jsonOption, printChanges } from '../config-file.ts';
import { print, printable, printJson, printNote } from '../output.ts';
import { reportError } from '../report-error.ts';

interface CleanupOptions {
  readonly dryRun?: true;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .description(
      'Undo what processes have left behind that were killed, and what of a configuration file was begun and not ended. ' +
        'What somebody else has changed since is left as it is. Every command that changes something does the first at its start.',
    )
    .option('-n, --dry-run', 'only show it')
    .addOption(jsonOption('an array, an object for each journal'))
    .addHelpText(
      'after',
      `
What was applied of a file as a whole is undone by \`vnic down -f FILE\`.

Examples:
  sudo vnic cleanup --dry-run
  sudo vnic cleanup`,
    )
    .action(cleanup);
}

async function cleanup(options: CleanupOptions): Promise<void> {
  const { undoAbandoned } = await import('../../journal/index.ts');
  const { describeChange } = await import('../../changes/index.ts');
  const undone = await undoAbandoned({ dryRun: options.dryRun ?? false, unfinished: true });
  const failed = undone.flatMap(({ error }) => error ?? []);
  if (options.json) printJson(undone.map(toJson));
  else {
    for (const { changes, left, place, journal } of undone) {
      await printChanges(changes);
      for (const { change, reason } of left) printNote(`left: ${printable(describeChange(change))}: ${reason}`);
      if (place === 'elsewhere')
        printNote(`left: ${journal.entries.length} changes in another network namespace; run it there`);
    }
    if (undone.every(({ changes }) => changes.length === 0)) print('nothing to undo');
    for (const error of failed) reportError(error);
  }
  if (failed.length > 0) process.exitCode = ExitStatus.failure;
}

function toJson({ journal, changes, left, place, error }: UndoneJournal): object {
  return { file: journal.path, place, changes, left, ...(error instanceof Error && { error }) };
}
