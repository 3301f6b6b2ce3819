/** Kernel settings: of the namespace, and of its devices. */

import { type Change, changeKey, type KernelSnapshot, type LinkRef, readSysctlValue } from '../changes/index.ts';
import type { Config } from '../config/index.ts';
import type { Conflict } from './plan.ts';

/** What is otherwise. */
export interface SysctlDiff {
  /** Of devices, which what is on them depends on. */
  readonly ofDevices: readonly Change[];
  /** Of the namespace. */
  readonly others: readonly Change[];
  readonly conflicts: readonly Conflict[];
  readonly wanted: readonly string[];
}

/** Compares the settings. */
export function diffSysctls(
  config: Config,
  snapshot: KernelSnapshot,
  indexes: ReadonlyMap<string, LinkRef>,
): SysctlDiff {
  const changes: Change[] = [];
  const conflicts: Conflict[] = [];
  const wanted: string[] = [];
  const compare = (path: string, name: string, after: string, link?: LinkRef): void => {
    const coming = link !== undefined && snapshot.linkByIndex(link.index) === undefined;
    // A device that is to be made starts with the default.
    const now = readSysctlValue(coming ? name.replace(`/conf/${link.name}/`, '/conf/default/') : name);
    wanted.push(changeKey({ resource: 'sysctl', name, before: '', after }));
    if (now === undefined) {
      conflicts.push({ path, reason: `this kernel has no setting ${name}`, hint: 'Check the name below /proc/sys.' });
    } else if (coming || now !== after) {
      changes.push({ resource: 'sysctl', name, before: now, after, ...(link !== undefined && { link }) });
    }
  };
  for (const [name, value] of Object.entries(config.sysctls)) compare(`sysctls.${name}`, name, value);
  for (const { name: device, sysctls } of config.devices) {
    const link = indexes.get(device);
    if (link === undefined) continue;
    for (const [key, value] of Object.entries(sysctls)) {
      const [family = '', setting = ''] = key.split('.');
      compare(`devices.${device}.sysctls.${key}`, `net/${family}/conf/${link.name}/${setting}`, value, link);
    }
  }
  const isOfDevice = (change: Change): boolean => change.link !== undefined;
  return {
    ofDevices: changes.filter(isOfDevice),
    others: changes.filter((change) => !isOfDevice(change)),
    conflicts,
    wanted,
  };
}
