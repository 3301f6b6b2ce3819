/**
 * Who is who across time: a process, a network namespace, a boot. Each number that the kernel uses again (pid, inode)
 * is told together with one that it does not.
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

import { nativeCore, networkNamespaceId } from '../native/index.ts';

/** A process. The start time tells it from a later one of the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of `/proc/PID/stat`. */
  readonly startTime: string;
  /** The program with its first argument, for people. */
  readonly command: string;
}

/** A network namespace. */
export interface NamespaceIdentity {
  /** Such as `net:[4026531840]`; a number that a later namespace may get. */
  readonly id: string;
  /** `SO_NETNS_COOKIE`: never used twice between two boots; empty before Linux 5.14. */
  readonly cookie: string;
}

/** Changes with every boot. */
export function bootId(): string {
  return textOf('/proc/sys/kernel/random/boot_id').trim();
}

let thisProcess: ProcessIdentity | undefined;

/** This process. */
export function processIdentity(): ProcessIdentity {
  thisProcess ??= readProcess();
  return thisProcess;
}

function readProcess(): ProcessIdentity {
  const [node = 'node', script = ''] = process.argv;
  const program = script === '' ? basename(node) : basename(script).replace(/^main\.[jt]s$/, 'vnic');
  const verb = process.argv[2];
  return { pid: process.pid, startTime: startTimeOf('self'), command: verb ? `${program} ${verb}` : program };
}

/** The network namespace of this thread. */
export function namespaceIdentity(): NamespaceIdentity {
  return { id: networkNamespaceId() ?? '', cookie: namespaceCookie() };
}

/** True for the network namespace of this thread. */
export function isHere(namespace: NamespaceIdentity): boolean {
  const here = namespaceIdentity();
  return namespace.cookie === here.cookie && namespace.id === here.id;
}

/** False when no process that can be seen is in it and no file below /run/netns holds it. */
export function namespaceExists({ id }: NamespaceIdentity): boolean {
  const isThere = (pid: string): boolean => /^[0-9]+$/.test(pid) && linkOf(`/proc/${pid}/ns/net`) === id;
  return entriesOf('/proc').some(isThere) || entriesOf('/run/netns').some((name) => inodeOf(name) === id);
}

const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;

function namespaceCookie(): string {
  const core = nativeCore();
  const fd = core.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return '';
  const cookie = new Uint8Array(8);
  const length = core.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie);
  core.close(fd);
  return length < 0 ? '' : new DataView(cookie.buffer).getBigUint64(0, true).toString(16);
}

/** The name of the program may hold spaces and brackets: fields are counted from the last one. */
function startTimeOf(pid: number | 'self'): string {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function inodeOf(name: string): string {
  try {
    return `net:[${statSync(join('/run/netns', name)).ino}]`;
  } catch {
    return '';
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
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
