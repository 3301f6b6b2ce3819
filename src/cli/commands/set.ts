/** `vnic set`: changes an interface. */

import { type Command, Option } from 'commander';

import type { Cidr, MacAddress } from '../../base/index.ts';
import type { DeviceRoute } from '../../netdev/index.ts';
import type { LinkChange, LinkInfo, Netlink, TunInfo } from '../../netlink/index.ts';
import type { NetnsOptions, NetnsSelector } from '../../netns/index.ts';
import type { TunTapDevice } from '../../tun/index.ts';
import {
  addBridgeOptions,
  addCommonLinkOptions,
  addPortOptions,
  type BridgeOptions,
  bridgeSettings,
  type CommonLinkOptions,
  type PortOptions,
  portSettings,
} from '../link-options.ts';
import { parseNetns } from '../netns-option.ts';
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
  parseTxFilter,
  parseValue,
  parseVnetHeaderLen,
  repeatableOption,
} from '../values.ts';

interface SetOptions extends NetnsOptions, BridgeOptions, PortOptions, CommonLinkOptions {
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
  readonly linkType?: string;
  readonly vnetHeaderLen?: number;
  readonly txFilter?: ReturnType<typeof parseTxFilter>;
  readonly carrier?: boolean;
  readonly addAddress?: readonly Cidr[];
  readonly removeAddress?: readonly Cidr[];
  readonly addRoute?: readonly string[];
  readonly removeRoute?: readonly string[];
  readonly removeAltname?: readonly string[];
  readonly moveTo?: NetnsSelector;
}

