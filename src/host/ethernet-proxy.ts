/**
 * IP packets on an Ethernet segment: what is behind an IP link looks like a host there, as a pure core without clock, timers, sockets
 * or randomness of its own. Proxy ARP (RFC 1027) and proxied neighbour discovery (RFC 4861 section 7.2.8, RFC 4389).
 *
 * Theory of operation
 *
 *   segment to IP   Requests for proxied addresses are answered with the proxy's MAC. IP packets for that MAC, and those for groups, lose
 *                   their Ethernet header and what padded them. Router advertisements and multicast pass; solicitations and
 *                   advertisements of neighbours end here.
 *   IP to segment   The next hop is the destination, or the gateway for what is off-link. Its MAC comes from the neighbour table; while
 *                   it is asked for, packets wait. Groups have MACs of their own (RFC 1112 section 6.4, RFC 2464 section 7).
 *   link-local      IPv6 addresses of fe80::/10 that packets from the IP link come from are proxied as well: its kernel has them by
 *                   itself. The proxy has one of its own, made from its MAC, to ask with.
 *   outbox          Frames for the segment. The driver writes and clears it.
 *
 * All memory is bounded: the outbox, the neighbours and what waits for them. Counters name a reason for everything that was dropped.
 *
 * Not supported: VLAN tags, fragmenting, ICMP errors, detection of duplicate addresses before the proxy uses one.
 */

import { IpAddress, type MacAddress } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  ArpOperation,
  ArpView,
  checkNdp,
  EtherType,
  ethernetHeaderLen,
  Icmpv6Type,
  IpProtocol,
  Ipv6View,
  internetChecksum,
  ipv4MinHeaderLen,
  ipv6HeaderLen,
  isNdpType,
  macAt,
  NdpOptionType,
  NdpView,
  putU16,
  u16,
} from '../wire/index.ts';
import { AddressSet, equalAt } from './address-set.ts';
import { type Neighbour, NeighbourTable } from './neighbour-table.ts';
import { ProxyMessages } from './proxy-messages.ts';
import {
  checkProxyOptions,
  type EthernetProxyCounters,
  type EthernetProxyOptions,
  type MutableProxyCounters,
  type ProxyDropReason,
  zeroProxyCounters,
} from './proxy-options.ts';
import { SegmentRoutes } from './segment-routes.ts';

/** Frames that wait to be written. */
const OUTBOX_PACKETS = 256;
/** Link-local addresses behind the proxy that are remembered. */
const MAX_LINK_LOCALS = 16;
const IPV4_SOURCE_AT = 12;
const IPV6_SOURCE_AT = 8;
const IPV6_NEXT_HEADER_AT = 6;

/** See the head of this file. Times are milliseconds of any clock that does not go back. */
export class EthernetProxy {
  readonly mac: MacAddress;
  readonly outbox: PacketBatch;
  readonly #counters: MutableProxyCounters = zeroProxyCounters();
  readonly #proxied: AddressSet;
  readonly #singles: readonly IpAddress[];
  readonly #routes: SegmentRoutes;
  readonly #neighbours: NeighbourTable;
  readonly #messages: ProxyMessages;
  readonly #linkLocals: Uint8Array[] = [];
  readonly #ownLinkLocal: IpAddress;
  readonly #arp = new ArpView();
  readonly #ip = new Ipv6View();
  readonly #ndp = new NdpView();

