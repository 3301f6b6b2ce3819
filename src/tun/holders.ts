/** Who holds a TUN/TAP device: the kernel names it in `/proc/PID/fdinfo/FD`. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

import { nativeCore, networkNamespaceId } from '../native/index.ts';
import { type NetnsOptions, namespaceOfFile, withNamespace } from '../netns/index.ts';
import { TUN_NODE, TunIoctl } from './constants.ts';

/** A process with a descriptor attached to the device. */
export interface Holder {
  readonly pid: number;
  /** Name of the program, with anything unprintable replaced by `?`. */
  readonly command: string;
  /** Descriptors of that process, one per queue. */
  readonly fds: readonly number[];
}

/**
 * Processes that hold the device `name` of this network namespace, or of the one of `netns`. Only those that this user may look into
 * are found, so an empty list does not mean that nobody holds it.
 */
export function findHolders(name: string, options: NetnsOptions = {}): readonly Holder[] {
  return findAllHolders(options).get(name) ?? [];
}

/** The same for every device that somebody holds, by its name, in one pass over `/proc`. */
export function findAllHolders({ netns }: NetnsOptions = {}): Map<string, readonly Holder[]> {
  const current = currentInode();
  const here = withNamespace(netns, (namespace) => namespace?.inode) ?? current;
  const found = new Map<string, Holder[]>();
  for (const entry of entriesOf('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    for (const [name, attached] of devicesHeldBy(pid)) {
      // The name alone is ambiguous: another namespace may have a device of the same name.
      const fds = attached.filter((fd) => deviceInode(pid, fd, current) === here);
      if (fds.length === 0) continue;
      found.set(name, [...(found.get(name) ?? []), { pid, command: printable(programOf(pid)), fds }]);
    }
  }
  return found;
}

/** `qemu (pid 4711), vnic (pid 12)`, or undefined for none. */
export function describeHolders(holders: readonly Holder[]): string | undefined {
  if (holders.length === 0) return undefined;
  return holders.map((holder) => `${holder.command} (pid ${holder.pid})`).join(', ');
}

/** Descriptors of a process by the device that they are attached to. */
function devicesHeldBy(pid: number): Map<string, number[]> {
  const held = new Map<string, number[]>();
  for (const entry of entriesOf(`/proc/${pid}/fd`)) {
    const name = attachedTo(pid, Number(entry));
    if (name !== undefined) held.set(name, [...(held.get(name) ?? []), Number(entry)]);
  }
  return held;
}

/**
 * The network namespace of the device that a descriptor is attached to. Where the process may not be looked into that far,
 * its own, which it nearly always is.
 */
function deviceInode(pid: number, fd: number, current: number | undefined): number | undefined {
  const core = nativeCore();
  const copy = core.copyFrom(pid, fd);
  if (copy < 0) return inodeIn(networkNamespaceId(pid));
  try {
    const namespace = namespaceOfFile(copy, TunIoctl.getDevNetns);
    namespace?.closeSync();
    return namespace?.inode ?? current;
  } finally {
    core.close(copy);
  }
}

function currentInode(): number | undefined {
  return inodeIn(networkNamespaceId());
}

/** `net:[4026531840]` → 4026531840 */
function inodeIn(id: string | undefined): number | undefined {
  const digits = /\d+/.exec(id ?? '')?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** The file that runs, which is plainer than `comm`: Node 24 calls its own `MainThread`. */
function programOf(pid: number): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return textOf(`/proc/${pid}/comm`).trim();
  }
}

/** A process chooses its own name: no control character of it may reach a terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function attachedTo(pid: number, fd: number): string | undefined {
  try {
    if (!readlinkSync(`/proc/${pid}/fd/${fd}`).endsWith(TUN_NODE)) return undefined;
  } catch {
    return undefined;
  }
  return /^iff:\s*(\S+)$/m.exec(textOf(`/proc/${pid}/fdinfo/${fd}`))?.[1];
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
