/** What the kernel tells about changes: the answers of rtnetlink, sent to multicast groups. */

import { VnicError } from '../base/index.ts';
import { type AddressInfo, parseAddress } from './address.ts';
import { AF_BRIDGE, Rtm, Rtnlgrp } from './constants.ts';
import { type FdbEntry, parseFdbEntry } from './fdb-entry.ts';
import { type LinkInfo, parseLink } from './link.ts';
import type { MessageFault, NetlinkMessage } from './message.ts';
import { parseNamespaceId } from './namespace-id.ts';
import { type NeighbourInfo, parseNeighbour } from './neighbour.ts';
import { parseRoute, type RouteInfo } from './route.ts';
import { parseRule, type RuleInfo } from './rule.ts';

/** What to be told of; each for IPv4 and IPv6. */
export type EventGroup = 'link' | 'address' | 'route' | 'neighbour' | 'fdb' | 'rule' | 'netns';

/** `new` also means changed: the kernel sends the whole object, not the difference. */
export type EventAction = 'new' | 'delete';

/** One change. Compare with what was known before to see what changed. */
export type NetlinkEvent =
  | { readonly type: 'link'; readonly action: EventAction; readonly link: LinkInfo }
  | { readonly type: 'address'; readonly action: EventAction; readonly address: AddressInfo }
  | { readonly type: 'route'; readonly action: EventAction; readonly route: RouteInfo }
  | { readonly type: 'neighbour'; readonly action: EventAction; readonly neighbour: NeighbourInfo }
  /** The forwarding table of a bridge, or of a VXLAN device. */
  | { readonly type: 'fdb'; readonly action: EventAction; readonly entry: FdbEntry }
  | { readonly type: 'rule'; readonly action: EventAction; readonly rule: RuleInfo }
  /** The kernel gave another namespace an id here, or took it back when that namespace ended. */
  | { readonly type: 'netns'; readonly action: EventAction; readonly netnsId: number }
  /** Events were lost (VNIC_EVENTS_LOST): list anew what is known. Later events follow. */
  | { readonly type: 'lost'; readonly error: VnicError };

const groupNumbers: Readonly<Record<EventGroup, readonly number[]>> = {
  link: [Rtnlgrp.LINK],
  address: [Rtnlgrp.IPV4_IFADDR, Rtnlgrp.IPV6_IFADDR],
  route: [Rtnlgrp.IPV4_ROUTE, Rtnlgrp.IPV6_ROUTE],
  neighbour: [Rtnlgrp.NEIGH],
  fdb: [Rtnlgrp.NEIGH],
  rule: [Rtnlgrp.IPV4_RULE, Rtnlgrp.IPV6_RULE],
  netns: [Rtnlgrp.NSID],
};

/** The bit mask of `struct sockaddr_nl` that joins the groups. */
export function groupMask(groups: readonly EventGroup[]): number {
  return groups.flatMap((group) => groupNumbers[group]).reduce((mask, number) => mask | (1 << (number - 1)), 0);
}

/** Reads one message; undefined for what is not of interest. */
export function parseEvent(message: NetlinkMessage): NetlinkEvent | undefined | MessageFault {
  const { type, body } = message;
  // In each group of four numbers: new, delete, get, set.
  const action: EventAction = type % 4 === 1 ? 'delete' : 'new';
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
      if (body[0] === AF_BRIDGE) return mapParsed(parseFdbEntry(body), (entry) => ({ type: 'fdb', action, entry }));
      return mapParsed(parseNeighbour(body), (neighbour) => ({ type: 'neighbour', action, neighbour }));
    case Rtm.NEWRULE:
    case Rtm.DELRULE:
      return mapParsed(parseRule(body), (rule) => ({ type: 'rule', action, rule }));
    case Rtm.NEWNSID:
    case Rtm.DELNSID:
      return mapParsed(parseNamespaceId(body), ({ netnsId }) => ({ type: 'netns', action, netnsId }));
    default:
      return undefined;
  }
}

/** Whether an event belongs to what was asked for. */
export function isWanted({ type }: NetlinkEvent, groups: readonly EventGroup[]): boolean {
  return type === 'lost' || groups.includes(type);
}

/** The event that stands for those which the kernel dropped. */
export function lostEvent(attempted: string): NetlinkEvent {
  const error = new VnicError('VNIC_EVENTS_LOST', {
    attempted,
    hint: 'List anew what you follow; read faster, or ask for a larger receiveBufferBytes.',
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
