/**
 * Splitting and coalescing once more: slow and readable, over the codecs of `src/wire`, every checksum computed from
 * scratch. What `native/segment.c`, `native/group.c` and `native/coalesce.c` give must be the same.
 */

import {
  EthernetView,
  emitVirtioNetHeader,
  IpProtocol,
  Ipv4View,
  Ipv6ExtensionWalker,
  Ipv6View,
  internetChecksum,
  parseVirtioNetHeader,
  pseudoHeaderSumAt,
  putU16,
  putU32,
  sumBytes,
  TcpFlag,
  TcpView,
  UdpView,
  u8,
  u16,
  u32,
  VirtioNetGso,
  VlanStack,
  virtioNetHeaderLen,
} from '../../src/wire/index.ts';

export type Medium = 'ip' | 'ethernet';

/** Where the headers of a whole TCP or UDP packet are. */
export interface Located {
  readonly l3: number;
  readonly l4: number;
  readonly payload: number;
  readonly end: number;
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly fragment: boolean;
  readonly routing: boolean;
}

/** Undefined when it is no TCP or UDP packet with whole headers. */
export function locate(packet: Uint8Array, medium: Medium): Located | undefined {
  const l3 = medium === 'ip' ? 0 : skipEthernet(packet);
  if (l3 === undefined || l3 >= packet.length) return undefined;
  return u8(packet, l3) >> 4 === 4 ? locateIpv4(packet, l3) : locateIpv6(packet, l3);
}

function skipEthernet(packet: Uint8Array): number | undefined {
  const frame = EthernetView.from(packet);
  if (typeof frame === 'string') return undefined;
  const tags = new VlanStack();
  if (tags.walk(packet, u16(packet, 12), 14, packet.length) !== undefined) return undefined;
  return tags.etherType === 0x0800 || tags.etherType === 0x86dd ? tags.payloadOffset : undefined;
}

function locateIpv4(packet: Uint8Array, l3: number): Located | undefined {
  const ip = new Ipv4View();
  if (ip.wrap(packet, l3, packet.length - l3) !== undefined) return undefined;
  const where = { l3, l4: ip.payloadOffset, end: ip.end, version: 4 as const, protocol: ip.protocol };
  return withPayload(packet, { ...where, fragment: ip.isFragment, routing: false });
}

function locateIpv6(packet: Uint8Array, l3: number): Located | undefined {
  const ip = new Ipv6View();
  const walker = new Ipv6ExtensionWalker();
  if (ip.wrap(packet, l3, packet.length - l3) !== undefined || walker.walk(ip) !== undefined) return undefined;
  const { payloadOffset: l4, protocol } = walker;
  const where = { l3, l4, end: ip.end, version: 6 as const, protocol };
  if (walker.fragmentHeaderOffset >= 0) return undefined;
  return withPayload(packet, { ...where, fragment: false, routing: walker.routingHeaderOffset >= 0 });
}

function withPayload(packet: Uint8Array, where: Omit<Located, 'payload'>): Located | undefined {
  if (where.protocol === IpProtocol.udp) {
    return where.end - where.l4 < 8 ? undefined : { ...where, payload: where.l4 + 8 };
  }
  const tcp = new TcpView();
  if (where.protocol !== IpProtocol.tcp) return undefined;
  if (tcp.wrap(packet, where.l4, where.end - where.l4) !== undefined) return undefined;
  return { ...where, payload: tcp.payloadOffset };
}

/** The sum of the pseudo header with the destination of the IP header. */
export function pseudoSum(packet: Uint8Array, { version, l3, l4, end, protocol }: Located): number {
  const [addresses, addressLen] = version === 4 ? ([l3 + 12, 4] as const) : ([l3 + 8, 16] as const);
  return pseudoHeaderSumAt(packet, addresses, addressLen, protocol, end - l4);
}

