/**
 * Framing: how packets are told apart in a stream of bytes. Pure: bytes in, packets out, whatever carries them.
 *
 * Theory of operation
 *
 * A decoder is fed chunks as they come, cut anywhere, and appends whole packets to a batch. What is left of a chunk when the
 * batch is full stays with the caller, who comes again with the rest. Of a packet that is not whole yet at most `maxLen` bytes are
 * kept, so memory is fixed. Bad frames are data: they are counted, and the decoder goes on with the next.
 *
 * With a length in front of each packet there is no mark to find the next by: after a length that cannot be, the decoder
 * is `lost`, and only a new stream helps.
 */

import type { PacketBatch } from '../link/index.ts';

/** Totals of one direction of a stream. */
export interface FrameCounters {
  /** Frames longer than the decoder takes. */
  tooLong: number;
  /** Frames that break the rules of the framing, or whose checksum is wrong. */
  malformed: number;
}

/** Follows one stream. */
export interface FrameDecoder {
  readonly counters: Readonly<FrameCounters>;
  /** True when the place of the next packet is not known any more. */
  readonly lost: boolean;
  /**
   * Hot. Reads `bytes` from `at` on and appends packets to the batch until one of the two is exhausted.
   * @returns where it stopped: the length of `bytes`, or less when the batch is full or the decoder is lost
   */
  decode(bytes: Uint8Array, at: number, batch: PacketBatch): number;
}

/** One way of framing. */
export interface Framing {
  readonly name: string;
  /** The longest packet that it can carry, in bytes. */
  readonly maxPacketLen: number;
  /** Bytes on the stream for a packet of `length` bytes, at most. */
  encodedLen(length: number): number;
  /**
   * Hot. Writes the frame of the packet that is `bytes` from `start` to `end` to `out` at `at`, where `encodedLen` bytes are free.
   * @returns where the frame ends
   */
  encode(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number;
  /**
   * Begins to follow a stream.
   * @param maxLen longest packet to take, in bytes; longer ones are counted and left out
   */
  decoder(maxLen: number): FrameDecoder;
}
