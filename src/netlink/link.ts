/**
 * Links on the wire: `RTM_NEWLINK`, `RTM_DELLINK`, `RTM_GETLINK`, `RTM_SETLINK` (`rtnetlink(7)`,
 * `include/uapi/linux/rtnetlink.h`, `if_link.h`).
 *
 *   struct ifinfomsg   0 family u8 | 1 pad u8 | 2 type u16 (ARPHRD) | 4 index i32 | 8 flags u32 | 12 change u32
 *
 * Not read: SR-IOV functions, per-family data (IFLA_AF_SPEC), XDP, the data of kinds other than tun and bridge.
 */

import { MacAddress } from '../base/index.ts';
import type { NetnsSelector } from '../netns/index.ts';
import {
  type BridgeInfo,
  type BridgePortInfo,
  type BridgePortSettings,
  type BridgeSettings,
  parseBridge,
  parseBridgePort,
} from './bridge.ts';
import { AF_UNSPEC, IFF_TAP, IFF_TUN, Iff, Ifla, IflaInfo, IflaTun } from './constants.ts';
import { interfaceNameLen, type LinkSelector, MAX_INTERFACE_NAME_LEN } from './interface-name.ts';
import { type LinkStatistics, parseLinkStatistics } from './link-statistics.ts';
import {
  type Attributes,
  decodeText,
  littleEndian,
  type MessageBuilder,
  type MessageFault,
  parseBody,
} from './message.ts';
import { flagNames, linkTypes, operStates } from './names.ts';

const IFINFOMSG_LEN = 16;

/** Interface flags as iproute2 prints them; `NO-CARRIER` stands for up without a carrier. */
export type LinkFlag = 'NO-CARRIER' | Exclude<keyof typeof Iff, 'RUNNING'>;

/** The part of a TUN/TAP device that only it has (`IFLA_TUN_*`). */
export interface TunInfo {
  readonly kind: 'tun' | 'tap';
  /** User id that may attach without CAP_NET_ADMIN; undefined when none was set. */
  readonly owner: number | undefined;
  /** Group id that may attach without CAP_NET_ADMIN; undefined when none was set. */
  readonly group: number | undefined;
  /** Each packet carries 4 bytes of packet information (no `IFF_NO_PI`). */
  readonly packetInfo: boolean;
  /** Each packet carries a virtio-net header (`IFF_VNET_HDR`). */
  readonly vnetHeader: boolean;
  /** The device stays when its last descriptor is closed. */
  readonly persist: boolean;
  readonly multiQueue: boolean;
  /** Attached and enabled queues; the kernel says it for multi-queue devices only. */
  readonly numQueues: number | undefined;
  /** Attached and disabled queues; the kernel says it for multi-queue devices only. */
  readonly numDisabledQueues: number | undefined;
}

