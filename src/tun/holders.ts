/** Who holds a TUN/TAP device: the kernel names it in `/proc/PID/fdinfo/FD`. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

import { networkNamespaceId } from '../native/index.ts';
import { TUN_NODE } from './constants.ts';

/** A process with a descriptor attached to the device. */
export interface Holder {
  readonly pid: number;
  /** Name of the program, with anything unprintable replaced by `?`. */
  readonly command: string;
  /** Descriptors of that process, one per queue. */
  readonly fds: readonly number[];
}

/**
 * Processes that hold the device `name` of this network namespace. Only those that this user may look into
 * are found, so an empty list does not mean that nobody holds it.
 */
export function findHolders(name: string): readonly Holder[] {
  return findAllHolders().get(name) ?? [];
}

/** The same for every device that somebody holds, by its name, in one pass over `/proc`. */
export function findAllHolders(): Map<string, readonly Holder[]> {
  const here = networkNamespaceId();
  const found = new Map<string, Holder[]>();
  for (const entry of entriesOf('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const held = devicesHeldBy(pid);
    // The name alone is ambiguous: another namespace may have a device of the same name.
    if (held.size === 0 || networkNamespaceId(pid) !== here) continue;
    const command = printable(programOf(pid));
    for (const [name, fds] of held) found.set(name, [...(found.get(name) ?? []), { pid, command, fds }]);
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