export function define(command: Command): void {
  command
    .description(
      'Change an interface: any, except for --owner, --group, --persist, --link-type, --vnet-header-len and --tx-filter,\n' +
        'which only TUN/TAP devices have, and the settings of bridges and their ports.',
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
    .addOption(
      option('--link-type <type>', 'what it says that it carries: ether, none, ppp, ... or a number', parseText),
    )
    .addOption(option('--vnet-header-len <bytes>', 'length of its virtio-net header, 10 to 32', parseVnetHeaderLen))
    .addOption(
      option(
        '--tx-filter <macs|off>',
        'destinations whose frames its reader gets: MAC[,MAC...][,allmulti]',
        parseTxFilter,
      ),
    )
    .addOption(option('--carrier <on|off>', 'plug in or out a device that somebody holds', parseOnOff))
    .addOption(repeatableOption('--add-address <cidr>', 'address with its prefix length', parseCidr))
    .addOption(repeatableOption('--remove-address <cidr>', 'address with its prefix length', parseCidr))
    .addOption(repeatableOption('--add-route <route>', 'CIDR[,via=ADDR][,metric=N] through the interface', parseText))
    .addOption(
      repeatableOption('--remove-route <route>', 'CIDR[,via=ADDR][,metric=N] through the interface', parseText),
    )
    .addOption(repeatableOption('--remove-altname <name>', 'a further name', parseText))
    .addOption(
      option('--move-to <netns>', 'move it there: name, process id or path; --up brings it up there', parseNetns),
    )
    .action(set);
  // Behind --master: alone, commander would give it a default of true.
  addCommonLinkOptions(command).option('--no-master', 'take it out of its bridge');
  addBridgeOptions(command);
  addPortOptions(command).addHelpText(
    'after',
    `
The changes are made in this order: link type, header, filter, owner, group, persistence; routes and addresses removed;
down; MAC, MTU, name, flags, queue length, carrier, alias; further names; bridge and settings of bridge and port;
addresses added; up; routes added; moved last. After an error, those before it are in force. Those from link type to
persistence need the device to be free: the process that holds it is named otherwise. A link type needs it to be down as
well. The carrier, in turn, needs a holder, and ends with it.

Examples:
  sudo vnic set tap0 --owner $USER --mtu 9000 --up
  sudo vnic set tun0 --add-address fd00::1/64 --add-route fd01::/48,via=fd00::2
  sudo vnic set tap0 --name lab0 --persist off
  sudo vnic set tap0 --master br0 --isolated on
  sudo vnic set br0 --stp on --ageing-time 60
  sudo vnic set tap0 --move-to blue --up`,
  );
}

async function set(name: string, options: SetOptions): Promise<void> {
  if (Object.keys(options).every((key) => key === 'netns')) {
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
  const { withNetlink } = await import('../../netdev/index.ts');
  await withNetlink(options, async (netlink) => {
    const link = await netlink.links.get(name);
    await checkChange(link, options);
    if (!(await setByAttaching(netlink, link, options))) return;
    // Before the interface goes down, which takes its routes and IPv6 addresses with it.
    for (const route of routesToRemove) await netlink.routes.remove({ ...route, link: link.name });
    for (const cidr of options.removeAddress ?? []) await netlink.addresses.remove(link.name, cidr);
    if (options.down) await netlink.links.set(link.name, { up: false });
    const change = linkChange(options);
    if (Object.keys(change).length > 0) await netlink.links.set(link.name, change);
    const current = options.name ?? link.name;
    await setNames(netlink, current, options);
    await setBridge(netlink, current, options);
    await addAndRaise(netlink, current, options, routesToAdd);
  });
}

/** The last steps: addresses, up, routes; or away to another namespace, and up there. */
async function addAndRaise(
  netlink: Netlink,
  name: string,
  options: SetOptions,
  routes: readonly DeviceRoute[],
): Promise<void> {
  const { addAddress = [], up, moveTo } = options;
  for (const cidr of addAddress) await netlink.addresses.add(name, cidr, { noDad: cidr.family === 6 });
  if (moveTo !== undefined) await netlink.links.set(name, { netns: moveTo, ...(up && { up }) });
  else if (up) await netlink.links.set(name, { up });
  for (const route of routes) await netlink.routes.add({ ...route, link: name });
}

async function setNames(netlink: Netlink, name: string, { altname, removeAltname }: SetOptions): Promise<void> {
  if (removeAltname !== undefined) await netlink.links.removeAltNames(name, removeAltname);
  if (altname !== undefined) await netlink.links.addAltNames(name, altname);
}

async function setBridge(netlink: Netlink, name: string, options: SetOptions): Promise<void> {
  const { master } = options;
  const bridge = bridgeSettings(options);
  const bridgePort = portSettings(options);
  const change: LinkChange = {
    ...(master === false && { master: 0 }),
    ...(typeof master === 'string' && { master: (await netlink.links.get(master)).index }),
    ...(bridge !== undefined && { bridge }),
    ...(bridgePort !== undefined && { bridgePort }),
  };
  if (Object.keys(change).length > 0) await netlink.links.set(name, change);
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
  if (options.carrier !== undefined) await requireHolder(link, attempted, options);
  if (options.txFilter !== undefined && link.tun?.kind === 'tun') {
    throw usageError(
      attempted,
      `${link.name} is a TUN device, whose packets have no MAC address`,
      'Leave --tx-filter out.',
    );
  }
  if (options.moveTo !== undefined && (options.addAddress ?? options.addRoute) !== undefined) {
    throw usageError(attempted, 'addresses and routes do not move along', 'Add them there, with --netns, afterwards.');
  }
  const isUp = options.down ? false : options.up || link.isUp;
  if (options.addRoute !== undefined && !isUp) {
    throw usageError(attempted, 'the kernel keeps routes only through an interface that is up', 'Add --up.');
  }
}

/** With nobody attached the kernel has no carrier to set, and whoever attaches brings it back. */
async function requireHolder(link: LinkInfo, attempted: string, options: NetnsOptions): Promise<void> {
  const { findHolders } = await import('../../tun/index.ts');
  if (link.tun === undefined || (link.tun.numQueues ?? 0) > 0) return;
  if (link.flags.includes('LOWER_UP') || findHolders(link.name, options).length > 0) return;
  throw usageError(
    attempted,
    `nobody holds ${link.name}: it has no carrier, and gets one with the program that attaches to it`,
    'Set it while a program holds the device.',
  );
}

function linkChange({ mtu, mac, promisc, txqueuelen, carrier, name, alias }: SetOptions): LinkChange {
  return {
    ...(mtu !== undefined && { mtu }),
    ...(mac !== undefined && { mac }),
    ...(promisc !== undefined && { promisc }),
    ...(txqueuelen !== undefined && { txQueueLen: txqueuelen }),
    ...(carrier !== undefined && { carrier }),
    ...(name !== undefined && { name }),
    ...(alias !== undefined && { alias }),
  };
}

/** What takes a descriptor of the device. Returns false when the device went with its persistence. */
async function setByAttaching(netlink: Netlink, link: LinkInfo, options: SetOptions): Promise<boolean> {
  const { owner, group, persist, linkType, vnetHeaderLen, txFilter } = options;
  if ([owner, group, persist, linkType, vnetHeaderLen, txFilter].every((value) => value === undefined)) return true;
  const { applyOwnership, requireTunTap, resolveGroup, resolveUser } = await import('../../netdev/index.ts');
  const { TapDevice } = await import('../../tun/index.ts');
  const tun = requireTunTap(link, `set ${link.name}`, 'Only TUN/TAP devices have what was asked for.');
  if (vnetHeaderLen !== undefined && !tun.vnetHeader) {
    throw usageError(`set ${link.name}`, `${link.name} has no virtio-net header`, 'Make it with --vnet-header.');
  }
  const changes = {
    ...(owner !== undefined && { owner: await resolveUser(owner) }),
    ...(group !== undefined && { group: await resolveGroup(group) }),
    ...(persist !== undefined && { persist }),
  };
  const device = await openAsItIs(link, tun, options);
  try {
    if (linkType !== undefined) device.setLinkType(/^\d+$/.test(linkType) ? Number(linkType) : linkType);
    if (txFilter !== undefined && device instanceof TapDevice)
      device.setTxFilter(txFilter === 'off' ? undefined : txFilter);
    applyOwnership(device, changes);
  } finally {
    await device.close();
  }
  if (persist !== false || (await netlink.links.list()).some(({ index }) => index === link.index)) return true;
  printNote(`${link.name} is gone: nobody held it, and it no longer persists`);
  return false;
}

/** Attaching sets the framing anew, so it is passed as it is; and nobody is to see a carrier that comes and goes. */
async function openAsItIs(link: LinkInfo, tun: TunInfo, { netns, vnetHeaderLen }: SetOptions): Promise<TunTapDevice> {
  const { TapDevice, TunDevice } = await import('../../tun/index.ts');
  const { packetInfo, vnetHeader, multiQueue } = tun;
  const open = {
    ...{ name: link.name, mustExist: true, packetInfo, vnetHeader, multiQueue, carrier: false },
    ...(vnetHeaderLen !== undefined && { vnetHeaderLen }),
    ...(netns !== undefined && { netns }),
  };
  return tun.kind === 'tun' ? TunDevice.open(open) : TapDevice.open(open);
}
