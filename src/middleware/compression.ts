/**
 * Compression of single packets, as pure cores. Each packet stands for itself, so that loss and another order do no harm.
 *
 * ```
 * octet 0            1
 *       +------------+---------------------------
 *       | method (1) | packet
 *       +------------+---------------------------
 * ```
 * Method 0: the packet as it is. Method 1: its bytes as raw DEFLATE (RFC 1951), used where that is shorter.
 *
 * What comes from the other side is never inflated beyond the longest packet of the link, whatever it claims.
 */

import { deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib';

import type { PacketBatch } from '../link/index.ts';
import {
  countIn,
  countOut,
  type MutableStageCounters,
  type PacketStage,
  type StageCounters,
  zeroStageCounters,
} from './stage.ts';

/** Bytes before each packet. */
export const COMPRESSION_HEADER_LEN = 1;

const STORED = 0;
const DEFLATED = 1;

/** A packet that is no longer, an acknowledgement for example, is not worth the time. */
const SHORTEST_LEN = 80;
/** Of packets up to this length all fit in the window; a larger one costs time to set up. */
const SMALL_WINDOW_LEN = 2048;

/** Totals of the direction that compresses. */
export interface CompressorCounters extends StageCounters {
  /** Packets that became shorter. */
  readonly deflated: number;
}

/** The direction that compresses. */
export class Compressor implements PacketStage {
  readonly counters: MutableStageCounters & { deflated: number } = { ...zeroStageCounters(), deflated: 0 };
  readonly queued = 0;
  readonly nextDueMs: undefined = undefined;
  readonly #small: ZlibOptions;
  readonly #large: ZlibOptions;

  /** @param level 1 for speed to 9 for size */
  constructor(level: number) {
    this.#small = { level, windowBits: 11, memLevel: 6, chunkSize: SMALL_WINDOW_LEN };
    this.#large = { level, windowBits: 15, memLevel: 8, chunkSize: 65_536 };
  }

  push(bytes: Uint8Array, offset: number, length: number, _nowMs: number, ready: PacketBatch): boolean {
    const at = ready.reserve(COMPRESSION_HEADER_LEN + length);
    if (at < 0) return false;
    countIn(this.counters, length);
    const packet = bytes.subarray(offset, offset + length);
    const deflated = length > SHORTEST_LEN ? deflateRawSync(packet, this.#optionsFor(length)) : packet;
    const isShorter = deflated.length < length;
    if (isShorter) this.counters.deflated++;
    ready.bytes[at] = isShorter ? DEFLATED : STORED;
    ready.bytes.set(isShorter ? deflated : packet, at + COMPRESSION_HEADER_LEN);
    ready.setLength(ready.count - 1, COMPRESSION_HEADER_LEN + (isShorter ? deflated.length : length));
    countOut(this.counters, ready, ready.count - 1);
    return true;
  }

  shift(): void {}

  setMaxLen(): void {}

  #optionsFor(length: number): ZlibOptions {
    return length <= SMALL_WINDOW_LEN ? this.#small : this.#large;
  }
}

/** The direction that inflates. */
export class Decompressor implements PacketStage {
  readonly counters: MutableStageCounters = zeroStageCounters();
  readonly queued = 0;
  readonly nextDueMs: undefined = undefined;
  #options: ZlibOptions = {};

  /** @param maxLen the longest packet of the link, as the other side may send it */
  constructor(maxLen: number) {
    this.setMaxLen(maxLen);
  }

  push(bytes: Uint8Array, offset: number, length: number, _nowMs: number, ready: PacketBatch): boolean {
    if (ready.count === ready.capacity) return false;
    countIn(this.counters, length);
    const body = bytes.subarray(offset + COMPRESSION_HEADER_LEN, offset + length);
    const method = bytes[offset];
    if ((method !== STORED && method !== DEFLATED) || body.length === 0) {
      this.counters.dropped.malformed++;
      return true;
    }
    const packet = method === STORED ? body : this.#inflate(body);
    if (packet === undefined) return true;
    if (ready.append(packet)) countOut(this.counters, ready, ready.count - 1);
    // The memory for a batch is bounded, however much its packets swell.
    else this.counters.dropped['queue-full']++;
    return true;
  }

  shift(): void {}

  setMaxLen(maxLen: number): void {
    const limit = Math.max(1, maxLen - COMPRESSION_HEADER_LEN);
    this.#options = { maxOutputLength: limit, chunkSize: Math.max(64, Math.min(limit, SMALL_WINDOW_LEN)) };
  }

  #inflate(body: Uint8Array): Uint8Array | undefined {
    try {
      const packet = inflateRawSync(body, this.#options);
      if (packet.length > 0) return packet;
      this.counters.dropped.malformed++;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.counters.dropped[code === 'ERR_BUFFER_TOO_LARGE' ? 'too-long' : 'malformed']++;
    }
    return undefined;
  }
}
