/** `vnic export`: the file for what exists now. */

import { type Command, Option } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';
import type { ExportOptions } from '../../state/index.ts';
import { namespaceName } from '../config-file.ts';
import { print, printable, printNote } from '../output.ts';

interface ExportCommandOptions extends NetnsOptions {
  readonly all?: true;
}

export function define(command: Command): void {
  command
    .description(
      'Write the configuration file for what exists now: persistent TUN/TAP devices, bridges, veth pairs, policy rules, ' +
        'masquerading and forwarding, or the interfaces that are named. `vnic plan` of the result shows no difference. ' +
        'Needs no privilege, but for other namespaces and masquerading.',
    )
    .argument('[interface...]', 'only these, which may be of any kind')
    .addOption(new Option('--all', 'of every network namespace that has a name, and of this one').conflicts('netns'))
    .addHelpText(
      'after',
      `
What a file cannot say is told on stderr.

Examples:
  vnic export > lab.yaml
  vnic export eth0 tap0
  sudo vnic export --netns lab
  sudo vnic export --all`,
    )
    .action(exportNow);
}

async function exportNow(names: readonly string[], options: ExportCommandOptions): Promise<void> {
  const { exportConfig } = await import('../../state/index.ts');
  const { formatConfig } = await import('../../config/index.ts');
  const { openNetlink } = await import('../../netlink/index.ts');
  const netlink = await openNetlink(options.netns === undefined ? {} : { netns: options.netns });
  try {
    if (!options.all) for (const name of names) await netlink.links.get(name);
  } finally {
    await netlink.close();
  }
  const { config, notes } = await exportConfig({ ...(await placesOf(options)), ...(names.length > 0 && { names }) });
  print(formatConfig(config).trimEnd());
  for (const { device, message } of notes)
    printNote(`note: ${printable(device === undefined ? message : `${device}: ${message}`)}`);
}

async function placesOf({ netns, all }: ExportCommandOptions): Promise<ExportOptions> {
  if (netns !== undefined) return { here: false, namespaces: [await namespaceName(netns)] };
  if (!all) return {};
  const { listNamespaces } = await import('../../netns/index.ts');
  return { namespaces: listNamespaces().flatMap(({ name, inode }) => (inode === undefined ? [] : [name])) };
}
