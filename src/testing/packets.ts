/**
 * Builders of whole packets with right lengths and checksums, for tests. Addresses may be text.
 *
 * They allocate freely; hot code uses the emitters of `vnic/wire`.
 */

import { IpAddress, MacAddress } from '../base/index.ts';
import {
  arpLen,
  arpRequest,
  EtherType,
  emitArp,
  emitEthernet,
  emitIcmpv4,
  emitIcmpv6,
  emitIpv4,
  emitIpv6,
  emitNdp,
  emitUdp,
  ethernetHeaderLen,
  type Icmpv4Fields,
  type Icmpv6Fields,
  IpProtocol,
  type Ipv4Fields,
  type Ipv6Fields,
  icmpv4HeaderLen,
  icmpv6HeaderLen,
  ipv6HeaderLen,
  type NdpFields,
  udpHeaderLen,
} from '../wire/index.ts';
import { markPacket } from './marked-packet.ts';

/** An IP address, or its text. */
export type IpText = IpAddress | string;

/** A MAC address, or its text. */
export type MacText = MacAddress | string;

/** Who sends to whom. Both of one family. */
export interface Ends {
  readonly source: IpText;
  readonly destination: IpText;
}

/** Fields of an echo request; all but the addresses have defaults. */
export interface EchoOptions extends Ends {
  /** Default 1. */
  readonly identifier?: number;
  /** Default 1. */
  readonly sequenceNumber?: number;
  /** Default 56 octets counting up, as `ping` sends them. */
  readonly data?: Uint8Array;
  /** TTL or hop limit, default 64. */
  readonly hopLimit?: number;
}

/** The longest header that a builder of this file puts before a payload. */
const NDP_MESSAGE_LEN_MAX = 2048;

/** An IPv4 packet around a payload. */
export function ipv4Packet(
  fields: Ends & { readonly protocol: number; readonly payload: Uint8Array } & Partial<
      Omit<Ipv4Fields, 'source' | 'destination' | 'payloadLen'>
    >,
): Uint8Array {
  const { payload, source, destination, ...rest } = fields;
  const packet = new Uint8Array(20 + (fields.options?.length ?? 0) + payload.length);
  const header = { ttl: 64, ...rest, source: ip(source), destination: ip(destination), payloadLen: payload.length };
  packet.set(payload, emitIpv4(header, packet, 0));
  return packet;
}

/** An IPv6 packet around a payload, which starts with any extension headers. */
export function ipv6Packet(
  fields: Ends & { readonly nextHeader: number; readonly payload: Uint8Array } & Partial<
      Omit<Ipv6Fields, 'source' | 'destination' | 'payloadLen'>
    >,
): Uint8Array {
  const { payload, source, destination, ...rest } = fields;
  const packet = new Uint8Array(ipv6HeaderLen + payload.length);
  const header = {
    hopLimit: 64,
    ...rest,
    source: ip(source),
    destination: ip(destination),
    payloadLen: payload.length,
  };
  packet.set(payload, emitIpv6(header, packet, 0));
  return packet;
}

/** An ICMPv4 message without IP header. */
export function icmpv4Message(fields: Icmpv4Fields): Uint8Array {
  const body = 'original' in fields ? fields.original : fields.data;
  const message = new Uint8Array(icmpv4HeaderLen + body.length);
  emitIcmpv4(fields, message, 0);
  return message;
}

/** An ICMPv6 message without IP header; the addresses are needed for its checksum. */
export function icmpv6Message(fields: Icmpv6Fields, ends: Ends): Uint8Array {
  const body = 'original' in fields ? fields.original : fields.data;
  const message = new Uint8Array(icmpv6HeaderLen + body.length);
  emitIcmpv6(fields, message, 0, { source: ip(ends.source), destination: ip(ends.destination) });
  return message;
}

