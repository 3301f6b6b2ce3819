/** An Ethernet switch in user space: a pure core that learns and decides, and its driver over packet links. */

export {
  ForwardingDatabase,
  type ForwardingDatabaseOptions,
  type ForwardingEntry,
  type Learned,
  NO_PORT,
} from './forwarding-database.ts';
export {
  PacketSwitch,
  type PacketSwitchOptions,
  type SwitchEvents,
  type SwitchPort,
  type SwitchPortCounters,
} from './packet-switch.ts';
export { SwitchCore, type SwitchCoreOptions, type SwitchDropReason, type SwitchPortSettings } from './switch-core.ts';
