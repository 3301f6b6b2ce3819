/** Length and byte order of the virtio-net header before each packet (`TUNSETVNETHDRSZ`, `TUNSETVNETLE`, `TUNSETVNETBE`). */

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, nativeCore } from '../native/index.ts';
import { TunIoctl, VNET_HEADER_LEN } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';
import { emitInt, parseInt32 } from './interface-request.ts';

/** `native` is that of the machine, as virtio had it before version 1. */
export type VnetByteOrder = 'native' | 'little' | 'big';

/** `VNET_MAX_LEN` of the native core; the longest header that virtio has defined, that of tunnels, has 24 bytes. */
const MAX_VNET_HEADER_LEN = 32;

/** @throws VNIC_INVALID_ARGUMENT unless it is a whole number of bytes from 10 to 32 */
export function checkVnetHeaderLen(attempted: string, length: number): void {
  if (Number.isInteger(length) && length >= VNET_HEADER_LEN && length <= MAX_VNET_HEADER_LEN) return;
  throw invalidArgument(attempted, `a virtio-net header of ${VNET_HEADER_LEN} to ${MAX_VNET_HEADER_LEN} bytes`, length);
}

/** Sets the length for the device as a whole. @throws VNIC_DEVICE_GONE */
export function writeVnetHeaderLen(device: OpenDevice, attempted: string, length: number): void {
  const arg = emitInt(length);
  deviceIoctl(device, { attempted, ioctl: 'TUNSETVNETHDRSZ', request: TunIoctl.setVnetHdrSz, arg });
}

/** @throws VNIC_DEVICE_GONE */
export function readVnetByteOrder(device: OpenDevice): VnetByteOrder {
  const attempted = `read the byte order of the virtio-net header of ${device.name}`;
  const arg = emitInt(0);
  deviceIoctl(device, { attempted, ioctl: 'TUNGETVNETLE', request: TunIoctl.getVnetLe, arg });
  if (parseInt32(arg) !== 0) return 'little';
  // A kernel without CONFIG_TUN_VNET_CROSS_LE refuses it and knows no big endian headers.
  const big = emitInt(0);
  return nativeCore().ioctl(device.fd, TunIoctl.getVnetBe, big) >= 0 && parseInt32(big) !== 0 ? 'big' : 'native';
}

/** Sets the order for the device as a whole. @throws VNIC_UNSUPPORTED, VNIC_DEVICE_GONE */
export function setVnetByteOrder(device: OpenDevice, order: VnetByteOrder): void {
  const attempted = `make the virtio-net header of ${device.name} ${order} endian`;
  if (order !== 'native' && order !== 'little' && order !== 'big') {
    throw invalidArgument(attempted, "'native', 'little' or 'big'", order);
  }
  const little = { attempted, ioctl: 'TUNSETVNETLE', request: TunIoctl.setVnetLe };
  if (order === 'little') deviceIoctl(device, { ...little, arg: emitInt(1) });
  else setBigEndian(device, attempted, order === 'big');
  // Little endian comes first where both are set.
  if (order !== 'little') deviceIoctl(device, { ...little, arg: emitInt(0) });
}

function setBigEndian(device: OpenDevice, attempted: string, big: boolean): void {
  const arg = emitInt(big ? 1 : 0);
  // Where it cannot be set it is not set.
  if (!big && nativeCore().ioctl(device.fd, TunIoctl.setVnetBe, arg) === -errno.EINVAL) return;
  deviceIoctl(device, { attempted, ioctl: 'TUNSETVNETBE', request: TunIoctl.setVnetBe, arg }, (error, fields) => {
    if (error !== errno.EINVAL) return undefined;
    return new VnicError('VNIC_UNSUPPORTED', {
      ...fields,
      reason: 'this kernel was built without CONFIG_TUN_VNET_CROSS_LE',
      hint: "Use 'native' or 'little', which every kernel has.",
    });
  });
}