/** A neighbour discovery message in an IPv6 packet; hop limit 255 unless another is given. */
export function ndpPacket(ends: Ends, fields: NdpFields, hopLimit = 255): Uint8Array {
  const scratch = new Uint8Array(NDP_MESSAGE_LEN_MAX);
  const length = emitNdp(fields, scratch, 0, { source: ip(ends.source), destination: ip(ends.destination) });
  return ipv6Packet({ ...ends, nextHeader: IpProtocol.icmpv6, hopLimit, payload: scratch.slice(0, length) });
}

/** An echo request of the family of its addresses, as an IP packet. */
export function echoRequest(options: EchoOptions): Uint8Array {
  const { identifier = 1, sequenceNumber = 1, data = countingBytes(56), hopLimit = 64 } = options;
  const fields = { kind: 'echoRequest', identifier, sequenceNumber, data } as const;
  if (ip(options.source).family === 4) {
    const payload = icmpv4Message(fields);
    return ipv4Packet({ ...pick(options), ttl: hopLimit, protocol: IpProtocol.icmpv4, payload });
  }
  const payload = icmpv6Message(fields, options);
  return ipv6Packet({ ...pick(options), hopLimit, nextHeader: IpProtocol.icmpv6, payload });
}

/** A UDP datagram of the family of its addresses, as an IP packet. */
export function udpPacket(
  options: Ends & { readonly sourcePort: number; readonly destinationPort: number; readonly payload: Uint8Array },
): Uint8Array {
  const source = ip(options.source);
  const destination = ip(options.destination);
  const payload = new Uint8Array(udpHeaderLen + options.payload.length);
  emitUdp(options, payload, 0, { source, destination });
  if (source.family === 4) return ipv4Packet({ source, destination, protocol: IpProtocol.udp, payload });
  return ipv6Packet({ source, destination, nextHeader: IpProtocol.udp, payload });
}

/**
 * A marked UDP packet (see `markPacket`) of exactly `size` octets, for link harnesses of real devices.
 * @param frame MAC addresses when the packet shall be an Ethernet frame; its header counts in `size`
 */
export function markedUdpPacket(
  ends: Ends & { readonly sourcePort: number; readonly destinationPort: number },
  size: number,
  seed: number,
  frame?: { readonly source: MacText; readonly destination: MacText },
): Uint8Array {
  const headerLen = (frame === undefined ? 0 : ethernetHeaderLen) + (ip(ends.source).family === 4 ? 20 : ipv6HeaderLen);
  const payload = markPacket(new Uint8Array(size - headerLen - udpHeaderLen), 0, seed);
  const packet = udpPacket({ ...ends, payload });
  return frame === undefined ? packet : ethernetFrame(frame, packet);
}

/** An Ethernet frame around an IP packet, whose version gives the EtherType, or around a payload of `etherType`. */
export function ethernetFrame(
  fields: { readonly source: MacText; readonly destination: MacText; readonly etherType?: number },
  payload: Uint8Array,
): Uint8Array {
  const byVersion = (payload[0] as number) >> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4;
  const frame = new Uint8Array(ethernetHeaderLen + payload.length);
  const { etherType = byVersion } = fields;
  emitEthernet({ source: mac(fields.source), destination: mac(fields.destination), etherType }, frame, 0);
  frame.set(payload, ethernetHeaderLen);
  return frame;
}

/** A broadcast ARP request; with the sender 0.0.0.0 it is a probe. */
export function arpRequestFrame(sender: { mac: MacText; address: IpText }, target: IpText): Uint8Array {
  const payload = new Uint8Array(arpLen);
  emitArp(arpRequest({ mac: mac(sender.mac), address: ip(sender.address) }, ip(target)), payload, 0);
  const ends = { source: sender.mac, destination: 'ff:ff:ff:ff:ff:ff', etherType: EtherType.arp };
  return ethernetFrame(ends, payload);
}

/** `length` octets 0, 1, 2, ‥ */
export function countingBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i);
}

function pick({ source, destination }: Ends): Ends {
  return { source, destination };
}

function ip(address: IpText): IpAddress {
  return typeof address === 'string' ? IpAddress.parse(address) : address;
}

function mac(address: MacText): MacAddress {
  return typeof address === 'string' ? MacAddress.parse(address) : address;
}
