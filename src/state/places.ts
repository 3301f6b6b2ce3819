/** Where the devices of a configuration are: the namespaces, which are there or to be made. */

import {
  type Change,
  isBareName,
  type KernelSnapshot,
  type KernelView,
  type NetnsRef,
  namespaceInode,
} from '../changes/index.ts';
import type { Config, NamespaceConfig } from '../config/index.ts';
import type { Ownership } from './ownership.ts';

/** A namespace with what the kernel has in it. */
export interface Place {
  /** Undefined for that of the process. */
  readonly netns: NetnsRef | undefined;
  readonly snapshot: KernelSnapshot;
  readonly config: NamespaceConfig;
  /** Where it stands in the configuration, for messages; ends with a dot unless it is empty. */
  readonly path: string;
}

/** The names of all namespaces that a configuration speaks of. */
export function namespaceNames({ devices, namespaces }: Config): Set<string> {
  const named = devices.flatMap(({ namespace, peerNamespace }) => [namespace ?? [], peerNamespace ?? []].flat());
  return new Set([...Object.keys(namespaces), ...named]);
}

/** Each namespace by name; that of the process has none. */
export function placesOf(config: Config, view: KernelView): Map<string, Place> {
  const places = new Map<string, Place>();
  const put = (netns: NetnsRef | undefined, part: NamespaceConfig, path: string): void => {
    const snapshot = view.of(netns);
    if (snapshot !== undefined) places.set(netns?.name ?? '', { netns, snapshot, config: part, path });
  };
  put(undefined, config, '');
  for (const name of namespaceNames(config)) {
    const part = config.namespaces[name] ?? { sysctls: {}, rules: [], masquerade: [] };
    put({ name, inode: namespaceInode(name) }, part, `namespaces.${name}.`);
  }
  return places;
}

/** What makes the namespaces that are missing. */
export function missingNamespaces(places: ReadonlyMap<string, Place>): Change[] {
  return [...places.values()].flatMap(({ netns }): Change[] =>
    netns?.inode === 0 ? [{ resource: 'namespace', action: 'add', netns }] : [],
  );
}

/** Takes names away that are left of namespaces of ours and have none behind them. */
export function bareNames(places: ReadonlyMap<string, Place>, ownership: Ownership): Change[] {
  const ours = ownership.entries.flatMap(({ change }) => (change.resource === 'namespace' ? [change.netns.name] : []));
  return [...places.keys()]
    .filter((name) => ours.includes(name) && isBareName(name))
    .map((name) => ({ resource: 'namespace', action: 'remove', netns: { name, inode: 0 } }));
}

/** The part of a change that says where. */
export function inPlace({ netns }: Place): { readonly netns?: NetnsRef } {
  return netns === undefined ? {} : { netns };
}
