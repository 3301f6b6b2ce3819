/**
 * Routes on the wire: `RTM_NEWROUTE`, `RTM_DELROUTE`, `RTM_GETROUTE` (`rtnetlink(7)`,
 * `include/uapi/linux/rtnetlink.h`).
 *
 *   struct rtmsg   0 family u8 | 1 destination length u8 | 2 source length u8 | 3 TOS u8
 *                  4 table u8 | 5 protocol u8 | 6 scope u8 | 7 type u8 | 8 flags u32
 *   struct rtnexthop (in RTA_MULTIPATH)   0 length u16 | 2 flags u8 | 3 hops u8 | 4 link index i32 | 8 attributes
 *
 * Not read: encapsulation (RTA_ENCAP), next-hop objects (RTA_NH_ID), metrics other than the MTU.
 */

import type { Cidr, IpAddress, IpFamily } from '../base/index.ts';
import { addressFamily, ipAddressOf, ipFamilyOf, prefixOf } from './address.ts';
import { RT_TABLE_UNSPEC, Rta, Rtax, RtnhF } from './constants.ts';
import {
  type Attributes,
  align4,
  littleEndian,
  type MessageBuilder,
  type MessageFault,
  parseAttributes,
  parseBody,
} from './message.ts';
import { flagNames, routeProtocols, routeTypes, scopes } from './names.ts';

const RTMSG_LEN = 12;
const RTNEXTHOP_LEN = 8;
const RTM_F_CLONED = 0x200;
/** The route itself, not what comes of it. Linux 4.14. */
const RTM_F_FIB_MATCH = 0x2000;

/** Next-hop flags under the names of iproute2. */
const routeFlags: Readonly<Record<RouteFlag, number>> = {
  dead: RtnhF.DEAD,
  pervasive: RtnhF.PERVASIVE,
  onlink: RtnhF.ONLINK,
  offload: RtnhF.OFFLOAD,
  linkdown: RtnhF.LINKDOWN,
  unresolved: RtnhF.UNRESOLVED,
  trap: RtnhF.TRAP,
};

/** Name of a next-hop flag. */
export type RouteFlag = 'dead' | 'pervasive' | 'onlink' | 'offload' | 'linkdown' | 'unresolved' | 'trap';

/** One way of a route with several. */
export interface NextHop {
  readonly via: IpAddress | undefined;
  readonly linkIndex: number;
  /** 1 to 256. */
  readonly weight: number;
  readonly flags: readonly RouteFlag[];
}

/** A route as the kernel describes it. Absent is what the kernel did not say. */
export interface RouteInfo {
  readonly family: IpFamily;
  /** `0.0.0.0/0` or `::/0` for a default route. */
  readonly destination: Cidr;
  /** The gateway, which may be of the other family (RFC 5549). */
  readonly via: IpAddress | undefined;
  readonly linkIndex: number | undefined;
  readonly metric: number | undefined;
  /** Preferred source address. */
  readonly source: IpAddress | undefined;
  /** IPv6 source-specific routes: packets from there only. */
  readonly from: Cidr | undefined;
  /** 254 = main, 255 = local, 253 = default. */
  readonly table: number;
  /** `kernel`, `boot`, `static`, `ra`, ... or a number as text. */
  readonly protocol: string;
  /** `global`, `link`, `host`, `nowhere` or a number as text; IPv6 has `global` only. */
  readonly scope: string;
  /** `unicast`, `local`, `broadcast`, `blackhole`, ... */
  readonly type: string;
  readonly flags: readonly RouteFlag[];
  /** Path MTU in bytes, where one was set. */
  readonly mtu: number | undefined;
  readonly tos: number;
  /** The ways of a route with several; else empty. */
  readonly nextHops: readonly NextHop[];
}

/** The types of route that can be added. */
export type RouteType = 'unicast' | 'blackhole' | 'unreachable' | 'prohibit' | 'throw' | 'local';

