/** Splitting and coalescing of super-packets, as `native/segment.c` and `native/coalesce.c` offer it. */

/**
 * Words of the state of splitting, a `Uint32Array` of `SPLIT_STATE_WORDS`. Set the first three once; before each call
 * set `count` and `free` to what the output holds already.
 */
export const SplitWord = {
  /** In: length of the virtio-net header, 10 to 32. */
  vnetHeaderLen: 0,
  /** In: 0 for IP packets, 1 for Ethernet frames. */
  medium: 1,
  /** In: free bytes kept before each packet. */
  headroom: 2,
  /** In and out: packets in the output. */
  count: 3,
  /** In and out: first free byte of the output. */
  free: 4,
  /** Out: length of a frame that is not split to its end for want of room, or 0. */
  pendingLen: 5,
  /** In and out: bytes of its payload that are done; 0 starts a frame. */
  pendingNext: 6,
  /** Out: errno that ended reading, or 0. */
  error: 7,
  /** Counter: bytes of packets put out. */
  bytes: 8,
  /** Counter: super-packets split. */
  superPackets: 9,
  /** Counter: frames dropped because their headers contradict themselves, or do not fit into the whole output. */
  malformed: 10,
  /** In and out: how the next frame is best read; start with 0. */
  expectSuperPacket: 11,
} as const;

export const SPLIT_STATE_WORDS = 12;

/** Words of the state of coalescing, a `Uint32Array` of `COALESCE_STATE_WORDS`. */
export const CoalesceWord = {
  /** In: length of the virtio-net header, 10 to 32. */
  vnetHeaderLen: 0,
  /** In: 0 for IP packets, 1 for Ethernet frames. */
  medium: 1,
  /** In: which packets may be merged, bits of `CoalesceKind`. */
  allowed: 2,
  /** Out: errno for which the rest must wait (EAGAIN, EBADFD; ENOSPC without a descriptor), or 0. */
  error: 3,
  /** Out: bytes of the packets put out, as they were before merging. */
  bytes: 4,
  /** Out: packets put out, as they were before merging. */
  packets: 5,
  /** Out: super-packets among what was put out. */
  superPackets: 6,
  /** Out: their kinds, bits of `CoalesceKind`. */
  merged: 7,
  /** Out: bits of `CoalesceKind` that the kernel refused, although it took the packets one by one. */
  refused: 8,
  /** Out: packets dropped with EIO. */
  linkDown: 9,
  /** Out: packets dropped with ENOBUFS or ENOMEM. */
  noBuffer: 10,
  /** Out: packets dropped with another errno. */
  invalid: 11,
  /** Out: the last of them, and its errno. */
  invalidIndex: 12,
  invalidErrno: 13,
  /** In and out: first free byte and packets of the memory to coalesce into. */
  free: 14,
  count: 15,
} as const;

export const COALESCE_STATE_WORDS = 16;

/** What may be merged, combined with `|`. */
export const CoalesceKind = { tcp4: 1, tcp6: 2, udp4: 4, udp6: 8 } as const;

/** Descriptors are four words a packet, as in a `PacketBatch`; wrong sizes throw a TypeError. */
export interface NativeOffload {
  /**
   * Splits one frame, a virtio-net header and a packet: a super-packet into packets with checksums of their own, any
   * other into itself with its checksum completed. `state` says what remains to do when the output is full
   * (`SplitWord.pendingLen` is not 0): empty it, set `count` and `free` to 0 and call again with the same frame.
   * @returns how many packets this call put out; 0 for a malformed frame, which is counted.
   */
  segment(frame: Uint8Array, out: Uint8Array, descriptors: Uint32Array, state: Uint32Array): number;
  /**
   * Reads frames from a device with a virtio-net header and splits them, until the output is full or a read fails.
   * `scratch` holds a pending super-packet between two calls: at least the longest frame, 64 KiB and headers.
   * @returns how many packets the output holds.
   */
  readSegments(fd: number, scratch: Uint8Array, out: Uint8Array, descriptors: Uint32Array, state: Uint32Array): number;
  /**
   * Writes packets `from` to `to`, those that belong together as one super-packet, to a device with a virtio-net header.
   * Flows keep their order; packets of different flows may overtake each other. When not all could be written,
   * those written behind the first that was not get length 0.
   * @returns how many packets were taken.
   */
  writeCoalesced(
    fd: number,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    state: Uint32Array,
  ): number;
  /** As `writeCoalesced`, into memory: one frame a descriptor, each a virtio-net header and a packet. */
  coalesce(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    out: Uint8Array,
    outDescriptors: Uint32Array,
    state: Uint32Array,
  ): number;
}
