/** Ends of links by name, and what joins two of them: devices, datagrams, byte streams, programs. */

export type { CarrierEvent } from './carrier.ts';
export { checkEnd } from './check-end.ts';
export { claimsCollide, claimsOf, type DeviceClaim, deviceOf, type ListenerClaim } from './claims.ts';
export type { OpenEnd, OpenEndOptions } from './end.ts';
export { type EndKind, type EndKindInfo, endKinds } from './end-kinds.ts';
export { type EndMistake, type EndSpec, mistake, parseEnd } from './end-spec.ts';
export { type JoinedEnds, type JoinOptions, joinEnds } from './join.ts';
export { mediumOf } from './medium.ts';
export { openEnd } from './open-end.ts';
