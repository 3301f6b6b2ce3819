/** Devices: what is missing, what is otherwise, what is in the way. */

import { type Change, type DeviceMake, type KernelSnapshot, kindOf, type LinkRef } from '../changes/index.ts';
import type { DeviceConfig } from '../config/index.ts';
import type { LinkInfo } from '../netlink/index.ts';
import type { Accounts } from './accounts.ts';
import { diffOnDevice } from './diff-on-device.ts';
import { diffSettings, type MasterOf } from './diff-settings.ts';
import { IndexPool } from './index-pool.ts';
import type { Ownership } from './ownership.ts';
import { inPlace, type Place } from './places.ts';
import type { Conflict, PlannedDevice } from './planned.ts';
import { RouteSlots } from './route-slots.ts';

/** What is to be done about devices. */
export interface DeviceDiff {
  readonly removals: readonly Change[];
  /** Devices and their settings. */
  readonly first: readonly Change[];
  /** What is on them, for which kernel settings must be right. */
  readonly onThem: readonly Change[];
  readonly conflicts: readonly Conflict[];
  /** Keys of everything that the configuration names. */
  readonly wanted: ReadonlySet<string>;
  readonly planned: readonly PlannedDevice[];
  /** True for a recorded change that has the place of a wanted one. */
  takesPlaceOf(change: Change): boolean;
}

/** Compares all devices. */
export function diffDevices(
  configs: readonly DeviceConfig[],
  places: ReadonlyMap<string, Place>,
  ownership: Ownership,
  accounts: Accounts,
): DeviceDiff {
  const conflicts: Conflict[] = [];
  const made: Change[] = [];
  const removals: Change[] = [];
  const planned: PlannedDevice[] = [];
  const pool = new IndexPool([...places.values()].map(({ snapshot }) => snapshot));
  const indexes = new Map<string, LinkRef>();
  // The other end of a pair may stand before the pair that makes it.
  for (const config of [...configs.filter(isMade), ...configs.filter((config) => !isMade(config))]) {
    const place = places.get(config.namespace ?? '');
    if (place === undefined) continue;
    const device = placeDevice(config, place, {
      places,
      ownership,
      accounts,
      pool,
      indexes,
      removals,
      made,
      conflicts,
    });
    if (device !== undefined) planned.push(device);
  }
  const masterOf: MasterOf = (name, place) => indexes.get(nameIn(place, name)) ?? place.snapshot.linkByName(name);
  const parts = planned.map((device) => {
    const settings = diffSettings(device, accounts, masterOf);
    conflicts.push(...settings.conflicts);
    return { settings, on: diffOnDevice(device) };
  });
  const slots = new RouteSlots(parts.flatMap(({ on }) => on.routes));
  return {
    removals,
    first: [...bridgesFirst(made), ...parts.flatMap(({ settings }) => settings.before)],
    onThem: [
      ...parts.flatMap(({ on }) => on.altNames),
      ...parts.flatMap(({ on }) => on.addresses),
      ...parts.flatMap(({ settings }) => settings.upDown),
      ...parts.flatMap(({ on }) => on.routes),
      ...parts.flatMap(({ on }) => on.neighbours),
    ],
    conflicts,
    wanted: new Set(parts.flatMap(({ settings, on }) => [...settings.wanted, ...on.wanted])),
    planned,
    takesPlaceOf: (change) => slots.has(change),
  };
}

interface Placing {
  readonly places: ReadonlyMap<string, Place>;
  readonly ownership: Ownership;
  readonly accounts: Accounts;
  readonly pool: IndexPool;
  readonly indexes: Map<string, LinkRef>;
  readonly removals: Change[];
  readonly made: Change[];
  readonly conflicts: Conflict[];
}

/** Finds the device, or has it made; undefined when neither can be. */
function placeDevice(config: DeviceConfig, place: Place, placing: Placing): PlannedDevice | undefined {
  const { name, kind } = config;
  const coming = placing.indexes.get(nameIn(place, name));
  if (coming !== undefined) return { config, link: coming, current: undefined, own: true, place };
  const found = place.snapshot.linkByName(name);
  if (found === undefined) {
    if (kind !== undefined) return makeDevice(config, place, placing);
    placing.conflicts.push({
      path: `devices.${config.id}`,
      reason: `there is no interface ${name}`,
      hint: 'Give it a kind for vnic to make it, or have it made first.',
    });
    return undefined;
  }
  const own = placing.ownership.ownsDevice(found.index);
  const link = { name: found.name, index: found.index };
  const misfit = misfitOf(config, found);
  if (misfit === undefined) {
    placing.indexes.set(nameIn(place, name), link);
    return { config, link, current: found, own, place };
  }
  if (!own) {
    placing.conflicts.push({ path: `devices.${config.id}.${misfit.key}`, reason: misfit.reason, hint: misfit.hint });
    return undefined;
  }
  placing.removals.push({
    resource: 'device',
    action: 'remove',
    link,
    make: makeOfLink(found, place.snapshot),
    ...inPlace(place),
  });
  return makeDevice(config, place, placing);
}

