/**
 * Records packets to a capture file without ever holding up who has them.
 *
 * Theory of operation
 *
 *   record   Packets are copied into a slab, each as a whole record of the file. A slab that is full waits for the disk; when none is
 *            free, packets are lost and counted. So memory is fixed, and traffic goes on however slow the disk is.
 *   writing  One write at a time, of one slab. While nothing is being written, the slab in use goes out on the next turn of the
 *            event loop, full or not: on a quiet link each packet is in the file at once, also if the process is killed then.
 *   failing  A disk that is full, or a reader that has gone, ends the recording for good: `onEnd` is told once, the file is cut back
 *            to whole records, and later packets count as lost.
 *   time     That of the system when recording began, and from then on a clock that does not go back: packets keep their order.
 */

import { invalidArgument, isVnicError, type VnicError } from '../base/index.ts';
import { DESCRIPTOR_WORDS, type Medium, type PacketBatch } from '../link/index.ts';
import { type CaptureSink, fileError, openFileSink, openStdoutSink } from './capture-sink.ts';
import { type CaptureDirection, type CaptureFormat, type CaptureFormatName, MAX_CAPTURED_LEN } from './format.ts';
import { linkTypeOfMedium } from './link-type.ts';
import { pcapFormat } from './pcap.ts';
import { pcapngFormat } from './pcapng-writer.ts';

/** What is recorded, and where. */
export interface RecorderOptions {
  /** A file, which is made with mode 0600; `-` for standard output. */
  readonly path: string;
  readonly medium: Medium;
  /** Name of the link, which pcapng keeps; default `link`. */
  readonly name?: string;
  /** Default: `pcap` when the path ends so, `pcapng` else. */
  readonly format?: CaptureFormatName;
  /** Bytes of a packet that are kept, 1 to 262144; default all. */
  readonly snapLen?: number;
  /** Replaces a file of that name; default false. */
  readonly overwrite?: boolean;
  /** Begins a new file when one has so many bytes; at least 1 MiB. The one before becomes `PATH.1`. Default: never. */
  readonly maxFileLen?: number;
  /** How many of those before are kept, 0 to 1000; default 1. The oldest is deleted. */
  readonly keepFiles?: number;
  /** Told once when recording has ended before `close`. */
  onEnd?(error: VnicError): void;
}

/** Totals since recording began. */
export interface RecorderCounters {
  /** Packets and bytes of them that are in the file, or on their way there. */
  readonly packets: number;
  readonly bytes: number;
  /** Packets that are not, because the disk was too slow or has failed. */
  readonly dropped: number;
}

const SLABS = 4;
const SLAB_LEN = 524_288;
const MIN_FILE_LEN = 1 << 20;
const MAX_KEPT_FILES = 1000;

/**
 * Opens a recorder.
 * @throws VNIC_INVALID_ARGUMENT, VNIC_FILE_EXISTS, VNIC_SYSTEM_CALL
 */
export async function openRecorder(options: RecorderOptions): Promise<Recorder> {
  const {
    path,
    medium,
    name = 'link',
    snapLen = MAX_CAPTURED_LEN,
    overwrite = false,
    maxFileLen,
    keepFiles = 1,
  } = options;
  checkNumber('snapLen', snapLen, 1, MAX_CAPTURED_LEN);
  if (maxFileLen !== undefined) checkNumber('maxFileLen', maxFileLen, MIN_FILE_LEN, Number.MAX_SAFE_INTEGER);
  checkNumber('keepFiles', keepFiles, 0, MAX_KEPT_FILES);
  if (path === '-' && maxFileLen !== undefined) {
    throw invalidArgument('record to standard output', 'no limit of its length', maxFileLen);
  }
  const format = formatOf(options);
  const header = format.header({ linkType: linkTypeOfMedium(medium), name, snapLen });
  const kept = maxFileLen === undefined ? 0 : keepFiles;
  const sink =
    path === '-'
      ? await openStdoutSink(header)
      : await openFileSink({ path, header, overwrite, maxFileLen, keepFiles: kept });
  return new Recorder(sink, format, { medium, snapLen, onEnd: options.onEnd });
}

function formatOf({ path, format }: RecorderOptions): CaptureFormat {
  if (format !== undefined && format !== 'pcap' && format !== 'pcapng') {
    throw invalidArgument('open a recorder', "a format of 'pcap' or 'pcapng'", format);
  }
  return (format ?? (path.endsWith('.pcap') ? 'pcap' : 'pcapng')) === 'pcap' ? pcapFormat() : pcapngFormat;
}

/** Memory for records, and a view over it. */
class Slab {
  readonly bytes = new Uint8Array(SLAB_LEN);
  readonly view = new DataView(this.bytes.buffer);
  end = 0;
}

