/** Codecs: one file per header, bytes in, view or fields or drop reason out. Pure; imports `base` only. */

export * from './arp.ts';
export { putU16, putU32, u8, u16, u32 } from './bytes.ts';
export * from './checksum.ts';
export * from './describe.ts';
export * from './drop-reason.ts';
export * from './ethernet.ts';
export * from './hexdump.ts';
export * from './icmpv4.ts';
export * from './icmpv6.ts';
export type { AddressPair } from './ip-address.ts';
export * from './ipv4.ts';
export * from './ipv4-option.ts';
export * from './ipv6.ts';
export * from './ipv6-extension.ts';
export * from './ipv6-extension-walker.ts';
export * from './ipv6-option.ts';
export * from './mld.ts';
export * from './ndp.ts';
export * from './ndp-option.ts';
export type * from './packet-summary.ts';
export * from './protocol-numbers.ts';
export { summarizePacket } from './summarize.ts';
export * from './tcp.ts';
export * from './tcp-option.ts';
export * from './udp.ts';
export * from './virtio-net-header.ts';
export * from './vlan.ts';
