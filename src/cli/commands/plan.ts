/** `vnic plan`: what differs between a file and the kernel. */

import type { Command } from 'commander';

import { ExitStatus } from '../../base/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import {
  addFileOption,
  type FileOptions,
  jsonOption,
  linkLines,
  loadConfigIn,
  printChanges,
  printRemarks,
} from '../config-file.ts';
import { print, printJson } from '../output.ts';

interface PlanCommandOptions extends FileOptions, NetnsOptions {
  readonly prune?: true;
  readonly exitCode?: true;
  readonly json?: true;
}

export function define(command: Command): void {
  addFileOption(command)
    .description('Show what `vnic apply` would do, in its order. Changes nothing and needs no privilege.')
    .option('--prune', 'also what is owned and no longer in the file')
    .option('--exit-code', `end with status ${ExitStatus.different} when something differs`)
    .addOption(jsonOption('an object: changes, conflicts, unnamed, left, links, tunnels, switches'))
    .addHelpText(
      'after',
      `
A line says what comes (+), what goes (-) and what changes (~). A conflict is something that vnic did not make and
would have to replace: then nothing is applied. Links are no changes: \`vnic run\` carries them while it runs.

Examples:
  vnic plan
  vnic plan -f lab.yaml --prune
  vnic plan --exit-code --json | jq '.changes[].description'`,
    )
    .action(plan);
}

async function plan(options: PlanCommandOptions): Promise<void> {
  const config = await loadConfigIn(options, options.json ?? false);
  const { planChanges } = await import('../../state/index.ts');
  const { describeChange } = await import('../../changes/index.ts');
  const found = await planChanges(config, { path: options.file, prune: options.prune ?? false });
  if (options.json) {
    const described = found.changes.map((change) => ({ description: describeChange(change), ...change }));
    const { conflicts, unnamed, left } = found;
    printJson({
      changes: described,
      conflicts,
      unnamed,
      left,
      links: config.links,
      tunnels: config.tunnels,
      switches: config.switches,
    });
  } else {
    await printChanges(found.changes);
    await printRemarks(found);
    if (found.changes.length === 0 && found.conflicts.length === 0) print('everything is as the file asks for');
    for (const line of linkLines(config)) print(`  ${line}`);
  }
  const differs = found.changes.length > 0 || found.conflicts.length > 0;
  if (options.exitCode && differs) process.exitCode = ExitStatus.different;
}
