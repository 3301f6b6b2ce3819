/** Tunnels between hosts: a device at each, many clients at one, addresses and routes handed out. */

export { formatTunnelWhere, parseTunnelWhere, type TunnelCarrierKind, type TunnelWhere } from '../ends/index.ts';
export { AddressPool } from './address-pool.ts';
export type { TunnelCarrier } from './carrier.ts';
export {
  openTunnelClient,
  TunnelClient,
  type TunnelClientEvent,
  type TunnelClientOptions,
  type TunnelClientStatus,
} from './client.ts';
export { type ClientAction, ClientCore, type ClientCoreOptions, type EndReason } from './client-core.ts';
export { connectTunnel, type TunnelConnectOptions } from './connect.ts';
export type { TunnelClock } from './control-driver.ts';
export {
  type ControlMessage,
  emitControl,
  type Hello,
  parseControl,
  type RefusalReason,
  type Refused,
  type Welcome,
} from './control-message.ts';
export { ControlledLink } from './controlled-link.ts';
export type { TunnelEndpoint } from './default-route.ts';
export type { FullTunnelOptions } from './full-tunnel.ts';
export { listenForTunnels, type TunnelListener, type TunnelListenOptions } from './listen.ts';
export {
  openTunnelServer,
  type TunnelClientEntry,
  type TunnelDeviceOptions,
  TunnelServer,
  type TunnelServerEvent,
  type TunnelServerOptions,
} from './server.ts';
export type { TunnelClientStatus as TunnelSessionStatus, TunnelDropReason } from './session.ts';
export { type Admit, type SessionAction, SessionCore } from './session-core.ts';
export { connectTlsCarrier, listenForTlsCarriers, type TlsTunnelCarrier } from './tls-carrier.ts';
export {
  connectUdpCarrier,
  listenForUdpCarriers,
  type UdpTunnelListener,
  udpTunnelMtu,
} from './udp-carrier.ts';
