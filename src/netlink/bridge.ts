/**
 * Bridges and their ports on the wire: what `IFLA_LINKINFO` holds of the kind `bridge` (`IFLA_BR_*`) and of a link that
 * is a port of one (`IFLA_BRPORT_*`), see `include/uapi/linux/if_link.h`. Times are in 1/100 s (`USER_HZ`) on the wire and
 * in seconds here.
 *
 * Not read: multicast queriers, VLAN tables, timers, per-VLAN statistics.
 */

import { MacAddress } from '../base/index.ts';
import { AF_BRIDGE, Ifla, IflaBr, IflaBrport, IflaInfo } from './constants.ts';
import { type Attributes, littleEndian, type MessageBuilder } from './message.ts';
import { portStates } from './names.ts';

/** `USER_HZ` of every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** `struct ifinfomsg`, see link.ts. */
const IFINFOMSG_LEN = 16;

/** What can be set of a bridge (IEEE 802.1D); absent is left as it is. */
export interface BridgeSettings {
  /** Spanning tree. Default off. */
  readonly stp?: boolean;
  /** Seconds until a learned address is forgotten. Default 300; 0 makes learned ones permanent. */
  readonly ageingTimeSec?: number;
  /** Seconds in each of listening and learning before a port forwards. Default 15; 2 to 30 with STP. */
  readonly forwardDelaySec?: number;
  /** Seconds between hellos, 1 to 10. Default 2. */
  readonly helloTimeSec?: number;
  /** Seconds until a lost root is noticed, 6 to 40. Default 20. */
  readonly maxAgeSec?: number;
  /** Of the election of the root, 0 to 65535, lower wins. Default 32768. */
  readonly priority?: number;
  /** Look at VLAN tags. Default off. */
  readonly vlanFiltering?: boolean;
  /** VLAN of untagged frames of new ports, 1 to 4094, 0 for none. Default 1. */
  readonly vlanDefaultPvid?: number;
  /** Send multicast only where it was asked for (IGMP, MLD). Default on. */
  readonly multicastSnooping?: boolean;
  /** Bit mask of the link-local groups 01-80-C2-00-00-0X to forward. Default 0. */
  readonly groupForwardMask?: number;
}

/** A bridge as the kernel describes it. */
export interface BridgeInfo extends Required<BridgeSettings> {
  /** Priority and MAC address, as `8000.02:00:00:00:00:01`. */
  readonly bridgeId: string;
  readonly rootId: string;
  /** Number of the port towards the root; 0 on the root itself. */
  readonly rootPort: number;
  readonly rootPathCost: number;
}

/** State of a port in the spanning tree. */
export type BridgePortState = 'disabled' | 'listening' | 'learning' | 'forwarding' | 'blocking';

/** What can be set of a port of a bridge; absent is left as it is. */
export interface BridgePortSettings {
  /**
   * Refused while the kernel runs STP, or the port is down. Without STP the kernel makes of every other state than
   * `disabled` at once `forwarding`.
   */
  readonly state?: BridgePortState;
  /** STP: 0 to 63. Default 32. */
  readonly priority?: number;
  /** STP path cost, 1 to 65535. */
  readonly cost?: number;
  /** Send frames back out of the port they came from. Default off. */
  readonly hairpin?: boolean;
  /** Drop STP frames, and block the port that sends them. Default off. */
  readonly guard?: boolean;
  /** Never let the port become the root port. Default off. */
  readonly rootBlock?: boolean;
  readonly fastLeave?: boolean;
  /** Learn addresses from frames. Default on. */
  readonly learning?: boolean;
  /** Send frames for unknown addresses. Default on. */
  readonly flood?: boolean;
  readonly multicastFlood?: boolean;
  readonly broadcastFlood?: boolean;
  /** Answer ARP and neighbour discovery in place of the ports. Default off. */
  readonly neighbourSuppress?: boolean;
  /** No frames between isolated ports. Default off. */
  readonly isolated?: boolean;
  /** Only take frames whose source address is known at this port. Default off. Linux 5.18 and later. */
  readonly locked?: boolean;
}

/** A port as the kernel describes it. */
export interface BridgePortInfo extends Required<BridgePortSettings> {
  /** Number of the port in the bridge. */
  readonly number: number;
}

type Flag = Exclude<keyof BridgePortSettings, 'state' | 'priority' | 'cost'>;

const portFlags: Readonly<Record<Flag, number>> = {
  hairpin: IflaBrport.MODE,
  guard: IflaBrport.GUARD,
  rootBlock: IflaBrport.PROTECT,
  fastLeave: IflaBrport.FAST_LEAVE,
  learning: IflaBrport.LEARNING,
  flood: IflaBrport.UNICAST_FLOOD,
  multicastFlood: IflaBrport.MCAST_FLOOD,
  broadcastFlood: IflaBrport.BCAST_FLOOD,
  neighbourSuppress: IflaBrport.NEIGH_SUPPRESS,
  isolated: IflaBrport.ISOLATED,
  locked: IflaBrport.LOCKED,
};

const timers = {
  forwardDelaySec: IflaBr.FORWARD_DELAY,
  helloTimeSec: IflaBr.HELLO_TIME,
  maxAgeSec: IflaBr.MAX_AGE,
  ageingTimeSec: IflaBr.AGEING_TIME,
} as const;

