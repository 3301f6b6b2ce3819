/**
 * Packets in a stream of bytes, told apart by a framing: a TCP or TLS connection, a Unix socket, a pipe, a serial line, a
 * program's standard input and output.
 *
 * Theory of operation
 *
 *   reading   A chunk is taken from the stream when the reader wants packets and the last one is used up; what is not taken
 *             fills the buffers of the kernel, which is the back-pressure that the other side sees.
 *   writing   A batch becomes one write of one slab. A slab is free again when the stream has passed it on; when none is
 *             free, the link takes no packets. So at most `SLABS` writes are on their way, and memory is fixed.
 *   streams   `attach` gives the link a stream. When that ends, or can no longer be followed (`FrameDecoder.lost`), the link
 *             is down: with `keep` it waits for the next one and what is written meanwhile is lost (`link-down`), else it is gone.
 */

import type { Duplex } from 'node:stream';

import { isVnicError, VnicError } from '../base/index.ts';
import type { FrameCounters, FrameDecoder, Framing } from '../framing/index.ts';
import { BaseLink, DESCRIPTOR_WORDS, type Medium, type PacketBatch } from '../link/index.ts';

/** How packets are put into a stream. */
export interface StreamLinkOptions {
  /** For people and logs, for example `tcp 192.0.2.1:7000`. */
  readonly name: string;
  readonly medium: Medium;
  readonly framing: Framing;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. Default 1500. */
  readonly mtu?: number;
  /** Stay open without a stream. Default false: the link is gone when its stream ends. */
  readonly keep?: boolean;
  /**
   * What to tell when the other side has ended a stream in order, which by itself says nothing.
   * @param packets how many it has brought
   * @returns undefined to leave it at that
   */
  explainEnd?(packets: number): VnicError | undefined;
  /**
   * Bytes handed to the stream at once, and at least a packet; four times that is on its way at most. Default 65,536. A slow
   * stream wants less, or packets wait in it for long.
   */
  readonly writeLen?: number;
}

/** What the streams of a link have brought so far that was no packet. */
export interface StreamLinkCounters extends Readonly<FrameCounters> {
  /** Streams attached. */
  readonly streams: number;
}

const DEFAULT_MTU = 1500;
/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
const SLABS = 4;
const SLAB_LEN = 65_536;
const LINGER_MS = 1000;

/** A packet link over byte streams, which it destroys with itself. */
export class StreamLink extends BaseLink {
  override readonly mtu: number;
  readonly #framing: Framing;
  readonly #maxLen: number;
  readonly #keep: boolean;
  readonly #freeSlabs: Uint8Array[];
  readonly #ended = new Set<(error: VnicError) => void>();
  readonly #totals = { streams: 0, tooLong: 0, malformed: 0 };
  readonly #explainEnd: StreamLinkOptions['explainEnd'];
  #readBefore = 0;
  #stream: Duplex | undefined;
  #decoder: FrameDecoder | undefined;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** The stream has ended, and something of it is still to be read. */
  #isEnding = false;
  #cause: Error | undefined;
  #blocked = false;
  #wantsReadable = false;
  #wantsWritable = false;
  #turnPending = false;

