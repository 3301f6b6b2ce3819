/** Seeded valid frames of every kind that the codecs emit: the corpus of the mutation and tshark tests. */

import { IpAddress, MacAddress, type Random } from '../../src/base/index.ts';
import {
  type AddressPair,
  EtherType,
  emitArp,
  emitEthernet,
  emitIcmpv4,
  emitIcmpv6,
  emitIpv4,
  emitIpv4Options,
  emitIpv6,
  emitIpv6Extension,
  emitNdp,
  emitTcp,
  emitUdp,
  emitVlan,
  type Icmpv4Fields,
  type Icmpv6Fields,
  IpProtocol,
  type Ipv6ExtensionFields,
  type NdpFields,
  type NdpOption,
  padEthernet,
  type TcpOption,
} from '../../src/wire/index.ts';

/** Writes one upper-layer message and says how long it is. */
type Upper = { readonly protocol: number; emit(out: Uint8Array, offset: number, addresses: AddressPair): number };

const frameSpace = 4096;

/** Draws values; every one comes from the one seeded source. */
export class Draw {
  readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }

  /** An integer from 0 to `max`, both included. */
  upTo(max: number): number {
    return Math.floor(this.random() * (max + 1));
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.upTo(values.length - 1)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.upTo(255));
  }

  u32(): number {
    return this.upTo(0xffff_ffff);
  }

  mac(): MacAddress {
    const bytes = this.bytes(6);
    bytes[0] = 0x02;
    return MacAddress.fromBytes(bytes);
  }

  ipv4(): IpAddress {
    return IpAddress.fromBytes(Uint8Array.of(10, this.upTo(255), this.upTo(255), 1 + this.upTo(253)));
  }

  ipv6(): IpAddress {
    const bytes = this.bytes(16);
    bytes[0] = 0xfd;
    return IpAddress.fromBytes(bytes);
  }

  linkLocal(): IpAddress {
    const bytes = this.bytes(16);
    bytes.set([0xfe, 0x80, 0, 0, 0, 0, 0, 0]);
    return IpAddress.fromBytes(bytes);
  }
}

/** One frame of a random kind, with its padding. */
export function randomFrame(random: Random): Uint8Array {
  const draw = new Draw(random);
  const kind = draw.pick(frameKinds);
  return frame(draw, kind);
}

const frameKinds = [
  'arp',
  'ipv4',
  'ipv4',
  'ipv4',
  'ipv6',
  'ipv6',
  'ipv6',
  'ndp',
  'fragment4',
  'fragment6',
  '802.3',
] as const;

function frame(draw: Draw, kind: (typeof frameKinds)[number]): Uint8Array {
  const out = new Uint8Array(frameSpace);
  const etherType = kind === 'arp' ? EtherType.arp : kind.includes('4') ? EtherType.ipv4 : EtherType.ipv6;
  const tags = kind === '802.3' ? 0 : draw.pick([0, 0, 0, 1, 2]);
  const tpids = tags === 2 ? [EtherType.serviceVlan, EtherType.vlan] : tags === 1 ? [EtherType.vlan] : [];
  const types = [...tpids, kind === '802.3' ? 38 : etherType];
  let at = emitEthernet({ destination: draw.mac(), source: draw.mac(), etherType: types[0] as number }, out, 0);
  for (const next of types.slice(1)) {
    const tag = { priority: draw.upTo(7), dropEligible: draw.chance(0.2), vlanId: 1 + draw.upTo(4093) };
    at += emitVlan({ ...tag, etherType: next }, out, at);
  }
  at += emitPayload(draw, kind, out, at);
  return out.slice(0, padEthernet(out, 0, at));
}

function emitPayload(draw: Draw, kind: (typeof frameKinds)[number], out: Uint8Array, at: number): number {
  switch (kind) {
    case 'arp':
      return emitRandomArp(draw, out, at);
    case 'ipv4':
      return emitRandomIpv4(draw, out, at);
    case 'ipv6':
      return emitRandomIpv6(draw, out, at);
    case 'ndp':
      return emitRandomNdp(draw, out, at);
    case 'fragment4':
      return emitFragment4(draw, out, at);
    case 'fragment6':
      return emitFragment6(draw, out, at);
    case '802.3':
      // An LLC header of a spanning-tree bridge protocol data unit (IEEE 802.1D section 9.3.1): 3 + 35 octets.
      out.set([0x42, 0x42, 0x03, 0, 0, 0, 0, 0], at);
      return 38;
  }
}

