/** The kernel's tables of one network namespace at one moment, indexed for comparison. */

import type { IpFamily } from '../base/index.ts';
import {
  type AddressInfo,
  type LinkInfo,
  listMasquerades,
  type MasqueradeInfo,
  type NeighbourInfo,
  type Netlink,
  type RouteInfo,
  type RuleInfo,
  type TableParts,
} from '../netlink/index.ts';
import { type NetnsSelector, readSysctl } from '../netns/index.ts';
import type { MasqueradeChange, RouteFields, RuleChange } from './change.ts';

/** Kept by the kernel: its own addresses and broadcasts. */
const LOCAL_TABLE = 255;

/** What was read. Neighbours only where they were asked for. */
export interface KernelSnapshot {
  readonly links: readonly LinkInfo[];
  /** Undefined where there is none. */
  linkByIndex(index: number): LinkInfo | undefined;
  /** Alternative names count. */
  linkByName(name: string): LinkInfo | undefined;
  /** Of the interface with that index. */
  addressesOf(index: number): readonly AddressInfo[];
  /** Of every table, without what the kernel keeps for itself. */
  routesOf(index: number): readonly RouteInfo[];
  /** Of the interface with that index; empty unless they were asked for. */
  neighboursOf(index: number): readonly NeighbourInfo[];
  readonly rules: readonly RuleInfo[];
  readonly masquerades: readonly MasqueradeInfo[];
  /** A kernel setting with its runs of white space as one space; undefined where there is none. */
  sysctl(name: string): string | undefined;
}

/** Which tables are read beside links, addresses and routes. */
export interface SnapshotOptions {
  /** Only these parts, for what does not ask for others: the rest is as if it were not there. Default everything. */
  readonly only?: TableParts;
  readonly neighbours?: boolean;
  readonly rules?: boolean;
  readonly masquerades?: boolean;
  readonly signal?: AbortSignal;
}

/** Reads one dump of each table. @throws VNIC_ABORTED, VNIC_NETLINK, VNIC_LINK_CLOSED */
export async function readSnapshot(
  netlink: Netlink,
  netns: NetnsSelector | undefined,
  options: SnapshotOptions = {},
): Promise<KernelSnapshot> {
  const { signal, neighbours = false, rules = false, masquerades = false } = options;
  const request = signal === undefined ? {} : { signal };
  return indexed({
    links: await netlink.links.list({ ...request, withoutStatistics: true }),
    addresses: await readAddresses(netlink, options),
    routes: await readRoutes(netlink, options),
    neighbours: neighbours ? await netlink.neighbours.list(request) : [],
    rules: rules ? await netlink.rules.list(request) : [],
    masquerades: masquerades ? await listMasquerades(netns === undefined ? {} : { netns }) : [],
    sysctl: (name) =>
      readSysctl(name, netns === undefined ? {} : { netns })
        ?.trim()
        .replace(/\s+/g, ' '),
  });
}

async function readAddresses(netlink: Netlink, { only, signal }: SnapshotOptions): Promise<readonly AddressInfo[]> {
  const request = signal === undefined ? {} : { signal };
  const families = only?.addresses ?? bothFamilies;
  // One dump has both.
  if (families.length === 2) return netlink.addresses.list(request);
  const lists: AddressInfo[][] = [];
  for (const family of families) lists.push(await netlink.addresses.list({ ...request, family }));
  return lists.flat();
}

async function readRoutes(netlink: Netlink, { only, signal }: SnapshotOptions): Promise<readonly RouteInfo[]> {
  const request = signal === undefined ? {} : { signal };
  if (only === undefined) return netlink.routes.list({ ...request, table: 'all' });
  const lists: RouteInfo[][] = [];
  for (const part of only.routes) lists.push(await netlink.routes.list({ ...request, ...part }));
  return lists.flat();
}

const bothFamilies: readonly IpFamily[] = [4, 6];

/** True when the rule is the one that the change speaks of. */
export function ruleMatches(rule: RuleInfo, change: RuleChange): boolean {
  const { family, priority, table, verdict = 'table', from, to, in: iif, mark } = change;
  if (rule.family !== family || rule.priority !== priority || rule.table !== table || rule.action !== verdict)
    return false;
  if (rule.invert || rule.oif !== undefined || rule.ipProtocol !== change.ipProtocol) return false;
  if (rule.suppressPrefixLength !== change.suppressPrefixLength) return false;
  const { from: firstPort, to: lastPort = firstPort } = rule.destinationPorts ?? {};
  if (firstPort !== change.destinationPort || firstPort !== lastPort) return false;
  return rule.from?.toString() === from && rule.to?.toString() === to && rule.iif === iif && rule.fwmark === mark;
}

/** True when the rule is the one that the change speaks of. */
export function masqueradeMatches(info: MasqueradeInfo, { from, out, notOut }: MasqueradeChange): boolean {
  return info.source.toString() === from && info.out === out && info.notOut === notOut;
}

/** A namespace that is yet to be made. */
export const emptySnapshot: KernelSnapshot = indexed({
  links: [],
  addresses: [],
  routes: [],
  neighbours: [],
  rules: [],
  masquerades: [],
  // What a namespace starts with is what this one has for new interfaces, near enough to say what changes.
  sysctl: (name) => readSysctl(name.replace(/\/conf\/[^/]+\//, '/conf/default/'))?.trim(),
});

/** True when the route is the one that the fields describe; prefixes are compared in their canonical form. */
export function routeMatches(info: RouteInfo, route: RouteFields): boolean {
  const { to, via, metric, table = 254, source, onlink = false, mtu } = route;
  if (info.table !== table || info.type !== 'unicast') return false;
  if ((info.via?.toString() ?? '') !== (via ?? '')) return false;
  // IPv6 gives a route without a metric 1024, IPv4 none.
  if ((info.metric ?? 0) !== (metric ?? (info.family === 6 ? 1024 : 0))) return false;
  if (source !== undefined && info.source?.toString() !== source) return false;
  if (mtu !== undefined && info.mtu !== mtu) return false;
  if (info.flags.includes('onlink') !== onlink) return false;
  return info.destination.toString() === to;
}

interface Tables extends Pick<KernelSnapshot, 'links' | 'rules' | 'masquerades' | 'sysctl'> {
  readonly addresses: readonly AddressInfo[];
  readonly routes: readonly RouteInfo[];
  readonly neighbours: readonly NeighbourInfo[];
}

function indexed({ links, addresses, routes, neighbours, ...rest }: Tables): KernelSnapshot {
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const byName = new Map(links.flatMap((link) => [link.name, ...link.altNames].map((name) => [name, link] as const)));
  const addressesBy = grouped(addresses);
  const routesBy = grouped(routes.filter(({ table }) => table !== LOCAL_TABLE));
  const neighboursBy = grouped(neighbours);
  return {
    ...rest,
    links,
    linkByIndex: (index) => byIndex.get(index),
    linkByName: (name) => byName.get(name),
    addressesOf: (index) => addressesBy.get(index) ?? [],
    routesOf: (index) => routesBy.get(index) ?? [],
    neighboursOf: (index) => neighboursBy.get(index) ?? [],
  };
}

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
