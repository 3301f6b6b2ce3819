/** Typed access to the native core: descriptors, sockets, batches, readiness. Internal to vnic. */

export { type NativeCore, nativeCandidates, nativeCore, type PollHandle } from './binding.ts';
export { Poll, type PollCallback, PollEvent } from './poll.ts';
export { Capability, hasCapability, inContainer, inUserNamespace, networkNamespaceId } from './process-status.ts';
export { errno, errnoName, systemError } from './system-error.ts';
