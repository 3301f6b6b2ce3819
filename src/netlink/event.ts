/** What the kernel tells about changes: the answers of rtnetlink, sent to multicast groups. */

import { VnicError } from '../base/index.ts';
import { type AddressInfo, parseAddress } from './address.ts';
import { Rtm, Rtnlgrp } from './constants.ts';
import { type LinkInfo, parseLink } from './link.ts';
import type { MessageFault, NetlinkMessage } from './message.ts';
import { type NeighbourInfo, parseNeighbour } from './neighbour.ts';
import { parseRoute, type RouteInfo } from './route.ts';

/** What to be told of; each for IPv4 and IPv6. */
export type EventGroup = 'link' | 'address' | 'route' | 'neighbour';

/** `new` also means changed: the kernel sends the whole object, not the difference. */
export type EventAction = 'new' | 'delete';

/** One change. Compare with what was known before to see what changed. */
export type NetlinkEvent =
  | { readonly type: 'link'; readonly action: EventAction; readonly link: LinkInfo }
  | { readonly type: 'address'; readonly action: EventAction; readonly address: AddressInfo }
  | { readonly type: 'route'; readonly action: EventAction; readonly route: RouteInfo }
  | { readonly type: 'neighbour'; readonly action: EventAction; readonly neighbour: NeighbourInfo }
  /** Events were lost (VNIC_EVENTS_LOST): list anew what is known. Later events follow. */
  | { readonly type: 'lost'; readonly error: VnicError };

const groupNumbers: Readonly<Record<EventGroup, readonly number[]>> = {
  link: [Rtnlgrp.LINK],
  address: [Rtnlgrp.IPV4_IFADDR, Rtnlgrp.IPV6_IFADDR],
  route: [Rtnlgrp.IPV4_ROUTE, Rtnlgrp.IPV6_ROUTE],
  neighbour: [Rtnlgrp.NEIGH],
};

/** The bit mask of `struct sockaddr_nl` that joins the groups. */
export function groupMask(groups: readonly EventGroup[]): number {
  return groups.flatMap((group) => groupNumbers[group]).reduce((mask, number) => mask | (1 << (number - 1)), 0);
}

/** Reads one message; undefined for what is not of interest. */
export function parseEvent(message: NetlinkMessage): NetlinkEvent | undefined | MessageFault {
  const { type, body } = message;
  const action: EventAction = [Rtm.DELLINK, Rtm.DELADDR, Rtm.DELROUTE, Rtm.DELNEIGH].some((number) => number === type)
    ? 'delete'
    : 'new';
  switch (type) {
    case Rtm.NEWLINK:
    case Rtm.DELLINK:
      return mapParsed(parseLink(body), (link) => ({ type: 'link', action, link }));
    case Rtm.NEWADDR:
    case Rtm.DELADDR:
      return mapParsed(parseAddress(body), (address) => ({ type: 'address', action, address }));
    case Rtm.NEWROUTE:
    case Rtm.DELROUTE:
      return mapParsed(parseRoute(body), (route) => ({ type: 'route', action, route }));
    case Rtm.NEWNEIGH:
    case Rtm.DELNEIGH:
      return mapParsed(parseNeighbour(body), (neighbour) => ({ type: 'neighbour', action, neighbour }));
    default:
      return undefined;
  }
}

/** The event that stands for those which the kernel dropped. */
export function lostEvent(attempted: string): NetlinkEvent {
  const error = new VnicError('VNIC_EVENTS_LOST', {
    attempted,
    hint: 'List links, addresses and routes anew; read faster, or ask for a larger receiveBufferBytes.',
    errno: 'ENOBUFS',
    syscall: 'recvfrom',
  });
  return { type: 'lost', error };
}

function mapParsed<T extends object>(
  parsed: T | undefined | MessageFault,
  map: (value: T) => NetlinkEvent,
): NetlinkEvent | undefined | MessageFault {
  return parsed === undefined || typeof parsed === 'string' ? parsed : map(parsed);
}
