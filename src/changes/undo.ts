/**
 * What undoes recorded changes, as far as they are in force and provably the ones that were recorded.
 *
 * Proof of a device is its index, chosen at random and written down before it was made; of an address, a route and a
 * neighbour the mark that vnic gives it (`VNIC_PROTOCOL`); of a value that it is still the one that was set. What
 * somebody has changed since is theirs and stays.
 */

import { release } from 'node:os';

import type { LinkInfo } from '../netlink/index.ts';
import { type Change, type LinkChange, type LinkRef, type LinkSettings, VNIC_PROTOCOL } from './change.ts';
import { invertChange } from './invert.ts';
import { type KernelSnapshot, routeMatches } from './snapshot.ts';
import { readSysctlValue } from './sysctl.ts';

/** What is to be done, and what stays. */
export interface UndoPlan {
  /** In the order in which they are to be carried out. */
  readonly changes: readonly Change[];
  /** Recorded changes that somebody else has changed since, with the reason for which they are left. */
  readonly left: readonly { readonly change: Change; readonly reason: string }[];
}

/** @param recorded in the order in which they were made; undone is the last one first */
export function undoChanges(recorded: readonly Change[], snapshot: KernelSnapshot): UndoPlan {
  const changes: Change[] = [];
  const left: { change: Change; reason: string }[] = [];
  const doomed = new Set(recorded.flatMap((change) => doomedLink(change, snapshot)));
  for (const change of recorded.toReversed()) {
    // It goes with its device.
    if (change.resource !== 'device' && doomed.has(change.link?.index ?? 0)) continue;
    const found = undoOne(change, snapshot);
    if (typeof found === 'string') left.push({ change, reason: found });
    else if (found !== undefined) changes.push(found);
  }
  return { changes, left };
}

/** True while a recorded change is in force, by whoever's hand. */
export function isInForce(change: Change, snapshot: KernelSnapshot): boolean {
  return undoOne(change, snapshot) !== undefined;
}

/** The link of an entry where it is the one that was recorded: by index, of a foreign one also by name. */
export function recordedLink(link: LinkRef, snapshot: KernelSnapshot): LinkInfo | undefined {
  const found = snapshot.linkByIndex(link.index);
  return found !== undefined && [found.name, ...found.altNames].includes(link.name) ? found : undefined;
}

/** Undefined when nothing is left to undo, a reason when somebody else has the say. */
function undoOne(change: Change, snapshot: KernelSnapshot): Change | string | undefined {
  if ('action' in change && change.action === 'remove') return undefined;
  if (change.resource === 'sysctl') {
    if (change.link !== undefined && recordedLink(change.link, snapshot) === undefined) return undefined;
    const current = readSysctlValue(change.name);
    if (current === undefined || current === change.before) return undefined;
    return current === change.after ? invertChange(change) : `it is ${current} by now, not ${change.after}`;
  }
  if (change.resource === 'device') return undoDevice(change, snapshot);
  const link = recordedLink(change.link, snapshot);
  if (link === undefined) return undefined;
  const { index } = link;
  switch (change.resource) {
    case 'link':
      return undoLink(change, link);
    case 'address': {
      const found = snapshot.addressesOf(index).find(({ cidr }) => cidr.toString() === change.cidr);
      if (found === undefined) return undefined;
      return isMarked(found.protocol) ? invertChange(change) : 'somebody has added it anew since';
    }
    case 'route': {
      const found = snapshot.routesOf(index).find((info) => routeMatches(info, change.route));
      if (found === undefined) return undefined;
      return found.protocol === String(VNIC_PROTOCOL) ? invertChange(change) : 'somebody has added it anew since';
    }
    case 'neighbour': {
      const found = snapshot
        .neighboursOf(index)
        .find(({ address, state }) => state === 'PERMANENT' && address.toString() === change.address);
      return found?.mac?.toString() === change.mac ? invertChange(change) : undefined;
    }
    case 'altName':
      return link.altNames.includes(change.altName) ? invertChange(change) : undefined;
    case 'owner':
      return undefined;
  }
}

function undoDevice(change: Extract<Change, { resource: 'device' }>, snapshot: KernelSnapshot): Change | undefined {
  const found = snapshot.linkByIndex(change.link.index);
  if (found === undefined || kindOf(found) !== change.make.kind) return undefined;
  // Somebody may have renamed it; it is still the one that was made.
  return { ...change, action: 'remove', link: { name: found.name, index: found.index } };
}

/** The settings that are still as they were set. */
function undoLink(change: LinkChange, link: LinkInfo): Change | undefined {
  const current = linkSettings(link);
  const before: Record<string, unknown> = {};
  const after: Record<string, unknown> = {};
  for (const key of Object.keys(change.after) as (keyof LinkSettings)[]) {
    if (current[key] !== change.after[key] || current[key] === change.before[key]) continue;
    before[key] = current[key];
    after[key] = change.before[key];
  }
  if (Object.keys(after).length === 0) return undefined;
  return { ...change, before: before as LinkSettings, after: after as LinkSettings };
}

/** The settings of a link as changes speak of them. */
export function linkSettings(link: LinkInfo): Required<Omit<LinkSettings, 'mac'>> & Pick<LinkSettings, 'mac'> {
  return {
    up: link.isUp,
    mtu: link.mtu,
    txQueueLen: link.txQueueLen,
    promisc: link.flags.includes('PROMISC'),
    master: link.master ?? 0,
    ...(link.mac !== undefined && { mac: link.mac.toString() }),
  };
}

/** `tun`, `tap`, `bridge`, `veth`, … */
export function kindOf(link: LinkInfo): string | undefined {
  return link.tun?.kind ?? link.kind;
}

function doomedLink(change: Change, snapshot: KernelSnapshot): number[] {
  if (change.resource !== 'device' || change.action !== 'add') return [];
  return undoDevice(change, snapshot) === undefined ? [] : [change.link.index];
}

/** Kernels before 5.18 keep no mark: there an address that was recorded and is there counts as ours. */
function isMarked(protocol: number | undefined): boolean {
  return protocol === VNIC_PROTOCOL || (protocol === undefined && !keepsAddressProtocol());
}

function keepsAddressProtocol(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 18);
}
