/** One short sentence for each kind of packet that a newcomer may wonder about. */

import { Icmpv4Type, Icmpv6Type, type PacketSummary } from '../../wire/index.ts';

/** The kinds that the demo explains and counts. */
export type PacketKind =
  | 'echo request'
  | 'echo reply'
  | 'arp request'
  | 'arp reply'
  | 'neighbor solicitation'
  | 'neighbor advertisement'
  | 'router solicitation'
  | 'multicast report'
  | 'duplicate address detection'
  | 'other';

const notes: Readonly<Partial<Record<PacketKind, string>>> = {
  'arp request': 'The kernel asks which MAC address has that IPv4 address.',
  'arp reply': 'This program says: mine.',
  'neighbor solicitation': 'The same question for IPv6, by ICMPv6.',
  'neighbor advertisement': 'This program says: mine.',
  'router solicitation': 'The kernel looks for an IPv6 router, as on every new interface. Nobody answers.',
  'multicast report': 'The kernel tells which multicast groups it is in, as on every new interface.',
  'duplicate address detection': 'The kernel asks whether somebody has its own new address. Silence means no.',
};

/** The sentence for a kind; undefined for one that speaks for itself. */
export function noteOf(kind: PacketKind): string | undefined {
  return notes[kind];
}

export function kindOf({ arp, icmpv4, icmpv6, ipv6 }: PacketSummary): PacketKind {
  if (arp !== undefined) return arp.operation === 1 ? 'arp request' : 'arp reply';
  if (icmpv4?.type === Icmpv4Type.echoRequest || icmpv6?.type === Icmpv6Type.echoRequest) return 'echo request';
  if (icmpv4?.type === Icmpv4Type.echoReply || icmpv6?.type === Icmpv6Type.echoReply) return 'echo reply';
  switch (icmpv6?.type) {
    case Icmpv6Type.neighborSolicitation:
      return ipv6?.source === '::' ? 'duplicate address detection' : 'neighbor solicitation';
    case Icmpv6Type.neighborAdvertisement:
      return 'neighbor advertisement';
    case Icmpv6Type.routerSolicitation:
      return 'router solicitation';
    case MLD_REPORT_V2:
      return 'multicast report';
    default:
      return 'other';
  }
}

/** RFC 9777 section 5.2. */
const MLD_REPORT_V2 = 143;
