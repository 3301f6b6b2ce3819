/** The contract of everything that carries packets, and the batch in which they travel. */

export { BaseLink, type BaseLinkOptions } from './base-link.ts';
export { BatchPump, type PumpedCarrier } from './batch-pump.ts';
export { type Clock, systemClock } from './clock.ts';
export { DelayQueue } from './delay-queue.ts';
export {
  type ForwardCounters,
  type ForwardDropReason,
  type Forwarding,
  type ForwardOptions,
  type ForwardPolicy,
  forward,
} from './forward.ts';
export {
  DESCRIPTOR_WORDS,
  MAX_FRAME_LEN,
  PACKET_ALIGNMENT,
  PacketBatch,
  type PacketBatchOptions,
} from './packet-batch.ts';
export type {
  LinkCounters,
  LinkEvents,
  Medium,
  PacketLink,
  WaitOptions,
  WebStreams,
  WriteDropReason,
} from './packet-link.ts';
export { PacketRing } from './packet-ring.ts';
export { createLinkPair, type LinkPairOptions } from './pair.ts';
export type { TooLongHandler, TooLongOutput, TooLongVerdict } from './too-long.ts';
export { toWebStreams } from './web-streams.ts';
export { WrappedLink } from './wrapped-link.ts';
export { endOfRange, type MutableCounters, WriteDrops, zeroLinkCounters } from './write-drops.ts';
