/** The configuration of one device as it is now. */

import { type KernelSnapshot, kindOf } from '../changes/index.ts';
import type { DeviceConfig } from '../config/index.ts';
import { groupName, userName } from '../netdev/index.ts';
import type { AddressInfo, LinkInfo, RouteInfo } from '../netlink/index.ts';
import { interfaceSysctl } from '../netns/index.ts';
import { routeFields } from './restore.ts';

/** Where a device is, and what is known there. */
export interface ExportPlace {
  /** Name of the network namespace; undefined for that of the process. */
  readonly namespace: string | undefined;
  readonly snapshot: KernelSnapshot;
  /** Names of other namespaces by the ids that this one knows them by; that of the process has none. */
  readonly namespaceById: ReadonlyMap<number, string | undefined>;
  /** Indexes of the links of other namespaces to names. */
  nameElsewhere(namespace: string | undefined, index: number): string | undefined;
}

const ourKinds: readonly (string | undefined)[] = ['tun', 'tap', 'bridge', 'veth'];

/** Kinds of devices that a configuration can make. */
export function isOurKind(link: LinkInfo): boolean {
  return ourKinds.includes(kindOf(link));
}

/** @param note told of what a configuration cannot say */
export async function exportDevice(
  link: LinkInfo,
  id: string,
  place: ExportPlace,
  note: (message: string) => void,
): Promise<DeviceConfig> {
  const { name, index, altNames, mtu, txQueueLen, isUp } = link;
  const { snapshot, namespace } = place;
  const bridge = bridgeOf(link, snapshot, note);
  return {
    id,
    name,
    ...(namespace !== undefined && { namespace }),
    ...kindFields(link, place, note),
    ...(await tunFields(link)),
    mtu,
    ...(txQueueLen > 0 && { txQueueLen }),
    // A bridge makes its ports promiscuous by itself.
    ...(link.flags.includes('PROMISC') && bridge === undefined && { promisc: true }),
    ...(bridge !== undefined && { bridge, ...portFields(link) }),
    ...bridgeFields(link),
    altNames,
    addresses: snapshot
      .addressesOf(index)
      .filter((info) => isLasting(info, note))
      .map(({ cidr }) => cidr.toString()),
    routes: isUp
      ? snapshot
          .routesOf(index)
          .filter((info) => isOurs(info, note))
          .map(routeFields)
      : [],
    neighbours: isUp ? neighboursOf(index, snapshot) : [],
    sysctls: sysctlsOf(name, place),
    up: isUp,
  };
}

function kindFields(
  link: LinkInfo,
  place: ExportPlace,
  note: (message: string) => void,
): Pick<DeviceConfig, 'kind' | 'peer' | 'peerNamespace' | 'mac'> {
  const kind = kindOf(link);
  if (!isOurKind(link)) return {};
  const mac = link.mac === undefined ? {} : { mac: link.mac.toString() };
  // The address of a bridge follows its ports.
  if (kind === 'bridge') return { kind };
  if (kind === 'tun' || kind === 'tap') return { kind, ...mac };
  return { ...pairOf(link, place, note), ...mac };
}

/** One end makes the pair: of two namespaces, that in the namespace of the process, or the one that comes first. */
function pairOf(
  { link: index = 0, netnsId }: LinkInfo,
  { namespace, snapshot, namespaceById, nameElsewhere }: ExportPlace,
  note: (message: string) => void,
): Pick<DeviceConfig, 'kind' | 'peer' | 'peerNamespace'> {
  if (netnsId === undefined) {
    const peer = snapshot.linkByIndex(index)?.name;
    return peer === undefined ? {} : { kind: 'veth', peer };
  }
  const peerNamespace = namespaceById.get(netnsId);
  const peer = namespaceById.has(netnsId) ? nameElsewhere(peerNamespace, index) : undefined;
  if (peer === undefined) note('its peer is in a network namespace that is not described here; the kind is left out');
  if (peer === undefined || peerNamespace === undefined) return {};
  return namespace === undefined || namespace < peerNamespace ? { kind: 'veth', peer, peerNamespace } : {};
}

const sysctls = {
  ipv4: ['forwarding', 'proxy_arp', 'rp_filter', 'accept_local', 'route_localnet', 'arp_notify'],
  ipv6: ['disable_ipv6', 'forwarding', 'accept_ra', 'autoconf', 'proxy_ndp', 'accept_dad'],
} as const;

