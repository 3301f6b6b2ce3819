/**
 * "Packet too big", for the sender of a packet that does not fit the next link: ICMPv4 type 3 code 4 with the next-hop MTU
 * (RFC 792, RFC 1191 section 4, RFC 1812 section 4.3) and ICMPv6 type 2 (RFC 4443 section 3.2, RFC 8201).
 *
 * The answer comes from the address that the packet was sent to, unless another is given. A tunnel mostly has no address inside;
 * that of the destination is the one which the sender's reverse path filter surely lets through, since the route to it leads here, and
 * senders match the message by the packet quoted in it. A router's own address would look tidier in a trace and needs one that
 * is routed.
 *
 * Not answered: what RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e) forbid, and IPv6 packets of up to 1280 bytes, which no
 * sender makes shorter. The exception of RFC 4443 for multicast destinations is not used: they have no address to answer from.
 */

import type { IpAddress } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import {
  type DropReason,
  emitIcmpv4,
  emitIcmpv6,
  emitIpv4,
  emitIpv6,
  Icmpv4UnreachableCode,
  Icmpv6Type,
  IpProtocol,
  Ipv4View,
  Ipv6ExtensionWalker,
  Ipv6View,
  icmpv4HeaderLen,
  icmpv6HeaderLen,
  ipv4MinHeaderLen,
  ipv6HeaderLen,
  isIcmpv4Error,
  u8,
  u32,
} from '../wire/index.ts';
import { type FrameHeaders, frameHeaders, isBetweenStations, putAnswerHeader } from './frame-headers.ts';
import { IPV6_MIN_MTU } from './overhead.ts';

/** Why there is no answer. */
export type UnansweredReason =
  | DropReason
  /** Not IP, or cut off. */
  | 'not-ip'
  /** IPv4 without "don't fragment": it is to be fragmented. */
  | 'fragmentable'
  /** An ICMP error is never answered with one. */
  | 'icmp-error'
  /** Not the first fragment: the first was answered. */
  | 'later-fragment'
  /** Sent to many, by address or by frame. */
  | 'multicast'
  /** The source is nobody, or many. */
  | 'bad-source'
  /** An IPv6 packet of no more than 1280 bytes, which every link has to carry (RFC 8200 section 5). */
  | 'ipv6-minimum';

/** How answers are made. */
export interface PacketTooBigOptions {
  readonly medium: Medium;
  /** Where answers to IPv4 come from; default the destination of the packet. */
  readonly source4?: IpAddress;
  /** Where answers to IPv6 come from; default the same. */
  readonly source6?: IpAddress;
}

/** RFC 1812 section 4.3.2.3: an ICMPv4 error is at most this long, its IP header counted. */
const ICMPV4_ERROR_MAX_LEN = 576;
/** "Internetwork control", as RFC 1812 section 4.3.2.5 asks of errors. */
const CONTROL_DSCP = 48;
const HOP_LIMIT = 64;
const NDP_REDIRECT: number = Icmpv6Type.redirect;

/**
 * The answer to a packet that is longer than the MTU of the next link: a packet of its own or, of Ethernet, a frame with swapped
 * stations and the same VLAN tags.
 * @param packet as the link carries it; only read
 * @param mtu of the next link, link header not counted. To IPv6 senders never less than 1280 is told, since they would not follow
 * @returns the bytes, which are the caller's, or why there is none
 */
export function packetTooBig(
  packet: Uint8Array,
  mtu: number,
  options: PacketTooBigOptions,
): Uint8Array | UnansweredReason {
  const headers = frameHeaders(packet, options.medium);
  if (headers?.family === undefined) return 'not-ip';
  if (!isBetweenStations(packet, headers)) return 'multicast';
  return headers.family === 4
    ? answerIpv4(packet, headers, mtu, options.source4)
    : answerIpv6(packet, headers, mtu, options.source6);
}