function makeDevice(config: DeviceConfig, place: Place, placing: Placing): PlannedDevice {
  const { name, namespace, peer, peerNamespace = namespace } = config;
  const link = { name, index: placing.pool.take() };
  placing.indexes.set(nameIn(place, name), link);
  const peerPlace = placing.places.get(peerNamespace ?? '') ?? place;
  let end: VethEnd | undefined;
  if (config.kind === 'veth' && peer !== undefined) {
    const far = { name: peer, index: placing.pool.take() };
    placing.indexes.set(nameIn(peerPlace, peer), far);
    end = { peer: far, ...(peerPlace.netns !== undefined && { peerNetns: peerPlace.netns }) };
  }
  const make = makeOf(config, placing.accounts, end);
  placing.made.push({ resource: 'device', action: 'add', link, make, ...inPlace(place) });
  return { config, link, current: undefined, own: true, place };
}

function nameIn({ netns }: Place, name: string): string {
  return `${netns?.name ?? ''} ${name}`;
}

type VethEnd = Omit<Extract<DeviceMake, { kind: 'veth' }>, 'kind'>;

/** What about the device cannot be changed any more. */
function misfitOf(
  { name, kind, multiQueue = false }: DeviceConfig,
  found: LinkInfo,
): { readonly key: string; readonly reason: string; readonly hint: string } | undefined {
  if (kind === undefined) return undefined;
  const actual = kindOf(found) ?? found.linkType;
  if (actual !== kind) {
    return {
      key: 'kind',
      reason: `${name} exists and is of kind ${actual}, and vnic did not make it`,
      hint: `Choose another name, delete it first (\`ip link delete ${name}\`), or leave the kind out to use it as it is.`,
    };
  }
  if (found.tun !== undefined && found.tun.multiQueue !== multiQueue) {
    return {
      key: 'multiQueue',
      reason: `${name} exists ${multiQueue ? 'with a single queue' : 'as a multi-queue device'}, and vnic did not make it`,
      hint: 'Delete it first, or write what it is.',
    };
  }
  return undefined;
}

function makeOf(config: DeviceConfig, accounts: Accounts, end: VethEnd | undefined): DeviceMake {
  const { kind, multiQueue, vnetHeader, packetInfo } = config;
  if (kind === 'bridge') return { kind };
  if (kind === 'veth' && end !== undefined) return { kind, ...end };
  const owner = config.owner === undefined ? undefined : accounts.users.get(config.owner);
  const group = config.group === undefined ? undefined : accounts.groups.get(config.group);
  return {
    kind: kind === 'tap' ? 'tap' : 'tun',
    ...(multiQueue && { multiQueue }),
    ...(vnetHeader && { vnetHeader }),
    ...(packetInfo && { packetInfo }),
    ...(owner !== undefined && { owner }),
    ...(group !== undefined && { group }),
  };
}

/** How to make a device that is there. */
export function makeOfLink(link: LinkInfo, snapshot: KernelSnapshot): DeviceMake {
  const { tun } = link;
  if (tun !== undefined) {
    const { kind, multiQueue, vnetHeader, packetInfo, owner, group } = tun;
    return {
      kind,
      ...(multiQueue && { multiQueue }),
      ...(vnetHeader && { vnetHeader }),
      ...(packetInfo && { packetInfo }),
      ...(owner !== undefined && { owner }),
      ...(group !== undefined && { group }),
    };
  }
  if (link.kind !== 'veth') return { kind: 'bridge' };
  const index = link.link ?? 0;
  return { kind: 'veth', peer: { index, name: snapshot.linkByIndex(index)?.name ?? '' } };
}

function isMade({ kind }: DeviceConfig): boolean {
  return kind !== undefined;
}

function bridgesFirst(made: readonly Change[]): Change[] {
  const isBridge = (change: Change): boolean => change.resource === 'device' && change.make.kind === 'bridge';
  return [...made.filter(isBridge), ...made.filter((change) => !isBridge(change))];
}