/** Settings that differ from what a new interface gets. */
function sysctlsOf(name: string, { snapshot }: ExportPlace): Record<string, string> {
  const found = (['ipv4', 'ipv6'] as const).flatMap((family) =>
    sysctls[family].flatMap((setting) => {
      const value = snapshot.sysctl(interfaceSysctl(family, name, setting));
      const usual = snapshot.sysctl(interfaceSysctl(family, 'default', setting));
      // The kernel has switched off what is below zero, for the kind of the device.
      const isSet = value !== undefined && value !== usual && !value.startsWith('-');
      return isSet ? [[`${family}.${setting}`, value] as const] : [];
    }),
  );
  return Object.fromEntries(found);
}

/** What a bridge and its ports are before they are told otherwise. The cost of a port is that of its speed. */
const bridgeDefaults: Readonly<Record<string, unknown>> = {
  ...{ stp: false, ageingTimeSec: 300, forwardDelaySec: 15, helloTimeSec: 2, maxAgeSec: 20, priority: 0x8000 },
  ...{ vlanFiltering: false, multicastSnooping: true, groupForwardMask: 0 },
};
const portDefaults: Readonly<Record<string, unknown>> = {
  ...{ isolated: false, hairpin: false, learning: true, flood: true, multicastFlood: true, broadcastFlood: true },
  ...{ neighbourSuppress: false, locked: false, fastLeave: false, priority: 32, guard: false, rootBlock: false },
};

function bridgeFields({ bridge }: LinkInfo): Pick<DeviceConfig, 'bridgeSettings'> {
  const bridgeSettings = beside(bridgeDefaults, bridge);
  return bridgeSettings === undefined ? {} : { bridgeSettings };
}

function portFields({ bridgePort }: LinkInfo): Pick<DeviceConfig, 'portSettings'> {
  const portSettings = beside(portDefaults, bridgePort);
  return portSettings === undefined ? {} : { portSettings };
}

/** The values that differ from these; undefined when none does. */
function beside(defaults: Readonly<Record<string, unknown>>, values: object | undefined): object | undefined {
  const other = Object.entries(values ?? {}).filter(([key, value]) => key in defaults && defaults[key] !== value);
  return other.length === 0 ? undefined : Object.fromEntries(other);
}

async function tunFields({ tun }: LinkInfo): Promise<Partial<DeviceConfig>> {
  if (tun === undefined) return {};
  const { owner, group, multiQueue, vnetHeader, packetInfo } = tun;
  return {
    ...(owner !== undefined && { owner: (await userName(owner)) ?? String(owner) }),
    ...(group !== undefined && { group: (await groupName(group)) ?? String(group) }),
    ...(multiQueue && { multiQueue }),
    ...(vnetHeader && { vnetHeader }),
    ...(packetInfo && { packetInfo }),
  };
}

function bridgeOf({ master }: LinkInfo, snapshot: KernelSnapshot, note: (message: string) => void): string | undefined {
  const found = master === undefined ? undefined : snapshot.linkByIndex(master);
  if (found === undefined || found.kind === 'bridge') return found?.name;
  note(`it is a port of ${found.name}, which is no bridge`);
  return undefined;
}

function neighboursOf(index: number, snapshot: KernelSnapshot): DeviceConfig['neighbours'] {
  return snapshot
    .neighboursOf(index)
    .flatMap(({ state, address, mac }) =>
      state === 'PERMANENT' && mac !== undefined ? [{ address: address.toString(), mac: mac.toString() }] : [],
    );
}

/** Not the kernel's own, nor what runs out. */
function isLasting(
  { cidr, protocol, scope, family, validLft, peer }: AddressInfo,
  note: (message: string) => void,
): boolean {
  if ((protocol ?? 4) < 4 || (family === 6 && scope === 'link')) return false;
  if (validLft !== 'forever') note(`the address ${cidr} runs out by itself, and is left out`);
  else if (peer !== undefined) note(`the address ${cidr} has the peer ${peer}, and is left out`);
  return validLft === 'forever' && peer === undefined;
}

const madeByOthers: readonly string[] = ['kernel', 'ra', 'redirect', 'dhcp'];

function isOurs(route: RouteInfo, note: (message: string) => void): boolean {
  if (
    madeByOthers.includes(route.protocol) ||
    (route.destination.address.isMulticast && route.destination.prefixLen === 8)
  )
    return false;
  const plain = route.type === 'unicast' && route.nextHops.length === 0 && route.tos === 0 && route.from === undefined;
  if (!plain) note(`the route to ${route.destination} is of a kind that a configuration cannot say`);
  return plain;
}
