/** What iproute2 says of the namespace, and the same said by vnic in the words of iproute2, to compare the two. */

import { execFileSync } from 'node:child_process';

import { type IpAddress, isVnicError, type VnicErrorCode } from '../../src/base/index.ts';
import type { AddressInfo, LinkInfo, RouteInfo } from '../../src/netlink/index.ts';

export interface IpLink {
  ifindex: number;
  ifname: string;
  flags: string[];
  altnames?: string[];
  [field: string]: unknown;
}

export interface IpAddr {
  local?: string;
  valid_life_time?: number;
  preferred_life_time?: number;
  [field: string]: unknown;
}

export type IpRoute = Record<string, unknown>;

export function ip(command: string): string {
  return execFileSync('ip', command.split(' '), { encoding: 'utf8', stdio: 'pipe' });
}

export function ipJson<T>(command: string): T[] {
  return JSON.parse(ip(`-j ${command}`) || '[]') as T[];
}

export function ipNames(): string[] {
  return ipJson<IpLink>('link').map(({ ifname }) => ifname);
}

/** The code of the error that `run` ends with. */
export async function codeOf(run: () => unknown): Promise<VnicErrorCode | undefined> {
  try {
    await run();
  } catch (error) {
    if (isVnicError(error)) return error.code;
    throw error;
  }
  return undefined;
}

/** One of each kind, some up, with traffic and a bridge port. */
export function makeZoo(): void {
  ip('tuntap add t0 mode tun user 0');
  ip('tuntap add tap0 mode tap group 0 vnet_hdr pi');
  ip('tuntap add mq0 mode tap multi_queue');
  ip('link add v0 type veth peer name v1');
  ip('link add br0 type bridge');
  ip('link add name vx0 type vxlan id 42 dstport 4789');
  ip('link add name ifb9 type ifb');
  ip('link set v1 master br0');
  ip('link set v0 promisc on alias far-end group 9');
  ip('link property add dev v0 altname a-much-longer-name-for-v0');
  for (const name of ['t0', 'v0', 'v1', 'br0']) ip(`link set ${name} up`);
}

const linkFields = [
  'ifindex',
  'ifname',
  'link',
  'flags',
  'mtu',
  'qdisc',
  'master',
  'operstate',
  'group',
  'txqlen',
  'link_type',
  'address',
  'broadcast',
  'promiscuity',
  'min_mtu',
  'max_mtu',
  'num_tx_queues',
  'num_rx_queues',
  'altnames',
  'ifalias',
] as const;

export function pickIpLink(link: IpLink): Record<string, unknown> {
  const { info_kind: kind, info_data: data } = (link['linkinfo'] ?? {}) as { info_kind?: string; info_data?: object };
  return {
    ...pick(link, linkFields),
    // The state of the other end, which `ip` looks up in its own list.
    flags: link.flags.filter((flag) => flag !== 'M-DOWN'),
    kind,
    tun: kind === 'tun' ? data : undefined,
    statistics: link['stats64'],
  };
}

export function asIpLink(link: LinkInfo, names: ReadonlyMap<number, string>): Record<string, unknown> {
  const { statistics: s, tun } = link;
  return {
    ifindex: link.index,
    ifname: link.name,
    link: link.link === undefined ? undefined : names.get(link.link),
    flags: link.flags,
    mtu: link.mtu,
    qdisc: link.qdisc,
    master: link.master === undefined ? undefined : names.get(link.master),
    operstate: link.operState,
    group: link.group === 0 ? 'default' : String(link.group),
    txqlen: link.txQueueLen,
    link_type: link.linkType,
    address: link.mac?.toString(),
    broadcast: link.broadcast?.toString(),
    promiscuity: link.promiscuity,
    min_mtu: link.minMtu,
    max_mtu: link.maxMtu,
    num_tx_queues: link.numTxQueues,
    num_rx_queues: link.numRxQueues,
    altnames: link.altNames.length === 0 ? undefined : link.altNames,
    ifalias: link.alias,
    kind: link.kind,
    tun: tun === undefined ? undefined : asIpTun(tun),
    statistics: {
      rx: {
        bytes: s.rxBytes,
        packets: s.rxPackets,
        errors: s.rxErrors,
        dropped: s.rxDropped,
        over_errors: s.rxOverErrors,
        multicast: s.multicast,
      },
      tx: {
        bytes: s.txBytes,
        packets: s.txPackets,
        errors: s.txErrors,
        dropped: s.txDropped,
        carrier_errors: s.txCarrierErrors,
        collisions: s.collisions,
      },
    },
  };
}