/** True when every checksum in the packet is right. */
export function checksumsRight(packet: Uint8Array, where: Located): boolean {
  if (where.version === 4 && internetChecksum(packet, where.l3, where.l4 - where.l3) !== 0) return false;
  return internetChecksum(packet, where.l4, where.end - where.l4, pseudoSum(packet, where)) === 0;
}

/** Computes every checksum of the packet. */
export function fixChecksums(packet: Uint8Array, where: Located): void {
  if (where.version === 4) {
    putU16(packet, where.l3 + 10, 0);
    putU16(packet, where.l3 + 10, internetChecksum(packet, where.l3, where.l4 - where.l3));
  }
  const at = where.l4 + checksumOffset(where);
  putU16(packet, at, 0);
  const checksum = internetChecksum(packet, where.l4, where.end - where.l4, pseudoSum(packet, where));
  putU16(packet, at, checksum === 0 && where.protocol === IpProtocol.udp ? 0xffff : checksum);
}

export function checksumOffset({ protocol }: Located): number {
  return protocol === IpProtocol.tcp ? 16 : 6;
}

/** The packets that a frame, a virtio-net header and a packet, stands for; undefined when it is malformed. */
export function splitFrame(frame: Uint8Array, medium: Medium): Uint8Array[] | undefined {
  const header = parseVirtioNetHeader(frame);
  const packet = frame.slice(virtioNetHeaderLen);
  if (typeof header === 'string' || packet.length === 0) return undefined;
  if (header.gsoType === VirtioNetGso.none) {
    if (!header.needsChecksum) return [packet];
    const at = header.checksumStart + header.checksumOffset;
    if (at + 2 > packet.length) return undefined;
    const checksum = internetChecksum(packet, header.checksumStart, packet.length - header.checksumStart);
    putU16(packet, at, checksum === 0 ? 0xffff : checksum);
    return [packet];
  }
  const where = locate(packet, medium);
  if (where === undefined) return undefined;
  const tcp = where.protocol === IpProtocol.tcp;
  const tcpType = where.version === 4 ? VirtioNetGso.tcp4 : VirtioNetGso.tcp6;
  if (header.gsoType !== (tcp ? tcpType : VirtioNetGso.udp) || header.gsoSize === 0) return undefined;
  const parts: Uint8Array[] = [];
  for (let done = 0; done === 0 || where.payload + done < where.end; done += header.gsoSize) {
    parts.push(
      segmentOf(packet, where, done, Math.min(header.gsoSize, where.end - where.payload - done), parts.length),
    );
  }
  return parts;
}

function segmentOf(whole: Uint8Array, where: Located, done: number, len: number, index: number): Uint8Array {
  const { l3, l4, payload, version } = where;
  const packet = new Uint8Array(payload + len);
  packet.set(whole.subarray(0, payload));
  packet.set(whole.subarray(payload + done, payload + done + len), payload);
  if (version === 4) {
    putU16(packet, l3 + 2, packet.length - l3);
    putU16(packet, l3 + 4, (u16(whole, l3 + 4) + index) & 0xffff);
  } else {
    putU16(packet, l3 + 4, packet.length - l3 - 40);
  }
  if (where.protocol === IpProtocol.tcp) {
    putU32(packet, l4 + 4, (u32(whole, l4 + 4) + done) >>> 0);
    let flags = u8(whole, l4 + 13);
    if (index > 0) flags &= ~TcpFlag.cwr;
    if (payload + done + len < where.end) flags &= ~(TcpFlag.psh | TcpFlag.fin);
    packet[l4 + 13] = flags;
  } else {
    putU16(packet, l4 + 4, packet.length - l4);
  }
  fixChecksums(packet, { ...where, end: packet.length });
  return packet;
}

interface Run {
  readonly packets: Uint8Array[];
  readonly where: Located | undefined;
  open: boolean;
  idRule: 'unknown' | 'fixed' | 'counts';
}

/** How many packets are looked at together, and with how many runs each is compared. */
const chunk = 128;
const lookup = 8;

