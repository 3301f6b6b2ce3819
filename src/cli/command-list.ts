/** Every sub-command in the order of `vnic --help`. The file of a command is loaded when it is needed. */

import type { Command } from 'commander';

/** What a file of `commands/` exports. */
export interface CommandFile {
  /** Adds arguments, options, description, help text and action to the empty command of its name. */
  define(command: Command): void;
}

export interface CommandEntry {
  readonly name: string;
  /** One line for `vnic --help`, without a full stop. */
  readonly summary: string;
  /** Heading under which `vnic --help` lists it. */
  readonly group: string;
  load(): Promise<CommandFile>;
}

const DEVICES = 'Devices:';
const PACKETS = 'Packets:';
const HELP = 'Help:';

export const commandList: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'watch the kernel ping addresses that this program answers, in a namespace of its own',
    group: PACKETS,
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'echo',
    summary: 'make a device and answer ping on it',
    group: PACKETS,
    load: () => import('./commands/echo.ts'),
  },
  {
    name: 'dump',
    summary: 'print the packets of a device, decoded',
    group: PACKETS,
    load: () => import('./commands/dump.ts'),
  },
  {
    name: 'create',
    summary: 'make a TUN or TAP device that stays',
    group: DEVICES,
    load: () => import('./commands/create.ts'),
  },
  {
    name: 'delete',
    summary: 'delete TUN/TAP devices',
    group: DEVICES,
    load: () => import('./commands/delete.ts'),
  },
  {
    name: 'up',
    summary: 'bring interfaces up',
    group: DEVICES,
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'down',
    summary: 'take interfaces down',
    group: DEVICES,
    load: () => import('./commands/down.ts'),
  },
  {
    name: 'set',
    summary: 'change an interface',
    group: DEVICES,
    load: () => import('./commands/set.ts'),
  },
  { name: 'list', summary: 'list TUN/TAP devices', group: DEVICES, load: () => import('./commands/list.ts') },
  {
    name: 'show',
    summary: 'show everything about one interface',
    group: DEVICES,
    load: () => import('./commands/show.ts'),
  },
  {
    name: 'doctor',
    summary: 'check what this machine allows, and say how to mend it',
    group: HELP,
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'completion',
    summary: 'print the completion script of a shell',
    group: HELP,
    load: () => import('./commands/completion.ts'),
  },
  {
    name: 'help',
    summary: 'print the help of a command',
    group: HELP,
    load: () => import('./commands/help.ts'),
  },
];
