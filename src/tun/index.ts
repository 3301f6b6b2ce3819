/** TUN and TAP devices: open, adopt, read, write, and say in plain words why it cannot be done. */

export type { DeviceFlags, OpenOptions, TapOpenOptions } from './attach.ts';
export { deviceFeatures } from './attach.ts';
export { type BpfProgram, INSTRUCTION_LEN, loadBpfProgram } from './bpf-program.ts';
export { Iff, TUN_NODE, TunIoctl, TunOffload } from './constants.ts';
export { TapDevice, TunDevice } from './device.ts';
export { DeviceLink } from './device-link.ts';
export type { CarrierOptions, DeviceOptions, TapDeviceOptions } from './device-options.ts';
export { mayOpenNode } from './diagnose.ts';
export { type HeldSettings, readHeldSettings } from './held-settings.ts';
export { describeHolders, findAllHolders, findHolders, type Holder } from './holders.ts';
export { type MadeDevices, makePersistent, makePersistentDevices, type PersistentDevice } from './make-persistent.ts';
export type { OffloadInfo, OffloadOption, WriteSupport } from './offload.ts';
export type { PacketIo } from './packet-io.ts';
export { TunTapDevice } from './tuntap-device.ts';
export type { TxFilter } from './tx-filter.ts';
export type { VnetByteOrder } from './vnet-header.ts';
