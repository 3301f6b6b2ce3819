/** Checks of the tun driver: there, openable, and what it offers. */

import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { release } from 'node:os';

import { isVnicError, VnicError } from '../base/index.ts';
import { inContainer, nativeCore } from '../native/index.ts';
import { deviceFeatures, mayOpenNode, TUN_NODE, TunDevice, TunIoctl, TunOffload } from '../tun/index.ts';
import type { Check, DoctorContext } from './check.ts';
import { described, readText } from './doctor-system.ts';
import { sandboxCommand } from './sandbox.ts';

/** Flags of `TUNGETFEATURES` (`linux/if_tun.h`), each with the name that `IFF_` precedes. */
const FEATURES: readonly (readonly [bit: number, name: string])[] = [
  [0x0001, 'TUN'],
  [0x0002, 'TAP'],
  [0x0010, 'NAPI'],
  [0x0020, 'NAPI_FRAGS'],
  [0x0040, 'NO_CARRIER'],
  [0x0100, 'MULTI_QUEUE'],
  [0x1000, 'NO_PI'],
  [0x2000, 'ONE_QUEUE'],
  [0x4000, 'VNET_HDR'],
];

/** `TUN_F_UDP_TUNNEL_GSO`, `TUN_F_UDP_TUNNEL_GSO_CSUM`: Linux 6.17 and newer. */
const UDP_TUNNEL_GSO = 0x080;
const UDP_TUNNEL_GSO_CSUM = 0x100;

const { csum, tso4, tso6, tsoEcn, uso4, uso6 } = TunOffload;

/** Each offload with the mask that the kernel takes only if it knows it; most need others beside them. */
const OFFLOADS: readonly (readonly [name: string, mask: number])[] = [
  ['CSUM', csum],
  ['TSO4', csum | tso4],
  ['TSO6', csum | tso6],
  ['TSO_ECN', csum | tso4 | tso6 | tsoEcn],
  ['USO', csum | uso4 | uso6],
  ['UDP_TUNNEL_GSO', csum | tso4 | tso6 | UDP_TUNNEL_GSO],
  ['UDP_TUNNEL_GSO_CSUM', csum | tso4 | tso6 | UDP_TUNNEL_GSO | UDP_TUNNEL_GSO_CSUM],
];

const PROBE_TIMEOUT_MS = 20_000;

/** Module, built in, or missing; `/proc/misc` lists the driver once it runs. */
export function checkTunDriver(): Check {
  const base = { id: 'tun-driver', title: 'tun driver' } as const;
  const runs = /^\s*200 tun$/m.test(readText('/proc/misc'));
  if (runs) {
    const isModule = existsSync('/sys/module/tun/initstate') || /^tun /m.test(readText('/proc/modules'));
    return { ...base, status: 'ok', detail: isModule ? 'module, loaded' : 'built into the kernel' };
  }
  const folder = `/lib/modules/${release()}`;
  if (/\/tun\.ko/m.test(readText(`${folder}/modules.builtin`))) {
    return { ...base, status: 'ok', detail: 'built into the kernel' };
  }
  if (/\/tun\.ko/m.test(readText(`${folder}/modules.dep`))) {
    return {
      ...base,
      status: 'warn',
      detail: 'module, not loaded; root loads it by opening a device',
      fix: 'sudo modprobe tun',
    };
  }
  return {
    ...base,
    status: 'fail',
    detail: 'neither loaded nor among the modules of this kernel',
    fix: inContainer() ? 'run `modprobe tun` on the host of the container' : 'use a kernel with CONFIG_TUN=m or y',
  };
}

/** Opens the node, without making a device. */
export async function checkTunNode(): Promise<Check> {
  const base = { id: 'tun-node', title: TUN_NODE } as const;
  const error = await openNode();
  if (error !== undefined) return { ...base, status: 'fail', ...described(error) };
  return { ...base, status: 'ok', detail: `openable, mode ${nodeMode()}` };
}

/**
 * Makes sure that this process can open `/dev/net/tun`, without making a device: for a clear error beforehand, in
 * the terms of the user and not of the namespace that the device will be made in.
 * @throws VNIC_TUN_NODE_MISSING, VNIC_TUN_DRIVER_MISSING, VNIC_TUN_NODE_FORBIDDEN, VNIC_TUN_NODE_DENIED,
 *   VNIC_TOO_MANY_FILES
 */
