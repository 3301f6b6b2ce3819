/**
 * pcapng (draft-ietf-opsawg-pcapng): a file of blocks, each with its length before and behind it.
 *
 * ```
 * octet 0           4             8                                        length-4
 *       +-----------+-------------+----------------------------------------+-------------+
 *       | type (4)  | length (4)  | fixed part, packet, options            | length (4)  |
 *       +-----------+-------------+----------------------------------------+-------------+
 * section header      byte order(4) major(2) minor(2) section length(8)
 * interface           link type(2) reserved(2) snaplen(4)
 * enhanced packet     interface(4) time(4, upper half) time(4) captured(4) original(4) packet
 * simple packet       original(4) packet
 * packet (obsolete)   interface(2) drops(2), then as the enhanced one
 * ```
 * A file may have several sections, each with its own byte order and its own interfaces. Blocks of other kinds are skipped,
 * however long they are.
 *
 * Not supported: what those blocks say (name resolution, statistics, decryption secrets).
 */

import type { ByteQueue } from './byte-queue.ts';
import type { CaptureDamageReason } from './damage.ts';
import { type CaptureRecord, type FormatReader, MAX_CAPTURED_LEN } from './format.ts';
import { cutCheckSequence } from './pcap.ts';
import { defaultResolution, readOptions, splitTime, type TimeResolution } from './pcapng-option.ts';

/** Types of blocks, in either byte order for the section header. */
export const BlockType = {
  section: 0x0a0d_0d0a,
  interface: 1,
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
} as const;

/** The byte order, as the section header says it. */
export const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const MAX_INTERFACES = 1024;
/** A packet, and options that say something of it. */
const MAX_BLOCK_LEN = MAX_CAPTURED_LEN + 262_144;
/** Type and both lengths. */
const FRAME_LEN = 12;

/** Octets of the fixed part of the blocks that are read. */
const fixedLens: Readonly<Record<number, number>> = {
  [BlockType.section]: 16,
  [BlockType.interface]: 8,
  [BlockType.packet]: 20,
  [BlockType.simplePacket]: 4,
  [BlockType.enhancedPacket]: 20,
};

interface DescribedInterface {
  readonly linkType: number;
  /** 0 for no limit. */
  readonly snapLen: number;
  readonly resolution: TimeResolution;
  readonly fcsLen: number;
}

/** A reader for the file in the queue; undefined when it begins otherwise. At least 4 bytes must be there. */
export function pcapngReader(queue: ByteQueue): FormatReader | undefined {
  return queue.view.getUint32(queue.at, true) === BlockType.section ? new PcapngReader() : undefined;
}

class PcapngReader implements FormatReader {
  linkType: number | undefined;
  #little = true;
  readonly #interfaces: DescribedInterface[] = [];
  /** Of a block that is skipped: octets up to its second length, and that length. */
  #skip = 0;
  #skippedLen = 0;

  get isWhole(): boolean {
    return this.#skippedLen === 0;
  }

