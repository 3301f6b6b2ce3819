/** Splits packets into fragments, as a router or sender would (RFC 791 section 3.2, RFC 8200 section 4.5). */

import { invalidArgument } from '../base/index.ts';
import { emitIpv6Extension, IpProtocol, Ipv4View, Ipv6View, isDropReason } from '../wire/index.ts';
import { ipv4Packet, ipv6Packet } from './packets.ts';

/**
 * The fragments of an IP packet, in order.
 * @param dataLen octets of payload in each but the last; a multiple of 8
 * @throws VNIC_INVALID_ARGUMENT when `packet` is not a whole IP packet
 */
export function fragmentPacket(packet: Uint8Array, dataLen: number, identification: number): Uint8Array[] {
  const ipv4 = (packet[0] as number) >> 4 === 4;
  const view = ipv4 ? Ipv4View.from(packet) : Ipv6View.from(packet);
  if (isDropReason(view)) throw invalidArgument('fragment a packet', 'a whole IP packet', view);
  const payload = packet.subarray(view.payloadOffset, view.end);
  const fragments: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += dataLen) {
    const piece = payload.subarray(at, at + dataLen);
    fragments.push(fragmentOf(packet, piece, at, at + dataLen < payload.length, identification));
  }
  return fragments;
}

/** One fragment of `packet` with any piece and place, right or not. */
export function fragmentOf(
  packet: Uint8Array,
  piece: Uint8Array,
  fragmentOffset: number,
  moreFragments: boolean,
  identification: number,
): Uint8Array {
  if ((packet[0] as number) >> 4 === 4) {
    const { source, destination, protocol, ttl } = Ipv4View.from(packet) as Ipv4View;
    const header = { source, destination, protocol, ttl, identification, fragmentOffset, moreFragments };
    return ipv4Packet({ ...header, payload: piece });
  }
  const { source, destination, nextHeader, hopLimit } = Ipv6View.from(packet) as Ipv6View;
  const payload = new Uint8Array(8 + piece.length);
  emitIpv6Extension({ kind: 'fragment', nextHeader, fragmentOffset, moreFragments, identification }, payload, 0);
  payload.set(piece, 8);
  return ipv6Packet({ source, destination, hopLimit, nextHeader: IpProtocol.fragment, payload });
}
