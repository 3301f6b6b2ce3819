/** `vnic create`: a device that stays, a bridge, or a veth pair. */

import { type Command, Option } from 'commander';

import { type Cidr, isVnicError, type MacAddress, VnicError } from '../../base/index.ts';
import type { DeviceRoute } from '../../netdev/index.ts';
import type { LinkSpec } from '../../netlink/index.ts';
import type { NetnsOptions, NetnsSelector } from '../../netns/index.ts';
import {
  addBridgeOptions,
  addCommonLinkOptions,
  type BridgeOptions,
  bridgeSettings,
  type CommonLinkOptions,
} from '../link-options.ts';
import { parseNetns } from '../netns-option.ts';
import { print } from '../output.ts';
import { usageError } from '../report-error.ts';
import {
  option,
  parseCidr,
  parseIfindex,
  parseInterfaceMac,
  parseMtu,
  parseQueueLen,
  parseText,
  parseValue,
  parseVnetHeaderLen,
  repeatableOption,
} from '../values.ts';

interface CreateOptions extends NetnsOptions, BridgeOptions, CommonLinkOptions {
  readonly tun?: true;
  readonly tap?: true;
  readonly bridge?: true;
  readonly veth?: true;
  readonly peer?: Peer;
  readonly address?: readonly Cidr[];
  readonly route?: readonly string[];
  readonly up?: true;
  readonly owner?: string;
  readonly group?: string;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly txqueuelen?: number;
  readonly promisc?: true;
  readonly multiQueue?: true;
  readonly packetInfo?: true;
  readonly vnetHeader?: true;
  readonly vnetHeaderLen?: number;
  readonly ifindex?: number;
}

/** The other end of a veth pair. */
interface Peer {
  readonly name: string;
  readonly netns?: NetnsSelector;
}

export function define(command: Command): void {
  command
    .description(
      'Make a TUN or TAP device, a bridge, or a veth pair, that stays until it is deleted or the machine restarts. Prints its\n' +
        'name. All or nothing: a device persists only once everything else has been set.',
    )
    .argument('<name>', 'name of 1 to 15 bytes; "%d" of a device is replaced by the lowest free number')
    .addOption(new Option('--tun', 'a device of IP packets').conflicts(['tap', 'bridge', 'veth', 'mac', 'master']))
    .addOption(new Option('--tap', 'a device of Ethernet frames').conflicts(['bridge', 'veth']))
    .addOption(new Option('--bridge', 'a bridge').conflicts(['veth', 'master']))
    .addOption(new Option('--veth', 'one end of a pair of virtual Ethernet interfaces; needs --peer'))
    .addOption(option('--peer <name[@netns]>', 'name of the other end, and its namespace if another', parsePeer))
    .addOption(repeatableOption('--address <cidr>', 'address with its prefix length', parseCidr))
    .addOption(
      repeatableOption('--route <route>', 'CIDR[,via=ADDR][,metric=N] through the device; needs --up', parseText),
    )
    .option('--up', 'bring it up')
    .addOption(option('--owner <user>', 'name or uid that may use it without privilege', parseText))
    .addOption(option('--group <group>', 'name or gid that may use it without privilege', parseText))
    .addOption(option('--mtu <bytes>', '68 to 65535, at least 1280 with IPv6', parseMtu))
    .addOption(option('--mac <address>', 'MAC address of a TAP device; default random', parseInterfaceMac))
    .addOption(option('--txqueuelen <packets>', 'packets that the kernel queues for the reader', parseQueueLen))
    .option('--promisc', 'let the device take frames for other MAC addresses')
    .option('--multi-queue', 'let several descriptors attach, one a queue')
    .option('--packet-info', 'put struct tun_pi before each packet')
    .option('--vnet-header', 'put struct virtio_net_hdr before each packet')
    .addOption(option('--vnet-header-len <bytes>', 'its length, 10 to 32; default 10', parseVnetHeaderLen))
    .addOption(option('--ifindex <number>', 'index of the interface; default chosen by the kernel', parseIfindex))
    .action(create);
  addCommonLinkOptions(command);
  addBridgeOptions(command).addHelpText(
    'after',
    `
A carrier, a send buffer and NAPI belong to the program that holds the device and cannot be given to it beforehand;
\`vnic set\` changes the carrier of a device that is held.

Examples:
  sudo vnic create tap0 --tap --owner root                 as tunctl -t tap0 -u root
  sudo vnic create tun%d --tun --address 10.0.0.1/24 --address fd00::1/64 --up
  sudo vnic create tun0 --tun --address 10.0.0.1/24 --up --route 192.168.7.0/24,via=10.0.0.2,metric=50
  sudo vnic create tap0 --tap --owner $USER --mac 02:00:00:00:00:01 --mtu 9000
  sudo vnic create br0 --bridge --stp on --address 10.0.0.1/24 --up
  sudo vnic create tap1 --tap --master br0 --up
  sudo vnic create v0 --veth --peer eth0@blue --up     both ends up, the other one in the namespace blue`,
  );
}

async function create(name: string, options: CreateOptions): Promise<void> {
  const { tun, tap, bridge, veth } = options;
  if (!tun && !tap && !bridge && !veth) {
    throw usageError(
      `create ${JSON.stringify(name)}`,
      'none of --tun, --tap, --bridge and --veth was given',
      'Add --tun for IP packets, --tap for Ethernet frames, --bridge or --veth.',
    );
  }
  refuseStray(name, options);
  const { parseDeviceRoute } = await import('../../netdev/index.ts');
  const routes = options.route?.map((text): DeviceRoute => parseValue('--route', text, parseDeviceRoute));
  if (routes !== undefined && !options.up) {
    throw usageError(
      `create ${JSON.stringify(name)}`,
      'the kernel keeps routes only through a device that is up',
      'Add --up.',
    );
  }
  const made = tun || tap ? createDevice(name, options, routes) : createLink(name, options, routes ?? []);
  print(await orExists(name, options, made));
}

