/** What a device says that it carries (`TUNSETLINK`): the ARPHRD number that `ip link` shows as `link/…`. */

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno } from '../native/index.ts';
import { linkTypeNumber } from '../netlink/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';

/** @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_UP, VNIC_LINK_IN_USE, VNIC_DEVICE_GONE */
export function setLinkType(device: OpenDevice, type: string | number): void {
  const attempted = `set the link type of ${device.name}`;
  const number = typeof type === 'number' ? type : linkTypeNumber(type);
  // The kernel would cut a larger number off.
  if (number === undefined || !Number.isInteger(number) || number < 0 || number > 0xffff) {
    throw invalidArgument(
      attempted,
      'a link type by name, for example ether or none, or a number from 0 to 65535',
      type,
    );
  }
  const call = { attempted, ioctl: 'TUNSETLINK', request: TunIoctl.setLink, arg: number };
  deviceIoctl(device, call, (error, fields) => {
    if (error === errno.EBUSY) {
      return new VnicError('VNIC_LINK_UP', {
        ...fields,
        reason: `${device.name} is up, and the kernel changes the type only of a device that is down`,
        hint: `Take it down first: \`sudo vnic down ${device.name}\`.`,
      });
    }
    if (error !== errno.EPERM) return undefined;
    return new VnicError('VNIC_LINK_IN_USE', {
      ...fields,
      reason: `${device.name} is a port of a bridge or bond, or has VLANs, which forbid it`,
      hint: `Take it out first: \`sudo ip link set ${device.name} nomaster\`.`,
    });
  });
}
