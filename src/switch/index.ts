/** An Ethernet switch in user space: a pure core that learns and decides, and its driver over packet links. */

export {
  type AddressBinding,
  AddressInspection,
  type AddressInspectionOptions,
  type InspectionDropReason,
} from './address-inspection.ts';
export {
  ForwardingDatabase,
  type ForwardingDatabaseOptions,
  type ForwardingEntry,
  type Learned,
  NO_PORT,
} from './forwarding-database.ts';
export type { QueryAddresses } from './multicast-frames.ts';
export { type MulticastGroup, MulticastSnooping, type MulticastSnoopingOptions } from './multicast-snooping.ts';
export { PacketSwitch, type PacketSwitchOptions } from './packet-switch.ts';
export {
  SpanningTree,
  type SpanningTreeOptions,
  type SpanningTreeOutput,
  type SpanningTreePortStatus,
  type SpanningTreeStatus,
} from './spanning-tree.ts';
export type { PortRole, SpanningTreePortSettings } from './spanning-tree-port.ts';
export {
  type AddressInspector,
  type GroupSelector,
  SwitchCore,
  type SwitchPortState,
  type SwitchVerdict,
  TagForm,
} from './switch-core.ts';
export type { MirrorDirection, MirrorSource, SwitchEvents, SwitchPort, SwitchPortCounters } from './switch-port.ts';
export {
  type SwitchCoreOptions,
  type SwitchDropReason,
  type SwitchPortSettings,
  switchDropReasons,
} from './switch-settings.ts';
