/**
 * What undoes recorded changes, as far as they are in force and provably the ones that were recorded.
 *
 * Proof of a device is its index, chosen at random and written down before it was made; of an address, a route and a
 * rule the mark that vnic gives it (`VNIC_PROTOCOL`); of a namespace its number; of a value that it is still the one
 * that was set. What somebody has changed since is theirs and stays.
 */

import { release } from 'node:os';

import type { BridgeSettings, LinkInfo } from '../netlink/index.ts';
import {
  type Change,
  type DeviceChange,
  type LinkChange,
  type LinkRef,
  type LinkSettings,
  type PortSettings,
  VNIC_PROTOCOL,
} from './change.ts';
import { changeKey, invertChange } from './invert.ts';
import { isBareName, type KernelView, namespaceInode } from './kernel.ts';
import { type KernelSnapshot, masqueradeMatches, routeMatches, ruleMatches } from './snapshot.ts';

/** What is to be done, and what stays. */
export interface UndoPlan {
  /** In the order in which they are to be carried out. */
  readonly changes: readonly Change[];
  /** Recorded changes that somebody else has changed since, with the reason for which they are left. */
  readonly left: readonly { readonly change: Change; readonly reason: string }[];
}

/** What there is to undo: the change that does it, a reason not to, or nothing. */
type Found = Change | string | undefined;

/**
 * What undoes these changes.
 * @param recorded in the order in which they were made; undone is the last one first
 */
export function undoChanges(recorded: readonly Change[], view: KernelView): UndoPlan {
  const changes: Change[] = [];
  const left: { change: Change; reason: string }[] = [];
  const doomed = new Set(recorded.flatMap((change) => doomedBy(change, view)));
  const chains = chainsOf(recorded);
  for (const change of recorded.toReversed()) {
    const chain = chainOf(change, chains);
    // A value that was set several times is given back once, to what it was first.
    if (chain[0] !== change) continue;
    // It goes with its device or its namespace.
    if (change.resource !== 'namespace' && doomed.has(placeKey(change))) continue;
    if (change.resource !== 'device' && 'link' in change && doomed.has(linkKey(change))) continue;
    const found = undoOne(change, chain, view);
    if (typeof found === 'string') left.push({ change, reason: found });
    else if (found !== undefined) changes.push(found);
  }
  return { changes, left };
}

/** Those of the recorded changes that are in force, by whoever's hand. */
export function changesInForce(recorded: readonly Change[], view: KernelView): Set<Change> {
  const chains = chainsOf(recorded);
  const isInForce = (change: Change): boolean => {
    const chain = chainOf(change, chains);
    return undoOne(chain[0] ?? change, chain, view) !== undefined;
  };
  return new Set(recorded.filter(isInForce));
}

function chainOf(change: Change, chains: ReadonlyMap<string, readonly Change[]>): readonly Change[] {
  return ('after' in change ? chains.get(changeKey(change)) : undefined) ?? [change];
}

/** Changes of values by what they are about, each in the order in which they were made. */
export function chainsOf(changes: readonly Change[]): Map<string, Change[]> {
  const chains = new Map<string, Change[]>();
  for (const change of changes) {
    if (!('after' in change)) continue;
    const key = changeKey(change);
    chains.set(key, [...(chains.get(key) ?? []), change]);
  }
  return chains;
}

/** The settings of a link as changes speak of them. */
export function linkSettings(link: LinkInfo): LinkSettings {
  const { bridge, bridgePort } = link;
  return {
    ...(bridge !== undefined && prefixed('bridge', bridge, lastingOfBridge)),
    ...(bridgePort !== undefined && prefixed('port', bridgePort, lastingOfPort)),
    up: link.isUp,
    mtu: link.mtu,
    txQueueLen: link.txQueueLen,
    promisc: link.flags.includes('PROMISC'),
    master: link.master ?? 0,
    ...(link.mac !== undefined && { mac: link.mac.toString() }),
  };
}

/** What of a bridge is set, and not found out by it. */
const lastingOfBridge: readonly (keyof BridgeSettings)[] = [
  ...(['stp', 'ageingTimeSec', 'forwardDelaySec', 'helloTimeSec', 'maxAgeSec', 'priority'] as const),
  ...(['vlanFiltering', 'vlanDefaultPvid', 'multicastSnooping', 'groupForwardMask'] as const),
];

const lastingOfPort: readonly (keyof PortSettings)[] = [
  ...(['priority', 'cost', 'hairpin', 'guard', 'rootBlock', 'fastLeave', 'learning', 'flood'] as const),
  ...(['multicastFlood', 'broadcastFlood', 'neighbourSuppress', 'isolated', 'locked'] as const),
];

function prefixed<T extends object>(prefix: 'bridge' | 'port', values: T, keys: readonly (keyof T & string)[]): object {
  return Object.fromEntries(keys.map((key) => [`${prefix}.${key}`, values[key]]));
}

/** `tun`, `tap`, `bridge`, `veth`, … */
export function kindOf(link: LinkInfo): string | undefined {
  return link.tun?.kind ?? link.kind;
}

