/**
 * The IPv6 side of the responder: echo (RFC 4443 section 4), neighbour discovery (`ndp-host.ts`) and, if asked
 * for, port unreachable.
 *
 * An echo request without extension headers and beyond-MTU length is turned into its reply in place. Behind
 * extension headers it gets a new header without them. Parameter problems are not reported.
 */

import { IpAddress, type MacAddress } from '../base/index.ts';
import {
  emitIcmpv6,
  Icmpv6Type,
  Icmpv6UnreachableCode,
  Icmpv6View,
  IpProtocol,
  Ipv6ExtensionWalker,
  Ipv6View,
  icmpv6HeaderLen,
  ipv6HeaderLen,
  isNdpType,
  pseudoHeaderSumAt,
  UdpView,
  u32,
  updateChecksum16,
} from '../wire/index.ts';
import { isIpv6Unicast } from './address-set.ts';
import { drop } from './counters.ts';
import type { HostDropReason } from './drop-reason.ts';
import type { HostContext } from './host-context.ts';
import { stationOf } from './ipv4-host.ts';
import { NdpHost } from './ndp-host.ts';
import type { Datagram, Fragment } from './reassembly.ts';

/** RFC 4443 section 2.4 (c): an ICMPv6 error is at most this long, its IPv6 header counted. */
const ERROR_PACKET_LEN_MAX = 1280;