  /** @throws VNIC_INVALID_ARGUMENT */
  constructor(options: EthernetProxyOptions) {
    const { proxied, onLink, gateways, mac, neighbours } = checkProxyOptions(options);
    this.mac = mac;
    this.outbox = new PacketBatch({ capacity: OUTBOX_PACKETS });
    this.#proxied = new AddressSet(proxied, []);
    this.#singles = proxied.filter(({ isHost }) => isHost).map(({ address }) => address);
    this.#routes = new SegmentRoutes(onLink, gateways);
    this.#messages = new ProxyMessages(this.outbox, mac, this.#counters);
    this.#ownLinkLocal = linkLocalOf(mac);
    this.#neighbours = new NeighbourTable(neighbours, {
      ask: (neighbour) => this.#ask(neighbour),
      release: (neighbour, packet) => this.#emit(packet, 0, packet.length, neighbour.mac, 0),
      lose: () => void this.#drop('unresolved'),
    });
  }

  get counters(): EthernetProxyCounters {
    return this.#counters;
  }

  /** When `poll` is due; undefined when nothing waits. */
  get nextWakeupMs(): number | undefined {
    return this.#neighbours.nextDueMs;
  }

  /** Says to the segment where the single proxied addresses are (RFC 5227 section 3, RFC 4861 section 7.2.6). */
  announce(): void {
    for (const address of this.#singles) {
      if (address.family === 4) this.#messages.askArp(address, address, undefined);
      else this.#messages.advertise(address, undefined);
    }
  }

  /** Asks again for who has not answered. Calling it early or late does no harm. */
  poll(nowMs: number): void {
    this.#neighbours.poll(nowMs);
  }

  /** Hot. Sends an IP packet to the segment. Throws nothing for any bytes. */
  send(bytes: Uint8Array, offset: number, length: number, nowMs: number): void {
    const version = (bytes[offset] as number) >> 4;
    if (version === 4 && length >= ipv4MinHeaderLen) this.#sendIpv4(bytes, offset, length, nowMs);
    else if (version === 6 && length >= ipv6HeaderLen) this.#sendIpv6(bytes, offset, length, nowMs);
    else this.#drop(version === 4 || version === 6 ? 'truncated' : 'bad-version');
  }

  /**
   * Hot. Takes a frame from the segment, answering it where that is due. Throws nothing for any bytes.
   * @returns bytes of the IP packet that stands behind its Ethernet header; 0 when there is none for the IP link
   */
  receive(bytes: Uint8Array, frame: number, length: number, nowMs: number): number {
    if (length < ethernetHeaderLen) return this.#drop('truncated');
    if (((bytes[frame + 6] as number) & 1) === 1 || equalAt(this.mac.bytes, bytes, frame + 6))
      return this.#drop('bad-source');
    const isGroup = ((bytes[frame] as number) & 1) === 1;
    if (!isGroup && !equalAt(this.mac.bytes, bytes, frame)) return this.#drop('not-for-us');
    const at = frame + ethernetHeaderLen;
    const payloadLen = length - ethernetHeaderLen;
    switch (u16(bytes, frame + 12)) {
      case EtherType.arp:
        return this.#receiveArp(bytes, at, payloadLen, nowMs);
      case EtherType.ipv4:
        return this.#receiveIpv4(bytes, at, payloadLen);
      case EtherType.ipv6:
        return this.#receiveIpv6(bytes, frame, at, payloadLen, nowMs);
      default:
        return this.#drop('other-protocol');
    }
  }

  #sendIpv4(bytes: Uint8Array, offset: number, length: number, nowMs: number): void {
    const destination = offset + IPV4_SOURCE_AT + 4;
    const group = this.#routes.ipv4GroupMac(bytes, destination);
    if (group !== undefined) {
      this.#emit(bytes, offset, length, group, 0);
      return;
    }
    const { gateway4 } = this.#routes;
    if (gateway4 === undefined || this.#routes.isOnLink(bytes, destination, 4)) {
      this.#sendTo(bytes, destination, 4, bytes, offset, length, nowMs);
    } else {
      this.#sendTo(gateway4, 0, 4, bytes, offset, length, nowMs);
    }
  }

  #sendIpv6(bytes: Uint8Array, offset: number, length: number, nowMs: number): void {
    const source = offset + IPV6_SOURCE_AT;
    const destination = source + 16;
    if (isNeighbourMessage(bytes, offset, length)) {
      this.#drop('neighbour-discovery');
      return;
    }
    if (isLinkLocal(bytes, source)) this.#learnLinkLocal(bytes, source);
    if (bytes[destination] === 0xff) {
      this.#emit(bytes, offset, length, this.#routes.ipv6GroupMac(bytes, destination), 0);
      return;
    }
    const { gateway6 } = this.#routes;
    if (gateway6 === undefined || isLinkLocal(bytes, destination) || this.#routes.isOnLink(bytes, destination, 16)) {
      this.#sendTo(bytes, destination, 16, bytes, offset, length, nowMs);
    } else {
      this.#sendTo(gateway6, 0, 16, bytes, offset, length, nowMs);
    }
  }

  /** Hot. To the neighbour of the address at `hop[hopAt]`. */
  #sendTo(
    hop: Uint8Array,
    hopAt: number,
    hopLen: 4 | 16,
    bytes: Uint8Array,
    offset: number,
    length: number,
    nowMs: number,
  ): void {
    const neighbour = this.#neighbours.find(hop, hopAt, hopLen);
    if (neighbour !== undefined && this.#neighbours.use(neighbour, nowMs)) {
      this.#emit(bytes, offset, length, neighbour.mac, 0);
      return;
    }
    const sourceAt = offset + (hopLen === 4 ? IPV4_SOURCE_AT : IPV6_SOURCE_AT);
    const source = bytes.subarray(sourceAt, sourceAt + hopLen);
    const packet = bytes.subarray(offset, offset + length);
    this.#neighbours.wait(neighbour, hop.subarray(hopAt, hopAt + hopLen), source, packet, nowMs);
  }

  /** Hot. Puts a packet into a frame for the station at `mac[macAt]`. */
  #emit(bytes: Uint8Array, offset: number, length: number, mac: Uint8Array, macAt: number): void {
    const { outbox } = this;
    const at = outbox.reserve(ethernetHeaderLen + length);
    if (at < 0) {
      this.#drop('outbox-full');
      return;
    }
    const out = outbox.bytes;
    for (let i = 0; i < 6; i++) {
      out[at + i] = mac[macAt + i] as number;
      out[at + 6 + i] = this.mac.bytes[i] as number;
    }
    putU16(out, at + 12, (bytes[offset] as number) >> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4);
    out.set(bytes.subarray(offset, offset + length), at + ethernetHeaderLen);
    this.#counters.packetsSent++;
  }

  #receiveArp(bytes: Uint8Array, offset: number, length: number, nowMs: number): 0 {
    const arp = this.#arp;
    if (arp.wrap(bytes, offset, length) !== undefined) return this.#drop('neighbour-discovery');
    const { senderProtocolOffset: sender, senderHardwareOffset: hardware, targetProtocolOffset: target } = arp;
    if (((bytes[hardware] as number) & 1) === 1) return this.#drop('bad-source');
    if (this.#proxied.hasIpv4(bytes, sender)) return this.#drop('address-conflict');
    const isAsked = arp.operation === ArpOperation.request && this.#proxied.hasIpv4(bytes, target);
    // RFC 826: the sender is noted when it is known, or when it asks for us.
    if (!arp.isProbe) this.#neighbours.learn(bytes, sender, 4, bytes, hardware, nowMs, isAsked);
    if (isAsked) {
      this.#messages.replyArp(arp.targetProtocolAddress, {
        mac: arp.senderHardwareAddress,
        address: arp.senderProtocolAddress,
      });
    } else if (arp.operation !== ArpOperation.reply) {
      this.#drop('neighbour-discovery');
    }
    return 0;
  }

  #receiveIpv4(bytes: Uint8Array, offset: number, length: number): number {
    if (length < ipv4MinHeaderLen) return this.#drop('truncated');
    if ((bytes[offset] as number) >> 4 !== 4) return this.#drop('bad-version');
    const totalLen = u16(bytes, offset + 2);
    if (totalLen < ipv4MinHeaderLen || totalLen > length) return this.#drop('truncated');
    this.#counters.packetsReceived++;
    return totalLen;
  }

  #receiveIpv6(bytes: Uint8Array, frame: number, offset: number, length: number, nowMs: number): number {
    const reason = this.#ip.wrap(bytes, offset, length);
    if (reason !== undefined) return this.#drop(reason === 'truncated' ? 'truncated' : 'bad-version');
    const packetLen = this.#ip.end - offset;
    const type = bytes[offset + ipv6HeaderLen] as number;
    const isNdp =
      bytes[offset + IPV6_NEXT_HEADER_AT] === IpProtocol.icmpv6 && packetLen > ipv6HeaderLen && isNdpType(type);
    // What routers say is for those behind the proxy as well.
    if (isNdp && type !== Icmpv6Type.routerAdvertisement) return this.#receiveNdp(frame, nowMs);
    this.#counters.packetsReceived++;
    return packetLen;
  }

  #receiveNdp(frame: number, nowMs: number): 0 {
    const { bytes, offset, end } = this.#ip;
    const ndp = this.#ndp;
    const at = offset + ipv6HeaderLen;
    const isDamaged =
      ndp.wrap(bytes, at, end - at) !== undefined ||
      checkNdp(ndp, this.#ip) !== undefined ||
      !icmpv6ChecksumOk(this.#ip, at, end - at);
    if (isDamaged) return this.#drop('neighbour-discovery');
    if (ndp.type === Icmpv6Type.neighborSolicitation) return this.#onSolicitation(frame, nowMs);
    if (ndp.type === Icmpv6Type.neighborAdvertisement) return this.#onAdvertisement(nowMs);
    return this.#drop('neighbour-discovery');
  }

  #onSolicitation(frame: number, nowMs: number): 0 {
    const { bytes, sourceOffset } = this.#ip;
    const { targetOffset } = this.#ndp;
    if (this.#isBehind(bytes, sourceOffset)) return this.#drop('address-conflict');
    const isOwn = equalAt(this.#ownLinkLocal.bytes, bytes, targetOffset);
    if (!isOwn && !this.#isBehind(bytes, targetOffset)) return this.#drop('neighbour-discovery');
    const target = this.#ndp.target;
    if (isUnspecified(bytes, sourceOffset)) {
      // Somebody is about to take an address that is in use here.
      this.#messages.advertise(target, undefined);
      return 0;
    }
    const option = this.#ndp.findOption(NdpOptionType.sourceLinkLayerAddress);
    const macOffset = option < 0 ? frame + 6 : option + 2;
    if (((bytes[macOffset] as number) & 1) === 1) return this.#drop('bad-source');
    this.#neighbours.learn(bytes, sourceOffset, 16, bytes, macOffset, nowMs, true);
    this.#messages.advertise(target, { mac: macAt(bytes, macOffset), address: this.#ip.source });
    return 0;
  }

  #onAdvertisement(nowMs: number): 0 {
    const { bytes } = this.#ip;
    const { targetOffset } = this.#ndp;
    if (this.#isBehind(bytes, targetOffset)) return this.#drop('address-conflict');
    const known = this.#neighbours.find(bytes, targetOffset, 16);
    if (known === undefined) return 0;
    const option = this.#ndp.findOption(NdpOptionType.targetLinkLayerAddress);
    // Without the option it confirms what is known; without the flag it replaces nothing (RFC 4861 section 7.2.5).
    const mac = option < 0 ? known.mac : bytes;
    const macOffset = option < 0 ? 0 : option + 2;
    const isNews = known.state === 'incomplete' ? option >= 0 : !equalAt(known.mac, mac, macOffset);
    if (known.state === 'incomplete' && !isNews) return 0;
    if (isNews && known.state !== 'incomplete' && !this.#ndp.override) return 0;
    if (((mac[macOffset] as number) & 1) === 1) return this.#drop('bad-source');
    if (isNews || this.#ndp.solicited) this.#neighbours.learn(bytes, targetOffset, 16, mac, macOffset, nowMs, false);
    return 0;
  }

  #ask({ address, mac, state, source }: Neighbour): void {
    const target = IpAddress.fromBytes(address);
    const station = state === 'probing' ? macAt(mac, 0) : undefined;
    if (target.family === 4) this.#messages.askArp(this.#ipv4Source(source), target, station);
    else this.#messages.solicit(this.#ipv6Source(source), target, station);
  }

  /** An address that the answer can go to; without any, a probe (RFC 5227 section 2.1) is answered too. */
  #ipv4Source(source: Uint8Array): IpAddress {
    if (this.#proxied.hasIpv4(source, 0)) return IpAddress.fromBytes(source);
    return this.#singles.find(({ family }) => family === 4) ?? anyIpv4;
  }

  #ipv6Source(source: Uint8Array): IpAddress {
    return this.#isBehind(source, 0) ? IpAddress.fromBytes(source) : this.#ownLinkLocal;
  }

  /** Hot. */
  #isBehind(bytes: Uint8Array, offset: number): boolean {
    if (this.#proxied.hasIpv6(bytes, offset)) return true;
    return isLinkLocal(bytes, offset) && this.#linkLocals.some((address) => equalAt(address, bytes, offset));
  }

  #learnLinkLocal(bytes: Uint8Array, offset: number): void {
    if (this.#linkLocals.some((address) => equalAt(address, bytes, offset))) return;
    if (this.#linkLocals.length === MAX_LINK_LOCALS) this.#linkLocals.shift();
    this.#linkLocals.push(bytes.slice(offset, offset + 16));
  }

  #drop(reason: ProxyDropReason): 0 {
    this.#counters.dropped[reason]++;
    return 0;
  }
}

const anyIpv4: IpAddress = IpAddress.fromBytes(new Uint8Array(4));

/** fe80:: and the modified EUI-64 of the MAC (RFC 4291 appendix A). */
function linkLocalOf({ bytes }: MacAddress): IpAddress {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return IpAddress.fromBytes(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}

function isLinkLocal(bytes: Uint8Array, offset: number): boolean {
  return (u16(bytes, offset) & 0xffc0) === 0xfe80;
}

/** A solicitation, an advertisement or a redirect, which say nothing that a segment could use of an IP link. */
function isNeighbourMessage(bytes: Uint8Array, offset: number, length: number): boolean {
  if (bytes[offset + IPV6_NEXT_HEADER_AT] !== IpProtocol.icmpv6 || length <= ipv6HeaderLen) return false;
  const type = bytes[offset + ipv6HeaderLen] as number;
  return type >= Icmpv6Type.neighborSolicitation && type <= Icmpv6Type.redirect;
}

function isUnspecified(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}

function icmpv6ChecksumOk(ip: Ipv6View, at: number, length: number): boolean {
  return internetChecksum(ip.bytes, at, length, ip.pseudoHeaderSum(IpProtocol.icmpv6, length)) === 0;
}
