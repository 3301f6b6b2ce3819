/**
 * One change of the network of this machine, as data that survives a process: JSON in, JSON out.
 *
 * A change says what it was before and what it is after, so it can be described, done, turned round and undone, all
 * from the same value. `add` and `remove` are for what is there or not; `before` and `after` for what has a value.
 */

import type { BridgePortSettings, BridgeSettings } from '../netlink/index.ts';

/** The mark of vnic on addresses (`IFA_PROTO`) and routes (`rtm_protocol`): `ip route show proto 86`. */
export const VNIC_PROTOCOL: number = 86;

/** An interface. The index is its identity: a name may be given away and taken again. */
export interface LinkRef {
  readonly name: string;
  readonly index: number;
}

/** How a device is made; what is left out is the kernel's default. */
export type DeviceMake =
  | {
      readonly kind: 'tun' | 'tap';
      readonly multiQueue?: boolean;
      readonly vnetHeader?: boolean;
      readonly packetInfo?: boolean;
      readonly owner?: number;
      readonly group?: number;
    }
  | { readonly kind: 'bridge' }
  | { readonly kind: 'veth'; readonly peer: LinkRef; readonly peerNetns?: NetnsRef };

/** A network namespace by its name below `/run/netns`, or by a path. */
export interface NetnsRef {
  readonly name: string;
  /** The one that was meant, which a later one of the same name is not; 0 while it is yet to be made. */
  readonly inode: number;
}

/** Where a change is made. */
interface InNamespace {
  /** Left out for the namespace of the process. */
  readonly netns?: NetnsRef;
}

/** A namespace made or deleted, with everything in it. */
export interface NamespaceChange {
  readonly resource: 'namespace';
  readonly action: 'add' | 'remove';
  readonly netns: NetnsRef;
}

/** A device made or deleted, with all that is on it. */
export interface DeviceChange extends InNamespace {
  readonly resource: 'device';
  readonly action: 'add' | 'remove';
  readonly link: LinkRef;
  readonly make: DeviceMake;
}

type BridgeKeys = { readonly [Key in keyof BridgeSettings as `bridge.${Key}`]?: BridgeSettings[Key] };
type PortKeys = { readonly [Key in keyof PortSettings as `port.${Key}`]?: PortSettings[Key] };

/** Settings of a port of a bridge that last; its state in the spanning tree does not. */
export type PortSettings = Omit<BridgePortSettings, 'state'>;

/** Settings of a link; only those that change are there. `bridge.stp` is of a bridge, `port.isolated` of a port of one. */
export interface LinkSettings extends BridgeKeys, PortKeys {
  readonly up?: boolean;
  /** Bytes. */
  readonly mtu?: number;
  readonly mac?: string;
  /** Packets. */
  readonly txQueueLen?: number;
  readonly promisc?: boolean;
  /** Index of the bridge that it is a port of; 0 for none. */
  readonly master?: number;
}

/** Settings of a link; both sides have the same keys. */
export interface LinkChange extends InNamespace {
  readonly resource: 'link';
  readonly link: LinkRef;
  readonly before: LinkSettings;
  readonly after: LinkSettings;
  /** Name of the bridge of `master`, for people. */
  readonly bridge?: string;
}

/** Who may attach to a TUN/TAP device. The kernel cannot take an owner back, so only devices of our own are changed. */
export interface OwnerChange extends InNamespace {
  readonly resource: 'owner';
  readonly link: LinkRef;
  readonly before: { readonly owner?: number; readonly group?: number };
  readonly after: { readonly owner?: number; readonly group?: number };
}

/** An address of an interface. */
export interface AddressChange extends InNamespace {
  readonly resource: 'address';
  readonly action: 'add' | 'remove';
  readonly link: LinkRef;
  /** `10.0.0.1/24` */
  readonly cidr: string;
}

/** What identifies a route and says where it leads. */
export interface RouteFields {
  /** A prefix; a default route is `0.0.0.0/0` or `::/0`. */
  readonly to: string;
  readonly via?: string;
  readonly metric?: number;
  /** Default 254, main. */
  readonly table?: number;
  readonly source?: string;
  readonly onlink?: boolean;
  /** Path MTU in bytes. */
  readonly mtu?: number;
}

/** A route through an interface. */
export interface RouteChange extends InNamespace {
  readonly resource: 'route';
  readonly action: 'add' | 'remove';
  readonly link: LinkRef;
  readonly route: RouteFields;
}

/** A permanent entry of the ARP or neighbour discovery cache. */
export interface NeighbourChange extends InNamespace {
  readonly resource: 'neighbour';
  readonly action: 'add' | 'remove';
  readonly link: LinkRef;
  readonly address: string;
  readonly mac: string;
}

/** A further name of an interface. */
export interface AltNameChange extends InNamespace {
  readonly resource: 'altName';
  readonly action: 'add' | 'remove';
  readonly link: LinkRef;
  readonly altName: string;
}

/** A kernel setting below /proc/sys. */
export interface SysctlChange extends InNamespace {
  readonly resource: 'sysctl';
  /** The interface of which it is a setting, if it is one of an interface. */
  readonly link?: LinkRef;
  /** `net.ipv4.ip_forward`; with slashes where a part has a dot: `net/ipv4/conf/eth0.5/forwarding`. */
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

/** A policy rule. */
export interface RuleChange extends InNamespace {
  readonly resource: 'rule';
  readonly action: 'add' | 'remove';
  readonly family: 4 | 6;
  readonly priority: number;
  /** 0 with an action. */
  readonly table: number;
  /** Instead of looking in a table: the sender is told that there is no way. */
  readonly verdict?: 'unreachable';
  readonly from?: string;
  readonly to?: string;
  readonly in?: string;
  readonly mark?: number;
  /** IP protocol number. */
  readonly ipProtocol?: number;
  /** Needs `ipProtocol`. */
  readonly destinationPort?: number;
  /** Ignore routes of the table with a prefix of this length or shorter. */
  readonly suppressPrefixLength?: number;
}

/** Packets of a source leave with the address of the interface that they leave by. */
export interface MasqueradeChange extends InNamespace {
  readonly resource: 'masquerade';
  readonly action: 'add' | 'remove';
  readonly from: string;
  readonly out?: string;
  readonly notOut?: string;
}

/** Any change. */
export type Change =
  | NamespaceChange
  | RuleChange
  | MasqueradeChange
  | DeviceChange
  | LinkChange
  | OwnerChange
  | AddressChange
  | RouteChange
  | NeighbourChange
  | AltNameChange
  | SysctlChange;
