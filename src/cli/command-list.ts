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
  /** Takes `--netns`. */
  readonly netns?: true;
  load(): Promise<CommandFile>;
}

const DEVICES = 'Devices:';
const PACKETS = 'Packets:';
const NETWORK = 'Around the devices:';
const STATE = 'Desired state:';
const SERVICE = 'Service:';
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
    netns: true,
    load: () => import('./commands/echo.ts'),
  },
  {
    name: 'dump',
    summary: 'print the packets of a device, decoded',
    group: PACKETS,
    netns: true,
    load: () => import('./commands/dump.ts'),
  },
  {
    name: 'link',
    summary: 'join two ends: devices, UDP, TCP, TLS, WebSockets, Unix sockets, QEMU, programs',
    group: PACKETS,
    load: () => import('./commands/link.ts'),
  },
  {
    name: 'switch',
    summary: 'an Ethernet switch whose ports are ends of links',
    group: PACKETS,
    load: () => import('./commands/switch.ts'),
  },
  {
    name: 'tunnel',
    summary: 'join hosts by TLS: a device at each, addresses and routes handed out',
    group: PACKETS,
    load: () => import('./commands/tunnel.ts'),
  },
  {
    name: 'identity',
    summary: 'show the key of this machine, and say whose keys it trusts',
    group: PACKETS,
    load: () => import('./commands/identity.ts'),
  },
  {
    name: 'mtu',
    summary: 'explain the MTU of two ends of a link',
    group: PACKETS,
    load: () => import('./commands/mtu.ts'),
  },
  {
    name: 'create',
    summary: 'make a TUN or TAP device that stays, a bridge, or a veth pair',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/create.ts'),
  },
  {
    name: 'delete',
    summary: 'delete devices, bridges and veth pairs',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/delete.ts'),
  },
  {
    name: 'up',
    summary: 'bring interfaces up',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/up.ts'),
  },
  {
    name: 'down',
    summary: 'take interfaces down, or everything that was applied of a file',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/down.ts'),
  },
  {
    name: 'set',
    summary: 'change an interface',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/set.ts'),
  },
  {
    name: 'list',
    summary: 'list TUN/TAP devices',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/list.ts'),
  },
  {
    name: 'show',
    summary: 'show everything about one interface',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/show.ts'),
  },
  {
    name: 'top',
    summary: 'watch rates, drops and queues of devices',
    group: DEVICES,
    netns: true,
    load: () => import('./commands/top.ts'),
  },
  {
    name: 'route',
    summary: 'list and change routes',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/route.ts'),
  },
  {
    name: 'rule',
    summary: 'list and change policy rules',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/rule.ts'),
  },
  {
    name: 'neigh',
    summary: 'list and change neighbours, ARP and NDP',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/neigh.ts'),
  },
  {
    name: 'fdb',
    summary: 'list and change forwarding tables of bridges',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/fdb.ts'),
  },
  {
    name: 'nat',
    summary: 'list and change masquerading',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/nat.ts'),
  },
  {
    name: 'sysctl',
    summary: 'read and change kernel settings',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/sysctl.ts'),
  },
  {
    name: 'monitor',
    summary: 'print changes of the network as they happen',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/monitor.ts'),
  },
  {
    name: 'netns',
    summary: 'list, add and delete network namespaces',
    group: NETWORK,
    netns: true,
    load: () => import('./commands/netns.ts'),
  },
  {
    name: 'plan',
    summary: 'show what differs between a file and this machine',
    group: STATE,
    netns: true,
    load: () => import('./commands/plan.ts'),
  },
  {
    name: 'apply',
    summary: 'make this machine as a file asks for',
    group: STATE,
    netns: true,
    load: () => import('./commands/apply.ts'),
  },
  {
    name: 'export',
    summary: 'write the file for what exists now',
    group: STATE,
    netns: true,
    load: () => import('./commands/export.ts'),
  },
  {
    name: 'import',
    summary: 'make a file of interfaces(5) or systemd-networkd files',
    group: STATE,
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'schema',
    summary: 'print what may be in a file, as JSON Schema',
    group: STATE,
    load: () => import('./commands/schema.ts'),
  },
  {
    name: 'owned',
    summary: 'list what vnic has changed and would undo',
    group: STATE,
    load: () => import('./commands/owned.ts'),
  },
  {
    name: 'cleanup',
    summary: 'undo what ended processes have left behind',
    group: STATE,
    load: () => import('./commands/cleanup.ts'),
  },
  {
    name: 'run',
    summary: 'keep this machine as a file asks for, until told to stop',
    group: SERVICE,
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'service',
    summary: 'install, start, stop, and ask the service that does it',
    group: SERVICE,
    load: () => import('./commands/service.ts'),
  },
  {
    name: 'doctor',
    summary: 'check what this machine allows, and say how to mend it',
    group: HELP,
    netns: true,
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
