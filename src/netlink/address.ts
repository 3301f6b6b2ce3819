/**
 * Addresses on the wire: `RTM_NEWADDR`, `RTM_DELADDR`, `RTM_GETADDR` (`rtnetlink(7)`,
 * `include/uapi/linux/if_addr.h`).
 *
 *   struct ifaddrmsg   0 family u8 | 1 prefix length u8 | 2 flags u8 | 3 scope u8 | 4 link index u32
 *
 * `IFA_LOCAL` is the address of the interface, `IFA_ADDRESS` that of the peer on a point-to-point link and the
 * same address otherwise; IPv6 without a peer sends only `IFA_ADDRESS`.
 */

import { Cidr, IpAddress, type IpFamily } from '../base/index.ts';
import { AF_INET, AF_INET6, Ifa, IfaF } from './constants.ts';
import { type Attributes, littleEndian, type MessageBuilder, type MessageFault, parseBody } from './message.ts';
import { flagNames, scopes } from './names.ts';

const IFADDRMSG_LEN = 8;
const CACHEINFO_LEN = 16;
/** `INFINITY_LIFE_TIME` of `include/net/addrconf.h`. */
const INFINITE_LIFETIME = 0xffff_ffff;

/** Address flags under the names of iproute2. */
export const addressFlags: Readonly<Record<AddressFlag, number>> = {
  secondary: IfaF.SECONDARY,
  nodad: IfaF.NODAD,
  optimistic: IfaF.OPTIMISTIC,
  dadfailed: IfaF.DADFAILED,
  home: IfaF.HOMEADDRESS,
  deprecated: IfaF.DEPRECATED,
  tentative: IfaF.TENTATIVE,
  permanent: IfaF.PERMANENT,
  mngtmpaddr: IfaF.MANAGETEMPADDR,
  noprefixroute: IfaF.NOPREFIXROUTE,
  autojoin: IfaF.MCAUTOJOIN,
  'stable-privacy': IfaF.STABLE_PRIVACY,
};

/** Name of an address flag. For IPv6 `secondary` means temporary (RFC 8981). */
export type AddressFlag =
  | 'secondary'
  | 'nodad'
  | 'optimistic'
  | 'dadfailed'
  | 'home'
  | 'deprecated'
  | 'tentative'
  | 'permanent'
  | 'mngtmpaddr'
  | 'noprefixroute'
  | 'autojoin'
  | 'stable-privacy';

/** Seconds, or `forever`. */
export type Lifetime = number | 'forever';

/** An address of an interface. */
export interface AddressInfo {
  readonly family: IpFamily;
  readonly linkIndex: number;
  /** The address with the prefix length of its subnet; with a peer, that of the peer's subnet. */
  readonly cidr: Cidr;
  /** The other end of a point-to-point link, where it differs. */
  readonly peer: IpAddress | undefined;
  readonly broadcast: IpAddress | undefined;
  /** IPv4 only: the name of the link, or that name with `:` and more. */
  readonly label: string | undefined;
  /** `global`, `site`, `link`, `host`, or a number as text. */
  readonly scope: string;
  readonly flags: readonly AddressFlag[];
  /** `ifa_flags`, see `if_addr.h`. */
  readonly flagBits: number;
  readonly validLft: Lifetime;
  readonly preferredLft: Lifetime;
  /** Metric of the route to the subnet, where one was set. */
  readonly metric: number | undefined;
  /** Who added it, as they say (`IFA_PROTO`, 1 to 3 are the kernel's own); undefined where nobody said. */
  readonly protocol: number | undefined;
}

/** How an address is added. */
export interface AddAddressOptions {
  /** The other end of a point-to-point link; the prefix length of the CIDR is then that of the peer. */
  readonly peer?: IpAddress;
  /** IPv4 only. Default none, as with iproute2; `cidr.broadcast` is the usual one. */
  readonly broadcast?: IpAddress;
  /** IPv4 only: up to 15 bytes, the link's name or that with `:` and more. Default the link's name. */
  readonly label?: string;
  /** Default `host` for IPv4 loopback addresses, else `global`. */
  readonly scope?: 'global' | 'site' | 'link' | 'host' | number;
  /** IPv6 only: usable at once, without duplicate address detection (RFC 4862 section 5.4). */
  readonly noDad?: boolean;
  /** Do not add the route to the subnet. */
  readonly noPrefixRoute?: boolean;
  /** Seconds until the address is removed. Default forever. */
  readonly validLftSec?: number;
  /** Seconds until it is no longer chosen as a source. Default `validLftSec`. */
  readonly preferredLftSec?: number;
  /** Metric of the route to the subnet. */
  readonly metric?: number;
  /** A mark of who adds it, 4 to 255 (`IFA_PROTO`); kernels before 5.18 drop it. */
  readonly protocol?: number;
  /** Change the address where it exists, instead of VNIC_ADDRESS_EXISTS. */
  readonly replace?: boolean;
}

