/** What this process may do and where it runs, as the kernel tells it under /proc. */

import { existsSync, readFileSync, readlinkSync } from 'node:fs';

/** Capability numbers from `linux/capability.h`. */
export const Capability = { netAdmin: 12, netRaw: 13, sysAdmin: 21, bpf: 39 } as const;

/** True when this thread has the capability in its own user namespace. */
export function hasCapability(capability: number): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/thread-self/status'))?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(capability)) & 1n) === 1n;
}

/** True when this process is in a user namespace other than the first. */
export function inUserNamespace(): boolean {
  const map = readText('/proc/self/uid_map').trim().split(/\s+/);
  return !(map.length === 3 && map[0] === '0' && map[1] === '0' && map[2] === '4294967295');
}

/** True when the marks of a container runtime are there: docker, podman, systemd-nspawn, Kubernetes, LXC. */
export function inContainer(): boolean {
  if (existsSync('/.dockerenv') || existsSync('/run/.containerenv')) return true;
  const init = readText('/proc/1/environ');
  return /(^|\0)container=/.test(init) || /docker|kubepods|containerd|lxc/.test(readText('/proc/1/cgroup'));
}

/** Identity of this thread's network namespace, for example `net:[4026531840]`; undefined when hidden. */
export function networkNamespaceId(pid: number | 'thread-self' = 'thread-self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
