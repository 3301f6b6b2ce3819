/** Packet links over what the system offers besides TUN/TAP devices. */

export type { InterfaceOptions } from './open-packet-socket.ts';
export {
  type Direction,
  InterfaceLink,
  type InterfaceStatistics,
  openInterface,
  originalLength,
  packetDirection,
} from './packet-socket.ts';
