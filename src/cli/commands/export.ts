/** `vnic export`: the file for what exists now. */

import type { Command } from 'commander';

import { print, printable, printNote } from '../output.ts';

export function define(command: Command): void {
  command
    .description(
      'Write the configuration file for what exists now: persistent TUN/TAP devices, bridges and veth pairs, or the ' +
        'interfaces that are named. `vnic plan` of the result shows no difference. Needs no privilege.',
    )
    .argument('[interface...]', 'only these, which may be of any kind')
    .addHelpText(
      'after',
      `
What a file cannot say is told on stderr.

Examples:
  vnic export > lab.yaml
  vnic export eth0 tap0`,
    )
    .action(exportNow);
}

async function exportNow(names: readonly string[]): Promise<void> {
  const { exportConfig } = await import('../../state/index.ts');
  const { formatConfig } = await import('../../config/index.ts');
  const { openNetlink } = await import('../../netlink/index.ts');
  const netlink = await openNetlink();
  try {
    for (const name of names) await netlink.links.get(name);
  } finally {
    await netlink.close();
  }
  const { config, notes } = await exportConfig(names.length === 0 ? {} : { names });
  print(formatConfig(config).trimEnd());
  for (const { device, message } of notes) printNote(`note: ${printable(`${device}: ${message}`)}`);
}