function answerIpv4(
  packet: Uint8Array,
  headers: FrameHeaders,
  mtu: number,
  given: IpAddress | undefined,
): Uint8Array | UnansweredReason {
  const ip = new Ipv4View();
  const reason = ip.wrap(packet, headers.headerLen, packet.length - headers.headerLen);
  if (reason !== undefined) return reason;
  if (!ip.checksumOk) return 'bad-checksum';
  if (!ip.dontFragment) return 'fragmentable';
  if (ip.fragmentOffset > 0) return 'later-fragment';
  if (!isIpv4Host(packet, ip.destinationOffset)) return 'multicast';
  if (!isIpv4Host(packet, ip.sourceOffset)) return 'bad-source';
  const isIcmp = ip.protocol === IpProtocol.icmpv4;
  if (isIcmp && (ip.payloadLen === 0 || isIcmpv4Error(u8(packet, ip.payloadOffset)))) return 'icmp-error';
  const quotedLen = Math.min(ip.totalLength, ICMPV4_ERROR_MAX_LEN - ipv4MinHeaderLen - icmpv4HeaderLen);
  const payloadLen = icmpv4HeaderLen + quotedLen;
  const out = new Uint8Array(headers.headerLen + ipv4MinHeaderLen + payloadLen);
  putAnswerHeader(packet, headers, out);
  const addresses = { source: given ?? ip.destination, destination: ip.source };
  const fields = { ...addresses, protocol: IpProtocol.icmpv4, payloadLen, ttl: HOP_LIMIT, dscp: CONTROL_DSCP };
  const at = headers.headerLen + emitIpv4(fields, out, headers.headerLen);
  const original = packet.subarray(ip.offset, ip.offset + quotedLen);
  const code = Icmpv4UnreachableCode.fragmentationNeeded;
  emitIcmpv4({ kind: 'destinationUnreachable', code, nextHopMtu: Math.min(mtu, 0xffff), original }, out, at);
  return out;
}

function answerIpv6(
  packet: Uint8Array,
  headers: FrameHeaders,
  mtu: number,
  given: IpAddress | undefined,
): Uint8Array | UnansweredReason {
  const ip = new Ipv6View();
  const extensions = new Ipv6ExtensionWalker();
  const reason = ip.wrap(packet, headers.headerLen, packet.length - headers.headerLen) ?? extensions.walk(ip);
  if (reason !== undefined) return reason;
  if (ip.end - ip.offset <= IPV6_MIN_MTU) return 'ipv6-minimum';
  if (extensions.fragmentOffset > 0) return 'later-fragment';
  if (u8(packet, ip.destinationOffset) === 0xff) return 'multicast';
  if (u8(packet, ip.sourceOffset) === 0xff || isIpv6Nobody(packet, ip.sourceOffset)) return 'bad-source';
  if (extensions.protocol === IpProtocol.icmpv6) {
    const type = extensions.payloadOffset < ip.end ? u8(packet, extensions.payloadOffset) : 0;
    if (type < 128 || type === NDP_REDIRECT) return 'icmp-error';
  }
  const quotedLen = Math.min(ip.end - ip.offset, IPV6_MIN_MTU - ipv6HeaderLen - icmpv6HeaderLen);
  const payloadLen = icmpv6HeaderLen + quotedLen;
  const out = new Uint8Array(headers.headerLen + ipv6HeaderLen + payloadLen);
  putAnswerHeader(packet, headers, out);
  const addresses = { source: given ?? ip.destination, destination: ip.source };
  const fields = { ...addresses, nextHeader: IpProtocol.icmpv6, payloadLen, hopLimit: HOP_LIMIT };
  const at = headers.headerLen + emitIpv6(fields, out, headers.headerLen);
  const original = packet.subarray(ip.offset, ip.offset + quotedLen);
  emitIcmpv6({ kind: 'packetTooBig', code: 0, mtu: Math.max(mtu, IPV6_MIN_MTU), original }, out, at, addresses);
  return out;
}

/** RFC 1122 section 3.2.2: not zero, loopback, multicast, reserved or broadcast. */
function isIpv4Host(bytes: Uint8Array, offset: number): boolean {
  const first = u8(bytes, offset);
  return first !== 0 && first !== 127 && first < 224;
}

function isIpv6Nobody(bytes: Uint8Array, offset: number): boolean {
  return [0, 4, 8, 12].every((at) => u32(bytes, offset + at) === 0);
}
