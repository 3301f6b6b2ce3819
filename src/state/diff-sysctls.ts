/** Kernel settings: of the namespace, and of its devices. */

import { type Change, changeKey } from '../changes/index.ts';
import { inPlace, type Place } from './places.ts';
import type { Conflict, PlannedDevice } from './planned.ts';

/** What is otherwise. */
export interface SysctlDiff {
  /** Of devices, which what is on them depends on. */
  readonly ofDevices: readonly Change[];
  /** Of the namespace. */
  readonly others: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly wanted: readonly string[];
}

/** Compares the settings of every namespace and of every device. */
export function diffSysctls(places: ReadonlyMap<string, Place>, devices: readonly PlannedDevice[]): SysctlDiff {
  const ofDevices: Change[] = [];
  const others: Change[] = [];
  const conflicts: Conflict[] = [];
  const wanted: string[] = [];
  const compare = (path: string, place: Place, name: string, after: string, device?: PlannedDevice): void => {
    // A device that is to be made starts with the default.
    const source =
      device !== undefined && device.current === undefined
        ? name.replace(`/conf/${device.link.name}/`, '/conf/default/')
        : name;
    const before = place.snapshot.sysctl(source) ?? '';
    const link = device === undefined ? {} : { link: device.link };
    const change: Change = { resource: 'sysctl', name, before, after, ...link, ...inPlace(place) };
    wanted.push(changeKey(change));
    if (before === '')
      conflicts.push({ path, reason: `this kernel has no setting ${name}`, hint: 'Check the name below /proc/sys.' });
    else if (source !== name || before !== after) (device === undefined ? others : ofDevices).push(change);
  };
  for (const place of places.values()) {
    for (const [name, value] of Object.entries(place.config.sysctls))
      compare(`${place.path}sysctls.${name}`, place, name, value);
  }
  for (const device of devices) {
    const { config, link, place } = device;
    for (const [key, value] of Object.entries(config.sysctls)) {
      const [family = '', setting = ''] = key.split('.');
      compare(
        `devices.${config.id}.sysctls.${key}`,
        place,
        `net/${family}/conf/${link.name}/${setting}`,
        value,
        device,
      );
    }
  }
  return { ofDevices, others, conflicts, wanted };
}