function emitRandomArp(draw: Draw, out: Uint8Array, at: number): number {
  const purpose = draw.pick(['ordinary', 'ordinary', 'probe', 'announcement']);
  const target = draw.ipv4();
  const fields = {
    operation: purpose === 'ordinary' ? draw.pick([1, 2]) : 1,
    senderHardwareAddress: draw.mac(),
    senderProtocolAddress: purpose === 'announcement' ? target : draw.ipv4(),
    targetHardwareAddress: purpose === 'ordinary' ? draw.mac() : MacAddress.parse('00:00:00:00:00:00'),
    targetProtocolAddress: target,
  };
  const probe = { ...fields, senderProtocolAddress: IpAddress.parse('0.0.0.0') };
  return emitArp(purpose === 'probe' ? probe : fields, out, at);
}

function emitRandomIpv4(draw: Draw, out: Uint8Array, at: number): number {
  const addresses = { source: draw.ipv4(), destination: draw.ipv4() };
  const upper = draw.pick([icmpv4(draw), udp(draw), tcp(draw)]);
  const options = draw.chance(0.2)
    ? emitIpv4Options([
        { type: 148, data: Uint8Array.of(0, 0) },
        { type: 1, data: new Uint8Array(0) },
      ])
    : undefined;
  const headerLen = 20 + (options?.length ?? 0);
  const payloadLen = upper.emit(out, at + headerLen, addresses);
  const header = {
    ...addresses,
    protocol: upper.protocol,
    payloadLen,
    ttl: 1 + draw.upTo(254),
    dscp: draw.upTo(63),
    ecn: draw.upTo(3),
    identification: draw.upTo(0xffff),
    dontFragment: draw.chance(0.5),
    ...(options === undefined ? {} : { options }),
  };
  return emitIpv4(header, out, at) + payloadLen;
}

function emitRandomIpv6(draw: Draw, out: Uint8Array, at: number): number {
  const addresses = { source: draw.ipv6(), destination: draw.ipv6() };
  const upper = draw.pick([icmpv6(draw), udp(draw), tcp(draw)]);
  const chain = extensionChain(draw, upper.protocol);
  return emitIpv6Chain(draw, { addresses, chain, upper, hopLimit: 1 + draw.upTo(254) }, out, at);
}

interface ChainPlan {
  readonly addresses: AddressPair;
  readonly chain: readonly [protocol: number, fields: Ipv6ExtensionFields][];
  readonly upper: Upper;
  readonly hopLimit: number;
}

function emitIpv6Chain(draw: Draw, plan: ChainPlan, out: Uint8Array, at: number): number {
  let end = at + 40;
  for (const [, fields] of plan.chain) end += emitIpv6Extension(fields, out, end);
  end += plan.upper.emit(out, end, plan.addresses);
  const header = {
    ...plan.addresses,
    nextHeader: plan.chain[0]?.[0] ?? plan.upper.protocol,
    payloadLen: end - at - 40,
    hopLimit: plan.hopLimit,
    trafficClass: draw.upTo(255),
    flowLabel: draw.upTo(0xfffff),
  };
  emitIpv6(header, out, at);
  return end - at;
}

/** Up to four extension headers in the order that RFC 8200 section 4.1 recommends. */
function extensionChain(draw: Draw, upper: number): [number, Ipv6ExtensionFields][] {
  const option = { type: 5, data: Uint8Array.of(0, 0) };
  const all: ((nextHeader: number) => [number, Ipv6ExtensionFields])[] = [
    (nextHeader) => [IpProtocol.hopByHop, { kind: 'hopByHop', nextHeader, options: [option] }],
    (nextHeader) => [
      IpProtocol.routing,
      { kind: 'routing', nextHeader, routingType: 253, segmentsLeft: 0, data: new Uint8Array(4) },
    ],
    (nextHeader) => [
      IpProtocol.authentication,
      { kind: 'authentication', nextHeader, spi: draw.u32(), sequenceNumber: draw.u32(), icv: draw.bytes(12) },
    ],
    (nextHeader) => [IpProtocol.destinationOptions, { kind: 'destinationOptions', nextHeader, options: [] }],
  ];
  const chosen = all.filter(() => draw.chance(0.2));
  let next = upper;
  const chain: [number, Ipv6ExtensionFields][] = [];
  for (const make of chosen.reverse()) {
    const link = make(next);
    chain.unshift(link);
    next = link[0];
  }
  return chain;
}