/** A network interface as the kernel describes it. Absent is what the kernel did not say. */
export interface LinkInfo {
  readonly index: number;
  readonly name: string;
  /** Further names of up to 127 bytes, each as good as `name`. */
  readonly altNames: readonly string[];
  /** `tun` (TUN and TAP), `veth`, `bridge`, ...; undefined for hardware and loopback. */
  readonly kind: string | undefined;
  readonly tun: TunInfo | undefined;
  /** Of a bridge: its settings. */
  readonly bridge: BridgeInfo | undefined;
  /** Of a port of a bridge: the settings of the port. */
  readonly bridgePort: BridgePortInfo | undefined;
  /** Names of the flags, in the order of iproute2. */
  readonly flags: readonly LinkFlag[];
  /** `ifi_flags`, see `if.h`. */
  readonly flagBits: number;
  /** Administratively up (`IFF_UP`). */
  readonly isUp: boolean;
  /** Ready to carry packets: up with a carrier (`IFF_RUNNING`). */
  readonly isRunning: boolean;
  /** RFC 2863: `UP`, `DOWN`, `UNKNOWN` (drivers that do not tell, such as TUN), ... */
  readonly operState: string;
  /** Bytes of the largest packet without the link header. */
  readonly mtu: number;
  /** Smallest MTU the driver takes. */
  readonly minMtu: number | undefined;
  /** Largest MTU the driver takes; 0 for no limit. */
  readonly maxMtu: number | undefined;
  /** The hardware address, where it has 6 bytes; TUN devices have none. */
  readonly mac: MacAddress | undefined;
  readonly broadcast: MacAddress | undefined;
  /** `ether`, `none` (TUN), `loopback`, ...; the number as text where it has no name. */
  readonly linkType: string;
  /** ARPHRD number, see `if_arp.h`. */
  readonly linkTypeNumber: number;
  /** Packets that the device queues. */
  readonly txQueueLen: number;
  /** How many users want promiscuous mode; the device is promiscuous while it is over 0. */
  readonly promiscuity: number;
  /** Index of the bridge or bond that this link is a port of. */
  readonly master: number | undefined;
  /** Index of the lower or peer link, in the namespace `netnsId` if that is given. */
  readonly link: number | undefined;
  /** Id of the other namespace that `link` lies in (`IFLA_LINK_NETNSID`). */
  readonly netnsId: number | undefined;
  /** Interface group, 0 = default. */
  readonly group: number;
  readonly qdisc: string | undefined;
  /** Free text of the administrator (`ip link set alias`). */
  readonly alias: string | undefined;
  readonly carrierChanges: number | undefined;
  readonly numTxQueues: number | undefined;
  readonly numRxQueues: number | undefined;
  readonly statistics: LinkStatistics;
  /** On a `delete` event: where the link moved to, if it moved to another namespace. */
  readonly movedTo: { readonly netnsId: number; readonly index: number | undefined } | undefined;
}

/** What to change of a link; absent is left as it is. */
export interface LinkChange {
  readonly up?: boolean;
  /** Bytes; the range is the driver's (`LinkInfo.minMtu`, `maxMtu`). */
  readonly mtu?: number;
  /** TUN devices have none: VNIC_UNSUPPORTED. */
  readonly mac?: MacAddress;
  readonly promisc?: boolean;
  readonly allMulticast?: boolean;
  readonly arp?: boolean;
  readonly multicast?: boolean;
  /** Packets. */
  readonly txQueueLen?: number;
  /**
   * Plug it in or out, where the driver has a carrier to set: TUN/TAP devices that somebody holds, dummies.
   * Others refuse it: VNIC_UNSUPPORTED.
   */
  readonly carrier?: boolean;
  /** The new name. */
  readonly name?: string;
  /** Free text of up to 255 bytes; empty takes it away. */
  readonly alias?: string;
  readonly group?: number;
  /** Make it a port of this bridge or bond, by index; 0 takes it out. */
  readonly master?: number;
  /**
   * Move it to another network namespace, where it is down, without addresses and, if need be, under another index; what
   * else is asked for is done there. Bridges cannot be moved.
   */
  readonly netns?: NetnsSelector;
  /** Of a bridge. */
  readonly bridge?: BridgeSettings;
  /** Of a port of a bridge, which this same change may make it. */
  readonly bridgePort?: BridgePortSettings;
}

/**
 * Reads the body of `RTM_NEWLINK` or `RTM_DELLINK`.
 * @returns undefined for a message of another family: a bridge speaks of its ports in the same types, and its
 *   `RTM_DELLINK` means that a port left, not that the link is gone.
 */
