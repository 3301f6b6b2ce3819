/** Network configuration by netlink: links, their features, addresses, routes, neighbours, and their events. Linux only. */

export type { AddAddressOptions, AddressFlag, AddressInfo, Lifetime } from './address.ts';
export { Addresses, type ListAddressesOptions, type RemoveAddressOptions } from './addresses.ts';
export type { EventAction, EventGroup, NetlinkEvent } from './event.ts';
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
export type { LinkStatistics } from './link-statistics.ts';
export { getLinkSync, Links, type ListLinksOptions, type RequestOptions } from './links.ts';
export type { NeighbourInfo, NeighbourState } from './neighbour.ts';
export { type ListNeighboursOptions, Neighbours } from './neighbours.ts';
export { Netlink, openNetlink } from './netlink.ts';
export type { NextHop, RouteFlag, RouteInfo, RouteSpec, RouteType } from './route.ts';
export { type ListRoutesOptions, Routes } from './routes.ts';
