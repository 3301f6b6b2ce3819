/**
 * One line a packet, for people, in the words of tcpdump. The line is made from a `PacketSummary`, so it holds
 * nothing but names and numbers: no octet of a packet reaches a terminal as text.
 */

import { describeIcmpv4, describeIcmpv6, describeTcp } from './describe-upper.ts';
import type { ArpSummary, PacketSummary, SummaryMedium } from './packet-summary.ts';
import { ArpOperation, EtherType, IpProtocol, Ipv4OptionType } from './protocol-numbers.ts';
import { summarizePacket } from './summarize.ts';

/**
 * One decoded line, such as `10.0.0.1 > 10.0.0.2: ICMP echo request, id 7, seq 1, length 64`. What a host would
 * not take ends in `[malformed: REASON]`, or `[bad-checksum]`. Never throws; never holds control characters.
 * @param medium what the bytes start with: an IP header or an Ethernet header
 */
export function describePacket(bytes: Uint8Array, medium: SummaryMedium): string {
  return describeSummary(summarizePacket(bytes, medium));
}

/** The line for a summary that is there already; see `describePacket`. */
export function describeSummary(packet: PacketSummary): string {
  const line = describeTags(packet) + describeLayers(packet);
  if (packet.drop === undefined) return line;
  return `${line} ${packet.drop === 'bad-checksum' ? '[bad-checksum]' : `[malformed: ${packet.drop}]`}`;
}

function describeTags(packet: PacketSummary): string {
  return (packet.vlan ?? [])
    .map(({ tpid, vlanId, priority, dropEligible }) => {
      const service = tpid === EtherType.serviceVlan ? 's-vlan' : 'vlan';
      return `${service} ${vlanId}, p ${priority}${dropEligible ? ', DEI' : ''}, `;
    })
    .join('');
}

function describeLayers(packet: PacketSummary): string {
  if (packet.arp !== undefined) return describeArp(packet.arp);
  if (packet.ipv4 !== undefined) return describeIpv4(packet, packet.ipv4);
  if (packet.ipv6 !== undefined) return describeIpv6(packet, packet.ipv6);
  return packet.ethernet === undefined ? `length ${packet.length}` : describeFrame(packet, packet.ethernet);
}

function describeFrame(packet: PacketSummary, ethernet: NonNullable<PacketSummary['ethernet']>): string {
  const route = `${ethernet.source} > ${ethernet.destination}`;
  if (ethernet.length !== undefined) return `${route}, 802.3, length ${ethernet.length}`;
  const type = packet.vlan?.at(-1)?.etherType ?? ethernet.etherType ?? 0;
  const name = etherTypeName(type);
  const hex = `0x${type.toString(16).padStart(4, '0')}`;
  return `${route}, ethertype ${name === undefined ? hex : `${name} (${hex})`}, length ${packet.length}`;
}

function etherTypeName(type: number): string | undefined {
  switch (type) {
    case EtherType.ipv4:
      return 'IPv4';
    case EtherType.ipv6:
      return 'IPv6';
    case EtherType.arp:
      return 'ARP';
    case EtherType.lldp:
      return 'LLDP';
    case EtherType.eapol:
      return 'EAPOL';
    case EtherType.pause:
      return 'MAC control';
    case EtherType.vlan:
    case EtherType.serviceVlan:
    case EtherType.oldStackedVlan:
      return 'VLAN';
    default:
      return undefined;
  }
}

function describeArp(arp: ArpSummary): string {
  const { operation, senderProtocolAddress: sender, targetProtocolAddress: target } = arp;
  if (operation === ArpOperation.request) {
    const purpose = arp.purpose === undefined ? '' : ` (${arp.purpose})`;
    return `ARP, Request who-has ${target} tell ${sender}${purpose}, length 28`;
  }
  if (operation === ArpOperation.reply) return `ARP, Reply ${sender} is-at ${arp.senderHardwareAddress}, length 28`;
  return `ARP, operation ${operation}, ${sender} to ${target}, length 28`;
}

