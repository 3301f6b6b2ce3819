/** Typed access to the native core: descriptors, sockets, batches, readiness. Internal to vnic. */

export type { AeadKeyHandle, AeadLibraryHandle } from './aead.ts';
export { type NativeCore, nativeCandidates, nativeCore, type PollHandle } from './binding.ts';
export { NetnsStep } from './netns.ts';
export {
  COALESCE_STATE_WORDS,
  CoalesceKind,
  CoalesceWord,
  SPLIT_STATE_WORDS,
  SplitWord,
} from './offload.ts';
export { Poll, type PollCallback, PollEvent } from './poll.ts';
export { Capability, hasCapability, inContainer, inUserNamespace, networkNamespaceId } from './process-status.ts';
export { errno, errnoName, systemError } from './system-error.ts';
export { UDP_ERROR_WORDS, UDP_GRO_SEGMENTS, UDP_SLOT_LEN, UDP_STATUS_WORDS, UdpCall } from './udp.ts';
