/** Switches for people: ports, counters, stations. */

import type { SwitchBinding, SwitchGroup, SwitchPortStatus, SwitchStation, SwitchStatus } from '../service/index.ts';
import { printable, style } from './output.ts';
import { symbols } from './symbols.ts';
import { formatTable } from './table.ts';
import { shortNumber } from './top-screen.ts';

/** Ports with what they have carried: `totals` in full, `rates` as they are now. */
export function portTable({ ports, vlanAware }: SwitchStatus, what: 'totals' | 'rates'): string {
  return what === 'totals' ? totalsTable(ports) : ratesTable(ports, vlanAware);
}

function totalsTable(ports: readonly SwitchPortStatus[]): string {
  const head = ['port', 'end', 'frames in', 'bytes in', 'frames out', 'bytes out', 'lost'];
  const rows = ports.map((one) => [
    String(one.port),
    printable(one.name),
    ...[one.framesIn, one.bytesIn, one.framesOut, one.bytesOut].map(String),
    lost(one),
  ]);
  return formatTable([head, ...rows]);
}

function ratesTable(ports: readonly SwitchPortStatus[], vlanAware: boolean): string {
  const { ok, fail } = symbols();
  const head = ['', 'port', 'end', 'VLAN', 'MTU', 'bit/s in', 'bit/s out', 'lost', ''];
  const rows = ports.map((one) => [
    one.isUp ? style('green', ok) : style('red', fail),
    String(one.port),
    printable(one.name),
    vlanAware ? vlans(one) : '-',
    String(one.mtu),
    shortNumber(one.bitsInPerSec),
    shortNumber(one.bitsOutPerSec),
    lost(one),
    remarks(one),
  ]);
  return formatTable([head.map((word) => style('bold', word)), ...rows]);
}

function vlans({ settings: { pvid = 1, vlans: list = [] } }: SwitchPortStatus): string {
  if (list === 'all') return `${pvid}, all`;
  return [pvid, ...list.map((vlan) => `${vlan}t`)].join(', ');
}

function remarks({ settings, superPackets, mirrors, spanningTree }: SwitchPortStatus): string {
  const words = [
    settings.isIsolated ? 'isolated' : '',
    spanningTree === undefined ? '' : `${spanningTree.role} ${spanningTree.state}`,
    spanningTree?.isEdge ? 'edge' : '',
    spanningTree?.isLegacy ? 'STP of 1998' : '',
    spanningTree?.isGuarded ? 'shut by a BPDU' : '',
    settings.isTunnel ? 'tunnel port' : '',
    settings.stormPacketsPerSec === undefined ? '' : `storm ${settings.stormPacketsPerSec}/s`,
    superPackets ? 'super-packets' : '',
    mirrors === undefined ? '' : `shows ${mirrors.map(({ port, direction }) => `${port} ${direction}`).join(', ')}`,
  ];
  return words.filter((word) => word !== '').join(', ');
}

function lost({ dropped }: SwitchPortStatus): string {
  return Object.entries(dropped)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
}

/** Where stations are. */
export function stationTable(stations: readonly SwitchStation[]): string {
  const head = ['VLAN', 'station', 'port', 'age'].map((word) => style('bold', word));
  const sorted = stations.toSorted((a, b) => a.vlan - b.vlan || a.port - b.port || a.mac.localeCompare(b.mac));
  const rows = sorted.map(({ vlan, mac, port, ageMs }) => [
    vlan === 0 ? '-' : String(vlan),
    style('cyan', mac),
    String(port),
    `${(ageMs / 1000).toFixed(0)} s`,
  ]);
  return formatTable([head, ...rows]);
}

/** Who wants which group. */
export function groupTable(groups: readonly SwitchGroup[]): string {
  const head = ['VLAN', 'group', 'ports'].map((word) => style('bold', word));
  const sorted = groups.toSorted((a, b) => a.vlan - b.vlan || a.mac.localeCompare(b.mac));
  const rows = sorted.map(({ vlan, mac, ports }) => [
    vlan === 0 ? '-' : String(vlan),
    style('cyan', mac),
    ports.join(', '),
  ]);
  return formatTable([head, ...rows]);
}

/** Which address is where. */
export function bindingTable(bindings: readonly SwitchBinding[]): string {
  const head = ['VLAN', 'address', 'station', 'port', 'lease'].map((word) => style('bold', word));
  const sorted = bindings.toSorted((a, b) => a.vlan - b.vlan || a.port - b.port || a.address.localeCompare(b.address));
  const rows = sorted.map(({ vlan, address, mac, port, leaseMs }) => [
    vlan === 0 ? '-' : String(vlan),
    style('cyan', address),
    mac,
    String(port),
    leaseMs === undefined ? '-' : `${(leaseMs / 1000).toFixed(0)} s`,
  ]);
  return formatTable([head, ...rows]);
}
