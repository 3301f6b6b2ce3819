/** Hosts in user space: the responder, which answers ARP, neighbour discovery and ping. Pure. */

export { type AttachedResponder, attachResponder, type HostClock } from './attach.ts';
export type { ResponderCounters } from './counters.ts';
export { type HostDropReason, hostDropReasons } from './drop-reason.ts';
export type { ResponderLimits, ResponderOptions } from './options.ts';
export { createResponder, type Responder } from './responder.ts';
