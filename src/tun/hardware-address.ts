/**
 * The MAC address by the device's own descriptor (`SIOCGIFHWADDR`, `SIOCSIFHWADDR` on it), which, unlike on a socket, takes no
 * privilege: whoever may attach may set it.
 *
 *   struct ifreq   0 name | 16 sa_family u16, the link type | 18 address
 */

import { invalidArgument, MacAddress } from '../base/index.ts';
import { IFNAMSIZ, IFREQ_LEN, SocketIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';

const ADDRESS_OFFSET = IFNAMSIZ + 2;
const MAC_LEN = 6;

/** @throws VNIC_DEVICE_GONE */
export function readMac(device: OpenDevice): MacAddress {
  return MacAddress.fromBytes(readRequest(device).subarray(ADDRESS_OFFSET, ADDRESS_OFFSET + MAC_LEN));
}

/** @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE */
export function setMac(device: OpenDevice, mac: MacAddress): void {
  const attempted = `set the MAC address of ${device.name}`;
  if (mac.isMulticast || mac.isUnspecified) throw invalidArgument(attempted, 'a unicast MAC address', mac.toString());
  // The kernel wants the link type that the device has.
  const arg = readRequest(device);
  arg.set(mac.bytes, ADDRESS_OFFSET);
  deviceIoctl(device, { attempted, ioctl: 'SIOCSIFHWADDR', request: SocketIoctl.setHwAddr, arg });
}

function readRequest(device: OpenDevice): Uint8Array {
  const arg = new Uint8Array(IFREQ_LEN);
  const attempted = `read the MAC address of ${device.name}`;
  deviceIoctl(device, { attempted, ioctl: 'SIOCGIFHWADDR', request: SocketIoctl.getHwAddr, arg });
  return arg;
}
