/**
 * Between ports that carry super-packets, each frame behind a virtio-net header, and ports that do not: what comes from the
 * former is cut into frames with checksums of their own, and what goes to them is put together, by the native core.
 */

import { PacketBatch } from '../link/index.ts';
import {
  COALESCE_STATE_WORDS,
  CoalesceKind,
  CoalesceWord,
  nativeCore,
  SPLIT_STATE_WORDS,
  SplitWord,
} from '../native/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';

/** Takes frames, which are valid during the call. */
export type FrameSink = (frames: PacketBatch) => void;

const ETHERNET = 1;
const BATCH_FRAMES = 64;
const BATCH_LEN = 1 << 20;
/** Free bytes that a frame may cost: its virtio-net header and the alignment. */
const SLACK = 32;

/** Cuts super-packets up. */
export class Splitter {
  readonly #core = nativeCore();
  readonly #out = new PacketBatch();
  readonly #state = new Uint32Array(SPLIT_STATE_WORDS);

  constructor() {
    this.#state[SplitWord.vnetHeaderLen] = virtioNetHeaderLen;
    this.#state[SplitWord.medium] = ETHERNET;
  }

  /** Hot. Hands the frames that `from` to `to` stand for to a sink. Returns how many of them contradict themselves. */
  split(batch: PacketBatch, from: number, to: number, sink: FrameSink): number {
    const state = this.#state;
    let malformed = 0;
    state[SplitWord.count] = 0;
    state[SplitWord.free] = 0;
    for (let i = from; i < to; i++) {
      if (batch.length(i) === 0) continue;
      state.fill(0, SplitWord.pendingLen);
      this.#splitFrame(batch.packet(i), sink);
      malformed += state[SplitWord.malformed] as number;
    }
    this.#flush(sink);
    return malformed;
  }

  #splitFrame(frame: Uint8Array, sink: FrameSink): void {
    const { bytes, descriptors } = this.#out;
    const state = this.#state;
    for (;;) {
      this.#core.segment(frame, bytes, descriptors, state);
      if (state[SplitWord.pendingLen] === 0) return;
      this.#flush(sink);
    }
  }

  #flush(sink: FrameSink): void {
    const state = this.#state;
    this.#out.count = state[SplitWord.count] as number;
    state[SplitWord.count] = 0;
    state[SplitWord.free] = 0;
    if (this.#out.count > 0) sink(this.#out);
  }
}

/** Puts frames of one TCP flow that follow each other together. */
export class Coalescer {
  readonly #core = nativeCore();
  readonly #out = new PacketBatch({ capacity: BATCH_FRAMES, bytesLen: BATCH_LEN });
  readonly #state = new Uint32Array(COALESCE_STATE_WORDS);

  constructor() {
    this.#state[CoalesceWord.vnetHeaderLen] = virtioNetHeaderLen;
    this.#state[CoalesceWord.medium] = ETHERNET;
    // Not every kernel takes UDP together.
    this.#state[CoalesceWord.allowed] = CoalesceKind.tcp4 | CoalesceKind.tcp6;
  }

  /** Hot. Hands the frames `from` to `to`, each behind a virtio-net header, to a sink. The batch stays as it is. */
  coalesce(batch: PacketBatch, from: number, to: number, sink: FrameSink): void {
    for (let at = from; at < to; ) {
      const end = this.#endOfChunk(batch, at, to);
      this.#state[CoalesceWord.free] = 0;
      this.#state[CoalesceWord.count] = 0;
      const { bytes, descriptors } = this.#out;
      this.#core.coalesce(batch.bytes, batch.descriptors, at, end, bytes, descriptors, this.#state);
      this.#out.count = this.#state[CoalesceWord.count] as number;
      if (this.#out.count > 0) sink(this.#out);
      at = end;
    }
  }

  /** So many that the output cannot be full: what finds no room would be taken out of the batch, which others want too. */
  #endOfChunk(batch: PacketBatch, from: number, to: number): number {
    let bytes = 0;
    for (let i = from; i < to; i++) {
      bytes += batch.length(i) + SLACK;
      if (i - from === BATCH_FRAMES || bytes > BATCH_LEN) return i;
    }
    return to;
  }
}
