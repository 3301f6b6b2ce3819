/** The MTU: what carriers put around packets, answers to packets that are too long, and the search for a path's MTU. Pure. */

export { fragmentIpv4 } from './fragment-ipv4.ts';
export {
  type CarrierKind,
  type CarrierShape,
  type InnerMtu,
  IP_MAX_LEN,
  IPV4_MIN_MTU,
  IPV6_MIN_MTU,
  innerMtu,
  type Layer,
  layersOf,
  type OuterMtu,
  outerMtu,
  overheadLen,
  tcpMss,
} from './overhead.ts';
export { type PacketTooBigOptions, packetTooBig, type UnansweredReason } from './packet-too-big.ts';
export {
  PathMtuSearch,
  type PathMtuSearchOptions,
  type PathMtuSearchState,
  type PathProbe,
} from './path-mtu-search.ts';
export {
  emitPathProbe,
  looksLikePathProbe,
  type PathProbeMessage,
  parsePathProbe,
  pathProbeMinLen,
} from './path-probe.ts';
export { createTooLongHandler, type TooLongOptions } from './too-long.ts';
