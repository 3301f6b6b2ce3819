/** Changes of the machine's network as plain data: described, inverted, carried out, and undone where they are in force. */

export {
  type AddressChange,
  type AltNameChange,
  type Change,
  type DeviceChange,
  type DeviceMake,
  type LinkChange,
  type LinkRef,
  type LinkSettings,
  type MasqueradeChange,
  type NamespaceChange,
  type NeighbourChange,
  type NetnsRef,
  type OwnerChange,
  type RouteChange,
  type RouteFields,
  type RuleChange,
  type SysctlChange,
  VNIC_PROTOCOL,
} from './change.ts';
export { describeChange, describeRoute } from './describe.ts';
export { type ChangeOutcome, type ExecuteOptions, type Execution, executeChanges } from './execute.ts';
export { changeKey, invertChange } from './invert.ts';
export { isBareName, Kernel, type KernelView, namespaceInode, namespacesOf, netnsRef } from './kernel.ts';
export {
  type KernelSnapshot,
  masqueradeMatches,
  routeMatches,
  ruleMatches,
  type SnapshotOptions,
} from './snapshot.ts';
export { chainsOf, changesInForce, kindOf, linkSettings, type UndoPlan, undoChanges } from './undo.ts';
