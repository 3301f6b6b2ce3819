/**
 * Why the kernel said no. One errno has several causes; each is told apart by looking at the machine:
 * rtnetlink for the device (sysfs would show another namespace after `unshare --net`), `/proc` for capabilities
 * and holders, the node itself for its mode.
 */

import { accessSync, constants, statSync } from 'node:fs';

import { VnicError } from '../base/index.ts';
import {
  Capability,
  errno,
  errnoName,
  hasCapability,
  inContainer,
  inUserNamespace,
  systemError,
} from '../native/index.ts';
import { getLinkSync, type LinkInfo } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { TUN_NODE } from './constants.ts';
import { describeHolders, findHolders } from './holders.ts';

/** What was asked of `TUNSETIFF`. */
export interface AttachRequest extends NetnsOptions {
  readonly kind: 'tun' | 'tap';
  /** Empty or a pattern when the kernel chooses. */
  readonly name: string;
  readonly multiQueue?: boolean;
  readonly exclusive?: boolean;
  readonly ifindex?: number;
  readonly napiFrags?: boolean;
}

/** The error for an `open("/dev/net/tun")` that failed with this errno. */
export function diagnoseOpen(attempted: string, number: number): VnicError {
  const fields = { attempted, errno: errnoName(number), syscall: `open("${TUN_NODE}")` };
  switch (number) {
    case errno.ENOENT:
    case errno.ENOTDIR:
      return new VnicError('VNIC_TUN_NODE_MISSING', { ...fields, hint: missingNodeHint() });
    case errno.ENODEV:
    case errno.ENXIO:
      return new VnicError('VNIC_TUN_DRIVER_MISSING', { ...fields, hint: missingDriverHint() });
    case errno.EACCES:
      return new VnicError('VNIC_TUN_NODE_FORBIDDEN', {
        ...fields,
        reason: `${TUN_NODE} has mode ${nodeMode()} and this process runs as uid ${process.geteuid?.() ?? '?'}`,
        hint: `Run \`sudo chmod 0666 ${TUN_NODE}\` (the usual mode: the kernel checks rights per device), or run it as root.`,
      });
    case errno.EPERM:
      return new VnicError('VNIC_TUN_NODE_DENIED', { ...fields, hint: deniedNodeHint() });
    default:
      return systemError(attempted, fields.syscall, number);
  }
}

/** The error for a `TUNSETIFF` that failed with this errno. */
export function diagnoseAttach(attempted: string, request: AttachRequest, number: number): VnicError {
  const fields = { attempted, errno: errnoName(number), syscall: 'ioctl(TUNSETIFF)' };
  const device = request.name === '' || request.name.includes('%') ? undefined : lookUp(request);
  switch (number) {
    case errno.EPERM:
      if (request.napiFrags && hasCapability(Capability.netAdmin) && inUserNamespace()) return noFragments(fields);
      return device === undefined ? noPrivilege(fields) : owned(fields, device);
    case errno.EBUSY:
    case errno.EEXIST:
      if (request.ifindex !== undefined && device === undefined) return indexTaken(fields, request, request.ifindex);
      return request.exclusive && device !== undefined ? exists(fields, device) : busy(fields, request);
    case errno.EINVAL:
      return mismatch(fields, request, device);
    case errno.E2BIG:
      return new VnicError('VNIC_TOO_MANY_QUEUES', {
        ...fields,
        hint: 'Close a queue before you open another; the limit is 256.',
      });
    case errno.ENFILE:
      return new VnicError('VNIC_DEVICE_EXISTS', {
        ...fields,
        reason: `every number for the pattern "${request.name}" is taken`,
        hint: 'Delete devices that are no longer needed (`vnic list`), or choose another pattern.',
      });
    case errno.ENOTTY:
      return new VnicError('VNIC_TUN_DRIVER_MISSING', {
        ...fields,
        reason: `${TUN_NODE} is not the tun driver's node`,
        hint: missingNodeHint(),
      });
    default:
      return systemError(attempted, fields.syscall, number);
  }
}

/** The error with which an open device ends when it was deleted. */
export function deviceGone(name: string): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `use ${name}`,
    reason: `${name} was deleted by another process, or its network namespace ended`,
    hint: 'Open the device again; `ip monitor link` shows who deletes it.',
    errno: 'EBADFD',
    syscall: 'read',
  });
}

interface Fields {
  readonly attempted: string;
  readonly errno: string;
  readonly syscall: string;
}

function noPrivilege(fields: Fields): VnicError {
  if (!hasCapability(Capability.netAdmin)) {
    return new VnicError('VNIC_NO_PRIVILEGE', {
      ...fields,
      reason: 'this process lacks CAP_NET_ADMIN, which creating a device needs',
      hint: inContainer()
        ? 'Start the container with `--cap-add NET_ADMIN --device /dev/net/tun`, or run it in a namespace of its own: `unshare --user --map-root-user --net COMMAND`.'
        : 'Run it with sudo, or in a namespace of its own: `unshare --user --map-root-user --net COMMAND`; or let root make the device for you: `sudo vnic create NAME --tun --owner $USER`.',
    });
  }
  const foreign = inUserNamespace()
    ? 'this process has CAP_NET_ADMIN, but only in a user namespace that does not own the network namespace'
    : 'this process has CAP_NET_ADMIN, but a security module forbids it';
  return new VnicError('VNIC_NO_PRIVILEGE', {
    ...fields,
    reason: foreign,
    hint: 'Make the network namespace together with the user namespace: `unshare --user --map-root-user --net COMMAND`.',
  });
}

