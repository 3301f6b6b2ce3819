/**
 * The file format of libpcap (`pcap-savefile(5)`; draft-ietf-opsawg-pcap).
 *
 * ```
 * octet 0         4           6           8            12            16         20          24
 *       +---------+-----------+-----------+------------+-------------+----------+-----------+
 *       | magic(4)| major (2) | minor (2) | reserved(4)| reserved (4)| snaplen  | link type |      the file
 *       +---------+-----------+-----------+------------+-------------+----------+-----------+
 *       | seconds | fraction  | captured length        | original length        | packet             each packet
 *       +---------+-----------+------------------------+------------------------+------
 * ```
 * The magic number tells the byte order, and whether the fraction is microseconds (a1b2c3d4) or nanoseconds (a1b23c4d). The link
 * type has 16 bits; the upper ones may tell of a frame check sequence behind each packet, which is taken off.
 *
 * Not supported: the variant of Alexey Kuznetsov (a1b2cd34).
 */

import type { ByteQueue } from './byte-queue.ts';
import type { CaptureDamageReason } from './damage.ts';
import {
  type CapturedPacket,
  type CaptureFormat,
  type CaptureInterface,
  type CaptureRecord,
  type CaptureTime,
  type FormatReader,
  MAX_CAPTURED_LEN,
} from './format.ts';

const MICROSECONDS_MAGIC = 0xa1b2c3d4;
const NANOSECONDS_MAGIC = 0xa1b23c4d;
const FILE_HEADER_LEN = 24;
const RECORD_HEADER_LEN = 16;
const FCS_PRESENT = 0x0400_0000;

/** A reader for the file in the queue; undefined when it begins otherwise. At least 4 bytes must be there. */
export function pcapReader(queue: ByteQueue): FormatReader | undefined {
  for (const little of [true, false]) {
    const magic = queue.view.getUint32(queue.at, little);
    if (magic === MICROSECONDS_MAGIC || magic === NANOSECONDS_MAGIC) {
      return new PcapReader(little, magic === NANOSECONDS_MAGIC ? 1 : 1000);
    }
  }
  return undefined;
}

class PcapReader implements FormatReader {
  linkType: number | undefined;
  readonly #little: boolean;
  readonly #unitNs: number;
  #fcsLen = 0;

  constructor(little: boolean, unitNs: number) {
    this.#little = little;
    this.#unitNs = unitNs;
  }

  get isWhole(): boolean {
    return this.linkType !== undefined;
  }

  next(queue: ByteQueue, record: CaptureRecord): 'record' | 'more' | 'again' | CaptureDamageReason {
    return this.linkType === undefined ? this.#readHeader(queue) : this.#readRecord(queue, this.linkType, record);
  }

  #readHeader(queue: ByteQueue): 'more' | 'again' | CaptureDamageReason {
    if (queue.available < FILE_HEADER_LEN) return 'more';
    const { view, at } = queue;
    if (view.getUint16(at + 4, this.#little) !== 2) return 'unsupported-version';
    const network = view.getUint32(at + 20, this.#little);
    this.linkType = network & 0xffff;
    // In units of 16 bits.
    this.#fcsLen = (network & FCS_PRESENT) === 0 ? 0 : (network >>> 28) * 2;
    queue.consume(FILE_HEADER_LEN);
    return 'again';
  }

  #readRecord(queue: ByteQueue, linkType: number, record: CaptureRecord): 'record' | 'more' | CaptureDamageReason {
    if (queue.available < RECORD_HEADER_LEN) return 'more';
    const { view, at } = queue;
    const length = view.getUint32(at + 8, this.#little);
    if (length > MAX_CAPTURED_LEN) return 'packet-too-long';
    if (queue.available < RECORD_HEADER_LEN + length) return 'more';
    const fraction = view.getUint32(at + 4, this.#little) * this.#unitNs;
    record.seconds = view.getUint32(at, this.#little) + Math.floor(fraction / 1e9);
    record.nanoseconds = fraction % 1e9;
    record.bytes = queue.bytes;
    record.offset = at + RECORD_HEADER_LEN;
    record.linkType = linkType;
    record.direction = undefined;
    cutCheckSequence(record, length, view.getUint32(at + 12, this.#little), this.#fcsLen);
    queue.consume(RECORD_HEADER_LEN + length);
    return 'record';
  }
}

/** Sets both lengths, without the frame check sequence behind the packet, as far as it was captured. */
export function cutCheckSequence(record: CaptureRecord, captured: number, original: number, fcsLen: number): void {
  // Some programs write an original length of 0, or one below what they have captured.
  const whole = Math.max(captured, original);
  record.originalLength = Math.max(0, whole - fcsLen);
  record.length = Math.min(captured, record.originalLength);
}

/** The format as it is written: microseconds unless `nanoseconds`, which older programs do not read. */
export function pcapFormat({ nanoseconds = false }: { readonly nanoseconds?: boolean } = {}): CaptureFormat {
  const unitNs = nanoseconds ? 1 : 1000;
  return {
    name: 'pcap',
    header({ linkType, snapLen }: CaptureInterface): Uint8Array {
      const out = new Uint8Array(FILE_HEADER_LEN);
      const view = new DataView(out.buffer);
      view.setUint32(0, nanoseconds ? NANOSECONDS_MAGIC : MICROSECONDS_MAGIC, true);
      view.setUint16(4, 2, true);
      view.setUint16(6, 4, true);
      view.setUint32(16, snapLen, true);
      view.setUint32(20, linkType, true);
      return out;
    },
    recordLen: (length) => RECORD_HEADER_LEN + length,
    writtenLen: (view, offset) => RECORD_HEADER_LEN + view.getUint32(offset + 8, true),
    encode(out: Uint8Array, view: DataView, at: number, time: CaptureTime, packet: CapturedPacket): number {
      const { bytes, offset, length, originalLength } = packet;
      const isBefore = time.seconds < 0;
      view.setUint32(at, isBefore ? 0 : time.seconds, true);
      view.setUint32(at + 4, isBefore ? 0 : Math.floor(time.nanoseconds / unitNs), true);
      view.setUint32(at + 8, length, true);
      view.setUint32(at + 12, originalLength, true);
      out.set(bytes.subarray(offset, offset + length), at + RECORD_HEADER_LEN);
      return at + RECORD_HEADER_LEN + length;
    },
  };
}
