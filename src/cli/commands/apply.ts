/** `vnic apply`: makes the machine as a file asks for. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { Command } from 'commander';

import type { Change } from '../../changes/index.ts';

import type { NetnsOptions } from '../../netns/index.ts';
import type { Plan } from '../../state/index.ts';
import {
  addFileOption,
  type FileOptions,
  jsonOption,
  loadConfigIn,
  printChanges,
  printRemarks,
} from '../config-file.ts';
import { interruption } from '../interruption.ts';
import { print, printable, printJson, printNote } from '../output.ts';
import { packageVersion } from '../self.ts';

interface ApplyCommandOptions extends FileOptions, NetnsOptions {
  readonly prune?: true;
  readonly json?: true;
  readonly quiet?: true;
}

export function define(command: Command): void {
  addFileOption(command)
    .description(
      'Make this machine as a file asks for. What is as asked for is not touched; when something fails, or on Ctrl-C, ' +
        'everything that was done is taken back.',
    )
    .option('--prune', 'also undo what is owned and no longer in the file')
    .option('-q, --quiet', 'print nothing')
    .addOption(jsonOption('an object: changes, unnamed, left').conflicts('quiet'))
    .addHelpText(
      'after',
      `
What is changed is written to a journal first (see \`vnic owned\`), so it can be undone by \`vnic down\`, and after a crash.

Examples:
  sudo vnic apply
  sudo vnic apply -f lab.yaml --prune
  sudo vnic apply -f lab.yaml --netns lab
  sudo vnic down -f lab.yaml`,
    )
    .action(apply);
}

async function apply(options: ApplyCommandOptions): Promise<void> {
  const signal = interruption();
  const { undoAbandoned } = await import('../../journal/index.ts');
  const { applyConfig, isInForce } = await import('../../state/index.ts');
  await undoAbandoned();
  const digest = digestOfFile(options);
  // Found out without reading the file, which takes longest.
  if (digest !== undefined && (await isInForce(digest, { path: options.file, signal }))) {
    await tell([], nothing, options);
    return;
  }
  const config = await loadConfigIn(options, options.json ?? false);
  const { changes, plan } = await applyConfig(config, {
    path: options.file,
    prune: options.prune ?? false,
    signal,
    ...(digest !== undefined && { digest }),
    onProgress: (progress) => {
      if (progress.event === 'planned' && !options.json) void printRemarks(progress.plan);
      if (progress.event === 'rollback' && !options.json) printNote(`taking ${progress.changes.length} changes back`);
    },
  });
  await tell(changes, plan, options);
  const carried = [...config.links, ...config.tunnels, ...config.switches].map(({ name }) => name);
  if (carried.length > 0 && !options.json && !options.quiet) {
    const kinds = (['links', 'tunnels', 'switches'] as const).filter((kind) => config[kind].length > 0);
    const what = kinds.join(' and ');
    printNote(`${what} are carried while \`vnic run\` runs: ${printable(carried.join(', '))}`);
  }
}

const nothing = { unnamed: [], left: [] };

async function tell(
  changes: readonly Change[],
  { unnamed, left }: Pick<Plan, 'unnamed' | 'left'>,
  { json, quiet }: ApplyCommandOptions,
): Promise<void> {
  if (json) printJson({ changes, unnamed, left });
  else if (!quiet) {
    await printChanges(changes);
    if (changes.length === 0) print('everything is as the file asks for');
  }
}

/** Of its bytes, and of what else decides what is asked for; undefined where reading it has to tell what is wrong. */
function digestOfFile({ file, netns = '' }: ApplyCommandOptions): string | undefined {
  try {
    return createHash('sha256').update(`${packageVersion()} ${netns}\n`).update(readFileSync(file)).digest('hex');
  } catch {
    return undefined;
  }
}
