/** What an Ethernet proxy is told, what it counts, and why it drops. */

import { type Cidr, type IpAddress, invalidArgument, MacAddress } from '../base/index.ts';
import { HostMacs } from './host-macs.ts';

/** How IP packets get onto an Ethernet segment. */
export interface EthernetProxyOptions {
  /**
   * Addresses and prefixes that are behind the proxy: it answers for them on the segment. A prefix must not include addresses that
   * hosts of the segment have.
   */
  readonly proxied: readonly Cidr[];
  /**
   * Prefixes of the segment, whose hosts are asked for by their addresses. What is outside of them goes to the gateway; without
   * a gateway of its family, everything is asked for.
   */
  readonly onLink?: readonly Cidr[];
  /** Routers of the segment, at most one a family. */
  readonly gateways?: readonly IpAddress[];
  /** Of the proxy; default derived from the first proxied address, locally administered, so that it stays the same. */
  readonly mac?: MacAddress;
  /** Neighbours that are remembered, 1 to 65536; default 1024. */
  readonly neighbours?: number;
}

/** The proxy's reasons with what they mean, in one sentence. */
export const proxyDropReasons = {
  truncated: 'A frame or packet that ends before its header says.',
  'bad-version': 'A packet that is neither IPv4 nor IPv6, or not what its frame says.',
  'bad-source': 'A frame from a group address, or from the proxy itself.',
  'not-for-us': 'A frame for another station.',
  'other-protocol': 'A frame that carries neither ARP nor IP.',
  'neighbour-discovery':
    'A message of ARP or neighbour discovery that is malformed, or asks for nothing that is behind the proxy.',
  'address-conflict': 'Somebody on the segment claims a proxied address.',
  unresolved: 'A packet for a host of the segment that did not answer, or one too many that waited for it.',
  'outbox-full': 'A frame that found no room, because the segment does not take them.',
} as const;

/** A key of `proxyDropReasons`. */
export type ProxyDropReason = keyof typeof proxyDropReasons;

/** Totals since the proxy was created. */
export interface EthernetProxyCounters {
  /** IP packets put into frames. */
  readonly packetsSent: number;
  /** IP packets taken out of frames. */
  readonly packetsReceived: number;
  readonly arpRequests: number;
  readonly arpReplies: number;
  readonly neighborSolicitations: number;
  readonly neighborAdvertisements: number;
  readonly dropped: Readonly<Record<ProxyDropReason, number>>;
}

/** The same, open for counting. */
export type MutableProxyCounters = { -readonly [Key in Exclude<keyof EthernetProxyCounters, 'dropped'>]: number } & {
  readonly dropped: Record<ProxyDropReason, number>;
};

export function zeroProxyCounters(): MutableProxyCounters {
  const reasons = Object.keys(proxyDropReasons) as ProxyDropReason[];
  return {
    packetsSent: 0,
    packetsReceived: 0,
    arpRequests: 0,
    arpReplies: 0,
    neighborSolicitations: 0,
    neighborAdvertisements: 0,
    dropped: Object.fromEntries(reasons.map((reason) => [reason, 0])) as Record<ProxyDropReason, number>,
  };
}

const MAX_NEIGHBOURS = 65_536;
const DEFAULT_NEIGHBOURS = 1024;
/** Locally administered; four octets of the address follow. */
const MAC_PREFIX: MacAddress = MacAddress.fromBytes(Uint8Array.of(0x02, 0x76, 0, 0, 0, 0));

/** The options with their defaults, checked. @throws VNIC_INVALID_ARGUMENT */
export function checkProxyOptions(options: EthernetProxyOptions): Required<EthernetProxyOptions> {
  const attempted = 'create an Ethernet proxy';
  const { proxied, onLink = [], gateways = [], neighbours = DEFAULT_NEIGHBOURS } = options;
  const [first] = proxied;
  if (first === undefined) throw invalidArgument(attempted, 'an address that is behind it', 'none');
  const mac = options.mac ?? macOf(first.address);
  if (mac.isMulticast || mac.isUnspecified) throw invalidArgument(attempted, 'a unicast MAC address', mac.toString());
  if (new Set(gateways.map(({ family }) => family)).size < gateways.length) {
    throw invalidArgument(attempted, 'at most one gateway a family', gateways.join(', '));
  }
  if (!Number.isInteger(neighbours) || neighbours < 1 || neighbours > MAX_NEIGHBOURS) {
    throw invalidArgument(attempted, `neighbours as an integer from 1 to ${MAX_NEIGHBOURS}`, neighbours);
  }
  return { proxied, onLink, gateways, mac, neighbours };
}

function macOf({ bytes, family }: IpAddress): MacAddress {
  const mac = new Uint8Array(6);
  new HostMacs(MAC_PREFIX, true).write(mac, 0, bytes, 0, family === 4 ? 4 : 16);
  return MacAddress.fromBytes(mac);
}