/** The driver asks for the capability with `capable()`, not in the namespace's own user namespace. */
function noFragments(fields: Fields): VnicError {
  return new VnicError('VNIC_NO_PRIVILEGE', {
    ...fields,
    reason: 'fragments (napiFrags) need CAP_NET_ADMIN in the first user namespace, and this process is in another one',
    hint: 'Leave napiFrags out, or run it as root without a user namespace: `sudo unshare --net COMMAND`.',
  });
}

function indexTaken(fields: Fields, request: AttachRequest, ifindex: number): VnicError {
  const other = lookUp(request, ifindex);
  return new VnicError('VNIC_DEVICE_EXISTS', {
    ...fields,
    reason: `the index ${ifindex} belongs to ${other?.name ?? 'another interface'}`,
    hint: 'Choose another index, or leave it out and let the kernel choose.',
  });
}

function owned(fields: Fields, device: LinkInfo): VnicError {
  const owner = device.tun?.owner === undefined ? undefined : `user ${device.tun.owner}`;
  const group = device.tun?.group === undefined ? undefined : `group ${device.tun.group}`;
  const whose = [owner, group].filter((part) => part !== undefined).join(' and ');
  return new VnicError('VNIC_DEVICE_OWNED', {
    ...fields,
    reason:
      whose === ''
        ? `${device.name} is open to every user, but a security module forbids it to this process`
        : `${device.name} belongs to ${whose}; this process runs as uid ${process.geteuid?.()}, gid ${process.getegid?.()}`,
    hint: `Let root give it to you: \`sudo vnic set ${device.name} --owner ${process.geteuid?.()}\`, or run it with sudo.`,
  });
}

function exists(fields: Fields, device: LinkInfo): VnicError {
  const kind = device.tun?.kind ?? device.kind ?? 'physical';
  return new VnicError('VNIC_DEVICE_EXISTS', {
    ...fields,
    reason: `an interface ${device.name} of kind ${kind} exists already and "exclusive" was asked for`,
    hint: 'Choose another name, leave "exclusive" out to attach to it, or delete it first.',
  });
}

function busy(fields: Fields, request: AttachRequest): VnicError {
  const { name } = request;
  const holders = describeHolders(findHolders(name, request));
  const whom = holders === undefined ? 'a process that this user may not look into' : holders;
  return new VnicError('VNIC_DEVICE_BUSY', {
    ...fields,
    reason: `${name} is held by ${whom}`,
    hint:
      holders === undefined
        ? `Run \`sudo vnic show ${name}\` to see who holds it, end that process, or choose another name.`
        : 'End that process, choose another name, or make the device multi-queue so that several can attach.',
  });
}

function mismatch(fields: Fields, request: AttachRequest, device: LinkInfo | undefined): VnicError {
  if (device === undefined) return systemError(fields.attempted, fields.syscall, errno.EINVAL);
  if (device.tun === undefined) {
    return new VnicError('VNIC_NOT_TUNTAP', {
      ...fields,
      reason: `${device.name} is an interface of kind ${device.kind ?? device.linkType}, not TUN/TAP`,
      hint: 'Choose another name; to read the packets of an existing interface use `vnic dump`.',
    });
  }
  if (device.tun.kind !== request.kind) {
    return new VnicError('VNIC_WRONG_KIND', {
      ...fields,
      reason: `${device.name} is a ${device.tun.kind.toUpperCase()} device, not ${request.kind.toUpperCase()}`,
      hint: `Open it as ${device.tun.kind.toUpperCase()}, or choose another name.`,
    });
  }
  const has = device.tun.multiQueue ? 'multi-queue' : 'single-queue';
  return new VnicError('VNIC_QUEUE_MODE', {
    ...fields,
    reason: `${device.name} is ${has} and was asked for as ${request.multiQueue ? 'multi-queue' : 'single-queue'}`,
    hint: `Set multiQueue to ${device.tun.multiQueue}, or delete the device and make it anew.`,
  });
}

function lookUp(request: AttachRequest, link: string | number = request.name): LinkInfo | undefined {
  try {
    return getLinkSync(link, request);
  } catch {
    // A diagnosis must not hide the error that it explains.
    return undefined;
  }
}

function missingNodeHint(): string {
  return inContainer()
    ? 'Start the container with `--device /dev/net/tun --cap-add NET_ADMIN`.'
    : `Run \`sudo modprobe tun\`; if the node is still missing: \`sudo mkdir -p /dev/net && sudo mknod -m 0666 ${TUN_NODE} c 10 200\`.`;
}

function missingDriverHint(): string {
  return inContainer()
    ? 'The host has no tun driver loaded: run `modprobe tun` on the host, not in the container.'
    : 'Run `sudo modprobe tun`, or use a kernel with CONFIG_TUN.';
}

function deniedNodeHint(): string {
  return inContainer()
    ? 'The device cgroup of the container forbids it: start the container with `--device /dev/net/tun`.'
    : 'A device cgroup or security module forbids it: with systemd add `DeviceAllow=/dev/net/tun rw` to the unit.';
}

function nodeMode(): string {
  try {
    const stat = statSync(TUN_NODE);
    return `${(stat.mode & 0o777).toString(8).padStart(4, '0')}, owner ${stat.uid}:${stat.gid}`;
  } catch {
    return 'unknown';
  }
}

/** True when this user may open the node for reading and writing. */
export function mayOpenNode(): boolean {
  try {
    accessSync(TUN_NODE, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
