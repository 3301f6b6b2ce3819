/** The layers above IP in words: ICMP, neighbour discovery, TCP. */

import { mldName } from './mld.ts';
import type {
  Icmpv4Summary,
  Icmpv6Summary,
  NdpOptionSummary,
  NdpSummary,
  PacketSummary,
  TcpOptionSummary,
  TcpSummary,
} from './packet-summary.ts';
import { Icmpv4Type, Icmpv4UnreachableCode, Icmpv6Type, IpProtocol, NdpOptionType } from './protocol-numbers.ts';
import { TcpFlag } from './tcp.ts';

/** `ICMP echo request, id 7, seq 1, length 64` */
export function describeIcmpv4(icmp: Icmpv4Summary): string {
  return `ICMP ${icmpv4Text(icmp)}, length ${icmp.length}`;
}

function icmpv4Text(icmp: Icmpv4Summary): string {
  const { type, code } = icmp;
  const ids = `id ${icmp.identifier}, seq ${icmp.sequenceNumber}`;
  switch (type) {
    case Icmpv4Type.echoRequest:
    case Icmpv4Type.echoReply: {
      const name = type === Icmpv4Type.echoRequest ? 'echo request' : 'echo reply';
      return icmp.identifier === undefined ? `${name}, code ${code}` : `${name}, ${ids}`;
    }
    case Icmpv4Type.destinationUnreachable:
      return unreachableText(icmp);
    case Icmpv4Type.timeExceeded:
      return code === 0
        ? 'time exceeded in-transit'
        : code === 1
          ? 'ip reassembly time exceeded'
          : `time exceeded, code ${code}`;
    case Icmpv4Type.parameterProblem:
      return `parameter problem, octet ${icmp.pointer}${code === 0 ? '' : `, code ${code}`}`;
    case Icmpv4Type.redirect:
      return `redirect ${originalDestination(icmp.original)} to ${code === 0 || code === 2 ? 'net' : 'host'} ${icmp.gateway}`;
    case Icmpv4Type.timestamp:
      return `time stamp query, ${ids}`;
    case Icmpv4Type.timestampReply:
      return `time stamp reply, ${ids}`;
    case Icmpv4Type.sourceQuench:
      return 'source quench';
    case Icmpv4Type.routerAdvertisement:
      return 'router advertisement';
    case Icmpv4Type.routerSolicitation:
      return 'router solicitation';
    default:
      return `type ${type}, code ${code}`;
  }
}

function unreachableText(icmp: Icmpv4Summary): string {
  const { code, original } = icmp;
  const destination = originalDestination(original);
  switch (code) {
    case Icmpv4UnreachableCode.net:
      return `net ${destination} unreachable`;
    case Icmpv4UnreachableCode.host:
      return `host ${destination} unreachable`;
    case Icmpv4UnreachableCode.protocol:
      return `${destination} protocol ${original?.ipv4?.protocol ?? '?'} unreachable`;
    case Icmpv4UnreachableCode.port:
      return `${destination} ${originalPort(original)} unreachable`;
    case Icmpv4UnreachableCode.fragmentationNeeded:
      return `${destination} unreachable - need to frag (mtu ${icmp.nextHopMtu})`;
    case Icmpv4UnreachableCode.sourceRouteFailed:
      return `${destination} unreachable - source route failed`;
    case Icmpv4UnreachableCode.netProhibited:
      return `net ${destination} unreachable - admin prohibited`;
    case Icmpv4UnreachableCode.hostProhibited:
      return `host ${destination} unreachable - admin prohibited`;
    case Icmpv4UnreachableCode.prohibited:
      return `${destination} unreachable - admin prohibited filter`;
    default:
      return `${destination} unreachable, code ${code}`;
  }
}

function originalDestination(original: PacketSummary | undefined): string {
  return original?.ipv4?.destination ?? original?.ipv6?.destination ?? 'unknown';
}

