/** Packet links over what the system offers besides TUN/TAP devices. */

export type { InterfaceOptions } from './open-packet-socket.ts';
export { checksumPending, type Direction, originalLength, packetDirection } from './packet-descriptor.ts';
export { InterfaceLink, type InterfaceStatistics, openInterface } from './packet-socket.ts';