/** A route to be added, replaced or removed. */
export interface RouteSpec {
  /** A prefix without host bits, or `default`, which takes its family from `family`, `via` or `source`. */
  readonly destination: Cidr | 'default';
  /** Needed only for `default` without an address. */
  readonly family?: IpFamily;
  /** The gateway. */
  readonly via?: IpAddress;
  /** Name or index. */
  readonly link?: string | number;
  /** Lower is preferred; IPv6 takes 1024 for none. */
  readonly metric?: number;
  /** Preferred source address. */
  readonly source?: IpAddress;
  /** Default 254 (main). */
  readonly table?: number;
  /** Default as iproute2: `link` for IPv4 without a gateway, `host` for local, else `global`. */
  readonly scope?: 'global' | 'site' | 'link' | 'host' | 'nowhere' | number;
  /** Default `unicast`. */
  readonly type?: RouteType;
  /** Default `boot`, as iproute2. */
  readonly protocol?: 'kernel' | 'boot' | 'static' | 'ra' | 'dhcp' | number;
  /** Take the gateway as reachable on the link although no subnet has it. */
  readonly onlink?: boolean;
  /** Path MTU in bytes. */
  readonly mtu?: number;
}

/** A checked route in numbers, ready to be written. */
export interface RouteFields {
  readonly family: IpFamily;
  readonly destination: Cidr | undefined;
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
  readonly via: IpAddress | undefined;
  readonly linkIndex: number | undefined;
  readonly metric: number | undefined;
  readonly source: IpAddress | undefined;
  readonly mtu: number | undefined;
}

/** The flag bit of `RouteSpec.onlink`. */
export const ONLINK_FLAG: number = RtnhF.ONLINK;