  constructor({
    name,
    medium,
    framing,
    mtu = DEFAULT_MTU,
    keep = false,
    writeLen = SLAB_LEN,
    explainEnd,
  }: StreamLinkOptions) {
    super({ name, medium });
    this.#explainEnd = explainEnd;
    this.mtu = mtu;
    this.#framing = framing;
    this.#keep = keep;
    this.#maxLen = Math.min(framing.maxPacketLen, mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0));
    const slabLen = Math.max(writeLen, framing.encodedLen(this.#maxLen));
    this.#freeSlabs = Array.from({ length: SLABS }, () => new Uint8Array(slabLen));
  }

  /** Whether a stream is attached. */
  get isUp(): boolean {
    return this.#stream !== undefined;
  }

  /** Totals over all streams. */
  get streamCounters(): StreamLinkCounters {
    const { tooLong = 0, malformed = 0 } = this.#decoder?.counters ?? {};
    const { streams } = this.#totals;
    return { streams, tooLong: this.#totals.tooLong + tooLong, malformed: this.#totals.malformed + malformed };
  }

  /** Carries packets over the stream from now on, which is the link's own; one before it is destroyed. */
  attach(stream: Duplex): void {
    if (this.closed) {
      stream.destroy();
      return;
    }
    this.#detach();
    this.#stream = stream;
    this.#decoder = this.#framing.decoder(this.#maxLen);
    this.#totals.streams++;
    this.#readBefore = this.counters.packetsRead;
    const onEnd = (error?: unknown): void => this.#onStreamEnd(stream, error instanceof Error ? error : undefined);
    stream.on('readable', () => this.#onReadable(stream));
    stream.on('end', onEnd).on('close', onEnd).on('error', onEnd);
    this.events.emit('up', undefined);
    if (this.#wantsReadable) this.#wakeNextTurn();
    this.#onRoom();
  }

  /** Calls back whenever a stream has ended, with the reason; the returned function stops that. */
  onStreamEnd(handler: (error: VnicError) => void): () => void {
    this.#ended.add(handler);
    return () => void this.#ended.delete(handler);
  }

  /** Ends the link for good: whoever waits, or calls later, gets this error. */
  override fail(error: VnicError): void {
    super.fail(error);
  }

  protected override readNow(batch: PacketBatch): number {
    const decoder = this.#decoder;
    const stream = this.#stream;
    if (decoder === undefined || stream === undefined) return 0;
    batch.clear();
    while (batch.count < batch.capacity) {
      if (this.#at === this.#chunk.length && !this.#nextChunk(stream)) break;
      const at = decoder.decode(this.#chunk, this.#at, batch);
      const isStuck = at === this.#at;
      this.#at = at;
      if (decoder.lost) {
        this.#chunk = new Uint8Array(0);
        this.#at = 0;
        stream.destroy(unfollowable(this.name, this.#framing));
        break;
      }
      // What is left finds no room in the batch.
      if (isStuck || at < this.#chunk.length) break;
    }
    if (this.#isEnding && batch.count === 0) this.#finishStream();
    // The stream tells of what comes, not of what is left.
    else if (this.#wantsReadable && (this.#at < this.#chunk.length || this.#isEnding)) this.#wakeNextTurn();
    this.counters.packetsRead += batch.count;
    for (let i = 0; i < batch.count; i++) this.counters.bytesRead += batch.length(i);
    return batch.count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    let next = from;
    while (next < to) {
      const slab = this.#stream === undefined ? undefined : this.#freeSlabs.pop();
      if (this.#stream !== undefined && slab === undefined) break;
      next = slab === undefined ? this.#lose(descriptors, next, to) : this.#fill(slab, bytes, descriptors, next, to);
    }
    this.#blocked = next < to;
    return next - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    this.#wantsWritable = writable;
    if (readable && (this.#at < this.#chunk.length || (this.#stream?.readableLength ?? 0) > 0)) this.#wakeNextTurn();
    if (writable && !this.#blocked) this.#wakeNextTurn();
  }

  protected override hasBackPressure(): boolean {
    return this.#blocked;
  }

  protected override closeCarrier(): void {
    const stream = this.#stream;
    this.#forget();
    this.#ended.clear();
    if (stream === undefined) return;
    // What was written is sent before the end; a peer that takes nothing must not keep it.
    stream.end();
    const timer = setTimeout(() => stream.destroy(), LINGER_MS).unref();
    stream.once('close', () => clearTimeout(timer)).resume();
  }

  /** Frames packets into the slab and writes it; returns the index of the first that has found no room. */
  #fill(slab: Uint8Array, bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    let end = 0;
    let i = from;
    for (; i < to; i++) {
      const start = descriptors[i * DESCRIPTOR_WORDS] as number;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      if (length > this.#maxLen) {
        this.countWriteDrop('too-long', () => tooLong(this.name, length, this.#maxLen));
        continue;
      }
      if (end + this.#framing.encodedLen(length) > slab.length) break;
      end = this.#framing.encode(bytes, start, start + length, slab, end);
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
    if (end === 0) this.#freeSlabs.push(slab);
    else this.#stream?.write(slab.subarray(0, end), () => this.#onWritten(slab));
    return i;
  }

  #lose(descriptors: Uint32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      if (descriptors[i * DESCRIPTOR_WORDS + 1] !== 0) this.countWriteDrop('link-down', () => streamMissing(this.name));
    }
    return to;
  }

  #nextChunk(stream: Duplex): boolean {
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) return false;
    this.#chunk = chunk;
    this.#at = 0;
    return true;
  }

  #onReadable(stream: Duplex): void {
    if (this.closed || stream !== this.#stream) return;
    if (this.#wantsReadable) this.wakeReader();
    // The end is told only to who reads.
    else if (stream.readableLength === 0) this.#nextChunk(stream);
  }

  #onWritten(slab: Uint8Array): void {
    this.#freeSlabs.push(slab);
    this.#onRoom();
  }

  #onRoom(): void {
    this.#blocked = false;
    if (this.#wantsWritable && !this.closed) this.wakeWriter();
  }

  #onStreamEnd(stream: Duplex, cause: Error | undefined): void {
    if (this.#stream !== stream || this.closed) return;
    this.#cause ??= cause;
    // What has come before the end is read first.
    if (this.#at < this.#chunk.length) this.#isEnding = true;
    else this.#finishStream();
  }

  #finishStream(): void {
    const error = this.#whyEnded(this.#cause);
    this.#detach();
    this.events.emit('down', undefined);
    for (const handler of this.#ended) handler(error);
    if (!this.#keep) this.fail(error);
    else this.#onRoom();
  }

  #whyEnded(cause: Error | undefined): VnicError {
    if (isVnicError(cause)) return cause;
    const packets = this.counters.packetsRead - this.#readBefore;
    return (cause === undefined ? this.#explainEnd?.(packets) : undefined) ?? streamEnded(this.name, cause);
  }

  #detach(): void {
    const stream = this.#stream;
    this.#forget();
    stream?.destroy();
  }

  #forget(): void {
    const { tooLong = 0, malformed = 0 } = this.#decoder?.counters ?? {};
    this.#totals.tooLong += tooLong;
    this.#totals.malformed += malformed;
    this.#stream = undefined;
    this.#decoder = undefined;
    this.#cause = undefined;
    this.#isEnding = false;
    this.#chunk = new Uint8Array(0);
    this.#at = 0;
  }

  /** At most one wake-up is under way. */
  #wakeNextTurn(): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      if (this.closed) return;
      if (this.#wantsWritable && !this.#blocked) this.wakeWriter();
      if (this.#wantsReadable) this.wakeReader();
    });
  }
}

function streamEnded(name: string, cause: Error | undefined): VnicError {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `use ${name}`,
    reason: cause === undefined ? 'the other side has ended the stream' : cause.message,
    hint: 'Open it again, once the other side is there.',
    ...(code !== undefined && /^E[A-Z]+$/.test(code) && { errno: code }),
    ...(cause !== undefined && { cause }),
  });
}

function unfollowable(name: string, { name: framing }: Framing): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `read from ${name}`,
    reason: `what comes is not framed as '${framing}': a length cannot be`,
    hint: 'Give both sides the same framing.',
  });
}

function tooLong(name: string, length: number, maxLen: number): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write ${length} bytes to ${name}`,
    reason: `longer than the ${maxLen} bytes that it carries`,
    hint: 'Send shorter packets, or open it with a larger MTU.',
  });
}

function streamMissing(name: string): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write a packet to ${name}`,
    reason: 'no stream is connected at present',
    hint: 'Wait for the event `up`.',
  });
}
