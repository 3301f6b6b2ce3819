/** Checks of Node.js, the kernel and what surrounds them. */

import { readFileSync } from 'node:fs';
import { release } from 'node:os';

import { isVnicError } from '../base/index.ts';
import { inContainer, nativeCandidates, nativeCore, networkNamespaceId } from '../native/index.ts';
import { openNetlink } from '../netlink/index.ts';
import type { Check } from './check.ts';
import { findProgram, readSysctl } from './sandbox.ts';

/** `engines` of package.json. */
const NODE_MIN = [20, 19] as const;
/** Without extended ACK the kernel gives no reason for a refused request. */
const KERNEL_MIN = [4, 12] as const;
/** Each device takes two descriptors, Node.js itself about twenty. */
const FILES_MIN = 256;

export function checkNode(): Check {
  const { node, bun } = process.versions as Record<string, string | undefined>;
  const base = { id: 'node', title: 'Node.js' } as const;
  if (bun !== undefined) {
    return { ...base, status: 'fail', detail: `Bun ${bun}`, fix: `run it with Node.js ${NODE_MIN.join('.')} or newer` };
  }
  if (isAtLeast(node ?? '', NODE_MIN)) return { ...base, status: 'ok', detail: `${node}, ${process.arch}` };
  const wanted = `${NODE_MIN.join('.')} or newer`;
  return { ...base, status: 'fail', detail: `${node}, vnic needs ${wanted}`, fix: `install Node.js ${wanted}` };
}

export function checkNativeCore(): Check {
  const base = { id: 'native-core', title: 'Native core' } as const;
  try {
    nativeCore();
    const found = nativeCandidates().find(isReadable) ?? 'loaded';
    return { ...base, status: 'ok', detail: found };
  } catch (error) {
    return { ...base, status: 'fail', ...described(error) };
  }
}

export function checkKernel(): Check {
  const base = { id: 'kernel', title: 'Kernel' } as const;
  const version = release();
  if (isAtLeast(version, KERNEL_MIN)) return { ...base, status: 'ok', detail: version };
  return {
    ...base,
    status: 'warn',
    detail: `${version}: errors of the kernel come without a reason`,
    fix: `use Linux ${KERNEL_MIN.join('.')} or newer`,
  };
}

export function checkNetworkNamespace(): Check {
  const base = { id: 'network-namespace', title: 'Network namespace', status: 'ok' } as const;
  const own = networkNamespaceId();
  const first = networkNamespaceId(1);
  const relation = first === undefined ? '' : own === first ? ", the machine's" : ', a private one';
  return { ...base, detail: `${own ?? 'hidden'}${relation}` };
}

export function checkContainer(): Check {
  const detail = inContainer() ? 'yes: what vnic may do is set where the container is started' : 'no';
  return { id: 'container', title: 'Container', status: 'ok', detail };
}

/** Asks the kernel for its interfaces. */
export async function checkNetlink(): Promise<Check> {
  const base = { id: 'netlink', title: 'Netlink' } as const;
  try {
    const netlink = await openNetlink();
    try {
      const { length } = await netlink.links.list();
      return { ...base, status: 'ok', detail: `works, ${length} ${length === 1 ? 'interface' : 'interfaces'}` };
    } finally {
      await netlink.close();
    }
  } catch (error) {
    return { ...base, status: 'fail', ...described(error) };
  }
}

export function checkIpv6(): Check {
  const base = { id: 'ipv6', title: 'IPv6' } as const;
  if (!isReadable('/proc/net/if_inet6')) {
    return {
      ...base,
      status: 'warn',
      detail: 'this kernel runs without IPv6',
      fix: 'boot without ipv6.disable=1, or use IPv4 addresses only',
    };
  }
  const off = ['all', 'default'].filter((scope) => readSysctl(`net.ipv6.conf.${scope}.disable_ipv6`) === '1');
  if (off.length === 0) return { ...base, status: 'ok', detail: 'on for new devices' };
  return {
    ...base,
    status: 'warn',
    detail: 'off for new devices: IPv6 addresses will be refused',
    fix: `sudo sysctl ${off.map((scope) => `net.ipv6.conf.${scope}.disable_ipv6=0`).join(' ')}`,
  };
}

export function checkFileLimit(): Check {
  const base = { id: 'file-limit', title: 'File descriptors' } as const;
  const limit = /^Max open files\s+(\S+)/m.exec(readText('/proc/self/limits'))?.[1] ?? 'unknown';
  if (!(Number(limit) < FILES_MIN)) return { ...base, status: 'ok', detail: `limit ${limit}` };
  return { ...base, status: 'warn', detail: `limit ${limit}, little for more than one device`, fix: 'ulimit -n 1024' };
}

/** Programs of the system that the demo runs. */
export function checkPrograms(): Check {
  const base = { id: 'programs', title: 'Programs' } as const;
  const wanted = [
    { name: 'ping', debianPackage: 'iputils-ping' },
    { name: 'unshare', debianPackage: 'util-linux' },
  ];
  const missing = wanted.filter(({ name }) => findProgram(name) === undefined);
  if (missing.length === 0) {
    return { ...base, status: 'ok', detail: wanted.map(({ name }) => findProgram(name)).join(', ') };
  }
  return {
    ...base,
    status: 'warn',
    detail: `${missing.map(({ name }) => name).join(' and ')} not installed; the demo needs it`,
    fix: `sudo apt-get install ${missing.map(({ debianPackage }) => debianPackage).join(' ')}`,
  };
}

/** An error as detail and fix of a check. */
export function described(error: unknown): { detail: string; fix: string } {
  if (isVnicError(error)) return { detail: error.reason, fix: error.hint };
  const detail = error instanceof Error ? error.message : String(error);
  return { detail, fix: 'this is a fault of vnic: please report it' };
}

function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, ownMajor, ownMinor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(ownMajor) !== major) return Number(ownMajor) > major;
  return Number(ownMinor) >= minor;
}

export function isReadable(path: string): boolean {
  return readTextOrNone(path) !== undefined;
}

export function readText(path: string): string {
  return readTextOrNone(path) ?? '';
}

function readTextOrNone(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
