/**
 * Settings of a device that somebody else holds, read by a copy of the holder's descriptor (`pidfd_getfd(2)`, Linux 5.6).
 * A queue of our own would be refused on a single-queue device, and on a multi-queue one take packets away. The copy only reads
 * settings, and closing it leaves the holder's descriptor as it is.
 */

import { isVnicError } from '../base/index.ts';
import { nativeCore } from '../native/index.ts';
import { readFlags } from './attach.ts';
import type { OpenDevice } from './device-ioctl.ts';
import { readVnetHeaderLen } from './device-settings.ts';
import type { Holder } from './holders.ts';
import { NO_SEND_LIMIT, readSendBuffer } from './send-buffer.ts';
import { readVnetByteOrder, type VnetByteOrder } from './vnet-header.ts';

/** What a descriptor tells, beyond what netlink does. */
export interface HeldSettings {
  /** Bytes; undefined without limit. */
  readonly sendBuffer: number | undefined;
  /** Undefined without virtio-net header. */
  readonly vnetHeader: { readonly len: number; readonly byteOrder: VnetByteOrder } | undefined;
  readonly napi: boolean;
  readonly napiFrags: boolean;
}

/**
 * By the first descriptor of the holders that may be looked into, for which the kernel asks what it asks of a debugger.
 * @param name of the device in this network namespace
 * @returns undefined when there is none
 */
export function readHeldSettings(name: string, holders: readonly Holder[]): HeldSettings | undefined {
  for (const { pid, fds } of holders) {
    for (const fd of fds) {
      const copy = nativeCore().copyFrom(pid, fd);
      if (copy < 0) continue;
      try {
        const settings = readSettings({ fd: copy, name });
        if (settings !== undefined) return settings;
      } finally {
        nativeCore().close(copy);
      }
    }
  }
  return undefined;
}

/** Undefined when the descriptor belongs to another device by now, or its device is gone. */
function readSettings(device: OpenDevice): HeldSettings | undefined {
  const found = readFlags(device.fd);
  if (found?.name !== device.name) return undefined;
  const { napi, napiFrags, vnetHeader } = found.flags;
  try {
    const sendBuffer = readSendBuffer(device);
    const byteOrder = readVnetByteOrder(device);
    return {
      sendBuffer: sendBuffer === NO_SEND_LIMIT ? undefined : sendBuffer,
      vnetHeader: vnetHeader ? { len: readVnetHeaderLen(device.fd), byteOrder } : undefined,
      napi,
      napiFrags,
    };
  } catch (error) {
    if (isVnicError(error, 'VNIC_DEVICE_GONE')) return undefined;
    throw error;
  }
}
