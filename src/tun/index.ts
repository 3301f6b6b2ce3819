/** TUN and TAP devices: open, adopt, read, write, and say in plain words why it cannot be done. */

export type { DeviceFlags, OpenOptions } from './attach.ts';
export { deviceFeatures } from './attach.ts';
export { Iff, TUN_NODE, TunIoctl, TunOffload } from './constants.ts';
export { TapDevice, TunDevice, TunTapDevice } from './device.ts';
export { DeviceLink } from './device-link.ts';
export type { CarrierOptions, DeviceOptions } from './device-options.ts';
export { mayOpenNode } from './diagnose.ts';
export { describeHolders, findAllHolders, findHolders, type Holder } from './holders.ts';
export { makePersistent, type PersistentDevice } from './make-persistent.ts';
export type { OffloadInfo, OffloadOption, WriteSupport } from './offload.ts';
export type { PacketIo } from './packet-io.ts';