/** The frames in which these packets are written. */
export function coalescePackets(packets: readonly Uint8Array[], medium: Medium): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < packets.length; at += chunk) {
    for (const run of gather(packets.slice(at, at + chunk), medium)) frames.push(frameOf(run));
  }
  return frames;
}

function gather(packets: readonly Uint8Array[], medium: Medium): Run[] {
  const runs: Run[] = [];
  for (const packet of packets) {
    const where = locate(packet, medium);
    const recent = runs.slice(-lookup).reverse();
    if (where === undefined || where.fragment) {
      for (const run of recent) run.open = false;
      runs.push({ packets: [packet], where: undefined, open: false, idRule: 'unknown' });
      continue;
    }
    const run = recent.find((other) => isSameFlow(other, packet, where));
    if (run?.open && join(run, packet, where)) continue;
    if (run !== undefined) run.open = false;
    const open = mayStart(packet, where) && !endsRun(packet, where);
    runs.push({ packets: [packet], where, open, idRule: 'unknown' });
  }
  return runs;
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Protocol, addresses and ports. */
export function flowOf(packet: Uint8Array, { l3, l4, version, protocol }: Located): string {
  const addresses = packet.subarray(l3 + (version === 4 ? 12 : 8), l3 + (version === 4 ? 20 : 40));
  return [protocol, ...addresses, ...packet.subarray(l4, l4 + 4)].join();
}

function isSameFlow(run: Run, packet: Uint8Array, where: Located): boolean {
  return run.where !== undefined && flowOf(firstOf(run), run.where) === flowOf(packet, where);
}

function firstOf(run: Run): Uint8Array {
  return run.packets[0] as Uint8Array;
}

function mayStart(packet: Uint8Array, where: Located): boolean {
  if (where.end !== packet.length || where.payload === where.end || where.routing) return false;
  if (where.version === 4 && where.l4 - where.l3 !== 20) return false;
  if (where.protocol === IpProtocol.udp) {
    const udp = new UdpView();
    return udp.wrap(packet, where.l4, where.end - where.l4) === undefined && udp.end === where.end && udp.hasChecksum;
  }
  const { syn, rst, urg, ack } = TcpFlag;
  return (u8(packet, where.l4 + 13) & (syn | rst | urg | ack)) === ack;
}

function endsRun(packet: Uint8Array, { protocol, l4 }: Located): boolean {
  return protocol === IpProtocol.tcp && (u8(packet, l4 + 13) & (TcpFlag.psh | TcpFlag.fin)) !== 0;
}

/** Adds the packet to the run when both are right and splitting would give both back. */
function join(run: Run, packet: Uint8Array, where: Located): boolean {
  const first = firstOf(run);
  const firstWhere = run.where as Located;
  if (!mayStart(packet, where) || where.payload !== firstWhere.payload || where.l4 !== firstWhere.l4) return false;
  const rule = idRule(run, packet, where);
  if (rule === 'unknown' || !equal(withoutVarying(first, firstWhere), withoutVarying(packet, where))) return false;
  const segmentLen = first.length - where.payload;
  const payloadLen = packet.length - where.payload;
  const merged = run.packets.reduce((sum, other) => sum + other.length - where.payload, 0);
  if (payloadLen > segmentLen || where.payload - where.l3 + merged + payloadLen > 65_535) return false;
  if (where.protocol === IpProtocol.tcp) {
    if (u32(packet, where.l4 + 4) !== (u32(first, where.l4 + 4) + merged) >>> 0) return false;
    if ((u8(packet, where.l4 + 13) & TcpFlag.cwr) !== 0) return false;
  } else if (run.packets.length === 64) {
    return false;
  }
  if (!checksumsRight(first, firstWhere) || !checksumsRight(packet, where)) return false;
  run.packets.push(packet);
  run.idRule = rule;
  run.open = payloadLen === segmentLen && !endsRun(packet, where);
  return true;
}

/** The headers with 0 in every field that may differ between the packets of a run. */
function withoutVarying(packet: Uint8Array, { l3, l4, payload, version, protocol }: Located): Uint8Array {
  const headers = packet.slice(0, payload);
  const varying = version === 4 ? [l3 + 2, l3 + 4, l3 + 10] : [l3 + 4];
  if (protocol === IpProtocol.tcp) {
    varying.push(l4 + 4, l4 + 6, l4 + 16);
    headers[l4 + 13] = u8(headers, l4 + 13) & ~(TcpFlag.psh | TcpFlag.fin | TcpFlag.cwr);
  } else {
    varying.push(l4 + 4, l4 + 6);
  }
  for (const at of varying) putU16(headers, at, 0);
  return headers;
}

function idRule(run: Run, packet: Uint8Array, { l3, version }: Located): Run['idRule'] {
  if (version === 6) return 'counts';
  const before = u16(run.packets.at(-1) as Uint8Array, l3 + 4);
  const id = u16(packet, l3 + 4);
  if (id === ((before + 1) & 0xffff) && run.idRule !== 'fixed') return 'counts';
  const dontFragment = (u8(packet, l3 + 6) & 0x40) !== 0;
  return id === before && run.idRule !== 'counts' && dontFragment ? 'fixed' : 'unknown';
}

function frameOf({ packets, where }: Run): Uint8Array {
  const first = packets[0] as Uint8Array;
  if (packets.length === 1 || where === undefined) return Buffer.concat([new Uint8Array(virtioNetHeaderLen), first]);
  const payloads = packets.map((packet) => packet.subarray(where.payload));
  const packet = new Uint8Array(Buffer.concat([first.subarray(0, where.payload), ...payloads]));
  const { l3, l4, version, protocol } = where;
  const tcp = protocol === IpProtocol.tcp;
  putU16(packet, l3 + (version === 4 ? 2 : 4), packet.length - l3 - (version === 4 ? 0 : 40));
  if (version === 4) {
    putU16(packet, l3 + 10, 0);
    putU16(packet, l3 + 10, internetChecksum(packet, l3, 20));
  }
  if (tcp) packet[l4 + 13] = u8(packet, l4 + 13) | u8(packets.at(-1) as Uint8Array, l4 + 13);
  else putU16(packet, l4 + 4, packet.length - l4);
  putU16(packet, l4 + checksumOffset(where), pseudoSum(packet, { ...where, end: packet.length }));
  return frameWith(packet, where, (payloads[0] as Uint8Array).length);
}

/** A super-packet behind the virtio-net header that says how to cut it up. */
export function frameWith(packet: Uint8Array, where: Located, gsoSize: number): Uint8Array {
  const tcp = where.protocol === IpProtocol.tcp;
  const frame = new Uint8Array(virtioNetHeaderLen + packet.length);
  emitVirtioNetHeader(
    {
      needsChecksum: true,
      gsoType: tcp ? (where.version === 4 ? VirtioNetGso.tcp4 : VirtioNetGso.tcp6) : VirtioNetGso.udp,
      ecn: tcp && (u8(packet, where.l4 + 13) & TcpFlag.cwr) !== 0,
      headerLen: where.payload,
      gsoSize,
      checksumStart: where.l4,
      checksumOffset: checksumOffset(where),
    },
    frame,
    0,
  );
  frame.set(packet, virtioNetHeaderLen);
  return frame;
}

/** The sum over the pseudo header alone, as a super-packet has it in its checksum field. */
export function putPartialChecksum(packet: Uint8Array, where: Located): void {
  if (where.version === 4) {
    putU16(packet, where.l3 + 10, 0);
    putU16(packet, where.l3 + 10, internetChecksum(packet, where.l3, where.l4 - where.l3));
  }
  putU16(packet, where.l4 + checksumOffset(where), sumBytes(packet, 0, 0, pseudoSum(packet, where)));
}
