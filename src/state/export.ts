/** The configuration of what exists now. Reading it back and planning it changes nothing. */

import { Kernel, type KernelSnapshot, kindOf } from '../changes/index.ts';
import type { Config, DeviceConfig } from '../config/index.ts';
import { groupName, userName } from '../netdev/index.ts';
import type { AddressInfo, LinkInfo, RouteInfo } from '../netlink/index.ts';
import { configOf } from './imported.ts';
import { routeFields } from './restore.ts';

/** Something that exists and has no place in a configuration. */
export interface ExportNote {
  readonly device: string;
  readonly message: string;
}

/** What exists, and what of it could not be said. */
export interface ExportResult {
  readonly config: Config;
  readonly notes: readonly ExportNote[];
}

/**
 * Describes the persistent TUN/TAP devices, bridges and veth pairs of this network namespace.
 * @param options `names`: only these, which may be of any kind
 * @throws VNIC_NETLINK, VNIC_ABORTED
 */
export async function exportConfig(
  options: { readonly names?: readonly string[]; readonly signal?: AbortSignal } = {},
): Promise<ExportResult> {
  const { names, signal } = options;
  await using kernel = new Kernel();
  const view = await kernel.view([], { neighbours: true, ...(signal !== undefined && { signal }) });
  const snapshot = view.of(undefined);
  if (snapshot === undefined) return { config: configOf([]), notes: [] };
  const notes: ExportNote[] = [];
  const devices: DeviceConfig[] = [];
  for (const link of snapshot.links) {
    if (names === undefined ? !isOurKind(link) : !names.includes(link.name)) continue;
    if (link.tun !== undefined && !link.tun.persist) {
      notes.push({ device: link.name, message: 'it goes with the process that holds it, and is left out' });
      continue;
    }
    devices.push(await describe(link, snapshot, notes));
  }
  return { config: configOf(devices), notes };
}

const ourKinds: readonly (string | undefined)[] = ['tun', 'tap', 'bridge', 'veth'];

function isOurKind(link: LinkInfo): boolean {
  return ourKinds.includes(kindOf(link));
}

async function describe(link: LinkInfo, snapshot: KernelSnapshot, notes: ExportNote[]): Promise<DeviceConfig> {
  const { name, index, altNames, mtu, txQueueLen, isUp } = link;
  const note = (message: string): void => void notes.push({ device: name, message });
  const bridge = bridgeOf(link, snapshot, note);
  return {
    id: name,
    name,
    ...kindFields(link, snapshot, note),
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
    sysctls: {},
    up: isUp,
  };
}

function kindFields(
  link: LinkInfo,
  snapshot: KernelSnapshot,
  note: (message: string) => void,
): Pick<DeviceConfig, 'kind' | 'peer' | 'mac'> {
  const kind = kindOf(link);
  if (!isOurKind(link)) return {};
  const mac = link.mac === undefined ? {} : { mac: link.mac.toString() };
  // The address of a bridge follows its ports.
  if (kind === 'bridge') return { kind };
  if (kind === 'tun' || kind === 'tap') return { kind, ...mac };
  const peer = link.netnsId === undefined ? snapshot.linkByIndex(link.link ?? 0)?.name : undefined;
  if (peer !== undefined) return { kind: 'veth', peer, ...mac };
  note('its peer is in another network namespace; the kind is left out');
  return mac;
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
