/** The network namespace that a device is in (`TUNGETDEVNETNS`, Linux 5.2), wherever this process is. */

import { VnicError } from '../base/index.ts';
import { errno, nativeCore } from '../native/index.ts';
import { NetworkNamespace } from '../netns/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice, unsupported } from './device-ioctl.ts';

/** @throws VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED, VNIC_DEVICE_GONE */
export function openDeviceNamespace(device: OpenDevice): NetworkNamespace {
  const attempted = `open the network namespace of ${device.name}`;
  const call = { attempted, ioctl: 'TUNGETDEVNETNS', request: TunIoctl.getDevNetns, arg: 0 };
  const fd = deviceIoctl(device, call, (error, fields) => {
    if (error === errno.EINVAL) return unsupported(fields, 'Linux 5.2');
    if (error !== errno.EPERM) return undefined;
    return new VnicError('VNIC_NO_PRIVILEGE', {
      ...fields,
      reason: 'this process lacks CAP_NET_ADMIN in the network namespace of the device',
      hint: 'Run it with sudo.',
    });
  });
  nativeCore().own(fd);
  return new NetworkNamespace(fd, `namespace of ${device.name}`);
}