  next(queue: ByteQueue, record: CaptureRecord): 'record' | 'more' | 'again' | CaptureDamageReason {
    if (this.#skippedLen > 0) return this.#skipOn(queue);
    if (queue.available < 8) return 'more';
    const { view, at } = queue;
    let type = view.getUint32(at, this.#little);
    if (type === BlockType.section) {
      if (queue.available < FRAME_LEN) return 'more';
      const order = view.getUint32(at + 8, true);
      if (order !== BYTE_ORDER_MAGIC && view.getUint32(at + 8, false) !== BYTE_ORDER_MAGIC) return 'bad-byte-order';
      this.#little = order === BYTE_ORDER_MAGIC;
      type = BlockType.section;
    }
    const length = view.getUint32(at + 4, this.#little);
    const fixedLen = fixedLens[type];
    if (length % 4 !== 0 || length < FRAME_LEN + (fixedLen ?? 0)) return 'bad-block-length';
    if (fixedLen === undefined) return this.#beginSkip(queue, length);
    if (length > MAX_BLOCK_LEN) return 'block-too-long';
    if (queue.available < length) return 'more';
    if (view.getUint32(at + length - 4, this.#little) !== length) return 'bad-block-length';
    const result = this.#readBlock(type, queue, at + 8, at + length - 4, record);
    if (result === 'record' || result === 'again') queue.consume(length);
    return result;
  }

  #beginSkip(queue: ByteQueue, length: number): 'again' {
    queue.consume(8);
    this.#skip = length - FRAME_LEN;
    this.#skippedLen = length;
    return 'again';
  }

  #skipOn(queue: ByteQueue): 'more' | 'again' | CaptureDamageReason {
    const skipped = Math.min(this.#skip, queue.available);
    queue.consume(skipped);
    this.#skip -= skipped;
    if (this.#skip > 0 || queue.available < 4) return 'more';
    if (queue.view.getUint32(queue.at, this.#little) !== this.#skippedLen) return 'bad-block-length';
    queue.consume(4);
    this.#skippedLen = 0;
    return 'again';
  }

  #readBlock(
    type: number,
    queue: ByteQueue,
    at: number,
    end: number,
    record: CaptureRecord,
  ): 'record' | 'again' | CaptureDamageReason {
    switch (type) {
      case BlockType.section:
        return this.#beginSection(queue.view, at);
      case BlockType.interface:
        return this.#describeInterface(queue.view, at, end);
      case BlockType.simplePacket:
        return this.#readSimplePacket(queue, at, end, record);
      default:
        return this.#readPacket(type, queue, at, end, record);
    }
  }

  #beginSection(view: DataView, at: number): 'again' | CaptureDamageReason {
    if (view.getUint16(at + 4, this.#little) !== 1) return 'unsupported-version';
    this.#interfaces.length = 0;
    return 'again';
  }

  #describeInterface(view: DataView, at: number, end: number): 'again' | CaptureDamageReason {
    if (this.#interfaces.length === MAX_INTERFACES) return 'too-many-interfaces';
    const options = readOptions(view, at + 8, end, this.#little);
    if (options === undefined) return 'bad-option';
    const linkType = view.getUint16(at, this.#little);
    const { resolution = defaultResolution, fcsLen = 0 } = options;
    this.#interfaces.push({ linkType, snapLen: view.getUint32(at + 4, this.#little), resolution, fcsLen });
    this.linkType ??= linkType;
    return 'again';
  }

  #readSimplePacket(queue: ByteQueue, at: number, end: number, record: CaptureRecord): 'record' | CaptureDamageReason {
    const link = this.#interfaces[0];
    if (link === undefined) return 'unknown-interface';
    const original = queue.view.getUint32(at, this.#little);
    const limit = link.snapLen === 0 ? original : Math.min(link.snapLen, original);
    // The block is the packet and what pads it.
    const captured = Math.min(limit, end - at - 4);
    if (captured > MAX_CAPTURED_LEN) return 'packet-too-long';
    record.bytes = queue.bytes;
    record.offset = at + 4;
    record.linkType = link.linkType;
    record.seconds = 0;
    record.nanoseconds = 0;
    record.direction = undefined;
    cutCheckSequence(record, captured, original, link.fcsLen);
    return 'record';
  }

  #readPacket(
    type: number,
    queue: ByteQueue,
    at: number,
    end: number,
    record: CaptureRecord,
  ): 'record' | CaptureDamageReason {
    const { view, bytes } = queue;
    const id = type === BlockType.packet ? view.getUint16(at, this.#little) : view.getUint32(at, this.#little);
    const link = this.#interfaces[id];
    if (link === undefined) return 'unknown-interface';
    const captured = view.getUint32(at + 12, this.#little);
    if (captured > MAX_CAPTURED_LEN) return 'packet-too-long';
    const optionsAt = at + 20 + ((captured + 3) & ~3);
    if (optionsAt > end) return 'packet-beyond-block';
    const options = optionsAt < end ? readOptions(view, optionsAt, end, this.#little) : {};
    if (options === undefined) return 'bad-option';
    record.bytes = bytes;
    record.offset = at + 20;
    record.linkType = link.linkType;
    record.direction = options.direction;
    splitTime(view.getUint32(at + 4, this.#little), view.getUint32(at + 8, this.#little), link.resolution, record);
    cutCheckSequence(record, captured, view.getUint32(at + 16, this.#little), link.fcsLen);
    return 'record';
  }
}
