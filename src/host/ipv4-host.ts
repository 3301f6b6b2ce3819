/**
 * The IPv4 side of the responder: echo (RFC 792, RFC 1122 section 3.2.2.6) and, if asked for, port unreachable.
 *
 * A request without options, fragments and beyond-MTU length is turned into its reply in place. The others get
 * a new header: options are not copied, packets with a source route are dropped.
 */

import { IpAddress, type MacAddress } from '../base/index.ts';
import {
  emitIcmpv4,
  Icmpv4Type,
  Icmpv4UnreachableCode,
  Icmpv4View,
  IpProtocol,
  Ipv4OptionType,
  Ipv4View,
  icmpv4HeaderLen,
  ipv4MinHeaderLen,
  macAt,
  parseIpv4Options,
  UdpView,
  u16,
  updateChecksum16,
} from '../wire/index.ts';
import { isIpv4Unicast } from './address-set.ts';
import { drop } from './counters.ts';
import type { HostDropReason } from './drop-reason.ts';
import type { HostContext } from './host-context.ts';
import { answerPlainEcho } from './plain-echo.ts';
import type { Datagram, Fragment } from './reassembly.ts';

/** RFC 1812 section 4.3.2.3: an ICMP error is at most this long, its IP header counted. */
const ERROR_PACKET_LEN_MAX = 576;

export class Ipv4Host {
  readonly #host: HostContext;
  readonly #ip = new Ipv4View();
  readonly #icmp = new Icmpv4View();
  readonly #udp = new UdpView();
  readonly #fragment: Fragment = {
    bytes: new Uint8Array(0),
    addressesOffset: 0,
    addressesLen: 8,
    identification: 0,
    protocol: 0,
    dataOffset: 0,
    dataLen: 0,
    fragmentOffset: 0,
    moreFragments: false,
  };

  constructor(host: HostContext) {
    this.#host = host;
  }

  /**
   * Hot. Answers the packet of at most `length` octets at `offset`.
   * @param frame offset of its Ethernet header; -1 without
   * @returns octets of the reply that stands in its place now; 0 when there is none
   */
  answer(bytes: Uint8Array, offset: number, length: number, frame: number, nowMs: number): number {
    const { counters, config } = this.#host;
    const plainLen = frame < 0 ? answerPlainEcho(this.#host, bytes, offset, length) : 0;
    if (plainLen > 0) return plainLen;
    const ip = this.#ip;
    const reason = ip.wrap(bytes, offset, length) ?? this.#checkHeader(ip, frame);
    if (reason !== undefined) return drop(counters, reason);
    if (ip.isFragment) return this.#addFragment(ip, frame, nowMs);
    if (ip.protocol !== IpProtocol.icmpv4) return this.#refuse(ip, frame, nowMs);
    const icmp = this.#icmp;
    const bad = icmp.wrap(bytes, ip.payloadOffset, ip.payloadLen) ?? checkEcho(icmp);
    if (bad !== undefined) return drop(counters, bad);
    turnIntoReply(icmp);
    if (ip.headerLen > ipv4MinHeaderLen || ip.totalLength > config.mtu) return this.#sendReply(ip, frame, nowMs);
    ip.swapAddresses();
    const ttlAndProtocol = u16(bytes, offset + 8);
    ip.ttl = config.hopLimit;
    ip.checksum = updateChecksum16(ip.checksum, ttlAndProtocol, u16(bytes, offset + 8));
    counters.echoRepliesV4++;
    return ip.totalLength;
  }

  #checkHeader(ip: Ipv4View, frame: number): HostDropReason | undefined {
    const { addresses, macs } = this.#host;
    const { bytes, sourceOffset, destinationOffset } = ip;
    if (!ip.checksumOk) return 'bad-checksum';
    if (!addresses.hasIpv4(bytes, destinationOffset)) return 'not-for-us';
    if (frame >= 0 && !macs.isFor(bytes, frame, destinationOffset, 4)) return 'not-for-us';
    if (!isIpv4Unicast(bytes, sourceOffset) || addresses.isIpv4Broadcast(bytes, sourceOffset)) return 'bad-source';
    const same = u16(bytes, sourceOffset) === u16(bytes, destinationOffset);
    if (same && u16(bytes, sourceOffset + 2) === u16(bytes, destinationOffset + 2)) return 'bad-source';
    return undefined;
  }

  /** The reply stands behind the request's header, which cannot stay. */
  #sendReply(ip: Ipv4View, frame: number, nowMs: number): 0 {
    const { counters, sender } = this.#host;
    const reason = checkOptions(ip);
    if (reason !== undefined) return drop(counters, reason);
    const route = { source: ip.destination, destination: ip.source, station: stationOf(ip.bytes, frame) };
    const message = ip.bytes.subarray(ip.payloadOffset, ip.end);
    if (sender.send(route, IpProtocol.icmpv4, message, nowMs)) counters.echoRepliesV4++;
    return 0;
  }

  #addFragment(ip: Ipv4View, frame: number, nowMs: number): 0 {
    const { counters, reassembler } = this.#host;
    counters.fragmentsReceived++;
    const reason = checkOptions(ip);
    if (reason !== undefined) return drop(counters, reason);
    const fragment = this.#fragment;
    fragment.bytes = ip.bytes;
    fragment.addressesOffset = ip.sourceOffset;
    fragment.identification = ip.identification;
    fragment.protocol = ip.protocol;
    fragment.dataOffset = ip.payloadOffset;
    fragment.dataLen = ip.payloadLen;
    fragment.fragmentOffset = ip.fragmentOffset;
    fragment.moreFragments = ip.moreFragments;
    const result = reassembler.add(fragment, nowMs);
    if (result === undefined) return 0;
    if (typeof result === 'string') return drop(counters, result);
    counters.datagramsReassembled++;
    this.#answerDatagram(result, stationOf(ip.bytes, frame), nowMs);
    reassembler.free(result);
    return 0;
  }

  #answerDatagram(datagram: Datagram, station: MacAddress | undefined, nowMs: number): void {
    const { counters, sender } = this.#host;
    if (datagram.protocol !== IpProtocol.icmpv4) {
      drop(counters, 'other-protocol');
      return;
    }
    const reason = this.#icmp.wrap(datagram.bytes, 0, datagram.length) ?? checkEcho(this.#icmp);
    if (reason !== undefined) {
      drop(counters, reason);
      return;
    }
    turnIntoReply(this.#icmp);
    const source = IpAddress.fromBytes(datagram.addresses.subarray(4, 8));
    const destination = IpAddress.fromBytes(datagram.addresses.subarray(0, 4));
    const message = datagram.bytes.subarray(0, datagram.length);
    if (sender.send({ source, destination, station }, IpProtocol.icmpv4, message, nowMs)) counters.echoRepliesV4++;
  }

  #refuse(ip: Ipv4View, frame: number, nowMs: number): 0 {
    const { counters, config, errorLimiter, sender } = this.#host;
    if (!config.refuseUdp || ip.protocol !== IpProtocol.udp) return drop(counters, 'other-protocol');
    const reason = this.#checkUdp(ip) ?? checkOptions(ip);
    if (reason !== undefined) return drop(counters, reason);
    if (!errorLimiter.take(nowMs)) return drop(counters, 'rate-limited');
    const quoteLen = Math.min(ip.end - ip.offset, ERROR_PACKET_LEN_MAX - ipv4MinHeaderLen - icmpv4HeaderLen);
    const original = ip.bytes.subarray(ip.offset, ip.offset + quoteLen);
    const message = new Uint8Array(icmpv4HeaderLen + quoteLen);
    const code = Icmpv4UnreachableCode.port;
    emitIcmpv4({ kind: 'destinationUnreachable', code, nextHopMtu: 0, original }, message, 0);
    const route = { source: ip.destination, destination: ip.source, station: stationOf(ip.bytes, frame) };
    if (sender.send(route, IpProtocol.icmpv4, message, nowMs)) counters.portsUnreachable++;
    return 0;
  }

  #checkUdp(ip: Ipv4View): HostDropReason | undefined {
    const udp = this.#udp;
    const reason = udp.wrap(ip.bytes, ip.payloadOffset, ip.payloadLen);
    if (reason !== undefined) return reason;
    if (!udp.hasChecksum) return undefined;
    return udp.checksumOk(ip.pseudoHeaderSum(IpProtocol.udp, udp.length)) ? undefined : 'bad-checksum';
  }
}

