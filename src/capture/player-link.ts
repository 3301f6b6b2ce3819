/**
 * A capture file as a link: its packets are read, at the times at which they were captured or faster; what is written is discarded.
 *
 * Theory of operation
 *
 *   reading   The file is read in chunks, the next one when the last is used up: memory does not depend on its length.
 *   time      The first packet is due at once, each other as long after it as in the file, divided by the speed. A time before that of
 *             the first packet is due at once. A reader that comes late gets all that are due.
 *   left out  Packets that are not whole in the file, that are of the other medium, and that no link carries; counted.
 *   end       The link is closed, as if by its user, once the reader asks for more than there is. At damage it has failed, after all
 *             packets before it were read.
 */

import { type FileHandle, open } from 'node:fs/promises';

import { invalidArgument } from '../base/index.ts';
import { BaseLink, DESCRIPTOR_WORDS, MAX_FRAME_LEN, type Medium, type PacketBatch } from '../link/index.ts';
import { CaptureDecoder } from './capture-decoder.ts';
import { fileError } from './capture-sink.ts';
import { damaged } from './damage.ts';
import { createCaptureRecord } from './format.ts';
import { mediumOfLinkType, packetStart } from './link-type.ts';
import { captureMedium } from './peek.ts';

/** What is played, and how. */
export interface PlayerOptions {
  /** A file. */
  readonly path: string;
  /** 1 for the times of the file, 2 for twice as fast, `Infinity` for as fast as it is read; above 0. Default 1. */
  readonly speed?: number;
  /** Begin again at the end, until the link is closed, but not before a second (divided by the speed) has passed; default false. */
  readonly loop?: boolean;
  /** What the link says it carries, 68 to 65535; packets that are longer are played too. Default 1500. */
  readonly mtu?: number;
  /** Told at the end of the file, before the link ends; with `loop` the first time. */
  onPlayed?(played: PlayedFile): void;
}

/** What came of a file. */
export interface PlayedFile {
  readonly packets: number;
  /** Packets that were left out, by reason. */
  readonly skipped: Readonly<Record<SkipReason, number>>;
}

/** `cut`: not whole in the file; `other-medium`; `too-long` for any link; `not-ip`, where IP was expected. */
export type SkipReason = 'cut' | 'other-medium' | 'too-long' | 'not-ip';

const CHUNK_LEN = 131_072;
/** Timers have 31 bits. */
const LONGEST_WAIT_MS = 3_600_000;
/** A pass over a file of one packet would otherwise end as it begins. */
const LOOP_MS = 1000;
const DEFAULT_MTU = 1500;

/**
 * Opens a file to be played. Its medium is that of its first interface.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_CAPTURE_DAMAGED when nothing of it can be read, VNIC_UNSUPPORTED for a link type that is neither
 *   Ethernet nor IP, VNIC_SYSTEM_CALL
 */
export async function openPlayer(options: PlayerOptions): Promise<PlayerLink> {
  const { path, speed = 1, mtu = DEFAULT_MTU } = options;
  const attempted = `play ${path}`;
  if (!(speed > 0)) throw invalidArgument(attempted, 'a speed above 0', speed);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_535)
    throw invalidArgument(attempted, 'an MTU of 68 to 65535', mtu);
  const medium = captureMedium(path);
  const file = await open(path, 'r').catch((error: unknown) => {
    throw fileError(attempted, error);
  });
  return new PlayerLink(file, medium, options);
}

/** See the head of this file; create it with `openPlayer`. */
export class PlayerLink extends BaseLink {
  override readonly mtu: number;
  readonly #file: FileHandle;
  readonly #options: PlayerOptions;
  readonly #speed: number;
  readonly #chunk = new Uint8Array(CHUNK_LEN);
  readonly #record = createCaptureRecord();
  #decoder = new CaptureDecoder();
  #position = 0;
  /** A packet that was decoded and is not read yet: where it is in the record. */
  #startAt = 0;
  #hasPacket = false;
  /** When the first packet was due, and its time in the file. */
  #firstDueMs: number | undefined;
  /** With `loop`: when the next pass may begin. */
  #notBeforeMs = 0;
  #passes = 0;
  #firstSeconds = 0;
  #firstNanoseconds = 0;
  #played = 0;
  #skipped: Record<SkipReason, number> = noneSkipped();
  #fetching: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #turnPending = false;
  #wantsReadable = false;

  /** @param file owned by the link from now on */
  constructor(file: FileHandle, medium: Medium, options: PlayerOptions) {
    super({ name: options.path, medium });
    this.mtu = options.mtu ?? DEFAULT_MTU;
    this.#file = file;
    this.#options = options;
    this.#speed = options.speed ?? 1;
  }