/** Reads the body of `RTM_NEWROUTE` or `RTM_DELROUTE`; undefined for other families and cache entries. */
export function parseRoute(body: Uint8Array): RouteInfo | undefined | MessageFault {
  const parsed = parseBody(body, RTMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const family = ipFamilyOf(fixed.getUint8(0));
  const flagBits = fixed.getUint32(8, littleEndian);
  if (family === undefined || (flagBits & RTM_F_CLONED) !== 0) return undefined;
  const destination = prefixOf(attributes.bytes(Rta.DST), fixed.getUint8(1), family);
  if (typeof destination === 'string') return destination;
  const from = prefixOf(attributes.bytes(Rta.SRC), fixed.getUint8(2), family);
  if (typeof from === 'string') return from;
  const nextHops = parseNextHops(attributes.bytes(Rta.MULTIPATH), family);
  if (typeof nextHops === 'string') return nextHops;
  return {
    family,
    destination,
    via: gatewayOf(attributes, family),
    linkIndex: attributes.u32(Rta.OIF),
    metric: attributes.u32(Rta.PRIORITY),
    source: ipAddressOf(attributes.bytes(Rta.PREFSRC), family),
    from: attributes.has(Rta.SRC) ? from : undefined,
    table: attributes.u32(Rta.TABLE) ?? fixed.getUint8(4),
    protocol: routeProtocols.name(fixed.getUint8(5)),
    scope: scopes.name(fixed.getUint8(6)),
    type: routeTypes.name(fixed.getUint8(7)),
    flags: flagNames(flagBits, routeFlags),
    mtu: attributes.nested(Rta.METRICS)?.u32(Rtax.MTU),
    tos: fixed.getUint8(3),
    nextHops,
  };
}

/** Appends the filter of a dump; absent means all. */
export function putRouteFilter(
  builder: MessageBuilder,
  family: IpFamily,
  filter: { readonly table: number | undefined; readonly linkIndex: number | undefined },
): MessageBuilder {
  builder.fixed(RTMSG_LEN, (view) => view.setUint8(0, addressFamily(family)));
  if (filter.table !== undefined) builder.u32(Rta.TABLE, filter.table);
  if (filter.linkIndex !== undefined) builder.u32(Rta.OIF, filter.linkIndex);
  return builder;
}

/** Appends the question for the route to an address. */
export function putRouteLookup(builder: MessageBuilder, address: IpAddress): MessageBuilder {
  builder.fixed(RTMSG_LEN, (view) => {
    view.setUint8(0, addressFamily(address.family));
    view.setUint8(1, address.bytes.length * 8);
    view.setUint32(8, RTM_F_FIB_MATCH, littleEndian);
  });
  return builder.bytes(Rta.DST, address.bytes);
}

/** Appends a route. */
export function putRoute(builder: MessageBuilder, route: RouteFields): MessageBuilder {
  builder.fixed(RTMSG_LEN, (view) => {
    view.setUint8(0, addressFamily(route.family));
    view.setUint8(1, route.destination?.prefixLen ?? 0);
    // Tables from 256 on are told by the attribute alone.
    view.setUint8(4, route.table < 256 ? route.table : RT_TABLE_UNSPEC);
    view.setUint8(5, route.protocol);
    view.setUint8(6, route.scope);
    view.setUint8(7, route.type);
    view.setUint32(8, route.flags, littleEndian);
  });
  builder.u32(Rta.TABLE, route.table);
  if (route.destination !== undefined) builder.bytes(Rta.DST, route.destination.address.bytes);
  if (route.via !== undefined) putGateway(builder, route.via, route.family);
  if (route.linkIndex !== undefined) builder.u32(Rta.OIF, route.linkIndex);
  if (route.metric !== undefined) builder.u32(Rta.PRIORITY, route.metric);
  if (route.source !== undefined) builder.bytes(Rta.PREFSRC, route.source.bytes);
  const { mtu } = route;
  return mtu === undefined ? builder : builder.nested(Rta.METRICS, (metrics) => metrics.u32(Rtax.MTU, mtu));
}

/** `struct rtvia` for a gateway of the other family: 0 family u16 | 2 address. */
function putGateway(builder: MessageBuilder, via: IpAddress, family: IpFamily): void {
  if (via.family === family) {
    builder.bytes(Rta.GATEWAY, via.bytes);
    return;
  }
  const value = new Uint8Array(2 + via.bytes.length);
  new DataView(value.buffer).setUint16(0, addressFamily(via.family), littleEndian);
  value.set(via.bytes, 2);
  builder.bytes(Rta.VIA, value);
}

function gatewayOf(attributes: Attributes, family: IpFamily): IpAddress | undefined {
  const gateway = ipAddressOf(attributes.bytes(Rta.GATEWAY), family);
  const via = attributes.bytes(Rta.VIA);
  if (gateway !== undefined || via === undefined || via.length < 2) return gateway;
  const viaFamily = ipFamilyOf(new DataView(via.buffer, via.byteOffset).getUint16(0, littleEndian));
  return viaFamily === undefined ? undefined : ipAddressOf(via.subarray(2), viaFamily);
}

function parseNextHops(bytes: Uint8Array | undefined, family: IpFamily): NextHop[] | MessageFault {
  const hops: NextHop[] = [];
  let rest = bytes ?? new Uint8Array(0);
  while (rest.length > 0) {
    if (rest.length < RTNEXTHOP_LEN) return 'truncated';
    const view = new DataView(rest.buffer, rest.byteOffset, rest.byteLength);
    const length = view.getUint16(0, littleEndian);
    if (length < RTNEXTHOP_LEN) return 'bad-length';
    if (length > rest.length) return 'length-past-end';
    const attributes = parseAttributes(rest.subarray(0, length), RTNEXTHOP_LEN);
    if (typeof attributes === 'string') return attributes;
    hops.push({
      via: gatewayOf(attributes, family),
      linkIndex: view.getInt32(4, littleEndian),
      weight: view.getUint8(3) + 1,
      flags: flagNames(view.getUint8(2), routeFlags),
    });
    rest = rest.subarray(Math.min(rest.length, align4(length)));
  }
  return hops;
}