/** The station that sent the frame at `frame`; undefined without Ethernet header. */
export function stationOf(bytes: Uint8Array, frame: number): MacAddress | undefined {
  return frame < 0 ? undefined : macAt(bytes, frame + 6);
}

/** Hot: undefined for an echo request with a right checksum. */
function checkEcho(icmp: Icmpv4View): HostDropReason | undefined {
  if (icmp.type !== Icmpv4Type.echoRequest) return icmp.isError ? 'icmp-error' : 'not-echo';
  if (icmp.code !== 0) return 'bad-code';
  return icmp.checksumOk ? undefined : 'bad-checksum';
}

/** Hot: type 8 becomes type 0, everything else stays. */
function turnIntoReply(icmp: Icmpv4View): void {
  icmp.type = Icmpv4Type.echoReply;
  const checksum = updateChecksum16(icmp.checksum, Icmpv4Type.echoRequest << 8, 0);
  icmp.checksum = checksum;
  // A message of zeros has the checksum 0xffff, which the incremental update cannot tell from 0.
  if (checksum === 0) icmp.updateChecksum();
}

function checkOptions(ip: Ipv4View): HostDropReason | undefined {
  if (ip.optionsLen === 0) return undefined;
  const options = parseIpv4Options(ip.bytes.subarray(ip.optionsOffset, ip.payloadOffset));
  if (typeof options === 'string') return options;
  const routed = options.some(({ type }) => {
    return type === Ipv4OptionType.looseSourceRoute || type === Ipv4OptionType.strictSourceRoute;
  });
  return routed ? 'source-routed' : undefined;
}
