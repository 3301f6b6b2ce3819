/** Devices as a whole: made from a description, described, deleted; accounts, the doctor, private namespaces. */

export { type Clock as SystemClock, systemClock } from '../link/index.ts';
export { groupName, resolveGroup, resolveUser, userName } from './accounts.ts';
export type { Check, CheckId, CheckStatus } from './check.ts';
export { type DeleteDevicesOptions, deleteDevices, requireTunTap } from './delete-device.ts';
export {
  type AccountInfo,
  type DescribeOptions,
  describeInterface,
  describeInterfaces,
  type InterfaceInfo,
  interfaceKind,
  withNetlink,
} from './describe.ts';
export {
  applyOwnership,
  checkInterfaceAddress,
  createDevice,
  type DeviceSpec,
  type OpenDeviceOptions,
  openDevice,
} from './device-spec.ts';
export { type DoctorOptions, examineMachine } from './doctor.ts';
export { probeOffloads, requireTunNode } from './doctor-tun.ts';
export { type LinkRates, type LinkSample, linkRates, sampleLinks } from './link-rates.ts';
export { type DeviceRoute, parseDeviceRoute } from './route-text.ts';
export {
  findProgram,
  type NamespaceSwitch,
  namespaceSwitches,
  probeSandbox,
  readSysctl,
  requireSandbox,
  type SandboxCommand,
  type SandboxForm,
  type SandboxOptions,
  type SandboxProbe,
  sandboxCommand,
} from './sandbox.ts';
