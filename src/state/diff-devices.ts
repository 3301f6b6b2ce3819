/** Devices: what is missing, what is otherwise, what is in the way. */

import { type Change, type DeviceMake, type KernelSnapshot, kindOf, type LinkRef } from '../changes/index.ts';
import type { DeviceConfig } from '../config/index.ts';
import type { LinkInfo } from '../netlink/index.ts';
import type { Accounts } from './accounts.ts';
import { diffOnDevice } from './diff-on-device.ts';
import { diffSettings, type MasterOf } from './diff-settings.ts';
import { IndexPool } from './index-pool.ts';
import type { Ownership } from './ownership.ts';
import type { Conflict } from './plan.ts';
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
  /** Index of each device, also of those to be made. */
  readonly indexes: ReadonlyMap<string, LinkRef>;
  /** True for a recorded change that has the place of a wanted one. */
  takesPlaceOf(change: Change): boolean;
}

/** A device with what it will be. */
export interface PlannedDevice {
  readonly config: DeviceConfig;
  readonly link: LinkRef;
  /** As it is; undefined for one that is made. */
  readonly current: LinkInfo | undefined;
  /** Made by us, now or before. */
  readonly own: boolean;
}

/** Compares all devices. */
export function diffDevices(
  configs: readonly DeviceConfig[],
  snapshot: KernelSnapshot,
  ownership: Ownership,
  accounts: Accounts,
): DeviceDiff {
  const conflicts: Conflict[] = [];
  const made: Change[] = [];
  const removals: Change[] = [];
  const planned: PlannedDevice[] = [];
  const pool = new IndexPool(snapshot);
  const indexes = new Map<string, LinkRef>();
  for (const config of configs) {
    const device = placeDevice(config, { snapshot, ownership, accounts, pool, indexes, removals, made, conflicts });
    if (device !== undefined) planned.push(device);
  }
  const masterOf: MasterOf = (name) => indexes.get(name) ?? snapshot.linkByName(name);
  const parts = planned.map((device) => {
    const settings = diffSettings(device, accounts, masterOf);
    conflicts.push(...settings.conflicts);
    return { settings, on: diffOnDevice(device, snapshot) };
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
    indexes,
    takesPlaceOf: (change) => slots.has(change),
  };
}

interface Placing {
  readonly snapshot: KernelSnapshot;
  readonly ownership: Ownership;
  readonly accounts: Accounts;
  readonly pool: IndexPool;
  readonly indexes: Map<string, LinkRef>;
  readonly removals: Change[];
  readonly made: Change[];
  readonly conflicts: Conflict[];
}

/** Finds the device, or has it made; undefined when neither can be. */
function placeDevice(config: DeviceConfig, placing: Placing): PlannedDevice | undefined {
  const { name, kind } = config;
  const coming = placing.indexes.get(name);
  if (coming !== undefined) return { config, link: coming, current: undefined, own: true };
  const found = placing.snapshot.linkByName(name);
  if (found === undefined) {
    if (kind !== undefined) return makeDevice(config, placing);
    placing.conflicts.push({
      path: `devices.${name}`,
      reason: `there is no interface ${name}`,
      hint: 'Give it a kind for vnic to make it, or have it made first.',
    });
    return undefined;
  }
  const own = placing.ownership.ownsDevice(found.index);
  const link = { name: found.name, index: found.index };
  const misfit = misfitOf(config, found);
  if (misfit === undefined) {
    placing.indexes.set(name, link);
    return { config, link, current: found, own };
  }
  if (!own) {
    placing.conflicts.push({ path: `devices.${name}.${misfit.key}`, reason: misfit.reason, hint: misfit.hint });
    return undefined;
  }
  placing.removals.push({ resource: 'device', action: 'remove', link, make: makeOfLink(found, placing.snapshot) });
  return makeDevice(config, placing);
}

function makeDevice(config: DeviceConfig, placing: Placing): PlannedDevice {
  const { name, peer } = config;
  const link = { name, index: placing.pool.take() };
  placing.indexes.set(name, link);
  let end: LinkRef | undefined;
  if (config.kind === 'veth' && peer !== undefined) {
    end = { name: peer, index: placing.pool.take() };
    placing.indexes.set(peer, end);
  }
  placing.made.push({ resource: 'device', action: 'add', link, make: makeOf(config, placing.accounts, end) });
  return { config, link, current: undefined, own: true };
}

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

function makeOf(config: DeviceConfig, accounts: Accounts, peer: LinkRef | undefined): DeviceMake {
  const { kind, multiQueue, vnetHeader, packetInfo } = config;
  if (kind === 'bridge') return { kind };
  if (kind === 'veth' && peer !== undefined) return { kind, peer };
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

function bridgesFirst(made: readonly Change[]): Change[] {
  const isBridge = (change: Change): boolean => change.resource === 'device' && change.make.kind === 'bridge';
  return [...made.filter(isBridge), ...made.filter((change) => !isBridge(change))];
}
