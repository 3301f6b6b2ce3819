/** The layers above IP of a packet summary: ICMP, neighbour discovery, UDP, TCP. */

import { u16 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { type Icmpv4Fields, Icmpv4View, icmpv4Fields, isIcmpv4Error } from './icmpv4.ts';
import { Icmpv6View } from './icmpv6.ts';
import { Ipv4View } from './ipv4.ts';
import { Ipv6View } from './ipv6.ts';
import { checkNdp, isNdpType, NdpView, ndpFields } from './ndp.ts';
import type { NdpOption } from './ndp-option.ts';
import type {
  Icmpv4Summary,
  Icmpv6Summary,
  NdpOptionSummary,
  NdpSummary,
  PacketSummary,
  SummaryDraft,
  TcpOptionSummary,
} from './packet-summary.ts';
import { Icmpv4Type, Icmpv6Type, IpProtocol } from './protocol-numbers.ts';
import { TcpView } from './tcp.ts';
import { parseTcpOptions, type TcpOption } from './tcp-option.ts';
import { UdpView } from './udp.ts';

/** Where the upper layer stands and how to read it. */
interface UpperReading {
  readonly protocol: number;
  readonly offset: number;
  /** The message is not whole: no checksum, and cut-off headers are read as far as they go. */
  readonly partial: boolean;
  /** The message is whole but for its checksum, which somebody computes later. */
  readonly checksumPending: boolean;
  readonly summarizeQuoted?: (bytes: Uint8Array) => PacketSummary;
}

/** Fills in the layer that `reading.protocol` names, if it is one of those known here. */
export function readUpper(draft: SummaryDraft, ip: Ipv4View | Ipv6View, reading: UpperReading): DropReason | undefined {
  const length = ip.end - reading.offset;
  const reason = readMessage(draft, ip, reading, length);
  return reading.partial && reason === 'truncated' ? undefined : reason;
}

function readMessage(
  draft: SummaryDraft,
  ip: Ipv4View | Ipv6View,
  reading: UpperReading,
  length: number,
): DropReason | undefined {
  const { protocol } = reading;
  if (protocol === IpProtocol.udp) return readUdp(draft, ip, reading, length);
  if (protocol === IpProtocol.tcp) return readTcp(draft, ip, reading, length);
  if (protocol === IpProtocol.icmpv4 && ip instanceof Ipv4View) return readIcmpv4(draft, ip, reading, length);
  if (protocol === IpProtocol.icmpv6 && ip instanceof Ipv6View) return readIcmpv6(draft, ip, reading, length);
  return undefined;
}

/** Then nothing is said about it. */
function hasNoChecksum({ partial, checksumPending }: UpperReading): boolean {
  return partial || checksumPending;
}

function readUdp(
  draft: SummaryDraft,
  ip: Ipv4View | Ipv6View,
  reading: UpperReading,
  length: number,
): DropReason | undefined {
  const view = new UdpView();
  const reason = view.wrap(ip.bytes, reading.offset, length);
  if (reason !== undefined) {
    readPorts(draft, ip, reading, length);
    return reason;
  }
  const checksum = hasNoChecksum(reading) ? undefined : udpChecksum(view, ip);
  const { sourcePort, destinationPort } = view;
  draft.udp = { sourcePort, destinationPort, length: view.length, ...(checksum === undefined ? {} : { checksum }) };
  draft.payloadLength = view.payloadLen;
  const missing = checksum === 'none' && ip instanceof Ipv6View;
  return checksum === 'bad' || missing ? 'bad-checksum' : undefined;
}

function udpChecksum(view: UdpView, ip: Ipv4View | Ipv6View): 'ok' | 'bad' | 'none' {
  if (!view.hasChecksum) return 'none';
  return view.checksumOk(ip.pseudoHeaderSum(IpProtocol.udp, view.length)) ? 'ok' : 'bad';
}

function readTcp(
  draft: SummaryDraft,
  ip: Ipv4View | Ipv6View,
  reading: UpperReading,
  length: number,
): DropReason | undefined {
  const view = new TcpView();
  const reason = view.wrap(ip.bytes, reading.offset, length);
  if (reason !== undefined) {
    readPorts(draft, ip, reading, length);
    return reason;
  }
  const checksumOk = hasNoChecksum(reading) || view.checksumOk(ip.pseudoHeaderSum(IpProtocol.tcp, length));
  const options = parseTcpOptions(view.bytes.subarray(view.optionsOffset, view.payloadOffset));
  draft.tcp = {
    sourcePort: view.sourcePort,
    destinationPort: view.destinationPort,
    sequenceNumber: view.sequenceNumber,
    acknowledgmentNumber: view.acknowledgmentNumber,
    flags: view.flags,
    window: view.window,
    urgentPointer: view.urgentPointer,
    options: typeof options === 'string' ? [] : options.map(plainTcpOption),
    payloadLength: view.payloadLen,
    ...(hasNoChecksum(reading) ? {} : { checksumOk }),
  };
  draft.payloadLength = view.payloadLen;
  if (!checksumOk) return 'bad-checksum';
  return typeof options === 'string' ? options : undefined;
}

/** UDP and TCP begin alike, so that the ports are known from four octets on. */
function readPorts(draft: SummaryDraft, ip: Ipv4View | Ipv6View, reading: UpperReading, length: number): void {
  if (length < 4) return;
  draft.ports = { sourcePort: u16(ip.bytes, reading.offset), destinationPort: u16(ip.bytes, reading.offset + 2) };
}

function readIcmpv4(draft: SummaryDraft, ip: Ipv4View, reading: UpperReading, length: number): DropReason | undefined {
  const view = new Icmpv4View();
  const reason = view.wrap(ip.bytes, reading.offset, length);
  if (reason !== undefined) return reason;
  const checksumOk = hasNoChecksum(reading) || view.checksumOk;
  const fields = icmpv4Fields(view);
  draft.icmpv4 = {
    type: view.type,
    code: view.code,
    length,
    ...(hasNoChecksum(reading) ? {} : { checksumOk }),
    ...icmpv4Details(fields),
    ...(isIcmpv4Error(view.type) ? originalOf(view, reading) : {}),
  };
  draft.payloadLength = view.payloadLen;
  return checksumOk ? undefined : 'bad-checksum';
}

function icmpv4Details(fields: Icmpv4Fields): Partial<Icmpv4Summary> {
  switch (fields.kind) {
    case 'echoRequest':
    case 'echoReply':
      return { identifier: fields.identifier, sequenceNumber: fields.sequenceNumber };
    case 'destinationUnreachable':
      return fields.code === 4 ? { nextHopMtu: fields.nextHopMtu } : {};
    case 'parameterProblem':
      return { pointer: fields.pointer };
    case 'redirect':
      return { gateway: fields.gateway.toString() };
    case 'timeExceeded':
      return {};
    case 'other': {
      const isTimestamp = fields.type === Icmpv4Type.timestamp || fields.type === Icmpv4Type.timestampReply;
      if (!isTimestamp) return {};
      return { identifier: fields.restOfHeader >>> 16, sequenceNumber: fields.restOfHeader & 0xffff };
    }
  }
}

function originalOf(view: Icmpv4View | Icmpv6View, reading: UpperReading): { original?: PacketSummary } {
  if (reading.summarizeQuoted === undefined || view.payloadLen === 0) return {};
  return { original: reading.summarizeQuoted(view.bytes.subarray(view.payloadOffset, view.end)) };
}

function readIcmpv6(draft: SummaryDraft, ip: Ipv6View, reading: UpperReading, length: number): DropReason | undefined {
  const view = new Icmpv6View();
  const reason = view.wrap(ip.bytes, reading.offset, length);
  if (reason !== undefined) return reason;
  const checksumOk = hasNoChecksum(reading) || view.checksumOk(ip.pseudoHeaderSum(IpProtocol.icmpv6, length));
  draft.icmpv6 = {
    type: view.type,
    code: view.code,
    length,
    ...(hasNoChecksum(reading) ? {} : { checksumOk }),
    ...icmpv6Details(view),
    ...(view.isError ? originalOf(view, reading) : {}),
  };
  draft.payloadLength = view.payloadLen;
  const ndpReason = isNdpType(view.type) ? readNdp(draft, ip, reading, length) : undefined;
  return checksumOk ? ndpReason : 'bad-checksum';
}

function icmpv6Details(view: Icmpv6View): Partial<Icmpv6Summary> {
  switch (view.type) {
    case Icmpv6Type.echoRequest:
    case Icmpv6Type.echoReply:
      return { identifier: view.identifier, sequenceNumber: view.sequenceNumber };
    case Icmpv6Type.packetTooBig:
      return { mtu: view.restOfHeader };
    case Icmpv6Type.parameterProblem:
      return { pointer: view.restOfHeader };
    default:
      return {};
  }
}

function readNdp(draft: SummaryDraft, ip: Ipv6View, reading: UpperReading, length: number): DropReason | undefined {
  const view = new NdpView();
  const reason = view.wrap(ip.bytes, reading.offset, length);
  if (reason !== undefined) return reason;
  const fields = ndpFields(view);
  if (typeof fields === 'string') return fields;
  const { options, ...rest } = fields;
  const plainOptions = options.map(plainNdpOption);
  draft.ndp = { ...plainAddresses(rest), options: plainOptions };
  draft.payloadLength = 0;
  return reading.partial ? undefined : checkNdp(view, ip);
}

/** The same fields with addresses as text. */
function plainAddresses(fields: object): Omit<NdpSummary, 'options'> {
  const plain = Object.entries(fields).map(([key, value]) => [key, typeof value === 'object' ? String(value) : value]);
  return Object.fromEntries(plain) as Omit<NdpSummary, 'options'>;
}

function plainNdpOption(option: NdpOption): NdpOptionSummary {
  switch (option.kind) {
    case 'sourceLinkLayerAddress':
    case 'targetLinkLayerAddress':
      return { kind: option.kind, address: option.address.toString() };
    case 'prefixInformation': {
      const { prefix, prefixLen, ...rest } = option;
      return { ...rest, prefix: `${prefix}/${prefixLen}` };
    }
    case 'rdnss':
      return { ...option, servers: option.servers.map(String) };
    case 'redirectedHeader':
      return { kind: option.kind, length: option.original.length };
    case 'mtu':
      return option;
    case 'other':
      return { kind: option.kind, type: option.type, length: option.data.length };
  }
}

function plainTcpOption(option: TcpOption): TcpOptionSummary {
  if (option.kind !== 'other') return option;
  return { kind: option.kind, type: option.type, length: option.data.length };
}