function emitRandomNdp(draw: Draw, out: Uint8Array, at: number): number {
  const message = ndpMessage(draw);
  const destination = draw.linkLocal();
  const addresses = { source: draw.linkLocal(), destination };
  const upper: Upper = {
    protocol: IpProtocol.icmpv6,
    emit: (bytes, offset, pair) => emitNdp(message, bytes, offset, pair),
  };
  return emitIpv6Chain(draw, { addresses, chain: [], upper, hopLimit: 255 }, out, at);
}

function ndpMessage(draw: Draw): NdpFields {
  const source: NdpOption = { kind: 'sourceLinkLayerAddress', address: draw.mac() };
  const target: NdpOption = { kind: 'targetLinkLayerAddress', address: draw.mac() };
  switch (draw.upTo(4)) {
    case 0:
      return { kind: 'routerSolicitation', options: draw.chance(0.5) ? [source] : [] };
    case 1:
      return routerAdvertisement(draw, source);
    case 2:
      return { kind: 'neighborSolicitation', target: draw.ipv6(), options: draw.chance(0.5) ? [source] : [] };
    case 3: {
      const flags = { router: draw.chance(0.5), solicited: draw.chance(0.5), override: draw.chance(0.5) };
      return { kind: 'neighborAdvertisement', target: draw.ipv6(), ...flags, options: [target] };
    }
    default:
      return { kind: 'redirect', target: draw.linkLocal(), destination: draw.ipv6(), options: [target] };
  }
}

function routerAdvertisement(draw: Draw, source: NdpOption): NdpFields {
  return {
    kind: 'routerAdvertisement',
    curHopLimit: draw.upTo(255),
    managed: draw.chance(0.5),
    otherConfig: draw.chance(0.5),
    routerLifetimeSeconds: draw.upTo(9000),
    reachableTimeMs: draw.upTo(3_600_000),
    retransTimerMs: draw.u32(),
    options: [
      source,
      { kind: 'mtu', mtu: 1280 + draw.upTo(8000) },
      {
        kind: 'prefixInformation',
        prefixLen: 64,
        onLink: draw.chance(0.5),
        autonomous: draw.chance(0.5),
        validLifetimeSeconds: draw.u32(),
        preferredLifetimeSeconds: draw.upTo(1000),
        prefix: IpAddress.parse('fd00:1:2:3::'),
      },
      { kind: 'rdnss', lifetimeSeconds: draw.upTo(3600), servers: [draw.ipv6(), draw.ipv6()] },
    ],
  };
}

function emitFragment4(draw: Draw, out: Uint8Array, at: number): number {
  const payloadLen = 8 * (1 + draw.upTo(60));
  const header = {
    source: draw.ipv4(),
    destination: draw.ipv4(),
    protocol: IpProtocol.udp,
    payloadLen,
    ttl: 64,
    identification: draw.upTo(0xffff),
    moreFragments: draw.chance(0.5),
    fragmentOffset: 8 * (1 + draw.upTo(8000)),
  };
  out.set(draw.bytes(payloadLen), at + 20);
  return emitIpv4(header, out, at) + payloadLen;
}

function emitFragment6(draw: Draw, out: Uint8Array, at: number): number {
  const payload = draw.bytes(8 * (1 + draw.upTo(60)));
  const fragment: Ipv6ExtensionFields = {
    kind: 'fragment',
    nextHeader: IpProtocol.udp,
    identification: draw.u32(),
    moreFragments: draw.chance(0.5),
    fragmentOffset: 8 * (1 + draw.upTo(8000)),
  };
  const upper: Upper = {
    protocol: IpProtocol.udp,
    emit: (bytes, offset) => {
      bytes.set(payload, offset);
      return payload.length;
    },
  };
  const addresses = { source: draw.ipv6(), destination: draw.ipv6() };
  return emitIpv6Chain(draw, { addresses, chain: [[IpProtocol.fragment, fragment]], upper, hopLimit: 64 }, out, at);
}

