/** Checks of what this process may do. */

import { Capability, hasCapability, inContainer } from '../native/index.ts';
import type { Check, DoctorContext } from './check.ts';
import { namespaceSwitches } from './sandbox.ts';

/** CAP_NET_ADMIN makes and configures devices, CAP_NET_RAW listens on interfaces. */
export function checkCapabilities({ sandbox }: DoctorContext): Check {
  const admin = hasCapability(Capability.netAdmin);
  const raw = hasCapability(Capability.netRaw);
  const held = (name: string, has: boolean): string => `${has ? '' : 'no '}${name}`;
  const detail = `${held('CAP_NET_ADMIN', admin)}, ${held('CAP_NET_RAW', raw)}`;
  const base = { id: 'capabilities', title: 'Capabilities' } as const;
  if (admin && raw) return { ...base, status: 'ok', detail };
  const without = [
    ...(admin ? [] : ['making and configuring devices here needs CAP_NET_ADMIN']),
    ...(raw ? [] : ['listening on interfaces needs CAP_NET_RAW']),
  ];
  return {
    ...base,
    // In a namespace of its own, every user has both.
    status: sandbox.ok || admin ? 'warn' : 'fail',
    detail: `${detail}: ${without.join(', ')}`,
    fix: sandbox.ok ? 'sudo COMMAND, or without root: unshare --user --map-root-user --net COMMAND' : 'sudo COMMAND',
  };
}

/** Really makes user, network and pid namespaces, as the demo does. */
export function checkUserNamespaces({ sandbox }: DoctorContext): Check {
  const base = { id: 'user-namespaces', title: 'User namespaces' } as const;
  if (sandbox.ok && sandbox.form === 'user') {
    return { ...base, status: 'ok', detail: 'allowed: the demo and tests need no root' };
  }
  if (sandbox.ok) {
    return { ...base, status: 'warn', detail: 'forbidden, but as root this works without', fix: namespaceFix() };
  }
  if (sandbox.cause === 'unshare-missing') {
    return { ...base, status: 'warn', detail: sandbox.reason, fix: 'sudo apt-get install util-linux' };
  }
  return { ...base, status: 'warn', detail: `forbidden (${sandbox.reason})`, fix: namespaceFix() };
}

function namespaceFix(): string {
  const fixes = namespaceSwitches().map(({ fix }) => fix);
  if (fixes.length > 0) return `sudo sysctl ${fixes.join(' ')}`;
  return inContainer()
    ? 'start the container with --privileged, or with --security-opt seccomp=unconfined'
    : 'run vnic with sudo; a security module or seccomp filter forbids namespaces here';
}
