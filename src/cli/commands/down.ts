/** `vnic down`: takes interfaces down, or everything that was applied of a file. */

import type { Command } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';
import { changeLines, DEFAULT_FILE, jsonOption, printChanges } from '../config-file.ts';
import { setState } from '../link-state.ts';
import { print, printable, printJson, printNote } from '../output.ts';
import { usageError } from '../report-error.ts';
import { option, parseText } from '../values.ts';

interface DownOptions extends NetnsOptions {
  readonly file?: string;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .description(
      'Without interfaces: undo everything that was applied of a configuration file. Its devices are deleted, and what ' +
        'it changed of others is as it was. With interfaces, of any kind: take them down. Their routes and IPv6 ' +
        'addresses go; writes fail until they are up again.',
    )
    .argument('[interface...]', 'interfaces; all are looked up before the first is changed')
    .addOption(
      option(
        '-f, --file <path>',
        `the configuration file, which need not exist (default: "${DEFAULT_FILE}")`,
        parseText,
      ),
    )
    .addOption(jsonOption('an object: changes, left'))
    .addHelpText('after', '\nExamples:\n  sudo vnic down tap0\n  sudo vnic down -f lab.yaml')
    .action(down);
}

async function down(names: readonly string[], options: DownOptions): Promise<void> {
  if (names.length > 0) {
    if (options.file !== undefined) {
      throw usageError('run `vnic down`', 'interfaces and --file exclude each other', 'Give one of them.');
    }
    await setState(names, { up: false }, options);
    return;
  }
  const { takeDown } = await import('../../state/index.ts');
  const { describeChange } = await import('../../changes/index.ts');
  const { changes, left } = await takeDown({ path: options.file ?? DEFAULT_FILE });
  if (options.json) {
    printJson({ changes, left });
    return;
  }
  await printChanges(changes);
  for (const { change, reason } of left) printNote(`left: ${printable(describeChange(change))}: ${reason}`);
  if ((await changeLines(changes)).length === 0) print('nothing of the file is in force');
}
