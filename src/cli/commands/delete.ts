/** `vnic delete`: deletes TUN/TAP devices, whoever made them. */

import type { Command } from 'commander';

export function define(command: Command): void {
  command
    .description('Delete TUN/TAP devices, made by vnic, ip, tunctl or any other program. Other interfaces are refused.')
    .argument('<device...>', 'devices to delete; all are checked before the first is deleted')
    .option('--force', 'also those that a process holds, which ends its reads')
    .addHelpText(
      'after',
      `
Examples:
  sudo vnic delete tap0
  sudo vnic delete tun0 tun1 --force`,
    )
    .action(deleteNamed);
}

async function deleteNamed(names: readonly string[], options: { readonly force?: true }): Promise<void> {
  const { deleteDevices } = await import('../../netdev/index.ts');
  await deleteDevices(names, options);
}
