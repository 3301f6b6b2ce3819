/** Packets behind a virtio-net header: super-packets split and coalesced in the native core, or handed through. */

import { DESCRIPTOR_WORDS, MAX_FRAME_LEN, PacketBatch } from '../link/index.ts';
import {
  COALESCE_STATE_WORDS,
  CoalesceWord,
  errno,
  nativeCore,
  SPLIT_STATE_WORDS,
  SplitWord,
} from '../native/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';
import type { FrameIo, FrameReport } from './frame-io.ts';
import { allowedKinds, noteRefused, noteWritten, type OffloadState } from './offload.ts';

/** What both ways need to know of a device. */
export interface OffloadIoOptions {
  readonly fd: number;
  readonly medium: 'ip' | 'ethernet';
  readonly vnetHeaderLen: number;
  readonly state: OffloadState;
  readonly report: FrameReport;
}

/** Totals of super-packets. */
interface SuperPacketCounters {
  superPacketsRead: number;
  superPacketsWritten: number;
  malformed: number;
}

/** A device's packets with super-packets in it. */
export interface OffloadIo extends FrameIo {
  readonly superPackets: SuperPacketCounters;
}

/** The reader sees packets of the MTU's size and may write such: splits what is read, coalesces what is written. */
export class SplittingIo implements OffloadIo {
  readonly superPackets: SuperPacketCounters = { superPacketsRead: 0, superPacketsWritten: 0, malformed: 0 };
  readonly #fd: number;
  readonly #offload: OffloadState;
  readonly #report: FrameReport;
  readonly #core = nativeCore();
  readonly #split: Uint32Array;
  readonly #coalesce: Uint32Array;
  // The kernel's frame while it is split, also between two batches.
  readonly #scratch = new Uint8Array(MAX_FRAME_LEN);

  constructor({ fd, medium, vnetHeaderLen, state, report }: OffloadIoOptions) {
    this.#fd = fd;
    this.#offload = state;
    this.#report = report;
    this.#split = splitState(medium, vnetHeaderLen);
    this.#coalesce = coalesceState(medium, vnetHeaderLen, allowedKinds(state));
  }

  get readError(): number {
    return this.#split[SplitWord.error] as number;
  }

  get pending(): boolean {
    return this.#split[SplitWord.pendingLen] !== 0;
  }

