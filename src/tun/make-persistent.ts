/**
 * Devices that stay, made in five calls and let go of again: no reader, no event loop, no lookup.
 *
 * The index can be chosen beforehand (`TUNSETIFINDEX`). Who writes it down first knows a device of that name and index
 * for their own, also after a crash between the two: the kernel counts indexes up and gives none of a million on its
 * own accord.
 */

import { errno, nativeCore, systemError } from '../native/index.ts';
import { checkInterfaceName } from '../netlink/index.ts';
import { type NetnsSelector, withNamespace } from '../netns/index.ts';
import { applyOwnership, O_NONBLOCK, O_RDWR, type OpenOptions, requestedFlags } from './attach.ts';
import { TUN_NODE, TunIoctl } from './constants.ts';
import { diagnoseAttach, diagnoseOpen } from './diagnose.ts';
import { emitInt, emitInterfaceRequest } from './interface-request.ts';

/** A device that is to stay. */
export interface PersistentDevice
  extends Pick<OpenOptions, 'packetInfo' | 'vnetHeader' | 'multiQueue' | 'owner' | 'group'> {
  readonly kind: 'tun' | 'tap';
  /** Exactly this name. */
  readonly name: string;
  /** The interface index that it gets, 1 to 2147483647; chosen by the kernel when left out. */
  readonly index?: number;
  /** The network namespace in which it is made; default that of this thread. */
  readonly netns?: NetnsSelector;
}

/** How far a row of devices came. */
export interface MadeDevices {
  /** So many of them, from the first on, were made. */
  readonly made: number;
  /** Why the next one was not; undefined when all were. In an object, since anything may be thrown. */
  readonly failure: { readonly error: unknown } | undefined;
}

/** Descriptors that are open at a time. */
const OPEN_AT_ONCE = 64;

/**
 * Makes a persistent device, down and without addresses. It persists last: whatever fails before leaves nothing.
 * @throws VNIC_DEVICE_EXISTS (the name or the index is taken); what `TunDevice.open` throws
 */
export function makePersistent(device: PersistentDevice): void {
  const { failure } = makePersistentDevices([device]);
  if (failure !== undefined) throw failure.error;
}

/**
 * As `makePersistent`, one after the other up to the first that fails. Their descriptors are closed in bunches: a close
 * waits for the readers of the kernel's tables, and several in a row wait for much of the same.
 */
export function makePersistentDevices(devices: readonly PersistentDevice[]): MadeDevices {
  const core = nativeCore();
  const open: number[] = [];
  let made = 0;
  try {
    for (const device of devices) {
      open.push(makeOne(device));
      made++;
      if (open.length === OPEN_AT_ONCE) for (const fd of open.splice(0)) core.close(fd);
    }
    return { made, failure: undefined };
  } catch (error) {
    return { made, failure: { error } };
  } finally {
    for (const fd of open) core.close(fd);
  }
}

/** The descriptor of a device that persists. */
function makeOne(device: PersistentDevice): number {
  const { kind, name, index } = device;
  const attempted = `make ${kind.toUpperCase()} device "${name}"`;
  checkInterfaceName(name, attempted);
  const core = nativeCore();
  const fd = withNamespace(device.netns, (netns) => (netns ?? core).open(TUN_NODE, O_RDWR | O_NONBLOCK));
  if (fd < 0) throw diagnoseOpen(attempted, -fd);
  try {
    if (index !== undefined) {
      const chosen = core.ioctl(fd, TunIoctl.setIfIndex, emitInt(index));
      if (chosen < 0) throw systemError(attempted, 'ioctl(TUNSETIFINDEX)', -chosen);
    }
    const flags = requestedFlags(kind, { ...device, exclusive: true });
    const attached = core.ioctl(fd, TunIoctl.setIff, emitInterfaceRequest(name, flags));
    if (attached < 0) throw attachError(attempted, device, -attached);
    applyOwnership(fd, attempted, { ...device, persist: true });
    return fd;
  } catch (error) {
    core.close(fd);
    throw error;
  }
}

/** The kernel answers EEXIST, or EBUSY before 6.6, for an index that is taken. */
function attachError(attempted: string, device: PersistentDevice, number: number): Error {
  const { kind, name, multiQueue = false } = device;
  const request = { kind, name, multiQueue, exclusive: true };
  return diagnoseAttach(attempted, request, number === errno.EEXIST ? errno.EBUSY : number);
}
