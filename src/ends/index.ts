/** Ends of links by name, and what joins two of them: devices, datagrams, byte streams, programs. */

export type { CarrierEvent } from './carrier.ts';
export { checkEnd } from './check-end.ts';
export { claimsCollide, claimsOf, type DeviceClaim, deviceOf, type ListenerClaim } from './claims.ts';
export type { OpenEnd, OpenEndOptions } from './end.ts';
export { type EndKind, type EndKindInfo, endKinds } from './end-kinds.ts';
export { type EndMistake, type EndSpec, mistake, parseEnd } from './end-spec.ts';
export { type EndMtu, explainMtu, type MtuBasis, type MtuExplanation, type OuterPath } from './explain-mtu.ts';
export { type JoinedEnds, type JoinOptions, joinEnds } from './join.ts';
export { carriesSuperPackets } from './kinds/device.ts';
export { mediumOf, writtenMedium } from './medium.ts';
export type { EndMiddleware, Way } from './middleware.ts';
export type { EachWay, MiddlewareCounters, MiddlewareOptions } from './middleware-options.ts';
export { openEnd } from './open-end.ts';
export { formatTunnelWhere, parseTunnelWhere, type TunnelCarrierKind, type TunnelWhere } from './tunnel-where.ts';
