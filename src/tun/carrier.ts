/** The carrier of a device: whether it looks plugged in to the kernel (`TUNSETCARRIER`, Linux 5.0). */

import { VnicError } from '../base/index.ts';
import { errno } from '../native/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice, unsupported } from './device-ioctl.ts';
import { emitInt } from './interface-request.ts';

/** @throws VNIC_QUEUE_MODE when every queue is detached, VNIC_UNSUPPORTED, VNIC_DEVICE_GONE */
export function setCarrier(device: OpenDevice, carrier: boolean): void {
  const attempted = `set the carrier of ${device.name} ${carrier ? 'on' : 'off'}`;
  const call = { attempted, ioctl: 'TUNSETCARRIER', request: TunIoctl.setCarrier, arg: emitInt(carrier ? 1 : 0) };
  deviceIoctl(device, call, (error, fields) => {
    if (error === errno.EINVAL) return unsupported(fields, 'Linux 5.0');
    if (error !== errno.EPERM) return undefined;
    return new VnicError('VNIC_QUEUE_MODE', {
      ...fields,
      reason: `every queue of ${device.name} is detached, and a device without queues has no carrier`,
      hint: 'Attach a queue first: `attachQueue()`.',
    });
  });
}