  read(batch: PacketBatch): number {
    const state = this.#split;
    state.fill(0, SplitWord.bytes, SplitWord.expectSuperPacket);
    state[SplitWord.headroom] = batch.headroom;
    state[SplitWord.count] = 0;
    state[SplitWord.free] = 0;
    const count = this.#core.readSegments(this.#fd, this.#scratch, batch.bytes, batch.descriptors, state);
    this.superPackets.superPacketsRead += state[SplitWord.superPackets] as number;
    this.superPackets.malformed += state[SplitWord.malformed] as number;
    if (count > 0) this.#report.read(count, state[SplitWord.bytes] as number);
    return count;
  }

  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const state = this.#coalesce;
    const taken = this.#core.writeCoalesced(this.#fd, bytes, descriptors, from, to, state);
    this.superPackets.superPacketsWritten += state[CoalesceWord.superPackets] as number;
    reportCoalesced(this.#report, bytes, descriptors, state);
    if (state[CoalesceWord.refused] !== 0 || this.#offload.untried) this.#learn(state);
    return taken;
  }

  /** Cold: only until each kind was tried. */
  #learn(state: Uint32Array): void {
    noteRefused(this.#offload, state[CoalesceWord.refused] as number);
    noteWritten(this.#offload, state[CoalesceWord.merged] as number);
    state[CoalesceWord.allowed] = allowedKinds(this.#offload);
  }
}

/**
 * The reader sees what the kernel gives, each packet behind its virtio-net header, and writes the like. A super-packet
 * that the kernel refuses is split and written packet by packet.
 */
export class SuperPacketIo implements OffloadIo {
  readonly pending: boolean = false;
  readonly superPackets: SuperPacketCounters = { superPacketsRead: 0, superPacketsWritten: 0, malformed: 0 };
  readonly #options: OffloadIoOptions;
  readonly #core = nativeCore();
  readonly #status = new Uint32Array(3);
  #fallback: SplitWriter | undefined;

  constructor(options: OffloadIoOptions) {
    this.#options = options;
  }

  get readError(): number {
    return this.#status[0] as number;
  }

  read(batch: PacketBatch): number {
    const { bytes, descriptors, capacity, headroom } = batch;
    const status = this.#status;
    const { fd, report } = this.#options;
    const count = this.#core.readBatch(fd, bytes, descriptors, capacity, MAX_FRAME_LEN, headroom, status, 0);
    if (count === 0) return 0;
    report.read(count, (status[1] as number) - count * virtioNetHeaderLen);
    this.superPackets.superPacketsRead += countSuperPackets(bytes, descriptors, 0, count);
    return count;
  }

  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const status = this.#status;
    const { fd, report } = this.#options;
    let at = from;
    while (at < to) {
      const start = at;
      at += this.#core.writeBatch(fd, bytes, descriptors, at, to, status, 0);
      const packets = status[2] as number;
      if (packets > 0) report.written(packets, (status[1] as number) - packets * virtioNetHeaderLen);
      this.superPackets.superPacketsWritten += countSuperPackets(bytes, descriptors, start, at);
      const error = status[0] as number;
      if (error === 0 || error === errno.EAGAIN) break;
      if (!this.#writeSplit(error, bytes, descriptors, at)) report.dropped(error, 1, bytes, descriptors, at);
      at++;
    }
    return at - from;
  }

  /** False when the packet itself is at fault. */
  #writeSplit(error: number, bytes: Uint8Array, descriptors: Uint32Array, index: number): boolean {
    if (error !== errno.EINVAL && error !== errno.ENOMEM && error !== errno.ENOBUFS) return false;
    if (countSuperPackets(bytes, descriptors, index, index + 1) === 0) return false;
    this.#fallback ??= new SplitWriter(this.#options);
    const start = descriptors[index * DESCRIPTOR_WORDS] as number;
    return this.#fallback.write(bytes.subarray(start, start + (descriptors[index * DESCRIPTOR_WORDS + 1] as number)));
  }
}

/** Writes super-packets as the packets they stand for. */
class SplitWriter {
  readonly #fd: number;
  readonly #report: FrameReport;
  readonly #core = nativeCore();
  readonly #batch = new PacketBatch();
  readonly #split: Uint32Array;
  readonly #coalesce: Uint32Array;

  constructor({ fd, medium, vnetHeaderLen, report }: OffloadIoOptions) {
    this.#fd = fd;
    this.#report = report;
    this.#split = splitState(medium, vnetHeaderLen);
    this.#coalesce = coalesceState(medium, vnetHeaderLen, 0);
  }

  /** False, and nothing written, when the frame is malformed. */
  write(frame: Uint8Array): boolean {
    const { bytes, descriptors } = this.#batch;
    const state = this.#split;
    state.fill(0, SplitWord.pendingLen);
    do {
      state[SplitWord.count] = 0;
      state[SplitWord.free] = 0;
      const count = this.#core.segment(frame, bytes, descriptors, state);
      if (count === 0) return false;
      this.#core.writeCoalesced(this.#fd, bytes, descriptors, 0, count, this.#coalesce);
      reportCoalesced(this.#report, bytes, descriptors, this.#coalesce);
    } while (state[SplitWord.pendingLen] !== 0);
    return true;
  }
}

function splitState(medium: 'ip' | 'ethernet', vnetHeaderLen: number): Uint32Array {
  const state = new Uint32Array(SPLIT_STATE_WORDS);
  state[SplitWord.vnetHeaderLen] = vnetHeaderLen;
  state[SplitWord.medium] = medium === 'ip' ? 0 : 1;
  return state;
}

function coalesceState(medium: 'ip' | 'ethernet', vnetHeaderLen: number, allowed: number): Uint32Array {
  const state = new Uint32Array(COALESCE_STATE_WORDS);
  state[CoalesceWord.vnetHeaderLen] = vnetHeaderLen;
  state[CoalesceWord.medium] = medium === 'ip' ? 0 : 1;
  state[CoalesceWord.allowed] = allowed;
  return state;
}

function reportCoalesced(report: FrameReport, bytes: Uint8Array, descriptors: Uint32Array, state: Uint32Array): void {
  const word = (index: number): number => state[index] as number;
  if (word(CoalesceWord.packets) > 0) report.written(word(CoalesceWord.packets), word(CoalesceWord.bytes));
  const dropped = (error: number, packets: number): void => {
    if (packets > 0) report.dropped(error, packets, bytes, descriptors, word(CoalesceWord.invalidIndex));
  };
  dropped(errno.EIO, word(CoalesceWord.linkDown));
  dropped(errno.ENOBUFS, word(CoalesceWord.noBuffer));
  dropped(word(CoalesceWord.invalidErrno), word(CoalesceWord.invalid));
  const error = word(CoalesceWord.error);
  if (error === errno.EBADFD) report.dropped(error, 1, bytes, descriptors, 0);
}

/** Frames `from` to `to` whose virtio-net header has a GSO type. */
function countSuperPackets(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    const at = descriptors[i * DESCRIPTOR_WORDS] as number;
    if ((descriptors[i * DESCRIPTOR_WORDS + 1] as number) > virtioNetHeaderLen && bytes[at + 1] !== 0) count++;
  }
  return count;
}