export class Ipv6Host {
  readonly #host: HostContext;
  readonly #ndp: NdpHost;
  readonly #ip = new Ipv6View();
  readonly #icmp = new Icmpv6View();
  readonly #udp = new UdpView();
  readonly #walker = new Ipv6ExtensionWalker();
  readonly #fragment: Fragment = {
    bytes: new Uint8Array(0),
    addressesOffset: 0,
    addressesLen: 32,
    identification: 0,
    protocol: 0,
    dataOffset: 0,
    dataLen: 0,
    fragmentOffset: 0,
    moreFragments: false,
  };

  constructor(host: HostContext) {
    this.#host = host;
    this.#ndp = new NdpHost(host);
  }

  /**
   * Hot. Answers the packet of at most `length` octets at `offset`.
   * @param frame offset of its Ethernet header; -1 without
   * @returns octets of the reply that stands in its place now; 0 when there is none
   */
  answer(bytes: Uint8Array, offset: number, length: number, frame: number, nowMs: number): number {
    const { counters, config } = this.#host;
    const ip = this.#ip;
    const reason = ip.wrap(bytes, offset, length);
    if (reason !== undefined) return drop(counters, reason);
    if (ip.nextHeader !== IpProtocol.icmpv6) return this.#answerExtended(ip, frame, nowMs);
    const icmp = this.#icmp;
    const bad = icmp.wrap(bytes, ip.payloadOffset, ip.payloadLen);
    if (bad !== undefined) return drop(counters, bad);
    if (isNdpType(icmp.type)) return this.#ndp.answer(ip, icmp, frame);
    const refused = this.#checkHeader(ip, frame) ?? checkEcho(icmp, bytes, ip.sourceOffset);
    if (refused !== undefined) return drop(counters, refused);
    turnIntoReply(icmp);
    if (ipv6HeaderLen + ip.payloadLength > config.mtu) return this.#sendReply(ip, ip.payloadOffset, frame, nowMs);
    ip.swapAddresses();
    ip.hopLimit = config.hopLimit;
    counters.echoRepliesV6++;
    return ipv6HeaderLen + ip.payloadLength;
  }

  #checkHeader(ip: Ipv6View, frame: number): HostDropReason | undefined {
    const { addresses, macs } = this.#host;
    const { bytes, sourceOffset, destinationOffset } = ip;
    if (!addresses.hasIpv6(bytes, destinationOffset)) return 'not-for-us';
    if (frame >= 0 && !macs.isFor(bytes, frame, destinationOffset, 16)) return 'not-for-us';
    if (!isIpv6Unicast(bytes, sourceOffset)) return 'bad-source';
    for (let i = 0; i < 16; i += 4) {
      if (u32(bytes, sourceOffset + i) !== u32(bytes, destinationOffset + i)) return undefined;
    }
    return 'bad-source';
  }

  #answerExtended(ip: Ipv6View, frame: number, nowMs: number): 0 {
    const { counters } = this.#host;
    const walker = this.#walker;
    const reason = this.#checkHeader(ip, frame) ?? walker.walk(ip) ?? checkExtensions(walker);
    if (reason !== undefined) return drop(counters, reason);
    if (walker.moreFragments || walker.fragmentOffset > 0) return this.#addFragment(ip, frame, nowMs);
    if (walker.protocol === IpProtocol.udp) return this.#refuse(ip, walker.payloadOffset, frame, nowMs);
    if (walker.protocol !== IpProtocol.icmpv6) return drop(counters, 'other-protocol');
    const icmp = this.#icmp;
    const at = walker.payloadOffset;
    const bad = icmp.wrap(ip.bytes, at, ip.end - at) ?? checkEcho(icmp, ip.bytes, ip.sourceOffset);
    if (bad !== undefined) return drop(counters, bad);
    turnIntoReply(icmp);
    return this.#sendReply(ip, at, frame, nowMs);
  }

  /** The reply stands behind the request's headers, which cannot stay. */
  #sendReply(ip: Ipv6View, messageOffset: number, frame: number, nowMs: number): 0 {
    const { counters, sender } = this.#host;
    const route = { source: ip.destination, destination: ip.source, station: stationOf(ip.bytes, frame) };
    const message = ip.bytes.subarray(messageOffset, ip.end);
    if (sender.send(route, IpProtocol.icmpv6, message, nowMs)) counters.echoRepliesV6++;
    return 0;
  }

  #addFragment(ip: Ipv6View, frame: number, nowMs: number): 0 {
    const { counters, reassembler } = this.#host;
    const walker = this.#walker;
    counters.fragmentsReceived++;
    const fragment = this.#fragment;
    const dataOffset = walker.fragmentHeaderOffset + 8;
    fragment.bytes = ip.bytes;
    fragment.addressesOffset = ip.sourceOffset;
    fragment.identification = walker.identification;
    fragment.protocol = ip.bytes[walker.fragmentHeaderOffset] as number;
    fragment.dataOffset = dataOffset;
    fragment.dataLen = ip.end - dataOffset;
    fragment.fragmentOffset = walker.fragmentOffset;
    fragment.moreFragments = walker.moreFragments;
    const result = reassembler.add(fragment, nowMs);
    if (result === undefined) return 0;
    if (typeof result === 'string') return drop(counters, result);
    counters.datagramsReassembled++;
    const reason = this.#answerDatagram(result, stationOf(ip.bytes, frame), nowMs);
    if (reason !== undefined) drop(counters, reason);
    reassembler.free(result);
    return 0;
  }

  #answerDatagram(datagram: Datagram, station: MacAddress | undefined, nowMs: number): HostDropReason | undefined {
    const { counters, sender } = this.#host;
    const { bytes, length, addresses } = datagram;
    const walker = this.#walker;
    const reason = walker.walkBytes(bytes, datagram.protocol, 0, 0, length) ?? checkExtensions(walker);
    if (reason !== undefined) return reason;
    // A fragment inside a reassembled datagram: nobody sends that in good faith.
    if (walker.fragmentHeaderOffset >= 0) return 'bad-fragment';
    if (walker.protocol !== IpProtocol.icmpv6) return 'other-protocol';
    const icmp = this.#icmp;
    const bad = icmp.wrap(bytes, walker.payloadOffset, length - walker.payloadOffset);
    if (bad !== undefined) return bad;
    const refused = checkEcho(icmp, addresses, 0);
    if (refused !== undefined) return refused;
    turnIntoReply(icmp);
    const source = IpAddress.fromBytes(addresses.subarray(16, 32));
    const destination = IpAddress.fromBytes(addresses.subarray(0, 16));
    const message = bytes.subarray(walker.payloadOffset, length);
    if (sender.send({ source, destination, station }, IpProtocol.icmpv6, message, nowMs)) counters.echoRepliesV6++;
    return undefined;
  }

  #refuse(ip: Ipv6View, udpOffset: number, frame: number, nowMs: number): 0 {
    const { counters, config, errorLimiter, sender } = this.#host;
    if (!config.refuseUdp) return drop(counters, 'other-protocol');
    const udp = this.#udp;
    const reason = udp.wrap(ip.bytes, udpOffset, ip.end - udpOffset);
    if (reason !== undefined) return drop(counters, reason);
    if (!udp.checksumOk(ip.pseudoHeaderSum(IpProtocol.udp, udp.length))) return drop(counters, 'bad-checksum');
    if (!errorLimiter.take(nowMs)) return drop(counters, 'rate-limited');
    const quoteLen = Math.min(ip.end - ip.offset, ERROR_PACKET_LEN_MAX - ipv6HeaderLen - icmpv6HeaderLen);
    const original = ip.bytes.subarray(ip.offset, ip.offset + quoteLen);
    const message = new Uint8Array(icmpv6HeaderLen + quoteLen);
    const route = { source: ip.destination, destination: ip.source, station: stationOf(ip.bytes, frame) };
    const code = Icmpv6UnreachableCode.port;
    emitIcmpv6({ kind: 'destinationUnreachable', code, original }, message, 0, route);
    if (sender.send(route, IpProtocol.icmpv6, message, nowMs)) counters.portsUnreachable++;
    return 0;
  }
}

/** Hot: undefined for an echo request with a right checksum. The addresses stand one after the other. */
function checkEcho(icmp: Icmpv6View, addresses: Uint8Array, addressesOffset: number): HostDropReason | undefined {
  if (icmp.type !== Icmpv6Type.echoRequest) return icmp.isError ? 'icmp-error' : 'not-echo';
  if (icmp.code !== 0) return 'bad-code';
  const length = icmp.end - icmp.offset;
  const pseudoSum = pseudoHeaderSumAt(addresses, addressesOffset, 16, IpProtocol.icmpv6, length);
  return icmp.checksumOk(pseudoSum) ? undefined : 'bad-checksum';
}

/** Hot: type 128 becomes type 129. The pseudo header is never all zero, so the update is always right. */
function turnIntoReply(icmp: Icmpv6View): void {
  icmp.type = Icmpv6Type.echoReply;
  icmp.checksum = updateChecksum16(icmp.checksum, Icmpv6Type.echoRequest << 8, Icmpv6Type.echoReply << 8);
}

function checkExtensions(walker: Ipv6ExtensionWalker): HostDropReason | undefined {
  if (walker.segmentsLeft > 0) return 'source-routed';
  return walker.unknownOptionOffset >= 0 ? 'unknown-option' : undefined;
}
