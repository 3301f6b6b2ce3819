/**
 * The send buffer of a device (`TUNGETSNDBUF`, `TUNSETSNDBUF`): how many bytes that were written may be on their way
 * through the kernel at once. A packet counts, with the kernel's own overhead, until it is delivered, sent or queued for a
 * reader; the queueing discipline of another interface can hold it for long. Once they are more, a write finds no room, and the
 * device is writable again when they are fewer.
 */

import { invalidArgument } from '../base/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';
import { emitInt, parseInt32 } from './interface-request.ts';

/** The largest `int`, with which a descriptor starts: no limit. */
export const NO_SEND_LIMIT: number = 0x7fff_ffff;

/** @throws VNIC_DEVICE_GONE */
export function readSendBuffer(device: OpenDevice): number {
  const arg = emitInt(0);
  const attempted = `read the send buffer of ${device.name}`;
  deviceIoctl(device, { attempted, ioctl: 'TUNGETSNDBUF', request: TunIoctl.getSndBuf, arg });
  return parseInt32(arg);
}

/** @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE */
export function setSendBuffer(device: OpenDevice, bytes: number): void {
  const attempted = `set the send buffer of ${device.name}`;
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > NO_SEND_LIMIT) {
    throw invalidArgument(attempted, `a number of bytes from 1 to ${NO_SEND_LIMIT}`, bytes);
  }
  deviceIoctl(device, { attempted, ioctl: 'TUNSETSNDBUF', request: TunIoctl.setSndBuf, arg: emitInt(bytes) });
}
