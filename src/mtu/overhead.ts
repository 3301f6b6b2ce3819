/**
 * What each carrier puts around a packet, in bytes: one table for the MTU of ends and for its explanation.
 *
 * Three quantities are told apart by type, since each is a number of bytes near 1500:
 *
 *     OuterMtu   the longest IP packet that the path outside takes
 *     PayloadLen what is left of it for the carrier: the payload of a datagram
 *     InnerMtu   the longest IP packet inside; link headers of the inside are not counted
 */

import { type IpFamily, invalidArgument } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { ethernetHeaderLen, ipv4MinHeaderLen, ipv6HeaderLen, udpHeaderLen, vlanTagLen } from '../wire/index.ts';

declare const quantity: unique symbol;

/** The longest IP packet that the path outside takes, in bytes. */
export type OuterMtu = number & { readonly [quantity]: 'outer MTU' };
/** The longest IP packet inside, in bytes, link headers not counted. */
export type InnerMtu = number & { readonly [quantity]: 'inner MTU' };

/** What stands around a packet. */
export interface Layer {
  /** For people: `IPv6 header`. */
  readonly name: string;
  readonly bytes: number;
  /** The document that says how many bytes it has, or why they are kept free. */
  readonly source: string;
}

/**
 * How packets are carried. `datagram`: a packet in a UDP datagram, and nothing else. `vxlan`: RFC 7348. `wireguard`: its data
 * message. `stream`: bytes one after the other, which need not fit into one packet outside.
 */
export type CarrierKind = 'datagram' | 'vxlan' | 'wireguard' | 'stream';

/** What is carried how. */
export interface CarrierShape {
  readonly kind: CarrierKind;
  /** IP outside; of no importance to streams. */
  readonly family: IpFamily;
  readonly medium: Medium;
}

/** The least MTU of IPv4 (RFC 791 section 3.2): a header of 60 bytes and a fragment of 8. */
export const IPV4_MIN_MTU = 68;
/** The least MTU of IPv6 (RFC 8200 section 5). */
export const IPV6_MIN_MTU = 1280;
/** The longest IP packet. */
export const IP_MAX_LEN = 65_535;

const ipv4: Layer = { name: 'IPv4 header', bytes: ipv4MinHeaderLen, source: 'RFC 791' };
const ipv6: Layer = { name: 'IPv6 header', bytes: ipv6HeaderLen, source: 'RFC 8200' };
const udp: Layer = { name: 'UDP header', bytes: udpHeaderLen, source: 'RFC 768' };
const vxlan: Layer = { name: 'VXLAN header', bytes: 8, source: 'RFC 7348' };
const wireguard: Layer = {
  name: 'WireGuard header and tag',
  bytes: 32,
  source: 'WireGuard: type, receiver and counter 16, Poly1305 tag 16',
};
const ethernet: Layer = { name: 'Ethernet header inside', bytes: ethernetHeaderLen, source: 'IEEE 802.3' };
const vlanTag: Layer = { name: 'VLAN tag inside', bytes: vlanTagLen, source: 'IEEE 802.1Q, kept free' };
/** A side that listens does not know what IP its peer comes by; with this, both come to the same MTU. */
const sameForBoth: Layer = {
  name: 'kept free over IPv4',
  bytes: ipv6HeaderLen - ipv4MinHeaderLen,
  source: 'so that both sides come to one MTU, by IPv4 and by IPv6',
};

/** What stands around a packet, from the outside to the inside. A stream has no layers: it cuts packets where it likes. */
export function layersOf({ kind, family, medium }: CarrierShape): Layer[] {
  if (kind === 'stream') return [];
  // As the kernel's own interfaces count it: by the family that is used, and without room for a tag.
  if (kind === 'vxlan') return [family === 4 ? ipv4 : ipv6, udp, vxlan, ethernet];
  const ip = family === 4 ? [ipv4, sameForBoth] : [ipv6];
  const inside = medium === 'ethernet' ? [ethernet, vlanTag] : [];
  return [...ip, udp, ...(kind === 'wireguard' ? [wireguard] : []), ...inside];
}

/** The bytes of layers together. */
export function overheadLen(layers: readonly Layer[]): number {
  return layers.reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * The MTU inside of a path outside.
 * @throws VNIC_INVALID_ARGUMENT when less than `IPV4_MIN_MTU` is left
 */
export function innerMtu(outer: OuterMtu, layers: readonly Layer[]): InnerMtu {
  const left = outer - overheadLen(layers);
  if (left >= IPV4_MIN_MTU) return left as InnerMtu;
  throw invalidArgument(
    'compute an MTU',
    `a path of at least ${IPV4_MIN_MTU + overheadLen(layers)} bytes, which leaves the ${IPV4_MIN_MTU} of IPv4`,
    outer,
  );
}

/** @throws VNIC_INVALID_ARGUMENT unless it is a whole number from 68 to 65535 (loopback has 65536, which is taken as that) */
export function outerMtu(bytes: number): OuterMtu {
  if (Number.isInteger(bytes) && bytes >= IPV4_MIN_MTU && bytes <= IP_MAX_LEN + 1) {
    return Math.min(bytes, IP_MAX_LEN) as OuterMtu;
  }
  throw invalidArgument('compute an MTU', `an MTU from ${IPV4_MIN_MTU} to ${IP_MAX_LEN}`, bytes);
}

/** TCP header without options (RFC 9293 section 3.1). */
const TCP_HEADER_LEN = 20;

/** The longest segment that TCP puts into a packet of the MTU (RFC 9293 section 3.7.1); 0 where nothing fits. */
export function tcpMss(mtu: number, family: IpFamily): number {
  return Math.max(0, mtu - TCP_HEADER_LEN - (family === 4 ? ipv4MinHeaderLen : ipv6HeaderLen));
}
