/** Packet links over what the system offers besides TUN/TAP devices. */

export {
  type DatagramCarrier,
  DatagramLink,
  type DatagramLinkDrops,
  type DatagramLinkOptions,
} from './datagram-link.ts';
export { DatagramPeer, type DatagramPeerOptions, openDatagramPeer } from './datagram-peer.ts';
export { type InterfaceOptions, interfaceMedium } from './open-packet-socket.ts';
export { checksumPending, type Direction, originalLength, packetDirection } from './packet-descriptor.ts';
export { InterfaceLink, type InterfaceStatistics, openInterface } from './packet-socket.ts';
export { openSerialLine, type SerialOptions } from './serial-line.ts';
export { StreamLink, type StreamLinkCounters, type StreamLinkOptions } from './stream-link.ts';
export type { FlowControl, LineSettings } from './termios.ts';
export { UdpBatch, type UdpBatchOptions } from './udp-batch.ts';
export type { UdpCounters, UdpDropReason } from './udp-counters.ts';
export {
  ENDPOINT_WORDS,
  type UdpEndpoint,
  UdpEndpointTable,
  type UdpEndpointValue,
  type UdpPath,
  type UdpSource,
} from './udp-endpoints.ts';
export type { UdpPathMtu, UdpUnreachable, UnreachableReason } from './udp-errors.ts';
export { UdpLink, type UdpLinkDrops, type UdpLinkOptions } from './udp-link.ts';
export type { PathMtuDiscovery, UdpOptions, UdpReceiveBatchOptions } from './udp-open.ts';
export type { UdpPathMtuOptions } from './udp-path-mtu.ts';
export { UdpPeers, type UdpPeersOptions } from './udp-peers.ts';
export { openUdp, type UdpEvents, UdpSocket } from './udp-socket.ts';
export { openVdePort, type VdeOptions, VdePort } from './vde-port.ts';
export { VxlanLink, type VxlanLinkDrops, type VxlanLinkOptions } from './vxlan-link.ts';
