/** Hosts in user space: the responder, which answers ARP, neighbour discovery and ping. Pure. */

export { type AttachedResponder, attachResponder, type HostClock } from './attach.ts';
export type { ResponderCounters } from './counters.ts';
export { type HostDropReason, hostDropReasons } from './drop-reason.ts';
export { EthernetProxy } from './ethernet-proxy.ts';
export type { ResponderLimits, ResponderOptions } from './options.ts';
export { proxyLink } from './proxy-link.ts';
export {
  type EthernetProxyCounters,
  type EthernetProxyOptions,
  type ProxyDropReason,
  proxyDropReasons,
} from './proxy-options.ts';
export { createResponder, type Responder } from './responder.ts';
