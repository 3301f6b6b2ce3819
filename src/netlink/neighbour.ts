/**
 * Neighbours on the wire: `RTM_NEWNEIGH`, `RTM_DELNEIGH`, `RTM_GETNEIGH` (`rtnetlink(7)`,
 * `include/uapi/linux/neighbour.h`). Bridge forwarding entries, which share the types, are left out.
 *
 *   struct ndmsg   0 family u8 | 1 pad u8 | 2 pad u16 | 4 link index i32 | 8 state u16 | 10 flags u8 | 11 type u8
 */

import { type IpAddress, type IpFamily, MacAddress } from '../base/index.ts';
import { addressFamily, ipAddressOf, ipFamilyOf } from './address.ts';
import { Nda } from './constants.ts';
import { littleEndian, type MessageBuilder, type MessageFault, parseBody } from './message.ts';
import { flagNames } from './names.ts';

const NDMSG_LEN = 12;

/** `NUD_*` under the names of iproute2. */
const states = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** `NTF_*` under the names of iproute2. */
const flags = {
  use: 0x01,
  self: 0x02,
  master: 0x04,
  proxy: 0x08,
  extern_learn: 0x10,
  offload: 0x20,
  sticky: 0x40,
  router: 0x80,
} as const;

/** State of a neighbour (RFC 4861 section 7.3.2); `NONE` before anything was tried. */
export type NeighbourState = keyof typeof states | 'NONE';

/** An entry of the ARP or neighbour discovery cache. */
export interface NeighbourInfo {
  readonly family: IpFamily;
  readonly linkIndex: number;
  readonly address: IpAddress;
  /** Undefined while it is not resolved. */
  readonly mac: MacAddress | undefined;
  readonly state: NeighbourState;
  readonly flags: readonly (keyof typeof flags)[];
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
    state: flagNames(fixed.getUint16(8, littleEndian), states)[0] ?? 'NONE',
    flags: flagNames(fixed.getUint8(10), flags),
  };
}

/** Appends the filter of a dump; link index 0 means all links. */
export function putNeighbourFilter(
  builder: MessageBuilder,
  family: IpFamily | undefined,
  linkIndex: number,
): MessageBuilder {
  builder.fixed(NDMSG_LEN, (view) => view.setUint8(0, family === undefined ? 0 : addressFamily(family)));
  return linkIndex === 0 ? builder : builder.u32(Nda.IFINDEX, linkIndex);
}