async function createDevice(
  name: string,
  options: CreateOptions,
  routes: readonly DeviceRoute[] | undefined,
): Promise<string> {
  const { openDevice } = await import('../../netdev/index.ts');
  const { up, owner, group, mtu, mac, promisc, multiQueue, packetInfo, vnetHeader, netns, alias } = options;
  const { txqueuelen, address, altname, master, ifindex, vnetHeaderLen } = options;
  const device = await openDevice({
    kind: options.tun ? 'tun' : 'tap',
    name,
    exclusive: true,
    persist: true,
    ...(up && { up }),
    ...(mtu !== undefined && { mtu }),
    ...(mac !== undefined && { mac }),
    ...(promisc && { promisc }),
    ...(multiQueue && { multiQueue }),
    ...(packetInfo && { packetInfo }),
    ...(vnetHeader && { vnetHeader }),
    ...(vnetHeaderLen !== undefined && { vnetHeaderLen }),
    ...(ifindex !== undefined && { ifindex }),
    ...(netns !== undefined && { netns }),
    ...(alias !== undefined && { alias }),
    ...(altname && { altNames: altname }),
    ...(typeof master === 'string' && { master }),
    ...(address && { addresses: address }),
    ...(routes && { routes }),
    ...(owner !== undefined && { owner }),
    ...(group !== undefined && { group }),
    ...(txqueuelen !== undefined && { txQueueLen: txqueuelen }),
  });
  await device.close();
  return device.name;
}

/** A bridge or a veth pair, deleted again when something else of it cannot be set. */
async function createLink(name: string, options: CreateOptions, routes: readonly DeviceRoute[]): Promise<string> {
  const { checkInterfaceAddress, withNetlink } = await import('../../netdev/index.ts');
  for (const cidr of options.address ?? []) checkInterfaceAddress(cidr, `create ${JSON.stringify(name)}`);
  await withNetlink(options, async (netlink) => {
    const { master } = options;
    const index = typeof master === 'string' ? (await netlink.links.get(master)).index : undefined;
    await netlink.links.create(linkSpec(name, options, index));
    try {
      const { alias, altname, address = [], up } = options;
      if (alias !== undefined) await netlink.links.set(name, { alias });
      if (altname !== undefined) await netlink.links.addAltNames(name, altname);
      for (const cidr of address) await netlink.addresses.add(name, cidr, { noDad: cidr.family === 6 });
      if (up) await netlink.links.set(name, { up });
      for (const route of routes) await netlink.routes.add({ ...route, link: name });
    } catch (error) {
      await netlink.links.delete(name).catch(() => undefined);
      throw error;
    }
  });
  return name;
}

function linkSpec(name: string, options: CreateOptions, master: number | undefined): LinkSpec {
  const { mtu, mac, txqueuelen, promisc, up, peer } = options;
  const end = {
    name,
    ...(mtu !== undefined && { mtu }),
    ...(mac !== undefined && { mac }),
    ...(txqueuelen !== undefined && { txQueueLen: txqueuelen }),
    ...(promisc && { promisc }),
    ...(master !== undefined && { master }),
  };
  if (options.bridge) {
    const bridge = bridgeSettings(options);
    return { kind: 'bridge', ...end, ...(bridge !== undefined && { bridge }) };
  }
  if (peer === undefined) throw usageError(`create ${JSON.stringify(name)}`, '--peer is missing', 'Add --peer NAME.');
  return { kind: 'veth', ...end, peer: { ...peer, ...(mtu !== undefined && { mtu }), ...(up && { up }) } };
}

/** What has no meaning for the kind that is made. */
function refuseStray(name: string, options: CreateOptions): void {
  const attempted = `create ${JSON.stringify(name)}`;
  const refuse = (flags: string, of: string): never => {
    throw usageError(attempted, `${flags} is for ${of}`, 'Leave it out, or see `vnic create --help`.');
  };
  const ofDevices = ['owner', 'group', 'multiQueue', 'packetInfo', 'vnetHeader', 'vnetHeaderLen', 'ifindex'] as const;
  const isDevice = options.tun ?? options.tap ?? false;
  const stray = isDevice ? undefined : ofDevices.find((key) => options[key] !== undefined);
  if (stray !== undefined)
    refuse(`--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, 'TUN/TAP devices');
  if (!options.veth && options.peer !== undefined) refuse('--peer', 'veth pairs');
  if (!options.bridge && bridgeSettings(options) !== undefined) refuse('a setting of a bridge', 'bridges');
}

function parsePeer(text: string): Peer {
  const at = text.lastIndexOf('@');
  if (at < 0) return { name: parseText(text) };
  return { name: parseText(text.slice(0, at)), netns: parseNetns(text.slice(at + 1)) };
}

/** The library's hint speaks of its own option; here there are commands to name. */
async function orExists<T>(name: string, options: NetnsOptions, opened: Promise<T>): Promise<T> {
  try {
    return await opened;
  } catch (error) {
    if (!isVnicError(error, 'VNIC_DEVICE_EXISTS') || name.includes('%')) throw error;
    const { getLinkSync } = await import('../../netlink/index.ts');
    // It may be the index that is taken.
    if (getLinkSync(name, options) === undefined) throw error;
    throw new VnicError(error.code, {
      attempted: `create ${name}`,
      reason: `${name} exists already`,
      hint: `Choose another name, change it with \`vnic set ${name}\`, or delete it first: \`sudo vnic delete ${name}\`.`,
      cause: error,
    });
  }
}
