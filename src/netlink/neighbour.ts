/**
 * Neighbours on the wire: `RTM_NEWNEIGH`, `RTM_DELNEIGH`, `RTM_GETNEIGH` (`rtnetlink(7)`,
 * `include/uapi/linux/neighbour.h`). Bridge forwarding entries, which share the types, are left out.
 *
 *   struct ndmsg   0 family u8 | 1 pad u8 | 2 pad u16 | 4 link index i32 | 8 state u16 | 10 flags u8 | 11 type u8
 */

import { type IpAddress, type IpFamily, MacAddress } from '../base/index.ts';
import { addressFamily, ipAddressOf, ipFamilyOf } from './address.ts';
import { Nda, Ntf, Nud } from './constants.ts';
import { littleEndian, type MessageBuilder, type MessageFault, parseBody } from './message.ts';
import { flagNames } from './names.ts';

export const NDMSG_LEN: number = 12;

/** Under the names of iproute2. */
export const neighbourFlags: Readonly<Record<NeighbourFlag, number>> = {
  use: Ntf.USE,
  self: Ntf.SELF,
  master: Ntf.MASTER,
  proxy: Ntf.PROXY,
  extern_learn: Ntf.EXT_LEARNED,
  offload: Ntf.OFFLOADED,
  sticky: Ntf.STICKY,
  router: Ntf.ROUTER,
};

/** Name of a flag of a neighbour or forwarding entry. */
export type NeighbourFlag = 'use' | 'self' | 'master' | 'proxy' | 'extern_learn' | 'offload' | 'sticky' | 'router';

/** State of a neighbour (RFC 4861 section 7.3.2); `NONE` before anything was tried. */
export type NeighbourState = keyof typeof Nud | 'NONE';

/** An entry of the ARP or neighbour discovery cache. */
export interface NeighbourInfo {
  readonly family: IpFamily;
  readonly linkIndex: number;
  readonly address: IpAddress;
  /** Undefined while it is not resolved. */
  readonly mac: MacAddress | undefined;
  readonly state: NeighbourState;
  /** `proxy`: not a neighbour, but an address that this machine answers for. */
  readonly flags: readonly NeighbourFlag[];
}

/** Reads the body of `RTM_NEWNEIGH` or `RTM_DELNEIGH`; undefined for what is not an IP neighbour. */
export function parseNeighbour(body: Uint8Array): NeighbourInfo | undefined | MessageFault {
  const parsed = parseBody(body, NDMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const family = ipFamilyOf(fixed.getUint8(0));
  if (family === undefined) return undefined;
  const address = ipAddressOf(attributes.bytes(Nda.DST), family);
  if (address === undefined) return 'truncated';
  const mac = attributes.bytes(Nda.LLADDR);
  return {
    family,
    linkIndex: fixed.getInt32(4, littleEndian),
    address,
    mac: mac?.length === 6 ? MacAddress.fromBytes(mac) : undefined,
    state: flagNames(fixed.getUint16(8, littleEndian), Nud)[0] ?? 'NONE',
    flags: flagNames(fixed.getUint8(10), neighbourFlags),
  };
}

/** The fixed part of a request, in numbers. */
export interface NeighbourHeader {
  /** `AF_*` */
  readonly family: number;
  readonly linkIndex?: number;
  /** `NUD_*` */
  readonly state?: number;
  /** `NTF_*` */
  readonly flags?: number;
}

/** Appends the fixed part. */
export function putNeighbourHeader(builder: MessageBuilder, header: NeighbourHeader): MessageBuilder {
  return builder.fixed(NDMSG_LEN, (view) => {
    view.setUint8(0, header.family);
    view.setInt32(4, header.linkIndex ?? 0, littleEndian);
    view.setUint16(8, header.state ?? 0, littleEndian);
    view.setUint8(10, header.flags ?? 0);
  });
}

/** Appends the filter of a dump; link index 0 means all links. With `proxy`, proxy entries instead of neighbours. */
export function putNeighbourFilter(
  builder: MessageBuilder,
  family: IpFamily | undefined,
  linkIndex: number,
  proxy: boolean,
): MessageBuilder {
  putNeighbourHeader(builder, {
    family: family === undefined ? 0 : addressFamily(family),
    flags: proxy ? Ntf.PROXY : 0,
  });
  // A dump of proxy entries knows no filter.
  if (proxy) return builder;
  return linkIndex === 0 ? builder : builder.u32(Nda.IFINDEX, linkIndex);
}