/** Reads `IFLA_INFO_DATA` of a bridge. */
export function parseBridge(data: Attributes | undefined): BridgeInfo | undefined {
  if (data === undefined) return undefined;
  const seconds = (type: number): number => (data.u32(type) ?? 0) / TICKS_PER_SECOND;
  return {
    stp: data.u32(IflaBr.STP_STATE) !== 0,
    ageingTimeSec: seconds(timers.ageingTimeSec),
    forwardDelaySec: seconds(timers.forwardDelaySec),
    helloTimeSec: seconds(timers.helloTimeSec),
    maxAgeSec: seconds(timers.maxAgeSec),
    priority: data.u16(IflaBr.PRIORITY) ?? 0,
    vlanFiltering: data.u8(IflaBr.VLAN_FILTERING) === 1,
    vlanDefaultPvid: data.u16(IflaBr.VLAN_DEFAULT_PVID) ?? 0,
    multicastSnooping: data.u8(IflaBr.MCAST_SNOOPING) === 1,
    groupForwardMask: data.u16(IflaBr.GROUP_FWD_MASK) ?? 0,
    bridgeId: bridgeIdText(data.bytes(IflaBr.BRIDGE_ID)),
    rootId: bridgeIdText(data.bytes(IflaBr.ROOT_ID)),
    rootPort: data.u16(IflaBr.ROOT_PORT) ?? 0,
    rootPathCost: data.u32(IflaBr.ROOT_PATH_COST) ?? 0,
  };
}

/** Reads `IFLA_INFO_SLAVE_DATA` of a port. */
export function parseBridgePort(data: Attributes | undefined): BridgePortInfo | undefined {
  if (data === undefined) return undefined;
  const flags = Object.entries(portFlags).map(([name, type]) => [name, data.u8(type) === 1]);
  return {
    ...(Object.fromEntries(flags) as Record<Flag, boolean>),
    state: portStates.name(data.u8(IflaBrport.STATE) ?? 0) as BridgePortState,
    priority: data.u16(IflaBrport.PRIORITY) ?? 0,
    cost: data.u32(IflaBrport.COST) ?? 0,
    number: data.u16(IflaBrport.NO) ?? 0,
  };
}

/** Appends `IFLA_LINKINFO` with the settings of a bridge. */
export function putBridge(builder: MessageBuilder, settings: BridgeSettings): MessageBuilder {
  return builder.nested(Ifla.LINKINFO, (info) => {
    info.text(IflaInfo.KIND, 'bridge').nested(IflaInfo.DATA, (data) => putBridgeData(data, settings));
  });
}

/**
 * Appends a whole `RTM_SETLINK` of the family `AF_BRIDGE` with the settings of a port. As `IFLA_INFO_SLAVE_DATA` the kernel
 * would take them too, and at once enable a port that was to be disabled (6.18).
 */
export function putBridgePort(
  builder: MessageBuilder,
  index: number,
  settings: BridgePortSettings,
  attempted: string,
): MessageBuilder {
  const state =
    settings.state === undefined ? undefined : portStates.number(settings.state, attempted, 'the state of a port');
  builder.fixed(IFINFOMSG_LEN, (view) => {
    view.setUint8(0, AF_BRIDGE);
    view.setInt32(4, index, littleEndian);
  });
  return builder.nested(Ifla.PROTINFO, (data) => {
    for (const name of Object.keys(portFlags) as Flag[]) putFlag(data, portFlags[name], settings[name]);
    if (settings.priority !== undefined) data.u16(IflaBrport.PRIORITY, settings.priority);
    if (settings.cost !== undefined) data.u32(IflaBrport.COST, settings.cost);
    if (state !== undefined) data.u8(IflaBrport.STATE, state);
  });
}

function putBridgeData(data: MessageBuilder, settings: BridgeSettings): void {
  for (const [name, type] of Object.entries(timers) as [keyof typeof timers, number][]) {
    const seconds = settings[name];
    if (seconds !== undefined) data.u32(type, Math.round(seconds * TICKS_PER_SECOND));
  }
  if (settings.stp !== undefined) data.u32(IflaBr.STP_STATE, settings.stp ? 1 : 0);
  if (settings.priority !== undefined) data.u16(IflaBr.PRIORITY, settings.priority);
  if (settings.vlanDefaultPvid !== undefined) data.u16(IflaBr.VLAN_DEFAULT_PVID, settings.vlanDefaultPvid);
  if (settings.groupForwardMask !== undefined) data.u16(IflaBr.GROUP_FWD_MASK, settings.groupForwardMask);
  putFlag(data, IflaBr.VLAN_FILTERING, settings.vlanFiltering);
  putFlag(data, IflaBr.MCAST_SNOOPING, settings.multicastSnooping);
}

function putFlag(data: MessageBuilder, type: number, on: boolean | undefined): void {
  if (on !== undefined) data.u8(type, on ? 1 : 0);
}

/** `struct ifla_bridge_id`: 0 priority, 2 bytes | 2 MAC address, 6 bytes. */
function bridgeIdText(bytes: Uint8Array | undefined): string {
  if (bytes?.length !== 8) return '';
  const priority = (((bytes[0] as number) << 8) | (bytes[1] as number)).toString(16).padStart(4, '0');
  return `${priority}.${MacAddress.fromBytes(bytes.subarray(2))}`;
}
