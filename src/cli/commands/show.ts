/** `vnic show`: everything about one interface. */

import type { Command } from 'commander';

import type { InterfaceInfo } from '../../netdev/index.ts';
import type { AddressInfo, BridgeInfo, BridgePortInfo, LinkInfo, LinkStatistics } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import type { HeldSettings } from '../../tun/index.ts';
import {
  accountText,
  addressText,
  detailedInterfaceJson,
  holdersText,
  routeText,
  stateText,
} from '../interface-text.ts';
import { print, printable, printJson, style } from '../output.ts';
import { formatTable } from '../table.ts';

export function define(command: Command): void {
  command
    .description(
      'Show flags, addresses, routes, statistics and holders of an interface. Needs no privilege, and attaches to nothing.',
    )
    .argument('<interface>', 'its name')
    .option('--json', 'one object')
    .addHelpText(
      'after',
      `
Received (RX) is what the kernel got: for a TUN/TAP device what programs wrote. Sent (TX) is what they read;
"dropped" there counts packets that nobody read in time, or that a filter took out. Send buffer, virtio-net header and NAPI
are those of the program that holds the device, and shown to whoever may debug it.

Examples:
  vnic show tap0
  vnic show tap0 --json | jq .statistics.txDropped`,
    )
    .action(show);
}

async function show(name: string, options: NetnsOptions & { readonly json?: true }): Promise<void> {
  const { describeInterface, interfaceKind } = await import('../../netdev/index.ts');
  const { readHeldSettings } = await import('../../tun/index.ts');
  const info = await describeInterface(name, options);
  const settings = readHeldSettings(info.link.name, info.holders);
  const kind = interfaceKind(info.link);
  if (options.json) {
    printJson(detailedInterfaceJson(info, kind, settings));
    return;
  }
  print(`${style(['bold', 'cyan'], printable(info.link.name))}: ${kindText(kind)}, ${stateText(info.link)}`);
  print(indent(formatTable(properties(info, settings))));
  print('');
  print(indent(formatTable(statisticsRows(info.link.statistics))));
}

function kindText(kind: string): string {
  return kind === 'tun' || kind === 'tap' ? `${kind.toUpperCase()} device` : kind;
}

function properties(info: InterfaceInfo, settings: HeldSettings | undefined): string[][] {
  const { link } = info;
  return [
    ['index', String(link.index)],
    ['flags', link.flags.join(' ') || '-'],
    ['mtu', String(link.mtu)],
    ...(link.mac === undefined ? [] : [['mac', link.mac.toString()]]),
    ['queue length', String(link.txQueueLen)],
    ...(link.alias === undefined ? [] : [['alias', printable(link.alias)]]),
    ...(link.altNames.length === 0 ? [] : [['other names', link.altNames.map(printable).join(', ')]]),
    ...(info.master === undefined ? [] : [['port of', printable(info.master)]]),
    ...(link.bridgePort === undefined ? [] : portProperties(link.bridgePort)),
    ...(link.bridge === undefined ? [] : bridgeProperties(link.bridge)),
    ...(link.tun === undefined ? [] : tunProperties(info, link.tun, settings)),
    ...listed('addresses', info.addresses.map(addressLine)),
    ...listed('routes', info.routes.map(routeText)),
  ].map(([title = '', value = '']) => [style('dim', title), value]);
}

function tunProperties(
  info: InterfaceInfo,
  tun: NonNullable<LinkInfo['tun']>,
  settings: HeldSettings | undefined,
): string[][] {
  const framing = [tun.packetInfo && 'packet info', tun.vnetHeader && 'vnet header'].filter((part) => part !== false);
  return [
    ['owner', accountText(info.owner)],
    ['group', accountText(info.group)],
    ['persistent', tun.persist ? 'yes' : 'no'],
    ['framing', framing.length === 0 ? 'packets only' : framing.join(', ')],
    ['queues', `${info.queues}${tun.multiQueue ? ' (multi-queue)' : ''}`],
    ['held by', holdersText(info.holders)],
    ...(settings === undefined ? [] : heldProperties(settings)),
  ];
}

/** What only the holder's descriptor tells. */
function heldProperties({ sendBuffer, vnetHeader, napi, napiFrags }: HeldSettings): string[][] {
  const order = { native: 'in the order of the machine', little: 'little endian', big: 'big endian' };
  return [
    ['send buffer', sendBuffer === undefined ? 'no limit' : `${sendBuffer} bytes`],
    ...(vnetHeader === undefined ? [] : [['vnet header', `${vnetHeader.len} bytes, ${order[vnetHeader.byteOrder]}`]]),
    ['napi', napi ? (napiFrags ? 'yes, with fragments' : 'yes') : 'no'],
  ];
}

function bridgeProperties(bridge: BridgeInfo): string[][] {
  const { stp, ageingTimeSec, forwardDelaySec, vlanFiltering, bridgeId, rootId } = bridge;
  const root = rootId === bridgeId ? 'is root' : `root ${rootId}`;
  return [
    ['bridge id', bridgeId],
    ['spanning tree', stp ? `on, ${root}, forward delay ${forwardDelaySec} s` : 'off'],
    ['ageing time', `${ageingTimeSec} s`],
    ['VLAN filtering', vlanFiltering ? `on, untagged is ${bridge.vlanDefaultPvid}` : 'off'],
  ];
}

function portProperties(port: BridgePortInfo): string[][] {
  const unusual = [
    !port.learning && 'no learning',
    !port.flood && 'no flooding',
    port.isolated && 'isolated',
    port.hairpin && 'hairpin',
    port.guard && 'guard',
    port.locked && 'locked',
  ].filter((part) => part !== false);
  return [['port', [`${port.number}, ${port.state}, cost ${port.cost}`, ...unusual].join(', ')]];
}

/** One value a row, the title beside the first. */
function listed(title: string, values: readonly string[]): string[][] {
  if (values.length === 0) return [[title, '-']];
  return values.map((value, i) => [i === 0 ? title : '', value]);
}

function addressLine(address: AddressInfo): string {
  return [addressText(address), `scope ${address.scope}`, ...address.flags].join(' ');
}

/** The columns of `ip -s link`. */
function statisticsRows(counters: LinkStatistics): string[][] {
  const head = (...titles: string[]): string[] => titles.map((title) => style('dim', title));
  return [
    head('RX', 'bytes', 'packets', 'errors', 'dropped', 'missed', 'mcast'),
    [
      '',
      counters.rxBytes,
      counters.rxPackets,
      counters.rxErrors,
      counters.rxDropped,
      counters.rxMissedErrors,
      counters.multicast,
    ],
    head('TX', 'bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns'),
    [
      '',
      counters.txBytes,
      counters.txPackets,
      counters.txErrors,
      counters.txDropped,
      counters.txCarrierErrors,
      counters.collisions,
    ],
  ].map((cells) => cells.map(String));
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