/** `udp port 53`: what the quoted packet was sent to. */
function originalPort(original: PacketSummary | undefined): string {
  const protocol = original?.ipv4?.protocol ?? original?.ipv6?.protocol;
  const port = (original?.udp ?? original?.tcp ?? original?.ports)?.destinationPort;
  const name = protocol === IpProtocol.udp ? 'udp ' : protocol === IpProtocol.tcp ? 'tcp ' : '';
  return `${name}port${port === undefined ? '' : ` ${port}`}`;
}

/** `ICMP6, echo request, id 7, seq 1, length 64` */
export function describeIcmpv6(icmp: Icmpv6Summary, ndp: NdpSummary | undefined): string {
  const text = ndp === undefined ? icmpv6Text(icmp) : describeNdp(ndp);
  return `ICMP6, ${text}, length ${icmp.length}`;
}

function icmpv6Text(icmp: Icmpv6Summary): string {
  const { type, code } = icmp;
  switch (type) {
    case Icmpv6Type.echoRequest:
      return `echo request, id ${icmp.identifier}, seq ${icmp.sequenceNumber}`;
    case Icmpv6Type.echoReply:
      return `echo reply, id ${icmp.identifier}, seq ${icmp.sequenceNumber}`;
    case Icmpv6Type.destinationUnreachable:
      return `destination unreachable, ${unreachable6Text(icmp)}`;
    case Icmpv6Type.packetTooBig:
      return `packet too big, mtu ${icmp.mtu}`;
    case Icmpv6Type.timeExceeded:
      return code === 1
        ? 'ip reassembly time exceeded'
        : `time exceeded in-transit for ${originalDestination(icmp.original)}`;
    case Icmpv6Type.parameterProblem:
      return `parameter problem, ${parameterNames[code] ?? `code ${code}`}, octet ${icmp.pointer}`;
    default:
      return mldName(type) ?? ndpNames.get(type) ?? `type ${type}, code ${code}`;
  }
}

const parameterNames: readonly string[] = ['erroneous field', 'unrecognized next header', 'unrecognized option'];

/** For messages whose body could not be read. */
const ndpNames: ReadonlyMap<number, string> = new Map<number, string>([
  [Icmpv6Type.routerSolicitation, 'router solicitation'],
  [Icmpv6Type.routerAdvertisement, 'router advertisement'],
  [Icmpv6Type.neighborSolicitation, 'neighbor solicitation'],
  [Icmpv6Type.neighborAdvertisement, 'neighbor advertisement'],
  [Icmpv6Type.redirect, 'redirect'],
]);

function unreachable6Text(icmp: Icmpv6Summary): string {
  const destination = originalDestination(icmp.original);
  switch (icmp.code) {
    case 0:
      return `no route to ${destination}`;
    case 1:
      return `admin prohibited ${destination}`;
    case 2:
      return `beyond scope ${destination}`;
    case 3:
      return `unreachable address ${destination}`;
    case 4:
      return `unreachable port, ${destination} ${originalPort(icmp.original)}`;
    default:
      return `code ${icmp.code} ${destination}`;
  }
}

function describeNdp(ndp: NdpSummary): string {
  const options = ndp.options.length === 0 ? '' : `, options [${ndp.options.map(ndpOptionText).join(', ')}]`;
  return ndpText(ndp) + options;
}

function ndpText(ndp: NdpSummary): string {
  switch (ndp.kind) {
    case 'routerSolicitation':
      return 'router solicitation';
    case 'routerAdvertisement': {
      const flags = flagList([ndp.managed, 'managed'], [ndp.otherConfig, 'other stateful']);
      const times = `router lifetime ${ndp.routerLifetimeSeconds}s, reachable ${ndp.reachableTimeMs}ms, retrans ${ndp.retransTimerMs}ms`;
      return `router advertisement, hop limit ${ndp.curHopLimit}, flags [${flags}], ${times}`;
    }
    case 'neighborSolicitation':
      return `neighbor solicitation, who has ${ndp.target}`;
    case 'neighborAdvertisement': {
      const flags = flagList([ndp.router, 'router'], [ndp.solicited, 'solicited'], [ndp.override, 'override']);
      return `neighbor advertisement, tgt is ${ndp.target}, flags [${flags}]`;
    }
    case 'redirect':
      return `redirect, ${ndp.destination} to ${ndp.target}`;
  }
}

