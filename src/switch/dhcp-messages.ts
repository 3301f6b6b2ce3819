/**
 * What a switch has to know of a DHCP message (RFC 2131, RFC 8415): who says it, of which station, and which addresses are leased or given back.
 *
 * ```
 * DHCPv4  octet 0      1       2       3      4     …  16         20      …  28           44  …  236           240
 *               +------+-------+-------+------+--------+----------+----------+------------+------+-------------+---------
 *               | op   | htype | hlen  | hops | …      | yiaddr(4)| …        | chaddr(16) | …    | 63825363    | options
 *               +------+-------+-------+------+--------+----------+----------+------------+------+-------------+---------
 * DHCPv6  octet 0               4
 *               +---------------+------------------------------------------------
 *               | type, xid (4) | options: code (2), length (2), data
 *               +---------------+------------------------------------------------
 * ```
 * Not supported: relays, whose messages are to come from trusted ports; DHCPv6 by any but the station's own address.
 */

import { formatMac, IpAddress } from '../base/index.ts';
import { u16, u32 } from '../wire/index.ts';

/** A message as a switch sees it. */
export type DhcpMessage =
  | {
      readonly from: 'server';
      /** Of the station that it is for. */
      readonly mac: string;
      readonly leases: readonly { readonly address: string; readonly leaseMs: number }[];
    }
  | {
      readonly from: 'client';
      /** Of the station that it speaks of. */
      readonly mac: string;
      /** Addresses that it gives back or does not want. */
      readonly released: readonly string[];
    };

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const SERVER_PORT_6 = 547;
const CLIENT_PORT_6 = 546;
const UDP_LEN = 8;
const BOOTP_LEN = 240;
const COOKIE = 0x6382_5363;
const OPTION_END = 255;
const OPTION_LEASE = 51;
const OPTION_TYPE = 53;
const TYPE_DECLINE = 4;
const TYPE_ACK = 5;
const TYPE_RELEASE = 7;
const IPV6_LEN = 40;
const REPLY_6 = 7;
const RELEASE_6 = 8;
const DECLINE_6 = 9;
const IA_NA = 3;
const IA_ADDRESS = 5;
const IA_NA_LEN = 12;
const IA_ADDRESS_LEN = 24;
const FOREVER = 0xffff_ffff;

/** Undefined for what is no DHCP, or too short to be any. */
export function readDhcp4(bytes: Uint8Array, l3At: number, end: number): DhcpMessage | undefined {
  const udpAt = l3At + ((bytes[l3At] as number) & 0x0f) * 4;
  if (udpAt + UDP_LEN > end) return undefined;
  const [source, destination] = [u16(bytes, udpAt), u16(bytes, udpAt + 2)];
  const isServer = source === SERVER_PORT && (destination === CLIENT_PORT || destination === SERVER_PORT);
  if (!isServer && destination !== SERVER_PORT) return undefined;
  const at = udpAt + UDP_LEN;
  if (at + BOOTP_LEN > end || u32(bytes, at + 236) !== COOKIE) return undefined;
  const { type, lease, isWhole } = options4(bytes, at + BOOTP_LEN, end);
  const mac = formatMac(bytes, at + 28);
  // What a relay sends on is from a server's port as well.
  if (bytes[at] !== 1) {
    const address = IpAddress.fromBytes(bytes.slice(at + 16, at + 20)).toString();
    const leases = type === TYPE_ACK && isWhole && lease > 0 ? [{ address, leaseMs: msOf(lease) }] : [];
    return { from: 'server', mac, leases };
  }
  const released = type === TYPE_RELEASE || type === TYPE_DECLINE ? [bytes.slice(at + 12, at + 16)] : [];
  return { from: 'client', mac, released: released.map((address) => IpAddress.fromBytes(address).toString()) };
}

function options4(
  bytes: Uint8Array,
  from: number,
  end: number,
): { readonly type: number; readonly lease: number; readonly isWhole: boolean } {
  let type = 0;
  let lease = 0;
  for (let at = from; at < end; ) {
    const code = bytes[at] as number;
    if (code === OPTION_END) return { type, lease, isWhole: true };
    if (code === 0) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (at + 2 + length > end) break;
    if (code === OPTION_TYPE && length === 1) type = bytes[at + 2] as number;
    if (code === OPTION_LEASE && length === 4) lease = u32(bytes, at + 2);
    at += 2 + length;
  }
  return { type, lease, isWhole: false };
}

/** Undefined for what is no DHCPv6, or too short to be any. The station is who sends, or whom the server answers. */
export function readDhcp6(bytes: Uint8Array, at: number, l3At: number, end: number): DhcpMessage | undefined {
  const udpAt = l3At + IPV6_LEN;
  const messageAt = udpAt + UDP_LEN;
  if (messageAt + 4 > end) return undefined;
  const [source, destination] = [u16(bytes, udpAt), u16(bytes, udpAt + 2)];
  const type = bytes[messageAt] as number;
  if (source === SERVER_PORT_6 || destination === CLIENT_PORT_6) {
    const leases = type === REPLY_6 ? addresses6(bytes, messageAt + 4, end) : [];
    return { from: 'server', mac: formatMac(bytes, at), leases: leases.filter(({ leaseMs }) => leaseMs > 0) };
  }
  if (destination !== SERVER_PORT_6) return undefined;
  const isBack = type === RELEASE_6 || type === DECLINE_6;
  const released = isBack ? addresses6(bytes, messageAt + 4, end).map(({ address }) => address) : [];
  return { from: 'client', mac: formatMac(bytes, at + 6), released };
}

/** Addresses of the associations for non-temporary ones. */
function addresses6(
  bytes: Uint8Array,
  from: number,
  end: number,
): { readonly address: string; readonly leaseMs: number }[] {
  return options6(bytes, from, end).flatMap((association) => {
    if (association.code !== IA_NA || association.end - association.at < IA_NA_LEN) return [];
    return options6(bytes, association.at + IA_NA_LEN, association.end).flatMap(({ code, at, end: stop }) => {
      if (code !== IA_ADDRESS || stop - at < IA_ADDRESS_LEN) return [];
      const address = IpAddress.fromBytes(bytes.slice(at, at + 16)).toString();
      return [{ address, leaseMs: msOf(u32(bytes, at + 20)) }];
    });
  });
}

function options6(
  bytes: Uint8Array,
  from: number,
  end: number,
): { readonly code: number; readonly at: number; readonly end: number }[] {
  const found = [];
  for (let at = from; at + 4 <= end; ) {
    const stop = at + 4 + u16(bytes, at + 2);
    if (stop > end) break;
    found.push({ code: u16(bytes, at), at: at + 4, end: stop });
    at = stop;
  }
  return found;
}

function msOf(seconds: number): number {
  return seconds === FOREVER ? Number.POSITIVE_INFINITY : seconds * 1000;
}
