/**
 * StagedLink: a link around another, with a stage for each direction. What is read from the inner link goes through
 * `fromLink`, what is written through `toLink`, before anybody sees it.
 *
 * The inner link is the middleware's own from then on: nobody else reads it, and closing the middleware closes it. Name,
 * medium, MTU (less what the middleware adds) and events are those of the inner link. Counters: `packetsWritten` counts
 * what was taken from the writer, less what the inner link has dropped of it, which `writeDropped` has; what happens in the
 * middleware itself is in the counters of its stages.
 */

import { isVnicError, VnicError } from '../base/index.ts';
import {
  BaseLink,
  type Clock,
  MAX_FRAME_LEN,
  type PacketBatch,
  type PacketLink,
  type WriteDropReason,
} from '../link/index.ts';
import type { PacketStage } from './stage.ts';
import { StagedReader } from './staged-reader.ts';
import { StagedWriter } from './staged-writer.ts';

/** Ethernet header and two VLAN tags, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 22;

/** What a middleware is made of. */
export interface StagedLinkOptions {
  readonly toLink: PacketStage;
  readonly fromLink: PacketStage;
  readonly clock: Clock;
  /** Bytes that the middleware adds to each packet on the inner link; default 0. */
  readonly overheadLen?: number;
}

/** The longest packet that a link carries, in bytes with link headers. */
export function maxFrameLenOf({ mtu, medium }: Pick<PacketLink, 'mtu' | 'medium'>): number {
  return mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
}

/** @throws VNIC_INVALID_ARGUMENT when packets are super-packets, of which a middleware knows nothing */
export function requirePlainPackets(link: PacketLink, attempted: string): void {
  if (!link.offload) return;
  throw new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted,
    reason: `${link.name} carries super-packets`,
    hint: 'Open it without superPackets: it then splits them itself.',
  });
}

/** See the head of this file. */
export class StagedLink extends BaseLink {
  readonly #inner: PacketLink;
  readonly #overheadLen: number;
  readonly #writer: StagedWriter;
  readonly #reader: StagedReader;
  readonly #stopListening: (() => void)[];
  #wantsReadable = false;
  #wantsWritable = false;
  #turnPending = false;

  protected constructor(inner: PacketLink, { toLink, fromLink, clock, overheadLen = 0 }: StagedLinkOptions) {
    super({ name: inner.name, medium: inner.medium });
    this.#inner = inner;
    this.#overheadLen = overheadLen;
    const maxLen = maxFrameLenOf(inner);
    this.#writer = new StagedWriter({
      inner,
      stage: toLink,
      clock,
      maxLen,
      onRoom: () => this.#wantsWritable && this.wakeWriter(),
      onDropped: (reason, count) => this.#onDropped(reason, count),
      onError: (error) => this.#onWriteError(error),
    });
    this.#reader = new StagedReader({
      inner,
      stage: fromLink,
      clock,
      maxLen,
      onReady: () => this.wakeReader(),
      onLeft: () => this.#wakeNextTurn(),
      onEnd: (error) => this.#onEnd(error),
    });
    this.#stopListening = [
      inner.on('up', () => this.events.emit('up', undefined)),
      inner.on('down', () => this.events.emit('down', undefined)),
      inner.on('mtu', () => this.#onMtu()),
      inner.on('gone', (error) => this.#onGone(error)),
      inner.on('writeDropped', (event) => this.events.emit('writeDropped', event)),
    ];
  }

  override get mtu(): number {
    return Math.max(1, this.#inner.mtu - this.#overheadLen);
  }

  protected override readNow(batch: PacketBatch): number {
    this.#reader.readInto(batch);
    this.counters.packetsRead += batch.count;
    for (let i = 0; i < batch.count; i++) this.counters.bytesRead += batch.length(i);
    if (this.#reader.ending !== undefined) this.#wakeNextTurn();
    return batch.count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    if (this.#reader.ending !== undefined) throw this.#reader.ending;
    // Without an overhead the inner link itself says what is too long: a kernel device takes more than its MTU.
    const maxLen = this.#overheadLen === 0 ? MAX_FRAME_LEN : maxFrameLenOf(this);
    try {
      for (let next = from; next < to; ) {
        const stop = firstLonger(descriptors, next, to, maxLen);
        const taken = this.#writer.write(bytes, descriptors, next, stop);
        this.#countWritten(descriptors, next, next + taken);
        next += taken;
        if (next < stop) return next - from;
        if (next === to) break;
        this.countWriteDrop('too-long', () => tooLong(this, descriptors[next * 4 + 1] as number));
        next++;
      }
    } catch (error) {
      this.#onWriteError(error);
      throw error;
    }
    return to - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    this.#wantsWritable = writable;
    this.#reader.setWanted(readable);
    if ((readable && this.#reader.isReady) || (writable && !this.hasBackPressure())) this.#wakeNextTurn();
  }

  protected override hasBackPressure(): boolean {
    return this.#writer.isBlocked && this.#reader.ending === undefined;
  }

  protected override async closeCarrier(): Promise<void> {
    this.#writer.close();
    this.#reader.close();
    for (const stop of this.#stopListening) stop();
    await this.#inner.close();
  }

  #countWritten(descriptors: Uint32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * 4 + 1] as number;
      if (length === 0) continue;
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
  }

  #onDropped(reason: WriteDropReason, count: number): void {
    this.counters.packetsWritten -= count;
    this.counters.writeDropped[reason] += count;
  }

  #onMtu(): void {
    const maxLen = maxFrameLenOf(this.#inner);
    this.#writer.setMaxLen(maxLen);
    this.#reader.setMaxLen(maxLen);
    this.events.emit('mtu', this.mtu);
  }

  /** What has come from a link that has vanished is still read. */
  #onWriteError(error: unknown): void {
    if (isVnicError(error, 'VNIC_DEVICE_GONE')) this.#onGone(error);
    else this.#onEnd(error);
  }

  #onGone(error: VnicError): void {
    this.#reader.end(error);
    // A writer that waits learns of it by its next write.
    if (!this.closed) this.#wakeNextTurn();
  }

  /** Closed from elsewhere, or failed for good. */
  #onEnd(error: unknown): void {
    if (isVnicError(error) && error.code !== 'VNIC_LINK_CLOSED') this.fail(error);
    else void this.close();
  }

  /** At most one wake-up is under way: a direct call could recurse without bound. */
  #wakeNextTurn(): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      if (this.closed) return;
      this.#reader.endWhenEmpty();
      if (this.#wantsWritable && !this.hasBackPressure()) this.wakeWriter();
      if (this.#wantsReadable && this.#reader.isReady) this.wakeReader();
      // A pushing reader leaves the rest for later, so that timers and other links get their turn.
      if (this.#wantsReadable && this.#reader.isReady) this.#wakeNextTurn();
    });
  }
}

function firstLonger(descriptors: Uint32Array, from: number, to: number, maxLen: number): number {
  for (let i = from; i < to; i++) if ((descriptors[i * 4 + 1] as number) > maxLen) return i;
  return to;
}

function tooLong({ name, mtu }: PacketLink, length: number): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write ${length} bytes to ${name}`,
    reason: `longer than an MTU of ${mtu} allows`,
    hint: 'Send shorter packets.',
  });
}