  protected override readNow(batch: PacketBatch): number {
    let bytesLen = 0;
    while (batch.count < batch.capacity && (this.#hasPacket || this.#decode(batch.count === 0))) {
      const { bytes, offset, length } = this.#record;
      if (!this.#isDue()) break;
      const packetLen = length - this.#startAt;
      const at = batch.reserve(packetLen);
      if (at < 0) break;
      batch.bytes.set(bytes.subarray(offset + this.#startAt, offset + length), at);
      bytesLen += packetLen;
      this.#hasPacket = false;
      this.#played++;
    }
    this.counters.packetsRead += batch.count;
    this.counters.bytesRead += bytesLen;
    if (!this.closed) this.#schedule();
    return batch.count;
  }

  /** Everything is taken and discarded. */
  protected override writeNow(_bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
    return to - from;
  }

  protected override setInterest(readable: boolean): void {
    this.#wantsReadable = readable;
    this.#schedule();
  }

  protected override hasBackPressure(): boolean {
    return false;
  }

  protected override async closeCarrier(): Promise<void> {
    this.#wantsReadable = false;
    clearTimeout(this.#timer);
    await this.#fetching;
    await this.#file.close().catch(() => undefined);
  }

  /** Sets the next packet. False when there is none for now. @param mayEnd that no packet waits to be handed over */
  #decode(mayEnd: boolean): boolean {
    for (;;) {
      const step = this.#decoder.next(this.#record);
      if (step === 'more') {
        this.#fetch();
        return false;
      }
      if (step === 'end') {
        if (mayEnd) this.#finish();
        return false;
      }
      const reason = this.#skipReason();
      if (reason === undefined) {
        this.#hasPacket = true;
        return true;
      }
      this.#skipped[reason]++;
    }
  }

  #skipReason(): SkipReason | undefined {
    const { bytes, offset, length, originalLength, linkType } = this.#record;
    if (mediumOfLinkType(linkType) !== this.medium) return 'other-medium';
    if (length < originalLength || length === 0) return 'cut';
    this.#startAt = packetStart(linkType, bytes, offset, length);
    if (this.#startAt < 0) return this.medium === 'ip' ? 'not-ip' : 'cut';
    return length - this.#startAt > MAX_FRAME_LEN ? 'too-long' : undefined;
  }

  #isDue(): boolean {
    return this.#speed === Number.POSITIVE_INFINITY || this.#dueMs() <= performance.now();
  }

  #dueMs(): number {
    const { seconds, nanoseconds } = this.#record;
    // Simple packets of pcapng have no time.
    if (seconds === 0 && nanoseconds === 0) return 0;
    if (this.#firstDueMs === undefined) {
      this.#firstDueMs = Math.max(performance.now(), this.#notBeforeMs);
      this.#notBeforeMs = this.#firstDueMs + LOOP_MS / this.#speed;
      this.#firstSeconds = seconds;
      this.#firstNanoseconds = nanoseconds;
    }
    const sinceMs = (seconds - this.#firstSeconds) * 1000 + (nanoseconds - this.#firstNanoseconds) / 1e6;
    return this.#firstDueMs + sinceMs / this.#speed;
  }

  #fetch(): void {
    this.#fetching ??= this.#readChunk().finally(() => {
      this.#fetching = undefined;
      if (!this.closed && this.#wantsReadable) this.wakeReader();
    });
  }

  async #readChunk(): Promise<void> {
    try {
      const { bytesRead } = await this.#file.read(this.#chunk, 0, CHUNK_LEN, this.#position);
      this.#position += bytesRead;
      if (bytesRead === 0) this.#decoder.end();
      else this.#decoder.append(this.#chunk.subarray(0, bytesRead));
    } catch (error) {
      if (!this.closed) this.fail(fileError(`read ${this.name}`, error));
    }
  }

  #finish(): void {
    const { damage } = this.#decoder;
    const packets = this.#played;
    if (this.#passes++ === 0) this.#options.onPlayed?.({ packets, skipped: this.#skipped });
    if (damage !== undefined) {
      this.fail(damaged(this.name, damage));
    } else if (this.#options.loop && packets > 0) {
      this.#decoder = new CaptureDecoder();
      this.#position = 0;
      this.#played = 0;
      this.#skipped = noneSkipped();
      this.#firstDueMs = undefined;
    } else {
      void this.close();
    }
  }

  /** Has the reader woken when there is something for it; at most one of the three ways at a time. */
  #schedule(): void {
    if (!this.#wantsReadable || this.#turnPending || this.#fetching !== undefined) return;
    clearTimeout(this.#timer);
    const waitMs = this.#hasPacket && !this.#isDue() ? this.#dueMs() - performance.now() : 0;
    if (waitMs > 0) {
      this.#timer = setTimeout(() => this.#wake(), Math.min(LONGEST_WAIT_MS, Math.ceil(waitMs)));
      return;
    }
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      this.#wake();
    });
  }

  #wake(): void {
    if (!this.closed && this.#wantsReadable) this.wakeReader();
  }
}

function noneSkipped(): Record<SkipReason, number> {
  return { cut: 0, 'other-medium': 0, 'too-long': 0, 'not-ip': 0 };
}
