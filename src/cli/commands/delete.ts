/** `vnic delete`: deletes TUN/TAP devices, bridges and veth pairs, whoever made them. */

import type { Command } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';

export function define(command: Command): void {
  command
    .description(
      'Delete TUN/TAP devices, bridges and veth pairs, made by vnic, ip, tunctl or any other program. Interfaces of other\n' +
        'kinds are refused. With one end of a veth pair goes the other.',
    )
    .argument('<device...>', 'what to delete; all are checked before the first is deleted')
    .option('--force', 'also devices that a process holds, which ends its reads, and bridges that have ports')
    .addHelpText(
      'after',
      `
Examples:
  sudo vnic delete tap0
  sudo vnic delete tun0 tun1 --force
  sudo vnic delete br0 --netns blue`,
    )
    .action(deleteNamed);
}

async function deleteNamed(names: readonly string[], options: NetnsOptions & { readonly force?: true }): Promise<void> {
  const { deleteDevices } = await import('../../netdev/index.ts');
  await deleteDevices(names, options);
}