function udp(draw: Draw): Upper {
  // Ports from the dynamic range, so that tshark does not take the random payload for some protocol.
  const fields = {
    sourcePort: 50_000 + draw.upTo(999),
    destinationPort: 50_000 + draw.upTo(999),
    payload: payload(draw),
  };
  return { protocol: IpProtocol.udp, emit: (out, offset, addresses) => emitUdp(fields, out, offset, addresses) };
}

function tcp(draw: Draw): Upper {
  const fields = {
    sourcePort: 50_000 + draw.upTo(999),
    destinationPort: 50_000 + draw.upTo(999),
    sequenceNumber: draw.u32(),
    acknowledgmentNumber: draw.u32(),
    flags: draw.upTo(255),
    window: draw.upTo(0xffff),
    urgentPointer: draw.upTo(0xffff),
    options: tcpOptions(draw),
    payload: payload(draw),
  };
  return { protocol: IpProtocol.tcp, emit: (out, offset, addresses) => emitTcp(fields, out, offset, addresses) };
}

function tcpOptions(draw: Draw): TcpOption[] {
  const all: TcpOption[] = [
    { kind: 'maximumSegmentSize', size: draw.upTo(0xffff) },
    { kind: 'sackPermitted' },
    { kind: 'timestamps', value: draw.u32(), echoReply: draw.u32() },
    { kind: 'noOperation' },
    { kind: 'windowScale', shift: draw.upTo(14) },
    { kind: 'sack', blocks: [{ left: draw.u32(), right: draw.u32() }] },
  ];
  return all.filter(() => draw.chance(0.4));
}

function payload(draw: Draw): Uint8Array {
  return draw.bytes(draw.upTo(draw.chance(0.1) ? 1400 : 40));
}

/** A UDP packet as an ICMP error quotes it. */
function quoted(draw: Draw, family: 4 | 6): Uint8Array {
  const out = new Uint8Array(256);
  const [at, source, destination] = family === 4 ? [20, draw.ipv4(), draw.ipv4()] : [40, draw.ipv6(), draw.ipv6()];
  const fields = { sourcePort: 50_001, destinationPort: 50_002, payload: draw.bytes(20) };
  const payloadLen = emitUdp(fields, out, at, { source, destination });
  if (family === 4) emitIpv4({ source, destination, protocol: IpProtocol.udp, payloadLen, ttl: 1 }, out, 0);
  else emitIpv6({ source, destination, nextHeader: IpProtocol.udp, payloadLen, hopLimit: 1 }, out, 0);
  return out.slice(0, at + payloadLen);
}

function icmpv4(draw: Draw): Upper {
  const original = quoted(draw, 4);
  const ids = { identifier: draw.upTo(0xffff), sequenceNumber: draw.upTo(0xffff) };
  const fields = draw.pick<Icmpv4Fields>([
    { kind: 'echoRequest', ...ids, data: payload(draw) },
    { kind: 'echoReply', ...ids, data: payload(draw) },
    { kind: 'destinationUnreachable', code: 3, nextHopMtu: 0, original },
    { kind: 'destinationUnreachable', code: 4, nextHopMtu: 576 + draw.upTo(900), original },
    { kind: 'timeExceeded', code: draw.upTo(1), original },
    { kind: 'parameterProblem', code: 0, pointer: draw.upTo(19), original },
    { kind: 'redirect', code: 1, gateway: draw.ipv4(), original },
  ]);
  return { protocol: IpProtocol.icmpv4, emit: (out, offset) => emitIcmpv4(fields, out, offset) };
}

function icmpv6(draw: Draw): Upper {
  const original = quoted(draw, 6);
  const ids = { identifier: draw.upTo(0xffff), sequenceNumber: draw.upTo(0xffff) };
  const fields = draw.pick<Icmpv6Fields>([
    { kind: 'echoRequest', ...ids, data: payload(draw) },
    { kind: 'echoReply', ...ids, data: payload(draw) },
    { kind: 'destinationUnreachable', code: draw.pick([0, 1, 3, 4]), original },
    { kind: 'packetTooBig', code: 0, mtu: 1280 + draw.upTo(8000), original },
    { kind: 'timeExceeded', code: draw.upTo(1), original },
    { kind: 'parameterProblem', code: draw.upTo(2), pointer: draw.upTo(47), original },
  ]);
  return {
    protocol: IpProtocol.icmpv6,
    emit: (out, offset, addresses) => emitIcmpv6(fields, out, offset, addresses),
  };
}
