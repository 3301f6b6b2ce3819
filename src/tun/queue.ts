/** The queues of a multi-queue device: `TUNSETQUEUE` on one of its descriptors. */

import { VnicError } from '../base/index.ts';
import { errno, nativeCore, systemError } from '../native/index.ts';
import { readFlags } from './attach.ts';
import { Iff, TunIoctl } from './constants.ts';
import { deviceGone } from './diagnose.ts';
import { emitInterfaceRequest } from './interface-request.ts';

/** Whether this descriptor's queue is detached. @throws VNIC_QUEUE_MODE, VNIC_DEVICE_GONE */
export function isDetached(fd: number, name: string): boolean {
  const found = readFlags(fd);
  if (found === undefined) throw deviceGone(name);
  if (found.flags.multiQueue) return found.flags.detached;
  throw new VnicError('VNIC_QUEUE_MODE', {
    attempted: `detach or attach a queue of ${name}`,
    reason: `${name} is single-queue`,
    hint: 'Open the device with multiQueue.',
  });
}

/** The descriptor's queue gets no packets from now on, or gets them again as the last one. */
export function setAttached(fd: number, name: string, attached: boolean): void {
  const request = emitInterfaceRequest('', attached ? Iff.attachQueue : Iff.detachQueue);
  const result = nativeCore().ioctl(fd, TunIoctl.setQueue, request);
  if (result === -errno.EBADFD) throw deviceGone(name);
  if (result >= 0) return;
  // While there is a classic filter, the driver attaches the queue and reports that it could not read the filter again.
  if (attached && !isDetached(fd, name)) return;
  throw systemError(`${attached ? 'attach' : 'detach'} a queue of ${name}`, 'ioctl(TUNSETQUEUE)', -result);
}
