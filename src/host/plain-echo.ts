/**
 * The echo request that nearly every ping is: IPv4 without options and fragments, not longer than the MTU. All about
 * it is decided in one function, which V8 compiles as one; the views take more calls than it inlines, and half as
 * much time again. Whatever is not plain, not right or not for us is left to the careful way, which knows what to
 * answer or why to drop it.
 */

import {
  Icmpv4Type,
  IpProtocol,
  icmpv4HeaderLen,
  ipv4MinHeaderLen,
  putU16,
  putU32,
  sumBytes,
  u16,
  u32,
  updateChecksum16,
} from '../wire/index.ts';
import { isIpv4Unicast } from './address-set.ts';
import type { HostContext } from './host-context.ts';

/** Version 4, and a header of five words. */
const PLAIN_VERSION_IHL = 0x45;
/** "More fragments" and the offset, both 0 in a whole packet. */
const FRAGMENT_BITS = 0x3fff;
/** What a range sums up to that includes its right checksum. */
const RIGHT_SUM = 0xffff;
const MIN_LEN: number = ipv4MinHeaderLen + icmpv4HeaderLen;

/**
 * Hot: turns a plain echo request into its reply, in place.
 * @param length octets that are there from `offset` on
 * @returns octets of the reply; 0, and nothing changed, for any other packet
 */
export function answerPlainEcho(host: HostContext, bytes: Uint8Array, offset: number, length: number): number {
  if (length < MIN_LEN || bytes[offset] !== PLAIN_VERSION_IHL || bytes[offset + 9] !== IpProtocol.icmpv4) return 0;
  const { hopLimit, mtu } = host.config;
  const totalLen = u16(bytes, offset + 2);
  const icmp = offset + ipv4MinHeaderLen;
  const icmpLen = totalLen - ipv4MinHeaderLen;
  if (totalLen > length || totalLen < MIN_LEN || totalLen > mtu) return 0;
  if ((u16(bytes, offset + 6) & FRAGMENT_BITS) !== 0 || u16(bytes, icmp) !== Icmpv4Type.echoRequest << 8) return 0;
  if (sumBytes(bytes, offset, ipv4MinHeaderLen) !== RIGHT_SUM || sumBytes(bytes, icmp, icmpLen) !== RIGHT_SUM) return 0;
  if (!isBetweenHosts(host, bytes, offset + 12)) return 0;
  const source = u32(bytes, offset + 12);
  putU32(bytes, offset + 12, u32(bytes, offset + 16));
  putU32(bytes, offset + 16, source);
  const ttlAndProtocol = u16(bytes, offset + 8);
  bytes[offset + 8] = hopLimit;
  putU16(bytes, offset + 10, updateChecksum16(u16(bytes, offset + 10), ttlAndProtocol, u16(bytes, offset + 8)));
  bytes[icmp] = Icmpv4Type.echoReply;
  const checksum = updateChecksum16(u16(bytes, icmp + 2), Icmpv4Type.echoRequest << 8, Icmpv4Type.echoReply << 8);
  putU16(bytes, icmp + 2, checksum);
  // A message of zeros has the checksum 0xffff, which the incremental update cannot tell from 0.
  if (checksum === 0) putU16(bytes, icmp + 2, ~sumBytes(bytes, icmp, icmpLen));
  host.counters.echoRepliesV4++;
  return totalLen;
}

/** True when another host than the one asked, of an address that a host may have, asks one that is answered for. */
function isBetweenHosts({ addresses }: HostContext, bytes: Uint8Array, source: number): boolean {
  if (!addresses.hasIpv4(bytes, source + 4) || !isIpv4Unicast(bytes, source)) return false;
  return !addresses.isIpv4Broadcast(bytes, source) && u32(bytes, source) !== u32(bytes, source + 4);
}
