/**
 * Network configuration by netlink: links and their features, bridges, addresses, routes, rules, neighbours, forwarding
 * tables, and their events, in any network namespace. Linux only.
 */

export type { AddAddressOptions, AddressFlag, AddressInfo, Lifetime } from './address.ts';
export { Addresses, type ListAddressesOptions, type RemoveAddressOptions } from './addresses.ts';
export type {
  BridgeInfo,
  BridgePortInfo,
  BridgePortSettings,
  BridgePortState,
  BridgeSettings,
} from './bridge.ts';
export type { EventAction, EventGroup, NetlinkEvent } from './event.ts';
export { Fdb, type FdbKey, type FdbSpec, type ListFdbOptions } from './fdb.ts';
export type { FdbEntry, FdbEntryType } from './fdb-entry.ts';
export { type LinkFeatures, readFeaturesSync, wantFeaturesSync } from './features.ts';
export {
  type CheckInterfaceNameOptions,
  checkInterfaceName,
  interfaceNameLen,
  type LinkSelector,
  MAX_INTERFACE_NAME_LEN,
} from './interface-name.ts';
export type { LinkChange, LinkFlag, LinkInfo, TunInfo } from './link.ts';
export { LinkEvents, type LinkEventsOptions, openLinkEvents } from './link-events.ts';
export type { BridgeSpec, LinkEndSpec, LinkSpec, VethSpec } from './link-spec.ts';
export type { LinkStatistics } from './link-statistics.ts';
export { getLinkSync, Links, type ListLinksOptions, type RequestOptions } from './links.ts';
export {
  addMasquerade,
  listMasquerades,
  MASQUERADE_TABLE,
  type MasqueradeInfo,
  type MasqueradeSpec,
  removeMasquerade,
} from './masquerade.ts';
export { linkTypeNumber } from './names.ts';
export { NamespaceIds } from './namespace-ids.ts';
export type { NeighbourFlag, NeighbourInfo, NeighbourState } from './neighbour.ts';
export { type ListNeighboursOptions, type NeighbourKey, type NeighbourSpec, Neighbours } from './neighbours.ts';
export { Netlink, openNetlink } from './netlink.ts';
export { type QdiscInfo, Qdiscs } from './qdiscs.ts';
export type { NextHop, RouteFlag, RouteInfo, RouteSpec, RouteType } from './route.ts';
export { type ListRoutesOptions, Routes } from './routes.ts';
export type { NumberRange, RuleAction, RuleInfo } from './rule.ts';
export { type ListRulesOptions, type RuleSpec, Rules } from './rules.ts';
export type { TableParts } from './table-digest.ts';
