/** How interfaces look, for people and as JSON. */

import type { AccountInfo, InterfaceInfo } from '../netdev/index.ts';
import type { AddressInfo, LinkInfo, RouteInfo } from '../netlink/index.ts';
import type { HeldSettings, Holder } from '../tun/index.ts';
import { printable, style } from './output.ts';

/** `up`, `down`, or `up, no carrier`: of a TUN/TAP device that means that no program holds it. */
export function stateText(link: LinkInfo): string {
  if (!link.isUp) return style('dim', 'down');
  return link.isRunning ? style('green', 'up') : style('yellow', 'up, no carrier');
}

/** `alice (1000)`, `1000` for an id without a name, `-` for none. */
export function accountText(account: AccountInfo | undefined): string {
  if (account === undefined) return '-';
  return account.name === undefined ? String(account.id) : `${printable(account.name)} (${account.id})`;
}

/** `qemu (pid 4711), vnic (pid 12)`, or `-`. */
export function holdersText(holders: readonly Holder[]): string {
  return holders.map(({ command, pid }) => `${printable(command)} (pid ${pid})`).join(', ') || '-';
}

/** `10.0.0.1/24 peer 10.0.0.2`, without flags. */
export function addressText({ cidr, peer }: AddressInfo): string {
  return peer === undefined ? cidr.toString() : `${cidr} peer ${peer}`;
}

/** A route as `ip route` writes it, without the interface. */
export function routeText(route: RouteInfo): string {
  const { type, destination, via, source, metric, protocol, flags, nextHops } = route;
  return [
    type === 'unicast' ? '' : type,
    destination.prefixLen === 0 ? `default (IPv${destination.family})` : destination.toString(),
    via === undefined ? '' : `via ${via}`,
    source === undefined ? '' : `src ${source}`,
    metric === undefined ? '' : `metric ${metric}`,
    nextHops.length > 0 ? `one of ${nextHops.length} ways` : '',
    `proto ${protocol}`,
    ...flags,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

/** The `--json` of `vnic list`: one object an interface. Keys are stable; what does not apply is null. */
export function interfaceJson(info: InterfaceInfo, kind: string): Record<string, unknown> {
  const { link } = info;
  return {
    name: link.name,
    index: link.index,
    kind,
    up: link.isUp,
    running: link.isRunning,
    operState: link.operState,
    flags: link.flags,
    mtu: link.mtu,
    mac: link.mac ?? null,
    txQueueLen: link.txQueueLen,
    master: info.master ?? null,
    addresses: info.addresses.map(addressJson),
    tun: link.tun === undefined ? null : tunJson(info, link.tun),
  };
}

/** The `--json` of `vnic show`: that of `vnic list` and what belongs to one interface. */
export function detailedInterfaceJson(
  info: InterfaceInfo,
  kind: string,
  settings: HeldSettings | undefined,
): Record<string, unknown> {
  const { link } = info;
  return {
    ...interfaceJson(info, kind),
    linkType: link.linkType,
    carrier: link.flags.includes('LOWER_UP'),
    held: settings === undefined ? null : heldJson(settings),
    promiscuity: link.promiscuity,
    qdisc: link.qdisc ?? null,
    alias: link.alias ?? null,
    altNames: link.altNames,
    bridge: link.bridge ?? null,
    bridgePort: link.bridgePort ?? null,
    routes: info.routes.map(routeJson),
    statistics: link.statistics,
  };
}

function tunJson(info: InterfaceInfo, tun: NonNullable<LinkInfo['tun']>): Record<string, unknown> {
  return {
    owner: accountJson(info.owner),
    group: accountJson(info.group),
    persist: tun.persist,
    packetInfo: tun.packetInfo,
    vnetHeader: tun.vnetHeader,
    multiQueue: tun.multiQueue,
    queues: info.queues,
    holders: info.holders,
  };
}

function heldJson({ sendBuffer, vnetHeader, napi, napiFrags }: HeldSettings): Record<string, unknown> {
  return { sendBuffer: sendBuffer ?? null, vnetHeader: vnetHeader ?? null, napi, napiFrags };
}

function accountJson(account: AccountInfo | undefined): Record<string, unknown> | null {
  return account === undefined ? null : { id: account.id, name: account.name ?? null };
}

/** An address in JSON. */
export function addressJson({
  cidr,
  family,
  peer,
  broadcast,
  scope,
  flags,
  validLft,
  preferredLft,
}: AddressInfo): Record<string, unknown> {
  return { cidr, family, peer: peer ?? null, broadcast: broadcast ?? null, scope, flags, validLft, preferredLft };
}

/** A route in JSON, without the interface. */
export function routeJson(route: RouteInfo): Record<string, unknown> {
  const { destination, family, via, metric, source, table, protocol, scope, type, flags } = route;
  return {
    destination,
    family,
    via: via ?? null,
    metric: metric ?? null,
    source: source ?? null,
    table,
    protocol,
    scope,
    type,
    flags,
  };
}
