/** How a switch and its ports are, and why a frame does not pass. */

import { invalidArgument } from '../base/index.ts';
import type { ForwardingDatabaseOptions } from './forwarding-database.ts';

/** How a port is. */
export interface SwitchPortSettings {
  /** VLAN of frames without a tag, 1 to 4094; default 1. With `vlanAware`. */
  readonly pvid?: number;
  /** Further VLANs, whose frames have a tag, or all. Default none. */
  readonly vlans?: readonly number[] | 'all';
  /** Tags of what comes by it are payload: the frame is of `pvid`, and leaves by a trunk with a tag more (802.1Q tunnel). Default false. */
  readonly isTunnel?: boolean;
  /** Frames do not go from one isolated port to another; default false. */
  readonly isIsolated?: boolean;
  /** Frames for many, or for a station that is not known, that are let in a second; default all. */
  readonly stormPacketsPerSec?: number;
  /** Spanning tree: cost of the path by this port, 1 to 200,000,000; default 20,000, 1 Gbit/s (802.1D-2004 table 17-3). */
  readonly pathCost?: number;
  /** Spanning tree: priority of the port, a multiple of 16 up to 240; default 128. */
  readonly stpPriority?: number;
  /** Spanning tree: no bridge is behind it, so that it forwards at once, until a BPDU says otherwise. Default: found out. */
  readonly isEdge?: boolean;
  /** Spanning tree: a BPDU blocks the port, until it is set again; default false. */
  readonly bpduGuard?: boolean;
  /** Servers of DHCP and routers may be behind it, and its addresses are not inspected; default false. */
  readonly isTrusted?: boolean;
  /** It gets every group, as a port with a router does; default: found out. */
  readonly isMulticastRouter?: boolean;
  /** One host is behind it: what leaves a group needs not be asked for others. Default false. */
  readonly fastLeave?: boolean;
}

/** How a switch is. */
export interface SwitchCoreOptions extends ForwardingDatabaseOptions {
  /** Ports at most, 1 to 4096; default 256. */
  readonly maxPorts?: number;
  /** Default false. */
  readonly vlanAware?: boolean;
  /** Which tags it looks at: those of customers (0x8100, the default) or of providers (0x88a8). */
  readonly vlanProtocol?: '802.1Q' | '802.1ad';
  /** Learns nothing: every frame leaves by every other port. Default false. */
  readonly isHub?: boolean;
}

/** Every reason for which a frame does not pass. */
export const switchDropReasons = [
  /** Shorter than its header. */
  'runt',
  /** A source address of a group. */
  'bad-source',
  /** A group address for the neighbour alone. */
  'reserved',
  /** The port only shows what others carry. */
  'mirror',
  /** Spanning tree keeps the port out. */
  'blocked',
  /** Of a VLAN that the port does not have. */
  'vlan',
  /** More for many than the port may send. */
  'storm',
  /** Its station is at the port that it came by. */
  'same-port',
  /** No other port has it, or may have it. */
  'no-port',
  /** A server of DHCP, or a router, at a port that is not trusted. */
  'dhcp-server',
  'router-advertisement',
  /** DHCP of a station for another one. */
  'dhcp-source',
  /** ARP or neighbour discovery that speaks for an address of another. */
  'arp-inspection',
  'nd-inspection',
  /** Nobody wants the group. */
  'no-member',
  /** A virtio-net header that contradicts what follows. */
  'malformed',
] as const;

/** Why a frame does not pass. */
export type SwitchDropReason = (typeof switchDropReasons)[number];

const MAX_VLAN = 4094;
const MAX_PATH_COST = 200_000_000;

/** @throws VNIC_INVALID_ARGUMENT naming the first setting that is out of its range */
export function checkPortSettings(settings: SwitchPortSettings, attempted: string): void {
  const { pvid, vlans, stormPacketsPerSec, pathCost, stpPriority } = settings;
  const check = (isRight: boolean, expected: string, got: unknown): void => {
    if (!isRight) throw invalidArgument(attempted, expected, got);
  };
  const isWithin = (value: number | undefined, least: number, most: number): boolean =>
    value === undefined || (Number.isInteger(value) && value >= least && value <= most);
  check(isWithin(pvid, 1, MAX_VLAN), 'a VLAN of 1 to 4094', pvid);
  if (vlans !== undefined && vlans !== 'all') {
    for (const vlan of vlans) check(isWithin(vlan, 1, MAX_VLAN), 'VLANs of 1 to 4094', vlan);
  }
  check(isWithin(stormPacketsPerSec, 1, 1e9), '1 to 1,000,000,000 frames a second', stormPacketsPerSec);
  check(isWithin(pathCost, 1, MAX_PATH_COST), `a path cost of 1 to ${MAX_PATH_COST}`, pathCost);
  check(isWithin(stpPriority, 0, 240) && (stpPriority ?? 0) % 16 === 0, 'a multiple of 16 up to 240', stpPriority);
}
