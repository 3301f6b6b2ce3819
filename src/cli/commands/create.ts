/** `vnic create`: a device that stays. */

import { type Command, Option } from 'commander';

import { type Cidr, isVnicError, type MacAddress, VnicError } from '../../base/index.ts';
import type { DeviceRoute } from '../../netdev/index.ts';
import { print } from '../output.ts';
import { usageError } from '../report-error.ts';
import {
  option,
  parseCidr,
  parseInterfaceMac,
  parseMtu,
  parseQueueLen,
  parseText,
  parseValue,
  repeatableOption,
} from '../values.ts';

interface CreateOptions {
  readonly tun?: true;
  readonly tap?: true;
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
}

export function define(command: Command): void {
  command
    .description(
      'Make a TUN or TAP device that stays until it is deleted or the machine restarts. Prints its name.\n' +
        'All or nothing: the device persists only once everything else has been set.',
    )
    .argument('<name>', 'name of 1 to 15 bytes; "%d" is replaced by the lowest free number')
    .addOption(new Option('--tun', 'a device of IP packets').conflicts(['tap', 'mac']))
    .addOption(new Option('--tap', 'a device of Ethernet frames'))
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
    .addHelpText(
      'after',
      `
Examples:
  sudo vnic create tap0 --tap --owner root                 as tunctl -t tap0 -u root
  sudo vnic create tun%d --tun --address 10.0.0.1/24 --address fd00::1/64 --up
  sudo vnic create tun0 --tun --address 10.0.0.1/24 --up --route 192.168.7.0/24,via=10.0.0.2,metric=50
  sudo vnic create tap0 --tap --owner $USER --mac 02:00:00:00:00:01 --mtu 9000`,
    )
    .action(create);
}

async function create(name: string, options: CreateOptions): Promise<void> {
  const { tun, tap, address, route, owner, group, txqueuelen, ...rest } = options;
  if (!tun && !tap) {
    throw usageError(
      `create ${JSON.stringify(name)}`,
      'neither --tun nor --tap was given',
      'Add --tun for IP packets, or --tap for Ethernet frames.',
    );
  }
  const { openDevice, parseDeviceRoute } = await import('../../netdev/index.ts');
  const routes = route?.map((text): DeviceRoute => parseValue('--route', text, parseDeviceRoute));
  if (routes !== undefined && !rest.up) {
    throw usageError(
      `create ${JSON.stringify(name)}`,
      'the kernel keeps routes only through a device that is up',
      'Add --up.',
    );
  }
  const device = await orExists(
    name,
    openDevice({
      ...rest,
      kind: tun ? 'tun' : 'tap',
      name,
      exclusive: true,
      persist: true,
      ...(address && { addresses: address }),
      ...(routes && { routes }),
      ...(owner !== undefined && { owner }),
      ...(group !== undefined && { group }),
      ...(txqueuelen !== undefined && { txQueueLen: txqueuelen }),
    }),
  );
  await device.close();
  print(device.name);
}

/** The library's hint speaks of its own option; here there are commands to name. */
async function orExists<T>(name: string, opened: Promise<T>): Promise<T> {
  try {
    return await opened;
  } catch (error) {
    if (!isVnicError(error, 'VNIC_DEVICE_EXISTS') || name.includes('%')) throw error;
    throw new VnicError(error.code, {
      attempted: `create ${name}`,
      reason: `${name} exists already`,
      hint: `Choose another name, change it with \`vnic set ${name}\`, or delete it first: \`sudo vnic delete ${name}\`.`,
      cause: error,
    });
  }
}