export async function requireTunNode(attempted: string): Promise<void> {
  const error = await openNode();
  if (!isVnicError(error)) {
    if (error === undefined) return;
    throw error;
  }
  const { code, reason, hint, errno, syscall } = error;
  const call = errno !== undefined && syscall !== undefined ? { errno, syscall } : {};
  throw new VnicError(code, { attempted, reason, hint, ...call, cause: error });
}

/** Why the node cannot be opened; undefined when it can. */
async function openNode(): Promise<unknown> {
  try {
    // No interface `lo` is ever a TUN device, so that this ends before anything is made.
    await (await TunDevice.open({ name: 'lo', mustExist: true })).close();
  } catch (error) {
    const isOpenable = isVnicError(error, 'VNIC_NOT_TUNTAP') || isVnicError(error, 'VNIC_NO_SUCH_INTERFACE');
    return isOpenable ? undefined : error;
  }
  return undefined;
}

/** What `TUNSETIFF` may be asked for. */
export function checkFeatures(): Check {
  const base = { id: 'tun-features', title: 'Device features' } as const;
  const features = deviceFeatures();
  if (features === undefined) return { ...base, status: 'warn', ...nodeUnusable };
  const names = FEATURES.filter(([bit]) => (features & bit) !== 0).map(([, name]) => name);
  return { ...base, status: 'ok', detail: names.join(' ') };
}

/** Runs the probe of the caller in a sandbox, because it makes a device. */
export function checkOffloads({ sandbox, offloadProbe }: DoctorContext): Check {
  const base = { id: 'tun-offloads', title: 'Device offloads' } as const;
  if (!mayOpenNode()) return { ...base, status: 'warn', ...nodeUnusable };
  if (!sandbox.ok || offloadProbe === undefined) {
    const detail = 'not tried: it takes a device in a namespace of its own';
    return { ...base, status: 'warn', detail, fix: 'see User namespaces above' };
  }
  const { command, args } = sandboxCommand(offloadProbe, { form: sandbox.form });
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: PROBE_TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const names = offloadNames(done.stdout ?? '');
  if (done.status === 0 && names !== undefined) {
    return { ...base, status: 'ok', detail: names.length === 0 ? 'none' : names.join(' ') };
  }
  const said = done.stderr
    ?.trim()
    .split('\n')[0]
    ?.replace(/^error: /, '');
  const reason = said || done.error?.message || `the probe ended with ${done.status ?? done.signal}`;
  return { ...base, status: 'warn', detail: `not known: ${reason}`, fix: `see ${TUN_NODE} and Capabilities above` };
}

const nodeUnusable = { detail: `unknown: ${TUN_NODE} cannot be opened`, fix: `see ${TUN_NODE} above` };

/**
 * Which offloads the kernel offers to a TUN device, by asking for each (`TUNSETOFFLOAD` answers EINVAL to bits
 * that it does not know). Makes a device for as long as it takes: call it in a network namespace of its own.
 * @returns names that `TUN_F_` precedes; `USO` for USO4 and USO6, which go together
 * @throws what `TunDevice.open` throws
 */
export async function probeOffloads(): Promise<string[]> {
  const device = await TunDevice.open({ vnetHeader: true });
  try {
    const isTaken = (mask: number): boolean => nativeCore().ioctl(device.fd, TunIoctl.setOffload, mask) >= 0;
    return OFFLOADS.filter(([, mask]) => isTaken(mask)).map(([name]) => name);
  } finally {
    await device.close();
  }
}

function offloadNames(output: string): string[] | undefined {
  try {
    const value: unknown = JSON.parse(output);
    const isNames = Array.isArray(value) && value.every((name) => typeof name === 'string');
    return isNames ? (value as string[]) : undefined;
  } catch {
    return undefined;
  }
}

function nodeMode(): string {
  try {
    const { mode, uid, gid } = statSync(TUN_NODE);
    return `${(mode & 0o777).toString(8).padStart(4, '0')}, owner ${uid}:${gid}`;
  } catch {
    return 'unknown';
  }
}
