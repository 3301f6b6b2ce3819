/** `vnic up`: brings interfaces up. */

import type { Command } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';
import { setState } from '../link-state.ts';

export function define(command: Command): void {
  command
    .description('Bring interfaces up, of any kind. A TUN/TAP device has a carrier only while a program holds it.')
    .argument('<interface...>', 'interfaces; all are looked up before the first is changed')
    .addHelpText('after', '\nExamples:\n  sudo vnic up tap0\n  sudo vnic up lo tun0')
    .action((names: readonly string[], options: NetnsOptions) => setState(names, { up: true }, options));
}
