/** Streams whose other side has proved who it is: TLS 1.3 with pinned or signed certificates, both ways. */

export type { GateCounters, GateLimits, RefusalReason } from './gate.ts';
export { formatPlace, notAdmitted, type SecureAddress, unreachable } from './place.ts';
export { connectTls, type TlsConnection, type TlsConnectOptions } from './tls-connect.ts';
export {
  type GuardedClient,
  type GuardedListenOptions,
  listenForTls,
  listenGuarded,
  type RefusedClient,
  type SecureListener,
  type TlsClient,
  type TlsListenOptions,
  type TlsListenTrust,
} from './tls-listen.ts';
export type { AllowedClients, ClientRefusal, ClientTrust, ServerTrust } from './trust.ts';