/** See the head of this file; create it with `openRecorder`. */
export class Recorder implements AsyncDisposable {
  readonly medium: Medium;
  readonly counters: { -readonly [Key in keyof RecorderCounters]: number } = { packets: 0, bytes: 0, dropped: 0 };
  readonly #sink: CaptureSink;
  readonly #format: CaptureFormat;
  readonly #snapLen: number;
  readonly #onEnd: ((error: VnicError) => void) | undefined;
  readonly #free: Slab[] = Array.from({ length: SLABS - 1 }, () => new Slab());
  readonly #full: Slab[] = [];
  #slab: Slab | undefined = new Slab();
  #writing: Promise<void> | undefined;
  #turnPending = false;
  #failure: VnicError | undefined;
  #closing: Promise<void> | undefined;
  // One object serves all records.
  readonly #time = { seconds: 0, nanoseconds: 0 };
  readonly #packet = {
    bytes: new Uint8Array(0) as Uint8Array,
    offset: 0,
    length: 0,
    originalLength: 0,
    direction: undefined as CaptureDirection | undefined,
  };
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);

  constructor(
    sink: CaptureSink,
    format: CaptureFormat,
    options: { medium: Medium; snapLen: number; onEnd: ((error: VnicError) => void) | undefined },
  ) {
    this.medium = options.medium;
    this.#sink = sink;
    this.#format = format;
    this.#snapLen = options.snapLen;
    this.#onEnd = options.onEnd;
  }

  /** Why recording has ended before `close`. */
  get failure(): VnicError | undefined {
    return this.#failure;
  }

  /** Whether something that was recorded is not in the file yet. */
  get isWriting(): boolean {
    return this.#turnPending || this.#writing !== undefined || this.#hasUnwritten;
  }

  /** Hot. Records packets `from` to `to` of a batch, those of length 0 left out, or one packet; copies them. */
  record(source: PacketBatch | Uint8Array, direction: CaptureDirection, from = 0, to?: number): void {
    if (source instanceof Uint8Array) {
      this.#single[1] = source.length;
      this.recordDescribed(source, this.#single, 0, 1, direction);
    } else {
      this.recordDescribed(source.bytes, source.descriptors, from, to ?? source.count, direction);
    }
  }

  /** Hot. As `record`, of memory with its descriptors. @returns how many packets were lost */
  recordDescribed(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    direction: CaptureDirection,
  ): number {
    const lostBefore = this.counters.dropped;
    this.#setTime();
    this.#packet.bytes = bytes;
    this.#packet.direction = direction;
    for (let i = from; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length > 0) this.#add(descriptors[i * DESCRIPTOR_WORDS] as number, length);
    }
    if (!this.#turnPending && this.#writing === undefined) this.#writeNextTurn();
    return this.counters.dropped - lostBefore;
  }

  /** Writes what was recorded and closes the file. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #add(offset: number, length: number): void {
    const packet = this.#packet;
    const kept = Math.min(length, this.#snapLen);
    const slab = this.#roomFor(this.#format.recordLen(kept));
    if (slab === undefined) {
      this.counters.dropped++;
      return;
    }
    packet.offset = offset;
    packet.length = kept;
    packet.originalLength = length;
    slab.end = this.#format.encode(slab.bytes, slab.view, slab.end, this.#time, packet);
    this.counters.packets++;
    this.counters.bytes += kept;
  }

  #roomFor(recordLen: number): Slab | undefined {
    if (this.#failure !== undefined || this.#closing !== undefined) return undefined;
    const slab = this.#slab;
    if (slab !== undefined && slab.end + recordLen <= SLAB_LEN) return slab;
    if (slab !== undefined) this.#full.push(slab);
    this.#slab = this.#free.pop();
    return this.#slab;
  }

  get #hasUnwritten(): boolean {
    return this.#full.length > 0 || (this.#slab?.end ?? 0) > 0;
  }

  #setTime(): void {
    const nowMs = performance.timeOrigin + performance.now();
    const seconds = Math.floor(nowMs / 1000);
    this.#time.seconds = seconds;
    this.#time.nanoseconds = Math.min(999_999_999, Math.round((nowMs - seconds * 1000) * 1e6));
  }

  #writeNextTurn(): void {
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      this.#startWriting();
    });
  }

  #startWriting(): void {
    if (this.#writing !== undefined || this.#failure !== undefined) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      // What came after the last look.
      if (this.#hasUnwritten && !this.#turnPending) this.#writeNextTurn();
    });
  }

  async #writeAll(): Promise<void> {
    for (let slab = this.#nextSlab(); slab !== undefined; slab = this.#nextSlab()) {
      const { bytes, end } = slab;
      const writing = slab;
      try {
        await this.#sink.write(bytes.subarray(0, end), (written) => this.#wholeRecords(writing, written));
      } catch (error) {
        await this.#fail(isVnicError(error) ? error : fileError(`write to ${this.#sink.name}`, error));
        return;
      }
      slab.end = 0;
      if (this.#slab === undefined) this.#slab = slab;
      else this.#free.push(slab);
    }
  }

  #nextSlab(): Slab | undefined {
    const full = this.#full.shift();
    if (full !== undefined) return full;
    const slab = this.#slab;
    if (slab === undefined || slab.end === 0) return undefined;
    this.#slab = this.#free.pop();
    return slab;
  }

  #wholeRecords({ view, end }: Slab, written: number): number {
    let at = 0;
    while (at < end) {
      const next = at + this.#format.writtenLen(view, at);
      if (next > written) break;
      at = next;
    }
    return at;
  }

  async #fail(error: VnicError): Promise<void> {
    this.#failure = error;
    this.#full.length = 0;
    this.#free.length = 0;
    this.#slab = undefined;
    await this.#sink.close();
    this.#onEnd?.(error);
  }

  async #finish(): Promise<void> {
    while (this.#writing !== undefined || (this.#hasUnwritten && this.#failure === undefined)) {
      this.#startWriting();
      await this.#writing;
    }
    await this.#sink.close();
  }
}

function checkNumber(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw invalidArgument('open a recorder', `${name} as an integer from ${min} to ${max}`, value);
}
