/** `vnic set`: changes an interface. */

import { type Command, Option } from 'commander';

import type { Cidr, MacAddress } from '../../base/index.ts';
import type { LinkChange, LinkInfo, Netlink } from '../../netlink/index.ts';
import { printNote } from '../output.ts';
import { usageError } from '../report-error.ts';
import {
  option,
  parseCidr,
  parseInterfaceMac,
  parseMtu,
  parseOnOff,
  parseQueueLen,
  parseText,
  parseValue,
  repeatableOption,
} from '../values.ts';

interface SetOptions {
  readonly up?: true;
  readonly down?: true;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly promisc?: boolean;
  readonly txqueuelen?: number;
  readonly name?: string;
  readonly owner?: string;
  readonly group?: string;
  readonly persist?: boolean;
  readonly addAddress?: readonly Cidr[];
  readonly removeAddress?: readonly Cidr[];
  readonly addRoute?: readonly string[];
  readonly removeRoute?: readonly string[];
}

export function define(command: Command): void {
  command
    .description(
      'Change an interface: any, except for --owner, --group and --persist, which only TUN/TAP devices have.',
    )
    .argument('<interface>', 'its name')
    .addOption(new Option('--up', 'bring it up').conflicts('down'))
    .addOption(new Option('--down', 'take it down'))
    .addOption(option('--mtu <bytes>', '68 to 65535', parseMtu))
    .addOption(option('--mac <address>', 'MAC address; not of a TUN device', parseInterfaceMac))
    .addOption(option('--promisc <on|off>', 'take frames for other MAC addresses', parseOnOff))
    .addOption(option('--txqueuelen <packets>', 'packets that the kernel queues for the reader', parseQueueLen))
    .addOption(option('--name <new>', 'rename it', parseText))
    .addOption(option('--owner <user>', 'name or uid that may use it without privilege', parseText))
    .addOption(option('--group <group>', 'name or gid that may use it without privilege', parseText))
    .addOption(
      option('--persist <on|off>', 'keep it when nobody holds it; "off" deletes one that nobody holds', parseOnOff),
    )
    .addOption(repeatableOption('--add-address <cidr>', 'address with its prefix length', parseCidr))
    .addOption(repeatableOption('--remove-address <cidr>', 'address with its prefix length', parseCidr))
    .addOption(repeatableOption('--add-route <route>', 'CIDR[,via=ADDR][,metric=N] through the interface', parseText))
    .addOption(
      repeatableOption('--remove-route <route>', 'CIDR[,via=ADDR][,metric=N] through the interface', parseText),
    )
    .addHelpText(
      'after',
      `
The changes are made in this order: owner, group, persistence; routes and addresses removed; down; MAC, MTU, name,
flags, queue length; addresses added; up; routes added. After an error, those before it are in force.
Owner, group and persistence need the device to be free: the process that holds it is named otherwise.

Examples:
  sudo vnic set tap0 --owner $USER --mtu 9000 --up
  sudo vnic set tun0 --add-address fd00::1/64 --add-route fd01::/48,via=fd00::2
  sudo vnic set tap0 --name lab0 --persist off`,
    )
    .action(set);
}

async function set(name: string, options: SetOptions): Promise<void> {
  if (Object.keys(options).length === 0) {
    throw usageError(
      `set ${JSON.stringify(name)}`,
      'nothing to change was given',
      'See `vnic set --help` for what can be changed.',
    );
  }
  const { parseDeviceRoute } = await import('../../netdev/index.ts');
  const routesToAdd = (options.addRoute ?? []).map((text) => parseValue('--add-route', text, parseDeviceRoute));
  const routesToRemove = (options.removeRoute ?? []).map((text) =>
    parseValue('--remove-route', text, parseDeviceRoute),
  );
  const { openNetlink } = await import('../../netlink/index.ts');
  const netlink = await openNetlink();
  try {
    const link = await netlink.links.get(name);
    await checkChange(link, options);
    if (!(await setOwnership(netlink, link, options))) return;
    // Before the interface goes down, which takes its routes and IPv6 addresses with it.
    for (const route of routesToRemove) await netlink.routes.remove({ ...route, link: link.name });
    for (const cidr of options.removeAddress ?? []) await netlink.addresses.remove(link.name, cidr);
    if (options.down) await netlink.links.set(link.name, { up: false });
    const change = linkChange(options);
    if (Object.keys(change).length > 0) await netlink.links.set(link.name, change);
    const current = options.name ?? link.name;
    for (const cidr of options.addAddress ?? [])
      await netlink.addresses.add(current, cidr, { noDad: cidr.family === 6 });
    if (options.up) await netlink.links.set(current, { up: true });
    for (const route of routesToAdd) await netlink.routes.add({ ...route, link: current });
  } finally {
    await netlink.close();
  }
}

/** What would fail half-way and can be known before. */
async function checkChange(link: LinkInfo, options: SetOptions): Promise<void> {
  const { checkInterfaceAddress } = await import('../../netdev/index.ts');
  const { checkInterfaceName } = await import('../../netlink/index.ts');
  const attempted = `set ${link.name}`;
  if (options.name !== undefined)
    checkInterfaceName(options.name, `rename ${link.name} to ${JSON.stringify(options.name)}`);
  if (options.mac !== undefined && link.tun?.kind === 'tun') {
    throw usageError(attempted, `${link.name} is a TUN device, which has no MAC address`, 'Leave --mac out.');
  }
  for (const cidr of options.addAddress ?? []) checkInterfaceAddress(cidr, attempted);
  const isUp = options.down ? false : options.up || link.isUp;
  if (options.addRoute !== undefined && !isUp) {
    throw usageError(attempted, 'the kernel keeps routes only through an interface that is up', 'Add --up.');
  }
}

function linkChange({ mtu, mac, promisc, txqueuelen, name }: SetOptions): LinkChange {
  return {
    ...(mtu !== undefined && { mtu }),
    ...(mac !== undefined && { mac }),
    ...(promisc !== undefined && { promisc }),
    ...(txqueuelen !== undefined && { txQueueLen: txqueuelen }),
    ...(name !== undefined && { name }),
  };
}

/** Returns false when the device went with its persistence. */
async function setOwnership(netlink: Netlink, link: LinkInfo, options: SetOptions): Promise<boolean> {
  const { owner, group, persist } = options;
  if (owner === undefined && group === undefined && persist === undefined) return true;
  const { applyOwnership, requireTunTap, resolveGroup, resolveUser } = await import('../../netdev/index.ts');
  const { TapDevice, TunDevice } = await import('../../tun/index.ts');
  const tun = requireTunTap(link, `set ${link.name}`, 'Only TUN/TAP devices have an owner, a group and persistence.');
  const changes = {
    ...(owner !== undefined && { owner: await resolveUser(owner) }),
    ...(group !== undefined && { group: await resolveGroup(group) }),
    ...(persist !== undefined && { persist }),
  };
  const { packetInfo, vnetHeader, multiQueue } = tun;
  // Attaching sets these anew, so they are passed as they are.
  const open = { name: link.name, mustExist: true, packetInfo, vnetHeader, multiQueue };
  const device = tun.kind === 'tun' ? await TunDevice.open(open) : await TapDevice.open(open);
  try {
    applyOwnership(device, changes);
  } finally {
    await device.close();
  }
  if (persist !== false || (await netlink.links.list()).some(({ index }) => index === link.index)) return true;
  printNote(`${link.name} is gone: nobody held it, and it no longer persists`);
  return false;
}
