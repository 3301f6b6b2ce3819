/** The kernel's tables of one network namespace at one moment, indexed for comparison. */

import { Cidr } from '../base/index.ts';
import type { AddressInfo, LinkInfo, NeighbourInfo, Netlink, RouteInfo } from '../netlink/index.ts';
import type { RouteFields } from './change.ts';

/** What was read. Neighbours only where they were asked for. */
export interface KernelSnapshot {
  readonly links: readonly LinkInfo[];
  linkByIndex(index: number): LinkInfo | undefined;
  /** Alternative names count. */
  linkByName(name: string): LinkInfo | undefined;
  addressesOf(index: number): readonly AddressInfo[];
  /** Of every table, without what the kernel keeps for itself. */
  routesOf(index: number): readonly RouteInfo[];
  neighboursOf(index: number): readonly NeighbourInfo[];
}

/** Reads one dump of each table. @throws VNIC_ABORTED, VNIC_NETLINK, VNIC_LINK_CLOSED */
export async function readSnapshot(
  netlink: Netlink,
  options: { readonly signal?: AbortSignal; readonly neighbours?: boolean } = {},
): Promise<KernelSnapshot> {
  const { signal, neighbours = false } = options;
  const request = signal === undefined ? {} : { signal };
  const links = await netlink.links.list(request);
  const addresses = await netlink.addresses.list(request);
  const routes = await netlink.routes.list({ ...request, table: 'all' });
  const entries = neighbours ? await netlink.neighbours.list(request) : [];
  return indexed(links, addresses, routes, entries);
}

/** True when the route is the one that the fields describe. */
export function routeMatches(info: RouteInfo, route: RouteFields): boolean {
  const { to, via, metric, table = 254, source, onlink = false, mtu } = route;
  if (info.table !== table || info.type !== 'unicast') return false;
  if ((info.via?.toString() ?? '') !== (via ?? '')) return false;
  // IPv6 gives a route without a metric 1024, IPv4 none.
  if ((info.metric ?? 0) !== (metric ?? (info.family === 6 ? 1024 : 0))) return false;
  if (source !== undefined && info.source?.toString() !== source) return false;
  if (mtu !== undefined && info.mtu !== mtu) return false;
  if (info.flags.includes('onlink') !== onlink) return false;
  return info.destination.toString() === to || info.destination.equals(Cidr.parse(to));
}

function indexed(
  links: readonly LinkInfo[],
  addresses: readonly AddressInfo[],
  routes: readonly RouteInfo[],
  neighbours: readonly NeighbourInfo[],
): KernelSnapshot {
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const byName = new Map(links.flatMap((link) => [link.name, ...link.altNames].map((name) => [name, link] as const)));
  const addressesBy = grouped(addresses);
  const routesBy = grouped(routes.filter(({ table }) => table !== LOCAL_TABLE));
  const neighboursBy = grouped(neighbours);
  return {
    links,
    linkByIndex: (index) => byIndex.get(index),
    linkByName: (name) => byName.get(name),
    addressesOf: (index) => addressesBy.get(index) ?? [],
    routesOf: (index) => routesBy.get(index) ?? [],
    neighboursOf: (index) => neighboursBy.get(index) ?? [],
  };
}

/** Kept by the kernel: its own addresses and broadcasts. */
const LOCAL_TABLE = 255;

function grouped<T extends { readonly linkIndex: number | undefined }>(values: readonly T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const value of values) {
    if (value.linkIndex === undefined) continue;
    const group = groups.get(value.linkIndex);
    if (group === undefined) groups.set(value.linkIndex, [value]);
    else group.push(value);
  }
  return groups;
}
