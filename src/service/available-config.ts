/** The part of a configuration that can be brought about now: what waits for links of others, and for peace, is left out. */

import { type Change, Kernel, namespaceInode } from '../changes/index.ts';
import type { Config, DeviceConfig, NamespaceConfig } from '../config/index.ts';

/** A configuration, and what it has to do without. */
export interface AvailableConfig {
  readonly config: Config;
  /** Links that are not there and that the configuration does not make, in their order: `eth1`, `br0 in lab`. */
  readonly waiting: readonly string[];
}

/**
 * Leaves out devices of others that do not exist, and memberships of bridges that do not exist.
 * @throws VNIC_NETLINK, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_SYSTEM_CALL
 */
export async function availableConfig(config: Config): Promise<AvailableConfig> {
  const made = new Set(config.devices.flatMap(madeNames));
  const isNeeded = (device: DeviceConfig): boolean => missingNames(device, made).length > 0;
  const places = new Set(config.devices.filter(isNeeded).map(({ namespace }) => namespace ?? ''));
  const present = new Set([...made, ...(await namesIn(places))]);
  const waiting = new Set<string>();
  const devices = config.devices.flatMap((device): DeviceConfig[] => {
    const missing = missingNames(device, present);
    for (const name of missing) waiting.add(device.namespace === undefined ? name : `${name} in ${device.namespace}`);
    if (device.kind === undefined && missing.includes(device.name)) return [];
    if (missing.length === 0) return [device];
    const { bridge: _bridge, ...rest } = device;
    return [rest];
  });
  return { config: { ...config, devices }, waiting: [...waiting] };
}

/** What a change is about, as a fight about it goes: a device with all that is on it, a kernel setting, … */
export function subjectOf(change: Change): string {
  const place = change.netns?.name ?? '';
  if (change.resource === 'sysctl' && change.link === undefined) return `sysctl ${place} ${change.name}`;
  if ('link' in change && change.link !== undefined) return `device ${place} ${change.link.name}`;
  return `${change.resource} ${place}`;
}

/** The subject in words. */
export function subjectText(subject: string): string {
  const [kind = '', place = '', name = ''] = subject.split(' ');
  const what = kind === 'device' ? name : kind === 'sysctl' ? name : `the ${kind} entries`;
  return place === '' ? what : `${what} in ${place}`;
}

/** Leaves out what is held back. Such a configuration must not be applied with `prune`, which would undo it. */
export function withoutHeld(config: Config, held: ReadonlySet<string>): Config {
  if (held.size === 0) return config;
  const part = (place: string, { sysctls, rules, masquerade }: NamespaceConfig): NamespaceConfig => ({
    sysctls: Object.fromEntries(Object.entries(sysctls).filter(([name]) => !held.has(`sysctl ${place} ${name}`))),
    rules: held.has(`rule ${place}`) ? [] : rules,
    masquerade: held.has(`masquerade ${place}`) ? [] : masquerade,
  });
  return {
    ...part('', config),
    devices: config.devices.filter(({ namespace = '', name }) => !held.has(`device ${namespace} ${name}`)),
    namespaces: Object.fromEntries(Object.entries(config.namespaces).map(([name, value]) => [name, part(name, value)])),
    links: config.links,
    tunnels: config.tunnels,
    switches: config.switches,
  };
}

function madeNames({ kind, name, namespace = '', peer, peerNamespace = namespace }: DeviceConfig): string[] {
  if (kind === undefined) return [];
  return [`${namespace} ${name}`, ...(peer === undefined ? [] : [`${peerNamespace} ${peer}`])];
}

/** The links that the device needs and that are not among those. */
function missingNames({ kind, name, namespace = '', bridge }: DeviceConfig, present: ReadonlySet<string>): string[] {
  const needed = [...(kind === undefined ? [name] : []), ...(bridge === undefined ? [] : [bridge])];
  return needed.filter((link) => !present.has(`${namespace} ${link}`));
}

/** Every name of every link of these namespaces. */
async function namesIn(places: ReadonlySet<string>): Promise<string[]> {
  await using kernel = new Kernel();
  const names: string[] = [];
  for (const place of places) {
    const inode = place === '' ? 0 : namespaceInode(place);
    // One that is yet to be made has no links.
    if (place !== '' && inode === 0) continue;
    const netlink = await kernel.netlink(place === '' ? undefined : { name: place, inode });
    for (const { name, altNames } of await netlink.links.list()) {
      for (const one of [name, ...altNames]) names.push(`${place} ${one}`);
    }
  }
  return names;
}
