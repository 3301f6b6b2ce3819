/** A configuration as the program has it: checked, addresses in their canonical form, short forms written out. */

import type { BridgePortSettings, BridgeSettings } from '../netlink/index.ts';
import type { LinkOptionsConfig } from './link-options.ts';
import type { SwitchDocument } from './switch-schema.ts';
import type { TunnelDocument } from './tunnel-schema.ts';

/** What a device is. */
export type DeviceKind = 'tun' | 'tap' | 'bridge' | 'veth';

/** A route through the device that it stands under. */
export interface RouteConfig {
  /** A prefix; a default route is `0.0.0.0/0` or `::/0`. */
  readonly to: string;
  readonly via?: string;
  readonly metric?: number;
  /** Default 254, main. */
  readonly table?: number;
  /** Preferred source address. */
  readonly source?: string;
  readonly onlink?: boolean;
  /** Path MTU in bytes. */
  readonly mtu?: number;
}

/** A permanent entry of the ARP or neighbour discovery cache. */
export interface NeighbourConfig {
  readonly address: string;
  readonly mac: string;
}

/** A policy rule: which table a packet is routed by. */
export interface RuleConfig {
  /** Lower is asked first. */
  readonly priority: number;
  readonly table: number;
  readonly from?: string;
  readonly to?: string;
  /** Name of the interface that the packet came in by. */
  readonly in?: string;
  /** Mark of the packet. */
  readonly mark?: number;
}

/** Packets of these sources leave with the address of the interface that they leave by. */
export interface MasqueradeConfig {
  readonly from: string;
  /** Only by this interface. */
  readonly out?: string;
  /** Only by another interface than this. */
  readonly notOut?: string;
}

/** Settings of a port of a bridge that last; its state in the spanning tree does not. */
export type PortConfig = Omit<BridgePortSettings, 'state'>;

/** One device. What is left out is left as it is. */
export interface DeviceConfig {
  /** Its key in the file. */
  readonly id: string;
  /** Its name in the kernel. */
  readonly name: string;
  /** Name below `/run/netns` or path of the network namespace that it is in; left out for that of the process. */
  readonly namespace?: string;
  /** Left out for a device that others make: it must exist, and is never made or deleted. */
  readonly kind?: DeviceKind;
  /** Name or uid. */
  readonly owner?: string;
  /** Name or gid. */
  readonly group?: string;
  readonly multiQueue?: boolean;
  readonly vnetHeader?: boolean;
  readonly packetInfo?: boolean;
  /** The other end of a veth pair. */
  readonly peer?: string;
  /** Network namespace of the other end, where it is another. */
  readonly peerNamespace?: string;
  readonly mac?: string;
  /** Bytes. */
  readonly mtu?: number;
  /** Packets. */
  readonly txQueueLen?: number;
  readonly promisc?: boolean;
  /** Name of the bridge that it is a port of. */
  readonly bridge?: string;
  /** Of a bridge: spanning tree, ageing and more. */
  readonly bridgeSettings?: BridgeSettings;
  /** Of a port of a bridge. */
  readonly portSettings?: PortConfig;
  readonly altNames: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly RouteConfig[];
  readonly neighbours: readonly NeighbourConfig[];
  /** Settings below `net.ipv4.conf.NAME` and `net.ipv6.conf.NAME`, as `ipv4.forwarding`. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** True for a device with a kind unless it says otherwise; undefined for one of others. */
  readonly up?: boolean;
}

/** What a network namespace has beside devices. */
export interface NamespaceConfig {
  /** Kernel settings by name. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly rules: readonly RuleConfig[];
  readonly masquerade: readonly MasqueradeConfig[];
}

/** Two ends that a running service joins. */
export interface LinkConfig extends LinkOptionsConfig {
  /** Its key in the file. */
  readonly name: string;
  /** As `vnic link` and `joinEnds` take them, checked. */
  readonly ends: readonly [string, string];
}

/** A tunnel that a running service carries; exactly one of `listen` and `connect`. */
export interface TunnelConfig extends TunnelDocument {
  /** Its key in the file. */
  readonly name: string;
}

/** A switch that a running service runs. */
export interface SwitchConfig extends SwitchDocument {
  /** Its key in the file. */
  readonly name: string;
}

/** Everything that a file asks for; settings, rules and masquerading are those of the namespace of the process. */
export interface Config extends NamespaceConfig {
  readonly devices: readonly DeviceConfig[];
  /** Further namespaces, made where they are missing. */
  readonly namespaces: Readonly<Record<string, NamespaceConfig>>;
  /** What is joined while a service runs. */
  readonly links: readonly LinkConfig[];
  /** Tunnels that a service carries while it runs. */
  readonly tunnels: readonly TunnelConfig[];
  /** Switches that a service runs. */
  readonly switches: readonly SwitchConfig[];
}
