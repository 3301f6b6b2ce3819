/**
 * The shape of a packet summary: plain data, layer by layer. `summarize.ts` fills it in.
 *
 * Every value is a number, a boolean, a text made by this library, or an array of those.
 */

import type { DropReason } from './drop-reason.ts';
import type { NdpOption } from './ndp-option.ts';
import type { SackBlock, TcpOption } from './tcp-option.ts';

/** What a link carries: IP packets (TUN) or Ethernet frames (TAP). */
export type SummaryMedium = 'ip' | 'ethernet';

/** What is known of a packet beside its bytes. */
export interface SummaryOptions {
  /**
   * The checksum above IP is still to be computed by the network card, so it is not judged; default false. The
   * checksum of an IPv4 header is.
   */
  readonly checksumPending?: boolean;
}

/** The Ethernet header: `etherType`, or `length` in an 802.3 frame. */
export interface EthernetSummary {
  readonly source: string;
  readonly destination: string;
  readonly etherType?: number;
  readonly length?: number;
}

/** One VLAN tag; `tpid` is the type that announced it. */
export interface VlanSummary {
  readonly tpid: number;
  readonly vlanId: number;
  readonly priority: number;
  readonly dropEligible: boolean;
  readonly etherType: number;
}

/** An ARP packet. */
export interface ArpSummary {
  readonly operation: number;
  readonly senderHardwareAddress: string;
  readonly senderProtocolAddress: string;
  readonly targetHardwareAddress: string;
  readonly targetProtocolAddress: string;
  /** RFC 5227: probe, announcement, or neither. */
  readonly purpose?: 'probe' | 'announcement';
}

/** An IPv4 header; lengths and offsets in octets. */
export interface Ipv4Summary {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly ttl: number;
  readonly dscp: number;
  readonly ecn: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  readonly fragmentOffset: number;
  readonly headerLength: number;
  readonly totalLength: number;
  /** Types of the options, in their order. */
  readonly options?: readonly number[];
  readonly checksumOk: boolean;
}

/** An IPv6 header with what its extension headers say. */
export interface Ipv6Summary {
  readonly source: string;
  readonly destination: string;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly payloadLength: number;
  /** Protocol numbers of the extension headers, in their order. */
  readonly extensions?: readonly number[];
  /** Protocol behind the extension headers. */
  readonly protocol: number;
  readonly fragment?: {
    readonly identification: number;
    readonly fragmentOffset: number;
    readonly moreFragments: boolean;
  };
}

/** An ICMPv4 message; the optional fields are those of its type. */
export interface Icmpv4Summary {
  readonly type: number;
  readonly code: number;
  /** Octets of the message. */
  readonly length: number;
  /** Absent where the message is not whole, or its checksum pending. */
  readonly checksumOk?: boolean;
  readonly identifier?: number;
  readonly sequenceNumber?: number;
  readonly nextHopMtu?: number;
  readonly pointer?: number;
  readonly gateway?: string;
  /** The packet that caused the error. */
  readonly original?: PacketSummary;
}

/** An ICMPv6 message; the optional fields are those of its type. */
export interface Icmpv6Summary {
  readonly type: number;
  readonly code: number;
  readonly length: number;
  readonly checksumOk?: boolean;
  readonly identifier?: number;
  readonly sequenceNumber?: number;
  readonly mtu?: number;
  readonly pointer?: number;
  readonly original?: PacketSummary;
}

/** A neighbour discovery option; the optional fields are those of its kind. */
export interface NdpOptionSummary {
  readonly kind: NdpOption['kind'];
  readonly type?: number;
  readonly address?: string;
  readonly prefix?: string;
  readonly onLink?: boolean;
  readonly autonomous?: boolean;
  readonly validLifetimeSeconds?: number;
  readonly preferredLifetimeSeconds?: number;
  readonly mtu?: number;
  readonly lifetimeSeconds?: number;
  readonly servers?: readonly string[];
  readonly length?: number;
}

/** What a neighbour discovery message says beyond ICMPv6. */
export interface NdpSummary {
  readonly kind:
    | 'routerSolicitation'
    | 'routerAdvertisement'
    | 'neighborSolicitation'
    | 'neighborAdvertisement'
    | 'redirect';
  readonly target?: string;
  readonly destination?: string;
  readonly router?: boolean;
  readonly solicited?: boolean;
  readonly override?: boolean;
  readonly curHopLimit?: number;
  readonly managed?: boolean;
  readonly otherConfig?: boolean;
  readonly routerLifetimeSeconds?: number;
  readonly reachableTimeMs?: number;
  readonly retransTimerMs?: number;
  readonly options: readonly NdpOptionSummary[];
}

/** A UDP header. */
export interface UdpSummary {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length: number;
  /** Absent where the datagram is not whole, or its checksum pending; `none` where the sender computed none. */
  readonly checksum?: 'ok' | 'bad' | 'none';
}

/** A TCP option; the optional fields are those of its kind. */
export interface TcpOptionSummary {
  readonly kind: TcpOption['kind'];
  readonly type?: number;
  readonly size?: number;
  readonly shift?: number;
  readonly blocks?: readonly SackBlock[];
  readonly value?: number;
  readonly echoReply?: number;
  readonly length?: number;
}

/** A TCP header; `flags` are bits of `TcpFlag`. */
export interface TcpSummary {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequenceNumber: number;
  readonly acknowledgmentNumber: number;
  readonly flags: number;
  readonly window: number;
  readonly urgentPointer: number;
  readonly options: readonly TcpOptionSummary[];
  readonly payloadLength: number;
  readonly checksumOk?: boolean;
}

/** The layers that could be read, outermost first, and what is wrong with the packet, if anything. */
export interface PacketSummary {
  /** Octets that were handed in. */
  readonly length: number;
  readonly ethernet?: EthernetSummary;
  readonly vlan?: readonly VlanSummary[];
  readonly arp?: ArpSummary;
  readonly ipv4?: Ipv4Summary;
  readonly ipv6?: Ipv6Summary;
  readonly icmpv4?: Icmpv4Summary;
  readonly icmpv6?: Icmpv6Summary;
  readonly ndp?: NdpSummary;
  readonly udp?: UdpSummary;
  readonly tcp?: TcpSummary;
  /** Ports of a UDP or TCP header of which the rest is cut off. */
  readonly ports?: { readonly sourcePort: number; readonly destinationPort: number };
  /** Octets behind the last header that was read, without link-layer padding. */
  readonly payloadLength?: number;
  /** Why a host would not take it. */
  readonly drop?: DropReason;
}

/** A summary while it is being filled. */
export type SummaryDraft = { -readonly [Key in keyof PacketSummary]: PacketSummary[Key] };
