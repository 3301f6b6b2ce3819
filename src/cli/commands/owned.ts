/** `vnic owned`: the journals. */

import type { Command } from 'commander';

import type { StoredJournal } from '../../journal/index.ts';
import { changeLines, jsonOption } from '../config-file.ts';
import { print, printable, printJson, printNote, style } from '../output.ts';

export function define(command: Command): void {
  command
    .description(
      'List what vnic has changed and would undo, by owner: a running process, one that has ended without undoing it, ' +
        'or a configuration file. Devices that go with their process are not in it, nor what was changed by name.',
    )
    .addOption(jsonOption('an array of journals'))
    .addHelpText(
      'after',
      `
Examples:
  sudo vnic owned
  sudo vnic owned --json | jq -r '.[].entries[].description'`,
    )
    .action(owned);
}

async function owned(options: { readonly json?: true }): Promise<void> {
  const { listJournals } = await import('../../journal/index.ts');
  const { describeChange } = await import('../../changes/index.ts');
  const journals = listJournals();
  if (options.json) {
    printJson(
      journals.map(({ path, header, entries, held, unfinishedFrom }) => ({
        file: path,
        owner: header.config === undefined ? 'process' : 'config',
        ...(header.config !== undefined && { config: header.config }),
        process: header.process,
        namespace: header.namespace,
        held,
        finished: unfinishedFrom === undefined,
        entries: entries.map(({ id, change }) => ({ id, description: describeChange(change), ...change })),
      })),
    );
    return;
  }
  if (journals.length === 0) printNote('vnic owns nothing here');
  for (const journal of journals) {
    print(await title(journal));
    for (const line of await changeLines(journal.entries.map(({ change }) => change))) print(`  ${line}`);
  }
}

async function title({ header, held, unfinishedFrom }: StoredJournal): Promise<string> {
  const { isHere } = await import('../../journal/index.ts');
  const { command, pid } = header.process;
  const place = isHere(header.namespace) ? '' : `, in another network namespace (${header.namespace.id})`;
  if (header.config === undefined) {
    const state = held ? '' : ', which has ended: `vnic cleanup` undoes it';
    return `${style('bold', printable(command))} (pid ${pid})${state}${place}`;
  }
  const state = held ? `, held by ${printable(command)} (pid ${pid})` : '';
  const whole = unfinishedFrom === undefined || held ? '' : ', applied in part: apply it again, or `vnic cleanup`';
  return `${style('bold', printable(header.config))}${state}${whole}${place}`;
}
