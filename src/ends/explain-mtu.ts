/**
 * Why two joined ends would have the MTU that they have: the same reckoning as theirs, layer by layer, without opening or making one.
 */

import type { IpAddress, IpFamily } from '../base/index.ts';
import { framings } from '../framing/index.ts';
import type { Medium } from '../link/index.ts';
import { IPV6_MIN_MTU, type Layer, layersOf, outerMtu, overheadLen, tcpMss } from '../mtu/index.ts';
import { withNetlink } from '../netdev/index.ts';
import { getLinkSync } from '../netlink/index.ts';
import { openUdp } from '../transport/index.ts';
import { type EndSpec, parseEnd, parseHostPort } from './end-spec.ts';
import { resolveHost } from './host-address.ts';
import { takesMtu } from './kinds/device.ts';
import { mediumOf } from './medium.ts';
import { DEFAULT_MTU, readMtu } from './option-values.ts';

/** The way to the peer of an end. */
export interface OuterPath {
  readonly address: IpAddress;
  readonly family: IpFamily;
  /** Undefined when no route leads there. */
  readonly interface: string | undefined;
  readonly interfaceMtu: number | undefined;
  /** An MTU that the route itself has. */
  readonly routeMtu: number | undefined;
  /** What the kernel believes, by ICMP or by all that. */
  readonly pathMtu: number | undefined;
}

/** Where the MTU of an end is from. */
export type MtuBasis =
  /** `mtu=` */
  | 'given'
  /** The path to the peer. */
  | 'path'
  /** The peer is not known yet, and the path is taken to have 1500. */
  | 'assumed'
  /** A device that exists. */
  | 'device'
  /** The other end. */
  | 'other'
  /** A stream carries any, and 1500 is the custom. */
  | 'custom';

/** One end's share. */
export interface EndMtu {
  /** As it was written. */
  readonly end: string;
  readonly mtu: number;
  readonly basis: MtuBasis;
  readonly path: OuterPath | undefined;
  /** What stands around a packet, from the outside to the inside; of a datagram. */
  readonly layers: readonly Layer[];
  /** What `layers` are taken from. */
  readonly outerMtu: number | undefined;
}

/** What there is to say about two ends. */
export interface MtuExplanation {
  readonly medium: Medium;
  readonly ends: readonly [EndMtu, EndMtu];
  /** The longest packet that gets through both ways. */
  readonly mtu: number;
  /** Longest TCP segments. */
  readonly tcpMss4: number;
  readonly tcpMss6: number;
  /** What becomes of longer packets, a sentence each. */
  readonly longer: readonly string[];
  /** What may be wanted, a sentence each. */
  readonly hints: readonly string[];
}

/**
 * Explains the MTU of two ends, as text or parsed.
 * @throws VNIC_INVALID_END, VNIC_MEDIUM_MISMATCH, VNIC_PEER_UNREACHABLE (a name without an address)
 */
export async function explainMtu(first: string | EndSpec, second: string | EndSpec): Promise<MtuExplanation> {
  const specs = [first, second].map((end) => (typeof end === 'string' ? parseEnd(end) : end)) as [EndSpec, EndSpec];
  const medium = mediumOf(...specs);
  const found = new Map<EndSpec, EndMtu>();
  let other: number | undefined;
  // In the order in which they are opened: a device takes the MTU of the other end.
  for (const spec of specs.toSorted((x, y) => Number(takesMtu(x)) - Number(takesMtu(y)))) {
    const end = await explainEnd(spec, medium, other);
    found.set(spec, end);
    other = end.mtu;
  }
  const ends = specs.map((spec) => found.get(spec)) as [EndMtu, EndMtu];
  const mtu = Math.min(...ends.map((end) => end.mtu));
  return {
    medium,
    ends,
    mtu,
    tcpMss4: tcpMss(mtu, 4),
    tcpMss6: tcpMss(mtu, 6),
    longer: longerPackets(mtu, medium),
    hints: specs.flatMap((spec, i) => endHints(spec, ends[i] as EndMtu, mtu)).concat(hintsOf(mtu)),
  };
}

async function explainEnd(spec: EndSpec, medium: Medium, other: number | undefined): Promise<EndMtu> {
  const given = readMtu(spec);
  switch (spec.kind) {
    case 'udp':
    case 'udp-listen':
      return explainDatagrams(spec, medium, given);
    case 'vxlan':
    case 'vxlan-listen':
      return explainDatagrams(spec, medium, given);
    case 'tun':
    case 'tap':
      return explainDevice(spec, given, other);
    case 'echo':
    case 'null':
      return withoutLayers(spec, other ?? DEFAULT_MTU, other === undefined ? 'custom' : 'other');
    default: {
      const framing = framings[spec.options.get('framing')?.at(-1) ?? 'length'];
      const mtu = Math.min(given ?? DEFAULT_MTU, framing?.maxPacketLen ?? DEFAULT_MTU);
      return withoutLayers(spec, mtu, given === undefined ? 'custom' : 'given');
    }
  }
}

