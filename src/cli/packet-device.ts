/**
 * The device of `vnic echo` and `vnic dump`: made for as long as the command runs, or one that exists and is left
 * as it was found.
 */

import { type Command, Option } from 'commander';

import type { Cidr, MacAddress } from '../base/index.ts';
import { type Change, netnsRef } from '../changes/index.ts';
import { openLoan } from '../journal/index.ts';
import { createDevice } from '../netdev/index.ts';
import { getLinkSync, type LinkInfo, openNetlink } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import type { PacketIo, TunTapDevice } from '../tun/index.ts';
import { defaultAddresses } from './default-addresses.ts';
import { usageError } from './report-error.ts';
import { option, parseCidr, parseInterfaceMac, parseMtu, repeatableOption } from './values.ts';

/** What `addDeviceOptions` parses. */
export interface PacketDeviceOptions extends NetnsOptions {
  readonly tun?: boolean;
  readonly tap?: boolean;
  readonly address?: readonly Cidr[];
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly io?: PacketIo;
  /** Prefixes that this machine shall reach through a device that is made; those of its subnets need no route. */
  readonly routes?: readonly Cidr[];
}

/** A device in use; what the command did to it is undone by `release`. */
export interface PacketDevice {
  readonly device: TunTapDevice;
  /** False for a device that was there before. */
  readonly created: boolean;
  /** Every address of the device. */
  readonly addresses: readonly Cidr[];
  /** What was routed through the device, beyond its subnets. */
  readonly routes: readonly Cidr[];
  /** Closes the device: a created one vanishes, another loses what was added to it. Never throws. */
  release(): Promise<void>;
}

const packetIoChoices: readonly PacketIo[] = ['auto', 'io_uring', 'readiness'];

/** Adds `--tun`, `--tap`, `--address`, `--mtu`, `--mac` and `--io`. */
export function addDeviceOptions(command: Command): Command {
  return command
    .addOption(new Option('--tun', 'a TUN device, which carries IP packets (default)').conflicts('tap'))
    .addOption(new Option('--tap', 'a TAP device, which carries Ethernet frames'))
    .addOption(repeatableOption('--address <cidr>', 'address of the device', parseCidr))
    .addOption(option('--mtu <bytes>', 'longest packet', parseMtu))
    .addOption(option('--mac <address>', 'MAC address of a TAP device', parseInterfaceMac))
    .addOption(
      new Option('--io <way>', 'many packets a system call through io_uring: under load, always, or never').choices(
        packetIoChoices,
      ),
    );
}

/**
 * Opens the device `name`: attaches to it if it exists, else makes it, with `10.0.0.1/24` and `fd00::1/64` unless
 * addresses are given. It is up afterwards.
 * @throws what `createDevice` throws
 */
export async function openPacketDevice(name: string | undefined, options: PacketDeviceOptions): Promise<PacketDevice> {
  const isExact = name !== undefined && !name.includes('%');
  const found = isExact ? getLinkSync(name, options) : undefined;
  return found === undefined ? makeDevice(name, options) : attachDevice(found, options);
}

async function makeDevice(name: string | undefined, options: PacketDeviceOptions): Promise<PacketDevice> {
  const kind = options.tap ? 'tap' : 'tun';
  const addresses = options.address ?? (await defaultAddresses(options));
  const routes = (options.routes ?? []).filter((prefix) => needsRoute(prefix, addresses));
  const device = await createDevice({
    kind,
    name: name ?? `${kind}%d`,
    // Somebody may have made it since the look.
    exclusive: true,
    addresses,
    up: true,
    routes: routes.map((destination) => ({ destination })),
    ...(options.netns !== undefined && { netns: options.netns }),
    ...(options.mtu !== undefined && { mtu: options.mtu }),
    ...(options.mac !== undefined && { mac: options.mac }),
    ...(options.io !== undefined && { io: options.io }),
  });
  return { device, created: true, addresses, routes, release: () => device.close() };
}

/** What is changed of somebody else's device is written down first, and undone at the end, or after a crash. */
async function attachDevice(found: LinkInfo, options: PacketDeviceOptions): Promise<PacketDevice> {
  refuseChanges(found, options);
  const before = await addressesOf(found.index, options);
  const wanted = options.address ?? (before.length > 0 ? [] : await defaultAddresses(options));
  const added = wanted.filter((cidr) => !before.some((other) => other.equals(cidr)));
  const { kind = 'tun', packetInfo = false, vnetHeader = false, multiQueue = false } = found.tun ?? {};
  const device = await createDevice({
    kind: options.tap ? 'tap' : options.tun ? 'tun' : kind,
    name: found.name,
    // As it is: attaching with other flags would change the device.
    packetInfo,
    vnetHeader,
    multiQueue,
    ...(options.netns !== undefined && { netns: options.netns }),
    ...(options.io !== undefined && { io: options.io }),
  });
  const loan = openLoan();
  const release = async (): Promise<void> => {
    await device.close();
    await loan.giveBack();
  };
  try {
    await loan.change(changesFor(found, added, options));
  } catch (error) {
    await release();
    throw error;
  }
  return { device, created: false, addresses: [...before, ...added], routes: [], release };
}

function changesFor({ name, index, isUp }: LinkInfo, added: readonly Cidr[], { netns }: NetnsOptions): Change[] {
  const at = { link: { name, index }, ...(netns !== undefined && { netns: netnsRef(netns) }) };
  const up: Change = { resource: 'link', ...at, before: { up: false }, after: { up: true } };
  return [
    ...added.map((cidr): Change => ({ resource: 'address', action: 'add', ...at, cidr: cidr.toString() })),
    ...(isUp ? [] : [up]),
  ];
}

/** A default route would take the machine off its network, so nobody gets one by an address to answer for. */
function needsRoute(prefix: Cidr, addresses: readonly Cidr[]): boolean {
  const isInside = addresses.some((own) => own.prefixLen <= prefix.prefixLen && own.contains(prefix.address));
  return prefix.prefixLen > 0 && !isInside;
}

/** An existing device is used as it is. */
function refuseChanges(found: LinkInfo, options: PacketDeviceOptions): void {
  const asked = options.mtu !== undefined ? '--mtu' : options.mac !== undefined ? '--mac' : undefined;
  if (asked === undefined) return;
  const attempted = `use ${found.name} with ${asked}`;
  throw usageError(attempted, `${found.name} exists already`, `Change it first: vnic set ${found.name} ${asked} …`);
}

/** What can be pinged around: global addresses. */
async function addressesOf(ifindex: number, options: NetnsOptions): Promise<Cidr[]> {
  const netlink = await openNetlink(options);
  try {
    const addresses = await netlink.addresses.list({ link: ifindex });
    return addresses.filter(({ scope }) => scope === 'global').map(({ cidr }) => cidr);
  } finally {
    await netlink.close();
  }
}
