/** Settings of a link and who may attach to it. */

import {
  type Change,
  changeKey,
  type LinkChange,
  type LinkRef,
  type LinkSettings,
  linkSettings,
} from '../changes/index.ts';
import type { DeviceConfig } from '../config/index.ts';
import type { LinkInfo } from '../netlink/index.ts';
import type { Accounts } from './accounts.ts';
import { inPlace, type Place } from './places.ts';
import type { Conflict, PlannedDevice } from './planned.ts';

/** The bridge of a name, also one that is to be made. */
export type MasterOf = (name: string, place: Place) => LinkRef | LinkInfo | undefined;

/** What is to be set before addresses are there, and whether it is up. */
export interface SettingsDiff {
  readonly before: readonly Change[];
  readonly upDown: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly wanted: readonly string[];
}

/** Compares the settings of one device. */
export function diffSettings(device: PlannedDevice, accounts: Accounts, masterOf: MasterOf): SettingsDiff {
  const { current } = device;
  const { bridge } = device.config;
  const at = { link: device.link, ...inPlace(device.place), ...(bridge !== undefined && { bridge }) };
  const conflicts: Conflict[] = [];
  const wanted = wantedSettings(device, masterOf, conflicts);
  const now: LinkSettings = current === undefined ? {} : linkSettings(current);
  const changes = Object.keys(wanted).flatMap((name) => {
    const key = name as keyof LinkSettings;
    return wanted[key] === now[key] ? [] : [key];
  });
  const upDown = changes.filter((key) => key === 'up' && !(current === undefined && wanted.up === false));
  const before = changes.filter((key) => key !== 'up');
  const change = (keys: readonly (keyof LinkSettings)[]): LinkChange[] =>
    keys.map((key) => ({ resource: 'link', ...at, before: only(now, key, defaults), after: only(wanted, key) }));
  const together = (keys: readonly (keyof LinkSettings)[]): LinkChange[] =>
    device.own ? merged(change(keys)) : change(keys);
  const owner = diffOwner(device, accounts, conflicts);
  return {
    before: [...owner, ...together(before)],
    upDown: change(upDown),
    conflicts,
    wanted: Object.keys(wanted).map((key) =>
      changeKey({ resource: 'link', ...at, before: {}, after: { [key]: 0 } } as Change),
    ),
  };
}

/** Of a device that is made, before it is told otherwise. */
const defaults: LinkSettings = { up: false, promisc: false, master: 0 };

function wantedSettings(
  { config, current, place }: PlannedDevice,
  masterOf: MasterOf,
  conflicts: Conflict[],
): LinkSettings {
  const { id, mac, mtu, txQueueLen, promisc, up, bridge } = config;
  const master = bridge === undefined ? undefined : masterOf(bridge, place);
  if (bridge !== undefined && master === undefined) {
    conflicts.push({
      path: `devices.${id}.bridge`,
      reason: `there is no bridge ${bridge}`,
      hint: `Add a device ${bridge} of kind bridge, or have it made first.`,
    });
  } else if (master !== undefined && 'kind' in master && master.kind !== 'bridge') {
    conflicts.push({
      path: `devices.${id}.bridge`,
      reason: `${bridge} is not a bridge`,
      hint: 'Name a bridge.',
    });
  }
  const other = current?.master ?? 0;
  if (master !== undefined && other !== 0 && other !== master.index) {
    conflicts.push({
      path: `devices.${id}.bridge`,
      reason: `${config.name} is a port of another bridge already`,
      hint: `Take it out first: \`ip link set ${config.name} nomaster\`.`,
    });
  }
  checkBridgeSettings(config, current, conflicts);
  return {
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(txQueueLen !== undefined && { txQueueLen }),
    ...(promisc !== undefined && { promisc }),
    ...(master !== undefined && { master: master.index }),
    ...prefixed('bridge', config.bridgeSettings),
    ...prefixed('port', config.portSettings),
    ...(up !== undefined && { up }),
  };
}

/** Settings of a device of others, which the file cannot know to be a bridge or a port of one. */
function checkBridgeSettings(
  { id, name, kind, bridge, bridgeSettings, portSettings }: DeviceConfig,
  current: LinkInfo | undefined,
  conflicts: Conflict[],
): void {
  if (kind !== undefined || current === undefined) return;
  if (bridgeSettings !== undefined && current.bridge === undefined) {
    conflicts.push({ path: `devices.${id}.bridgeSettings`, reason: `${name} is not a bridge`, hint: 'Name a bridge.' });
  }
  if (portSettings !== undefined && bridge === undefined && current.bridgePort === undefined) {
    conflicts.push({
      path: `devices.${id}.portSettings`,
      reason: `${name} is a port of no bridge`,
      hint: 'Name the bridge in `bridge`.',
    });
  }
}

function prefixed(prefix: 'bridge' | 'port', settings: object | undefined): LinkSettings {
  return Object.fromEntries(Object.entries(settings ?? {}).map(([key, value]) => [`${prefix}.${key}`, value]));
}

function diffOwner(
  { config, link, current, own, place }: PlannedDevice,
  accounts: Accounts,
  conflicts: Conflict[],
): Change[] {
  // One that is made gets its owner then.
  if (current?.tun === undefined) return [];
  const { tun } = current;
  const owner = config.owner === undefined ? undefined : accounts.users.get(config.owner);
  const group = config.group === undefined ? undefined : accounts.groups.get(config.group);
  const after = {
    ...(owner !== undefined && owner !== tun.owner && { owner }),
    ...(group !== undefined && group !== tun.group && { group }),
  };
  const [key] = Object.keys(after);
  if (key === undefined) return [];
  if (!own) {
    conflicts.push({
      path: `devices.${config.id}.${key}`,
      reason: `${config.name} exists with another ${key}, and vnic did not make it`,
      hint: `The kernel cannot take an ${key} back. Change it by name: \`vnic set ${config.name} --${key} …\`.`,
    });
    return [];
  }
  const before = {
    ...(tun.owner !== undefined && { owner: tun.owner }),
    ...(tun.group !== undefined && { group: tun.group }),
  };
  return [{ resource: 'owner', link, before, after, ...inPlace(place) }];
}

function only(settings: LinkSettings, key: keyof LinkSettings, fallback: LinkSettings = {}): LinkSettings {
  const value = settings[key] ?? fallback[key];
  return value === undefined ? {} : { [key]: value };
}

/** Several settings in one request; of a device of ours none is recorded for itself. */
function merged(changes: readonly LinkChange[]): LinkChange[] {
  const [first] = changes;
  if (first === undefined) return [];
  const all = (side: 'before' | 'after'): LinkSettings => Object.assign({}, ...changes.map((change) => change[side]));
  return [{ ...first, before: all('before'), after: all('after') }];
}
