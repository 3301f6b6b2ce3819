/** The configuration of what exists now. Reading it back and planning it changes nothing. */

import { type KernelSnapshot, kindOf, readSnapshot } from '../changes/index.ts';
import type { Config, DeviceConfig } from '../config/index.ts';
import { groupName, userName } from '../netdev/index.ts';
import { type AddressInfo, type LinkInfo, openNetlink, type RouteInfo } from '../netlink/index.ts';
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
  const netlink = await openNetlink();
  try {
    const snapshot = await readSnapshot(netlink, { neighbours: true, ...(signal !== undefined && { signal }) });
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
    return { config: { devices, sysctls: {}, rules: [], masquerade: [] }, notes };
  } finally {
    await netlink.close();
  }
}

const ourKinds: readonly (string | undefined)[] = ['tun', 'tap', 'bridge', 'veth'];

function isOurKind(link: LinkInfo): boolean {
  return ourKinds.includes(kindOf(link));
}

async function describe(link: LinkInfo, snapshot: KernelSnapshot, notes: ExportNote[]): Promise<DeviceConfig> {
  const { name, index, tun, altNames, mtu, mac, txQueueLen, isUp } = link;
  const note = (message: string): void => void notes.push({ device: name, message });
  const kind = ourKinds.includes(kindOf(link)) ? (kindOf(link) as NonNullable<DeviceConfig['kind']>) : undefined;
  const master = link.master === undefined ? undefined : snapshot.linkByIndex(link.master);
  const peer = kind === 'veth' && link.netnsId === undefined ? snapshot.linkByIndex(link.link ?? 0)?.name : undefined;
  if (kind === 'veth' && peer === undefined) note('its peer is in another network namespace; the kind is left out');
  const isBridged = master?.kind === 'bridge';
  if (master !== undefined && !isBridged) note(`it is a port of ${master.name}, which is no bridge`);
  return {
    name,
    ...(kind !== undefined && !(kind === 'veth' && peer === undefined) && { kind }),
    ...(tun?.owner !== undefined && { owner: (await userName(tun.owner)) ?? String(tun.owner) }),
    ...(tun?.group !== undefined && { group: (await groupName(tun.group)) ?? String(tun.group) }),
    ...(tun?.multiQueue && { multiQueue: true }),
    ...(tun?.vnetHeader && { vnetHeader: true }),
    ...(tun?.packetInfo && { packetInfo: true }),
    ...(peer !== undefined && { peer }),
    // That of a bridge follows its ports.
    ...(mac !== undefined && kind !== 'bridge' && kind !== undefined && { mac: mac.toString() }),
    mtu,
    ...(txQueueLen > 0 && { txQueueLen }),
    ...(link.flags.includes('PROMISC') && !isBridged && { promisc: true }),
    ...(isBridged && { bridge: master.name }),
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
