/** Ends of links by name, and what joins two of them: devices, datagrams, byte streams, programs. */

export type { CarrierEvent } from './carrier.ts';
export type { OpenEnd, OpenEndOptions } from './end.ts';
export { type EndKind, type EndKindInfo, endKinds } from './end-kinds.ts';
export { type EndMistake, type EndSpec, parseEnd } from './end-spec.ts';
export { type JoinedEnds, type JoinOptions, joinEnds } from './join.ts';
export { openEnd } from './open-end.ts';