function explainDevice(spec: EndSpec, given: number | undefined, other: number | undefined): EndMtu {
  const netns = spec.options.get('netns')?.at(-1);
  const device = spec.where === '' ? undefined : getLinkSync(spec.where, netns === undefined ? {} : { netns });
  if (device !== undefined) return withoutLayers(spec, device.mtu, 'device');
  if (given !== undefined) return withoutLayers(spec, given, 'given');
  return withoutLayers(spec, other ?? DEFAULT_MTU, other === undefined ? 'custom' : 'other');
}

function withoutLayers(spec: EndSpec, mtu: number, basis: MtuBasis): EndMtu {
  return { end: spec.text, mtu, basis, path: undefined, layers: [], outerMtu: undefined };
}

async function explainDatagrams(spec: EndSpec, medium: Medium, given: number | undefined): Promise<EndMtu> {
  const { host, port } = parseHostPort(spec);
  const isListener = spec.kind === 'udp-listen' || spec.kind === 'vxlan-listen';
  const kind = spec.kind.startsWith('vxlan') ? 'vxlan' : 'datagram';
  const path = isListener ? undefined : await examinePath(await resolveHost(spec, host), port);
  const layers = layersOf({ kind, family: path?.family ?? 6, medium });
  const known = path?.pathMtu ?? path?.interfaceMtu ?? DEFAULT_MTU;
  const outer = outerMtu(given === undefined ? Math.min(DEFAULT_MTU, known) : known);
  const fitting = Math.max(1, outer - overheadLen(layers));
  const shown = { end: spec.text, path, layers, outerMtu: outer };
  if (given === undefined) return { ...shown, mtu: fitting, basis: isListener ? 'assumed' : 'path' };
  // With probes it is the longest that is looked for.
  const mtu = spec.options.has('probe') ? Math.min(given, fitting) : given;
  return { ...shown, mtu, basis: mtu === given ? 'given' : 'path' };
}

async function examinePath(address: IpAddress, port: number): Promise<OuterPath> {
  const { interfaceName, interfaceMtu, routeMtu } = await withNetlink({}, async ({ routes, links }) => {
    const route = await routes.lookup(address);
    const index = route?.linkIndex ?? route?.nextHops[0]?.linkIndex;
    const link = index === undefined ? undefined : await links.get(index);
    return { interfaceName: link?.name, interfaceMtu: link?.mtu, routeMtu: route?.mtu };
  });
  const pathMtu = interfaceName === undefined ? undefined : await knownPathMtu(address, port);
  return { address, family: address.family, interface: interfaceName, interfaceMtu, routeMtu, pathMtu };
}

/** A socket that is connected knows it; nothing is sent. */
async function knownPathMtu(address: IpAddress, port: number): Promise<number | undefined> {
  await using socket = await openUdp({ remote: { address, port } });
  return socket.pathMtu();
}

function longerPackets(mtu: number, medium: Medium): string[] {
  return [
    `IPv4 that may not be fragmented: the sender is told "fragmentation needed", MTU ${mtu} (RFC 1191)`,
    `IPv4 that may be: in fragments of up to ${mtu} bytes (RFC 791)`,
    mtu >= IPV6_MIN_MTU
      ? `IPv6: the sender is told "packet too big", MTU ${mtu} (RFC 8201)`
      : `IPv6: the sender is told "packet too big", MTU ${IPV6_MIN_MTU}, the least that it goes down to; packets of ${mtu + 1} to ${IPV6_MIN_MTU} bytes are lost`,
    ...(medium === 'ethernet' ? ['frames of other protocols: lost, and counted as too-long'] : []),
  ];
}

function endHints(spec: EndSpec, end: EndMtu, mtu: number): string[] {
  const hints: string[] = [];
  const { path } = end;
  if (path !== undefined && path.interface === undefined)
    hints.push(`No route leads to ${path.address}: 1500 is assumed.`);
  if (end.basis === 'assumed') hints.push(`${end.end} learns of its path when its peer has sent something.`);
  if (spec.kind.startsWith('udp') && !spec.options.has('probe')) {
    hints.push(
      'Where "too big" does not come through a path, give both UDP ends the option probe: they find its MTU themselves.',
    );
  }
  if (end.outerMtu !== undefined && end.basis === 'given' && end.mtu + overheadLen(end.layers) > end.outerMtu) {
    hints.push(
      `mtu=${end.mtu} is more than the path takes: longer datagrams are fragmented outside, and lost whole with any part.`,
    );
  }
  if (spec.options.has('bridge') && mtu < DEFAULT_MTU) {
    hints.push(
      `A bridge drops longer frames without a word: give the stations of ${spec.options.get('bridge')?.at(-1)} an MTU of ${mtu} as well.`,
    );
  }
  if (end.basis === 'device' && end.mtu > mtu) {
    hints.push(
      `${spec.where} has an MTU of ${end.mtu}: \`vnic set ${spec.where} --mtu ${mtu}\` spares the first packet of each flow.`,
    );
  }
  return hints;
}

function hintsOf(mtu: number): string[] {
  const hints = [
    'For hosts behind this one that do not hear ICMP, clamp TCP: nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu.',
  ];
  if (mtu < IPV6_MIN_MTU)
    hints.unshift(`IPv6 needs ${IPV6_MIN_MTU} bytes (RFC 8200 section 5): over this link it does not work.`);
  return hints;
}
