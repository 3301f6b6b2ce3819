/**
 * The UDP part of the kernel's socket interface, with its names: `linux/in.h`, `linux/in6.h`, `linux/udp.h`,
 * `asm-generic/socket.h`.
 */

import { endianness } from 'node:os';

import { IpAddress, type IpFamily } from '../base/index.ts';
import type { UdpEndpointValue } from './udp-endpoints.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM = 2;

/** Size of `struct sockaddr_in6`, the longer of the two. */
export const SOCKADDR_LEN = 28;
const SOCKADDR_IN_LEN = 16;

/** `setsockopt` levels. */
export const SocketLevel = { ip: 0, socket: 1, udp: 17, ipv6: 41 } as const;

/** Options of `SocketLevel.socket`. */
export const SocketOption = {
  error: 4,
  sendBuffer: 7,
  receiveBuffer: 8,
  reusePort: 15,
  sendBufferForce: 32,
  receiveBufferForce: 33,
  receiveOverflow: 40,
  memoryInfo: 55,
} as const;

/** Options of `SocketLevel.ip`. */
export const Ipv4Option = {
  typeOfService: 1,
  packetInfo: 8,
  mtuDiscover: 10,
  receiveErrors: 11,
  receiveTypeOfService: 13,
  mtu: 14,
} as const;

/** Options of `SocketLevel.ipv6`. */
export const Ipv6Option = {
  mtuDiscover: 23,
  mtu: 24,
  receiveErrors: 25,
  ipv6Only: 26,
  receivePacketInfo: 49,
  receiveTrafficClass: 66,
  trafficClass: 67,
} as const;

/** Options of `SocketLevel.udp`. */
export const UdpOption = { segment: 103, gro: 104 } as const;

/** Index of the drop counter in what `SO_MEMINFO` gives: `SK_MEMINFO_DROPS`. */
export const MEMORY_INFO_DROPS = 8;
export const MEMORY_INFO_WORDS = 9;

const isLittle = endianness() === 'LE';

/** `struct sockaddr_in` or `struct sockaddr_in6`. */
export function emitSockaddr({ address, port, scopeId = 0 }: UdpEndpointValue): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? SOCKADDR_IN_LEN : SOCKADDR_LEN);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, address.family === 4 ? AF_INET : AF_INET6, isLittle);
  view.setUint16(2, port, false);
  bytes.set(address.bytes, address.family === 4 ? 4 : 8);
  if (address.family === 6) view.setUint32(24, scopeId, isLittle);
  return bytes;
}

/** The endpoint in an address that the kernel filled in. */
export function parseSockaddr(bytes: Uint8Array): UdpEndpointValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const port = view.getUint16(2, false);
  if (view.getUint16(0, isLittle) === AF_INET) return { address: IpAddress.fromBytes(bytes.subarray(4, 8)), port };
  const scopeId = view.getUint32(24, isLittle);
  return { address: IpAddress.fromBytes(bytes.subarray(8, 24)), port, ...(scopeId === 0 ? {} : { scopeId }) };
}

/** `10.0.0.1:53`, `[fe80::1%2]:53` */
export function formatEndpoint({ address, port, scopeId }: UdpEndpointValue): string {
  if (address.family === 4) return `${address}:${port}`;
  return `[${address}${scopeId === undefined ? '' : `%${scopeId}`}]:${port}`;
}

/** 0.0.0.0 or :: */
export function unspecified(family: IpFamily): IpAddress {
  return IpAddress.fromBytes(new Uint8Array(family === 4 ? 4 : 16));
}
