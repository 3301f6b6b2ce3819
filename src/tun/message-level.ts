/** Which events of the device the driver writes to the kernel's log (`TUNSETDEBUG`); `ethtool NAME` shows the mask. */

import { invalidArgument } from '../base/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';

/** @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE */
export function setMessageLevel(device: OpenDevice, mask: number): void {
  const attempted = `set the message level of ${device.name}`;
  if (!Number.isInteger(mask) || mask < 0 || mask > 0x7fff) {
    throw invalidArgument(attempted, 'a mask of NETIF_MSG bits from 0 to 0x7fff', mask);
  }
  deviceIoctl(device, { attempted, ioctl: 'TUNSETDEBUG', request: TunIoctl.setDebug, arg: mask });
}