/** @param chain all recorded changes of the value; one of them is the last that was carried out */
function undoOne(change: Change, chain: readonly Change[], view: KernelView): Found {
  if ('action' in change && change.action === 'remove') return undefined;
  if (change.resource === 'namespace') return undoNamespace(change);
  const snapshot = view.of(change.netns);
  if (snapshot === undefined) return undefined;
  if (change.resource === 'device') return undoDevice(change, snapshot);
  if (change.resource === 'rule') {
    const found = snapshot.rules.find((rule) => ruleMatches(rule, change));
    return found === undefined ? undefined : marked(change, isMark(found.protocol));
  }
  if (change.resource === 'masquerade') {
    // The table is vnic's own.
    return snapshot.masquerades.some((info) => masqueradeMatches(info, change)) ? invertChange(change) : undefined;
  }
  const link = change.link === undefined ? undefined : recordedLink(change.link, snapshot);
  if (change.link !== undefined && link === undefined) return undefined;
  if (change.resource === 'sysctl') return undoSysctl(change, chain, snapshot);
  return link === undefined ? undefined : undoOnLink(change, chain, link, snapshot);
}

/** The link of an entry where it is the one that was recorded: by index and by name. */
function recordedLink(link: LinkRef, snapshot: KernelSnapshot): LinkInfo | undefined {
  const found = snapshot.linkByIndex(link.index);
  return found !== undefined && [found.name, ...found.altNames].includes(link.name) ? found : undefined;
}

function undoOnLink(
  change: Exclude<Change, { resource: 'namespace' | 'device' | 'rule' | 'masquerade' | 'sysctl' }>,
  chain: readonly Change[],
  link: LinkInfo,
  snapshot: KernelSnapshot,
): Found {
  const { index } = link;
  switch (change.resource) {
    case 'link':
      return undoLink(change, chain, link);
    case 'address': {
      const found = snapshot.addressesOf(index).find(({ cidr }) => cidr.toString() === change.cidr);
      return found === undefined ? undefined : marked(change, isAddressMark(found.protocol));
    }
    case 'route': {
      const found = snapshot.routesOf(index).find((info) => routeMatches(info, change.route));
      return found === undefined ? undefined : marked(change, isMark(found.protocol));
    }
    case 'neighbour': {
      const isIt = (entry: { state: string; address: { toString(): string } }): boolean =>
        entry.state === 'PERMANENT' && entry.address.toString() === change.address;
      const found = snapshot.neighboursOf(index).find(isIt);
      return found?.mac?.toString() === change.mac ? invertChange(change) : undefined;
    }
    case 'altName':
      return link.altNames.includes(change.altName) ? invertChange(change) : undefined;
    case 'owner':
      return undefined;
  }
}

function undoNamespace(change: Extract<Change, { resource: 'namespace' }>): Found {
  const { name, inode } = change.netns;
  const isOurs = (inode !== 0 && namespaceInode(name) === inode) || isBareName(name);
  return isOurs ? invertChange(change) : undefined;
}

function undoSysctl(
  change: Extract<Change, { resource: 'sysctl' }>,
  chain: readonly Change[],
  snapshot: KernelSnapshot,
): Found {
  const current = snapshot.sysctl(change.name);
  if (current === undefined || current === change.before) return undefined;
  if (chain.some((each) => each.resource === 'sysctl' && each.after === current)) {
    return { ...change, before: current, after: change.before };
  }
  return `it is ${current} by now`;
}

function undoDevice(change: DeviceChange, snapshot: KernelSnapshot): Change | undefined {
  const found = snapshot.linkByIndex(change.link.index);
  if (found === undefined || kindOf(found) !== change.make.kind) return undefined;
  // Somebody may have renamed it; it is still the one that was made.
  return { ...change, action: 'remove', link: { name: found.name, index: found.index } };
}

/** The settings that are still as they were set. */
function undoLink(change: LinkChange, chain: readonly Change[], link: LinkInfo): Change | undefined {
  const current = linkSettings(link);
  const before: Record<string, unknown> = {};
  const after: Record<string, unknown> = {};
  for (const key of Object.keys(change.after) as (keyof LinkSettings)[]) {
    const isOurs = chain.some((each) => each.resource === 'link' && each.after[key] === current[key]);
    // What was not there before goes by itself: the settings of a port with the port.
    if (!isOurs || !(key in change.before) || current[key] === change.before[key]) continue;
    before[key] = current[key];
    after[key] = change.before[key];
  }
  if (Object.keys(after).length === 0) return undefined;
  return { ...change, before: before as LinkSettings, after: after as LinkSettings };
}

function marked(change: Change, isOurs: boolean): Found {
  return isOurs ? invertChange(change) : 'somebody has added it anew since';
}

function isMark(protocol: string): boolean {
  return protocol === String(VNIC_PROTOCOL);
}

/** Kernels before 5.18 keep no mark: there an address that was recorded and is there counts as ours. */
function isAddressMark(protocol: number | undefined): boolean {
  return protocol === VNIC_PROTOCOL || (protocol === undefined && !keepsAddressProtocol);
}

const [major = 0, minor = 0] = release().split('.').map(Number);
const keepsAddressProtocol = major > 5 || (major === 5 && minor >= 18);

/** What goes with a change that is undone. */
function doomedBy(change: Change, view: KernelView): string[] {
  if (change.resource === 'namespace') return undoNamespace(change) === undefined ? [] : [placeKey(change)];
  if (change.resource !== 'device' || change.action !== 'add') return [];
  const snapshot = view.of(change.netns);
  if (snapshot === undefined || undoDevice(change, snapshot) === undefined) return [];
  const peer = change.make.kind === 'veth' ? [`${change.make.peerNetns?.name ?? ''} ${change.make.peer.index}`] : [];
  return [linkKey(change), ...peer];
}

function placeKey({ netns }: Change): string {
  return `netns ${netns?.name ?? ''}`;
}

function linkKey(change: { readonly netns?: { readonly name: string }; readonly link?: LinkRef }): string {
  return `${change.netns?.name ?? ''} ${change.link?.index ?? 0}`;
}
