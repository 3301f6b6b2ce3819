/** The public test kit: the link conformance suite, packets that tests recognise, virtual time. */

export { fragmentOf, fragmentPacket } from './fragments.ts';
export { linkConformanceCases } from './link-conformance.ts';
export type { LinkAbility, LinkConformanceCase, OpenLinkHarness } from './link-conformance-case.ts';
export { joinedLinksHarness, type LinkHarness, linkPairHarness } from './link-harness.ts';
export { isIntact, MARK_LEN, markPacket, seedOf, writeSeed } from './marked-packet.ts';
export { type EchoSeen, expectEcho, expectEchoReply, joinFragments, packetOf } from './matchers.ts';
export {
  type ConnectOptions,
  createTestNetwork,
  type NetworkLink,
  type TestNetwork,
  type TestNetworkOptions,
} from './network.ts';
export type { HostCounters, NetworkHost, ReceivedPacket } from './network-host.ts';
export type { TraceEntry, TraceEvent } from './network-trace.ts';
export * from './packets.ts';
export type { PingOptions, PingReply, PingRun } from './ping-run.ts';
export { createVirtualClock, type VirtualClock } from './virtual-clock.ts';