/** Reads the body of `RTM_NEWADDR` or `RTM_DELADDR`; undefined for a family other than IPv4 and IPv6. */
export function parseAddress(body: Uint8Array): AddressInfo | undefined | MessageFault {
  const parsed = parseBody(body, IFADDRMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const family = ipFamilyOf(fixed.getUint8(0));
  if (family === undefined) return undefined;
  const far = ipAddressOf(attributes.bytes(Ifa.ADDRESS), family);
  const local = ipAddressOf(attributes.bytes(Ifa.LOCAL), family) ?? far;
  const prefixLen = fixed.getUint8(1);
  if (local === undefined) return 'truncated';
  if (prefixLen > local.bytes.length * 8) return 'bad-length';
  const flagBits = attributes.u32(Ifa.FLAGS) ?? fixed.getUint8(2);
  return {
    family,
    linkIndex: fixed.getUint32(4, littleEndian),
    cidr: new Cidr(local, prefixLen),
    peer: far === undefined || far.equals(local) ? undefined : far,
    broadcast: ipAddressOf(attributes.bytes(Ifa.BROADCAST), family),
    label: attributes.text(Ifa.LABEL),
    scope: scopes.name(fixed.getUint8(3)),
    flags: flagNames(flagBits, addressFlags),
    flagBits,
    ...parseLifetimes(attributes),
    metric: attributes.u32(Ifa.RT_PRIORITY),
    protocol: attributes.u8(Ifa.PROTO),
  };
}

/** Appends the fixed part alone: the filter of a dump. */
export function putAddressFilter(
  builder: MessageBuilder,
  family: IpFamily | undefined,
  linkIndex: number,
): MessageBuilder {
  return builder.fixed(IFADDRMSG_LEN, (view) => {
    view.setUint8(0, family === undefined ? 0 : addressFamily(family));
    view.setUint32(4, linkIndex, littleEndian);
  });
}

/** Appends an address to be added; `scope` is the number. */
export function putNewAddress(
  builder: MessageBuilder,
  linkIndex: number,
  cidr: Cidr,
  scope: number,
  options: AddAddressOptions,
): MessageBuilder {
  putAddressKey(builder, linkIndex, cidr, options.peer, scope);
  if (options.broadcast !== undefined) builder.bytes(Ifa.BROADCAST, options.broadcast.bytes);
  if (options.label !== undefined) builder.text(Ifa.LABEL, options.label);
  const flags = (options.noDad ? IfaF.NODAD : 0) | (options.noPrefixRoute ? IfaF.NOPREFIXROUTE : 0);
  if (flags !== 0) builder.u32(Ifa.FLAGS, flags);
  if (options.metric !== undefined) builder.u32(Ifa.RT_PRIORITY, options.metric);
  if (options.protocol !== undefined) builder.u8(Ifa.PROTO, options.protocol);
  const { validLftSec, preferredLftSec } = options;
  if (validLftSec === undefined && preferredLftSec === undefined) return builder;
  const valid = validLftSec ?? INFINITE_LIFETIME;
  const cacheInfo = new Uint8Array(CACHEINFO_LEN);
  const view = new DataView(cacheInfo.buffer);
  view.setUint32(0, preferredLftSec ?? valid, littleEndian);
  view.setUint32(4, valid, littleEndian);
  return builder.bytes(Ifa.CACHEINFO, cacheInfo);
}

/** Appends what identifies an address. */
export function putAddressKey(
  builder: MessageBuilder,
  linkIndex: number,
  cidr: Cidr,
  peer: IpAddress | undefined,
  scope = 0,
): MessageBuilder {
  builder.fixed(IFADDRMSG_LEN, (view) => {
    view.setUint8(0, addressFamily(cidr.family));
    view.setUint8(1, cidr.prefixLen);
    view.setUint8(3, scope);
    view.setUint32(4, linkIndex, littleEndian);
  });
  return builder.bytes(Ifa.LOCAL, cidr.address.bytes).bytes(Ifa.ADDRESS, (peer ?? cidr.address).bytes);
}

/** `AF_INET` or `AF_INET6`. */
export function addressFamily(family: IpFamily): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** The IP family of an `AF_*` number; undefined for others. */
export function ipFamilyOf(number: number): IpFamily | undefined {
  if (number === AF_INET) return 4;
  return number === AF_INET6 ? 6 : undefined;
}

/** An address of that family; undefined when absent or of another length. */
export function ipAddressOf(bytes: Uint8Array | undefined, family: IpFamily): IpAddress | undefined {
  return bytes?.length === (family === 4 ? 4 : 16) ? IpAddress.fromBytes(bytes) : undefined;
}

/** A prefix of that family; without bytes the one of that length with no bit set. */
export function prefixOf(bytes: Uint8Array | undefined, prefixLen: number, family: IpFamily): Cidr | MessageFault {
  const addressLen = family === 4 ? 4 : 16;
  if (prefixLen > addressLen * 8) return 'bad-length';
  if (bytes === undefined) return new Cidr(IpAddress.fromBytes(new Uint8Array(addressLen)), prefixLen);
  const address = ipAddressOf(bytes, family);
  return address === undefined ? 'truncated' : new Cidr(address, prefixLen);
}

/** `struct ifa_cacheinfo`: 0 preferred u32 | 4 valid u32 | 8 created u32 | 12 updated u32; times in seconds. */
function parseLifetimes(attributes: Attributes): { validLft: Lifetime; preferredLft: Lifetime } {
  const bytes = attributes.bytes(Ifa.CACHEINFO);
  if (bytes === undefined || bytes.length < 8) return { validLft: 'forever', preferredLft: 'forever' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    preferredLft: lifetimeOf(view.getUint32(0, littleEndian)),
    validLft: lifetimeOf(view.getUint32(4, littleEndian)),
  };
}

function lifetimeOf(seconds: number): Lifetime {
  return seconds === INFINITE_LIFETIME ? 'forever' : seconds;
}