function describeIpv4(packet: PacketSummary, ip: NonNullable<PacketSummary['ipv4']>): string {
  const options = ip.options === undefined ? '' : ` options [${ip.options.map(ipv4OptionName).join(',')}]`;
  const isFragment = ip.moreFragments || ip.fragmentOffset > 0;
  const upper = describeUpper(packet, ip.protocol, ip.fragmentOffset > 0);
  return `${describeRoute(packet, ip)}:${options} ${upper}${isFragment ? describeFragment(ip) : ''}`;
}

function describeIpv6(packet: PacketSummary, ip: NonNullable<PacketSummary['ipv6']>): string {
  const extensions = (ip.extensions ?? []).map((protocol) => `${protocolName(protocol)} `).join('');
  const upper = describeUpper(packet, ip.protocol, (ip.fragment?.fragmentOffset ?? 0) > 0);
  const fragment = ip.fragment === undefined ? '' : describeFragment(ip.fragment);
  return `${describeRoute(packet, ip)}: ${extensions}${upper}${fragment}`;
}

function describeFragment(fragment: {
  identification: number;
  fragmentOffset: number;
  moreFragments: boolean;
}): string {
  const { identification, fragmentOffset, moreFragments } = fragment;
  return ` (frag id ${identification} offset ${fragmentOffset}${moreFragments ? ' more' : ''})`;
}

/** `source > destination`, each with its port where there is one, joined by a dot as tcpdump does. */
function describeRoute(packet: PacketSummary, ip: { source: string; destination: string }): string {
  const ports = packet.udp ?? packet.tcp ?? packet.ports;
  if (ports === undefined) return `${ip.source} > ${ip.destination}`;
  return `${ip.source}.${ports.sourcePort} > ${ip.destination}.${ports.destinationPort}`;
}

function describeUpper(packet: PacketSummary, protocol: number, isLaterFragment: boolean): string {
  const length = packet.payloadLength ?? 0;
  if (packet.udp !== undefined) return `UDP, length ${packet.udp.length - 8}`;
  if (packet.tcp !== undefined) return describeTcp(packet.tcp);
  if (packet.icmpv4 !== undefined) return describeIcmpv4(packet.icmpv4);
  if (packet.icmpv6 !== undefined) return describeIcmpv6(packet.icmpv6, packet.ndp);
  if (protocol === IpProtocol.noNextHeader && !isLaterFragment) return 'no next header';
  return `${protocolName(protocol)}, length ${length}`;
}

/** The usual short name of an IP protocol or IPv6 extension header; `ip-proto-N` for others. */
export function protocolName(protocol: number): string {
  return protocolNames.get(protocol) ?? `ip-proto-${protocol}`;
}

const protocolNames: ReadonlyMap<number, string> = new Map<number, string>([
  [IpProtocol.hopByHop, 'HBH'],
  [IpProtocol.icmpv4, 'ICMP'],
  [IpProtocol.igmp, 'IGMP'],
  [IpProtocol.ipv4, 'IP'],
  [IpProtocol.tcp, 'TCP'],
  [IpProtocol.udp, 'UDP'],
  [IpProtocol.ipv6, 'IP6'],
  [IpProtocol.routing, 'RT'],
  [IpProtocol.fragment, 'FRAG'],
  [IpProtocol.gre, 'GRE'],
  [IpProtocol.esp, 'ESP'],
  [IpProtocol.authentication, 'AH'],
  [IpProtocol.icmpv6, 'ICMP6'],
  [IpProtocol.noNextHeader, 'no next header'],
  [IpProtocol.destinationOptions, 'DSTOPT'],
  [IpProtocol.sctp, 'SCTP'],
]);

function ipv4OptionName(type: number): string {
  return ipv4OptionNames.get(type) ?? `option ${type}`;
}

const ipv4OptionNames: ReadonlyMap<number, string> = new Map<number, string>([
  [Ipv4OptionType.noOperation, 'nop'],
  [Ipv4OptionType.recordRoute, 'RR'],
  [Ipv4OptionType.timestamp, 'TS'],
  [Ipv4OptionType.security, 'SEC'],
  [Ipv4OptionType.looseSourceRoute, 'LSRR'],
  [Ipv4OptionType.strictSourceRoute, 'SSRR'],
  [Ipv4OptionType.routerAlert, 'RA'],
]);
