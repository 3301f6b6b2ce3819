/** What the commands for desired state share: the file, its mistakes, changes as lines. */

import { type Command, Option } from 'commander';

import { isVnicError } from '../base/index.ts';
import type { Change } from '../changes/index.ts';
import type { Config, ConfigMistake } from '../config/index.ts';
import type { NetnsOptions, NetnsSelector } from '../netns/index.ts';
import type { Plan } from '../state/index.ts';
import { print, printable, printNote, style } from './output.ts';
import { option, parseText } from './values.ts';

/** What `addFileOption` parses. */
export interface FileOptions {
  readonly file: string;
}

/** Where the file of a machine is; here, so that `--help` need not load the reader. */
export const DEFAULT_FILE = '/etc/vnic/vnic.yaml';

/** Adds `--file`. */
export function addFileOption(command: Command): Command {
  return command.addOption(option('-f, --file <path>', 'the configuration file', parseText).default(DEFAULT_FILE));
}

/** `--json` of a command that gives one answer. */
export function jsonOption(what: string): Option {
  return new Option('--json', what);
}

/** The configuration of a file in the namespace of `--netns`. @throws as `loadConfig`, VNIC_NO_SUCH_NAMESPACE */
export async function loadConfigIn(options: FileOptions & NetnsOptions, json: boolean): Promise<Config> {
  const config = await loadConfig(options, json);
  if (options.netns === undefined) return config;
  const { inNamespace } = await import('../config/index.ts');
  return inNamespace(config, await namespaceName(options.netns));
}

/** Name or path of a namespace that there is. @throws VNIC_NO_SUCH_NAMESPACE */
export async function namespaceName(netns: NetnsSelector): Promise<string> {
  const { openNetworkNamespace } = await import('../netns/index.ts');
  const { netnsRef } = await import('../changes/index.ts');
  openNetworkNamespace(netns).closeSync();
  return netnsRef(netns).name;
}

/** Reads a file; its mistakes go to stderr, each with its place, unless they are wanted as JSON. */
export async function loadConfig({ file }: FileOptions, json: boolean): Promise<Config> {
  const { formatMistake, readConfig } = await import('../config/index.ts');
  try {
    return await readConfig(file);
  } catch (error) {
    if (!json && isVnicError(error, 'VNIC_CONFIG_INVALID') && Array.isArray(error.cause)) {
      for (const mistake of error.cause as ConfigMistake[]) {
        printNote(formatMistake(file, mistake).split('\n').map(printable).join('\n'));
      }
    }
    throw error;
  }
}

/** `+` for what comes, `-` for what goes, `~` for what changes. */
export async function changeLines(changes: readonly Change[]): Promise<string[]> {
  const { describeChange } = await import('../changes/index.ts');
  return changes.map((change) => {
    const [sign, colour] =
      'action' in change
        ? change.action === 'add'
          ? (['+', 'green'] as const)
          : (['-', 'red'] as const)
        : (['~', 'yellow'] as const);
    return `${style(colour, sign)} ${printable(describeChange(change))}`;
  });
}

/** What somebody else has changed, and what the file no longer names. */
export async function printRemarks(plan: Pick<Plan, 'left' | 'unnamed' | 'conflicts'>): Promise<void> {
  const { describeChange } = await import('../changes/index.ts');
  for (const { path, reason, hint } of plan.conflicts) {
    printNote(`${style('red', 'conflict:', process.stderr)} ${printable(`${path}: ${reason}`)}`);
    printNote(`  ${printable(hint)}`);
  }
  for (const { change, reason } of plan.left) printNote(`left: ${printable(describeChange(change))}: ${reason}`);
  if (plan.unnamed.length === 0) return;
  printNote(`no longer in the file; \`--prune\` undoes it:`);
  for (const line of await changeLines(plan.unnamed)) printNote(`  ${line}`);
}

/** Lines of changes on stdout. */
export async function printChanges(changes: readonly Change[]): Promise<void> {
  for (const line of await changeLines(changes)) print(line);
}

/** Lines that say which links, tunnels and switches there are, and that they run elsewhere. */
export function linkLines({ links, tunnels, switches }: Pick<Config, 'links' | 'tunnels' | 'switches'>): string[] {
  const carried = [
    ...links.map(({ name, ends: [a, b] }) => `link ${name}: ${a} and ${b}`),
    ...tunnels.map(({ name, listen, connect }) =>
      listen === undefined ? `tunnel ${name}: to ${connect}` : `tunnel ${name}: on ${listen}`,
    ),
    ...switches.map(({ name, ports }) => `switch ${name}: ${ports.map(([, { end }]) => end).join(', ')}`),
  ];
  return carried.map((line) => printable(`${line}, carried while \`vnic run\` runs`));
}