export function parseLink(body: Uint8Array): LinkInfo | undefined | MessageFault {
  const parsed = parseBody(body, IFINFOMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  if (fixed.getUint8(0) !== AF_UNSPEC) return undefined;
  const linkTypeNumber = fixed.getUint16(2, littleEndian);
  const flagBits = fixed.getUint32(8, littleEndian);
  const info = attributes.nested(Ifla.LINKINFO);
  const kind = info?.text(IflaInfo.KIND);
  return {
    index: fixed.getInt32(4, littleEndian),
    name: attributes.text(Ifla.IFNAME) ?? '',
    altNames: parseAltNames(attributes),
    kind,
    tun: kind === 'tun' ? parseTun(info?.nested(IflaInfo.DATA)) : undefined,
    bridge: kind === 'bridge' ? parseBridge(info?.nested(IflaInfo.DATA)) : undefined,
    bridgePort:
      info?.text(IflaInfo.SLAVE_KIND) === 'bridge' ? parseBridgePort(info.nested(IflaInfo.SLAVE_DATA)) : undefined,
    flags: linkFlags(flagBits),
    flagBits,
    isUp: (flagBits & Iff.UP) !== 0,
    isRunning: (flagBits & Iff.RUNNING) !== 0,
    operState: operStates.name(attributes.u8(Ifla.OPERSTATE) ?? 0),
    mtu: attributes.u32(Ifla.MTU) ?? 0,
    minMtu: attributes.u32(Ifla.MIN_MTU),
    maxMtu: attributes.u32(Ifla.MAX_MTU),
    mac: macOf(attributes.bytes(Ifla.ADDRESS)),
    broadcast: macOf(attributes.bytes(Ifla.BROADCAST)),
    linkType: linkTypes.name(linkTypeNumber),
    linkTypeNumber,
    txQueueLen: attributes.u32(Ifla.TXQLEN) ?? 0,
    promiscuity: attributes.u32(Ifla.PROMISCUITY) ?? 0,
    master: attributes.u32(Ifla.MASTER),
    link: attributes.u32(Ifla.LINK),
    netnsId: attributes.i32(Ifla.LINK_NETNSID),
    group: attributes.u32(Ifla.GROUP) ?? 0,
    qdisc: attributes.text(Ifla.QDISC),
    alias: attributes.text(Ifla.IFALIAS),
    carrierChanges: attributes.u32(Ifla.CARRIER_CHANGES),
    numTxQueues: attributes.u32(Ifla.NUM_TX_QUEUES),
    numRxQueues: attributes.u32(Ifla.NUM_RX_QUEUES),
    statistics: parseLinkStatistics(attributes.bytes(Ifla.STATS64)),
    movedTo: parseMovedTo(attributes),
  };
}

/** Flag names in the order of iproute2, which leaves `RUNNING` out and says when it is missing. */
export function linkFlags(bits: number): LinkFlag[] {
  const noCarrier: LinkFlag[] = (bits & Iff.UP) !== 0 && (bits & Iff.RUNNING) === 0 ? ['NO-CARRIER'] : [];
  return [...noCarrier, ...flagNames(bits, printedFlags)];
}

/** In the order of `print_link_flags` of iproute2. */
const printedFlags: Readonly<Record<Exclude<LinkFlag, 'NO-CARRIER'>, number>> = {
  LOOPBACK: Iff.LOOPBACK,
  BROADCAST: Iff.BROADCAST,
  POINTOPOINT: Iff.POINTOPOINT,
  MULTICAST: Iff.MULTICAST,
  NOARP: Iff.NOARP,
  ALLMULTI: Iff.ALLMULTI,
  PROMISC: Iff.PROMISC,
  MASTER: Iff.MASTER,
  SLAVE: Iff.SLAVE,
  DEBUG: Iff.DEBUG,
  DYNAMIC: Iff.DYNAMIC,
  AUTOMEDIA: Iff.AUTOMEDIA,
  PORTSEL: Iff.PORTSEL,
  NOTRAILERS: Iff.NOTRAILERS,
  UP: Iff.UP,
  LOWER_UP: Iff.LOWER_UP,
  DORMANT: Iff.DORMANT,
  ECHO: Iff.ECHO,
};

/**
 * Appends `struct ifinfomsg` and, for a name, the attribute that selects by it. The kernel finds alternative
 * names by `IFLA_IFNAME` too, as long as they fit it.
 */
export function putLinkSelector(
  builder: MessageBuilder,
  link: LinkSelector | undefined,
  flags: { readonly bits: number; readonly mask: number } = { bits: 0, mask: 0 },
): MessageBuilder {
  builder.fixed(IFINFOMSG_LEN, (view) => {
    view.setInt32(4, typeof link === 'number' ? link : 0, littleEndian);
    view.setUint32(8, flags.bits, littleEndian);
    view.setUint32(12, flags.mask, littleEndian);
  });
  if (typeof link !== 'string') return builder;
  const fits = interfaceNameLen(link) <= MAX_INTERFACE_NAME_LEN;
  return builder.text(fits ? Ifla.IFNAME : Ifla.ALT_IFNAME, link);
}

/**
 * Appends a change to a request whose link is selected by index, all but what is in nested attributes of the kind.
 * @param index 0 for a link that is made.
 * @param netnsFd descriptor of the namespace of `change.netns`.
 */
export function putLinkChange(
  builder: MessageBuilder,
  index: number,
  change: LinkChange,
  netnsFd?: number,
): MessageBuilder {
  putLinkSelector(builder, index, changedFlags(change));
  if (netnsFd !== undefined) builder.u32(Ifla.NET_NS_FD, netnsFd);
  if (change.mac !== undefined) builder.bytes(Ifla.ADDRESS, change.mac.bytes);
  if (change.mtu !== undefined) builder.u32(Ifla.MTU, change.mtu);
  if (change.txQueueLen !== undefined) builder.u32(Ifla.TXQLEN, change.txQueueLen);
  if (change.carrier !== undefined) builder.bytes(Ifla.CARRIER, Uint8Array.of(change.carrier ? 1 : 0));
  if (change.name !== undefined) builder.text(Ifla.IFNAME, change.name);
  if (change.alias !== undefined) builder.bytes(Ifla.IFALIAS, new TextEncoder().encode(change.alias));
  if (change.group !== undefined) builder.u32(Ifla.GROUP, change.group);
  if (change.master !== undefined) builder.u32(Ifla.MASTER, change.master);
  return builder;
}

function changedFlags(change: LinkChange): { bits: number; mask: number } {
  const wanted: readonly (readonly [boolean | undefined, number])[] = [
    [change.up, Iff.UP],
    [change.promisc, Iff.PROMISC],
    [change.allMulticast, Iff.ALLMULTI],
    [change.multicast, Iff.MULTICAST],
    [change.arp === undefined ? undefined : !change.arp, Iff.NOARP],
  ];
  let bits = 0;
  let mask = 0;
  for (const [on, bit] of wanted) {
    if (on === undefined) continue;
    mask |= bit;
    if (on) bits |= bit;
  }
  return { bits, mask };
}

function parseTun(data: Attributes | undefined): TunInfo | undefined {
  const type = data?.u8(IflaTun.TYPE);
  if (data === undefined || (type !== IFF_TUN && type !== IFF_TAP)) return undefined;
  return {
    kind: type === IFF_TUN ? 'tun' : 'tap',
    owner: data.u32(IflaTun.OWNER),
    group: data.u32(IflaTun.GROUP),
    packetInfo: data.u8(IflaTun.PI) === 1,
    vnetHeader: data.u8(IflaTun.VNET_HDR) === 1,
    persist: data.u8(IflaTun.PERSIST) === 1,
    multiQueue: data.u8(IflaTun.MULTI_QUEUE) === 1,
    numQueues: data.u32(IflaTun.NUM_QUEUES),
    numDisabledQueues: data.u32(IflaTun.NUM_DISABLED_QUEUES),
  };
}

function parseAltNames(attributes: Attributes): string[] {
  return (attributes.nested(Ifla.PROP_LIST)?.all(Ifla.ALT_IFNAME) ?? []).map(decodeText);
}

function parseMovedTo(attributes: Attributes): LinkInfo['movedTo'] {
  const netnsId = attributes.i32(Ifla.NEW_NETNSID);
  return netnsId === undefined ? undefined : { netnsId, index: attributes.u32(Ifla.NEW_IFINDEX) };
}

function macOf(bytes: Uint8Array | undefined): MacAddress | undefined {
  return bytes?.length === 6 ? MacAddress.fromBytes(bytes) : undefined;
}
