/** `vnic down`: takes interfaces down. */

import type { Command } from 'commander';

import type { NetnsOptions } from '../../netns/index.ts';
import { setState } from '../link-state.ts';

export function define(command: Command): void {
  command
    .description(
      'Take interfaces down, of any kind. Their routes and IPv6 addresses go; writes fail until they are up again.',
    )
    .argument('<interface...>', 'interfaces; all are looked up before the first is changed')
    .addHelpText('after', '\nExamples:\n  sudo vnic down tap0')
    .action((names: readonly string[], options: NetnsOptions) => setState(names, { up: false }, options));
}