function asIpTun(tun: NonNullable<LinkInfo['tun']>): Record<string, unknown> {
  return defined({
    type: tun.kind,
    pi: tun.packetInfo,
    vnet_hdr: tun.vnetHeader,
    multi_queue: tun.multiQueue,
    numqueues: tun.numQueues,
    numdisabled: tun.numDisabledQueues,
    persist: tun.persist,
    // `ip` prints names.
    user: tun.owner === undefined ? undefined : 'root',
    group: tun.group === undefined ? undefined : 'root',
  });
}

const addressFlagFields = ['secondary', 'nodad', 'tentative', 'deprecated', 'noprefixroute', 'dadfailed'] as const;

export function pickIpAddr(info: IpAddr, ifindex: number): Record<string, unknown> {
  const flags = addressFlagFields.filter((flag) => info[flag] === true);
  const fields = ['family', 'local', 'address', 'prefixlen', 'broadcast', 'scope', 'label', 'metric'] as const;
  return defined({
    ifindex,
    ...pick(info, fields),
    flags,
    life: [lifetimeOf(info.valid_life_time), lifetimeOf(info.preferred_life_time)],
  });
}

export function asIpAddr(info: AddressInfo): Record<string, unknown> {
  return defined({
    ifindex: info.linkIndex,
    family: info.family === 4 ? 'inet' : 'inet6',
    local: info.cidr.address.toString(),
    address: info.peer?.toString(),
    prefixlen: info.cidr.prefixLen,
    broadcast: info.broadcast?.toString(),
    scope: info.scope,
    label: info.label,
    metric: info.metric,
    flags: addressFlagFields.filter((flag) => info.flags.includes(flag)),
    life: [lifetimeOf(info.validLft), lifetimeOf(info.preferredLft)],
  });
}

/** Lifetimes run while the test does: compared to ten seconds. */
function lifetimeOf(value: number | 'forever' | undefined): number | 'forever' {
  if (value === 'forever' || value === 0xffff_ffff || value === undefined) return 'forever';
  return Math.ceil(value / 10);
}

const routeFields = [
  'type',
  'dst',
  'gateway',
  'via',
  'dev',
  'table',
  'protocol',
  'scope',
  'prefsrc',
  'metric',
  'flags',
  'metrics',
  'nexthops',
] as const;

export function pickIpRoute(route: IpRoute): Record<string, unknown> {
  return defined(pick(route, routeFields));
}

export function asIpRoute(route: RouteInfo, names: ReadonlyMap<number, string>): Record<string, unknown> {
  const tables: Record<number, string> = { 253: 'default', 254: 'main', 255: 'local' };
  const { destination } = route;
  const host = destination.isHost ? destination.address.toString() : destination.toString();
  return defined({
    type: route.type,
    dst: destination.prefixLen === 0 ? 'default' : host,
    ...asIpGateway(route.family, route.via),
    dev: route.linkIndex === undefined ? undefined : names.get(route.linkIndex),
    table: tables[route.table] ?? String(route.table),
    protocol: route.protocol,
    scope: route.scope,
    prefsrc: route.source?.toString(),
    metric: route.metric,
    flags: route.flags,
    metrics: route.mtu === undefined ? undefined : [{ mtu: route.mtu }],
    nexthops:
      route.nextHops.length === 0
        ? undefined
        : route.nextHops.map((hop) => ({
            ...asIpGateway(route.family, hop.via),
            dev: names.get(hop.linkIndex),
            weight: hop.weight,
            flags: hop.flags,
          })),
  });
}

function asIpGateway(family: 4 | 6, via: IpAddress | undefined): Record<string, unknown> {
  if (via === undefined) return {};
  if (via.family === family) return { gateway: via.toString() };
  return { via: { family: via.family === 6 ? 'inet6' : 'inet', host: via.toString() } };
}

function pick(from: Readonly<Record<string, unknown>>, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, from[field]]));
}

function defined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** By content, whatever the order of the fields. */
export function sorted<T extends object>(list: readonly T[]): T[] {
  const key = (value: T): string => JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return list.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
