/** TCP and UDP packets of every shape that offload must know, and arbitraries of them. */

import fc from 'fast-check';

import { IpProtocol, putU16, putU32, TcpFlag } from '../../src/wire/index.ts';
import { fixChecksums, type Located, locate, type Medium } from './twin.ts';

/** What stays the same over the packets of a flow. */
export interface Flow {
  readonly medium: Medium;
  readonly vlanTags: number;
  readonly version: 4 | 6;
  readonly protocol: 'tcp' | 'udp';
  /** Last octet of both addresses and low octet of both ports. */
  readonly number: number;
  readonly trafficClass: number;
  readonly hopLimit: number;
  readonly dontFragment: boolean;
  /** IPv6 extension headers: how many units of 8 octets each has. */
  readonly extensions: readonly number[];
  /** Units of 4 octets of TCP options. */
  readonly optionWords: number;
}

/** What differs from packet to packet. */
export interface Segment {
  readonly id: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly window: number;
  readonly flags: number;
  /** TCP's urgent pointer; 0 if left out. */
  readonly urgent?: number;
  /** The nibble of TCP beside the data offset, whose lowest bit is AE of accurate ECN; 0 if left out. */
  readonly reserved?: number;
  /** TCP options, a multiple of 4 bytes; `Flow.optionWords` of NOPs if left out. */
  readonly options?: Uint8Array;
  readonly payload: Uint8Array;
}

/** A packet with right checksums. */
export function buildPacket(flow: Flow, segment: Segment): Uint8Array {
  const link = flow.medium === 'ip' ? new Uint8Array(0) : ethernetHeader(flow);
  const transport = flow.protocol === 'tcp' ? tcpHeader(flow, segment) : udpHeader(flow, segment);
  const network = flow.version === 4 ? ipv4Header(flow, segment) : ipv6Header(flow);
  const packet = new Uint8Array(Buffer.concat([link, network, transport, segment.payload]));
  const l3 = link.length;
  if (flow.version === 4) putU16(packet, l3 + 2, packet.length - l3);
  else putU16(packet, l3 + 4, packet.length - l3 - 40);
  fixChecksums(packet, located(packet, flow.medium));
  return packet;
}

/** As `locate`, of a packet that must be one. */
export function located(packet: Uint8Array, medium: Medium): Located {
  const where = locate(packet, medium);
  if (where === undefined) throw new RangeError('not a TCP or UDP packet');
  return where;
}

function ethernetHeader({ version, vlanTags, number }: Flow): Uint8Array {
  const tags = Array.from({ length: vlanTags }, (_, i) => [
    i === 0 && vlanTags > 1 ? 0x88 : 0x81,
    i === 0 && vlanTags > 1 ? 0xa8 : 0,
    0x20,
    number,
  ]);
  const type = version === 4 ? [8, 0] : [0x86, 0xdd];
  return Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...tags.flat(), ...type]);
}

function ipv4Header(flow: Flow, { id }: Segment): Uint8Array {
  const flags = flow.dontFragment ? 0x40 : 0;
  const protocol = flow.protocol === 'tcp' ? IpProtocol.tcp : IpProtocol.udp;
  const start = [0x45, flow.trafficClass, 0, 0, id >> 8, id & 0xff, flags, 0, flow.hopLimit, protocol, 0, 0];
  return Uint8Array.from([...start, 10, 0, 0, flow.number, 10, 0, 1, flow.number]);
}

function ipv6Header(flow: Flow): Uint8Array {
  const protocol = flow.protocol === 'tcp' ? IpProtocol.tcp : IpProtocol.udp;
  // Hop-by-hop options first, destination options after.
  const kinds = flow.extensions.map((_, i) => (i === 0 ? IpProtocol.hopByHop : IpProtocol.destinationOptions));
  const bodies = flow.extensions.map((units, i) => {
    // One PadN option fills the header.
    const fill = units * 8 - 4;
    return [kinds[i + 1] ?? protocol, units - 1, 1, fill, ...new Array<number>(fill).fill(0)];
  });
  const address = (side: number): number[] => [0xfd, 0, ...new Array<number>(12).fill(0), side, flow.number];
  const { trafficClass: tc } = flow;
  const start = [0x60 | (tc >> 4), ((tc & 15) << 4) | 1, 2, 3, 0, 0, kinds[0] ?? protocol, flow.hopLimit];
  return Uint8Array.from([...start, ...address(0), ...address(1), ...bodies.flat()]);
}

function tcpHeader(flow: Flow, segment: Segment): Uint8Array {
  const options = segment.options ?? new Uint8Array(flow.optionWords * 4).fill(1);
  const header = new Uint8Array(20 + options.length);
  header.set(options, 20);
  putU16(header, 0, 0x1000 + flow.number);
  putU16(header, 2, 80);
  putU32(header, 4, segment.sequence);
  putU32(header, 8, segment.acknowledgment);
  header[12] = (header.length << 2) | (segment.reserved ?? 0);
  header[13] = segment.flags;
  putU16(header, 14, segment.window);
  putU16(header, 18, segment.urgent ?? 0);
  return header;
}

function udpHeader(flow: Flow, { payload }: Segment): Uint8Array {
  const header = new Uint8Array(8);
  putU16(header, 0, 0x1000 + flow.number);
  putU16(header, 2, 53);
  putU16(header, 4, 8 + payload.length);
  return header;
}

/** Payload that tells where it belongs. */
export function payloadOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31 + (i >> 8)) & 0xff);
}

export const flowOn = (medium: Medium): fc.Arbitrary<Flow> =>
  fc.record({
    medium: fc.constant(medium),
    vlanTags: medium === 'ip' ? fc.constant(0) : fc.integer({ min: 0, max: 2 }),
    version: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    number: fc.integer({ min: 1, max: 250 }),
    trafficClass: fc.integer({ min: 0, max: 255 }),
    hopLimit: fc.integer({ min: 1, max: 255 }),
    dontFragment: fc.boolean(),
    extensions: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
    optionWords: fc.integer({ min: 0, max: 10 }),
  });

export const anyFlow: fc.Arbitrary<Flow> = fc.constantFrom<Medium>('ip', 'ethernet').chain(flowOn);

/** TCP options as Linux writes them: timestamps (RFC 7323), and behind them blocks of SACK (RFC 2018). */
export function tcpOptions(stamp: number, sackBlocks: number): Uint8Array {
  const sackLen = 2 + sackBlocks * 8;
  const bytes = new Uint8Array(12 + (sackBlocks > 0 ? sackLen + 2 : 0));
  bytes.set([1, 1, 8, 10]);
  putU32(bytes, 4, stamp);
  putU32(bytes, 8, (stamp ^ 0x55) >>> 0);
  if (sackBlocks > 0) bytes.set([1, 1, 5, sackLen], 12);
  for (let at = 16; at < bytes.length; at += 4) putU32(bytes, at, stamp + at);
  return bytes;
}

/** Flags that data segments may have and keep in a super-packet. */
export const dataFlags: fc.Arbitrary<number> = fc
  .subarray<number>([TcpFlag.psh, TcpFlag.fin, TcpFlag.ece, TcpFlag.cwr])
  .map((flags) => flags.reduce((sum, flag) => sum | flag, TcpFlag.ack));