function flagList(...flags: readonly (readonly [isSet: boolean | undefined, name: string])[]): string {
  const names = flags.filter(([isSet]) => isSet === true).map(([, name]) => name);
  return names.length === 0 ? 'none' : names.join(', ');
}

function ndpOptionText(option: NdpOptionSummary): string {
  switch (option.kind) {
    case 'sourceLinkLayerAddress':
      return `source link-address ${option.address}`;
    case 'targetLinkLayerAddress':
      return `destination link-address ${option.address}`;
    case 'prefixInformation': {
      const flags = flagList([option.onLink, 'onlink'], [option.autonomous, 'auto']);
      const times = `valid ${lifetime(option.validLifetimeSeconds)}, pref. ${lifetime(option.preferredLifetimeSeconds)}`;
      return `prefix ${option.prefix} (${flags}) ${times}`;
    }
    case 'redirectedHeader':
      return `redirected header, length ${option.length}`;
    case 'mtu':
      return `mtu ${option.mtu}`;
    case 'rdnss':
      return `rdnss ${(option.servers ?? []).join(' ')} lifetime ${lifetime(option.lifetimeSeconds)}`;
    case 'other':
      return option.type === NdpOptionType.nonce ? 'nonce' : `option ${option.type}, length ${option.length}`;
  }
}

function lifetime(seconds: number | undefined): string {
  return seconds === 0xffff_ffff ? 'infinity' : `${seconds}s`;
}

/** `Flags [S], seq 1, win 65535, options [mss 1460,sackOK], length 0`; all numbers as they are, none relative. */
export function describeTcp(tcp: TcpSummary): string {
  const { sequenceNumber: seq, payloadLength, flags } = tcp;
  const range = payloadLength === 0 ? `${seq}` : `${seq}:${(seq + payloadLength) % 0x1_0000_0000}`;
  const ack = (flags & TcpFlag.ack) === 0 ? '' : `, ack ${tcp.acknowledgmentNumber}`;
  const urgent = (flags & TcpFlag.urg) === 0 ? '' : `, urg ${tcp.urgentPointer}`;
  const options = tcp.options.length === 0 ? '' : `, options [${tcp.options.map(tcpOptionText).join(',')}]`;
  return `Flags [${tcpFlags(flags)}], seq ${range}${ack}, win ${tcp.window}${urgent}${options}, length ${payloadLength}`;
}

/** As tcpdump writes them: `S.` is SYN with ACK. */
function tcpFlags(flags: number): string {
  const letters: readonly (readonly [number, string])[] = [
    [TcpFlag.fin, 'F'],
    [TcpFlag.syn, 'S'],
    [TcpFlag.rst, 'R'],
    [TcpFlag.psh, 'P'],
    [TcpFlag.ack, '.'],
    [TcpFlag.urg, 'U'],
    [TcpFlag.ece, 'E'],
    [TcpFlag.cwr, 'W'],
  ];
  const text = letters.filter(([bit]) => (flags & bit) !== 0).map(([, letter]) => letter);
  return text.length === 0 ? 'none' : text.join('');
}

function tcpOptionText(option: TcpOptionSummary): string {
  switch (option.kind) {
    case 'noOperation':
      return 'nop';
    case 'sackPermitted':
      return 'sackOK';
    case 'maximumSegmentSize':
      return `mss ${option.size}`;
    case 'windowScale':
      return `wscale ${option.shift}`;
    case 'timestamps':
      return `TS val ${option.value} ecr ${option.echoReply}`;
    case 'sack':
      return `sack ${(option.blocks ?? []).map(({ left, right }) => `{${left}:${right}}`).join('')}`;
    case 'other':
      return `unknown-${option.type}`;
  }
}
