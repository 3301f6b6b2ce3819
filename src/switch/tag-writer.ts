/** Frames with a tag of VLAN more, less, or another (IEEE 802.1Q section 9): a copy each, since others want the frame as it is. */

import { PacketBatch } from '../link/index.ts';
import { TagForm } from './switch-core.ts';

const MACS_LEN = 12;
const TAG_LEN = 4;
/** The longest frame, a virtio-net header and a tag. */
const COPY_LEN = 66_000;
/** Of a virtio-net header. */
const NEEDS_CHECKSUM = 1;
const HEADER_LEN_AT = 2;
const CHECKSUM_START_AT = 6;

/** Writes one frame at a time. */
export class TagWriter {
  /** The frame that was written last. */
  readonly batch: PacketBatch = new PacketBatch({ capacity: 1, bytesLen: COPY_LEN });
  readonly #protocol: number;

  /** @param protocol EtherType of the tags */
  constructor(protocol: number) {
    this.#protocol = protocol;
  }

  /**
   * Copies a frame, with a tag of a VLAN, or of 0 without one.
   * @param prefixLen length of the virtio-net header before it, or 0
   * @param form how it has the tag: a value of `TagForm`
   * @returns false, and nothing written, for a frame that is too long
   */
  write(batch: PacketBatch, index: number, prefixLen: number, form: number, vlan: number): boolean {
    const from = batch.offset(index);
    const hadTag = form === TagForm.none ? 0 : TAG_LEN;
    const hasTag = vlan === 0 ? 0 : TAG_LEN;
    const copy = this.batch;
    copy.clear();
    const to = copy.reserve(batch.length(index) - hadTag + hasTag);
    if (to < 0) return false;
    const head = prefixLen + MACS_LEN;
    copy.bytes.set(batch.bytes.subarray(from, from + head), to);
    const rest = batch.bytes.subarray(from + head + hadTag, from + batch.length(index));
    copy.bytes.set(rest, to + head + hasTag);
    // Priority and drop eligibility stay.
    if (vlan !== 0) this.#putTag(to + head, hadTag === 0 ? 0 : (batch.bytes[from + head + 2] as number) & 0xf0, vlan);
    if (prefixLen > 0) moveHeaders(copy.bytes, to, hasTag - hadTag);
    return true;
  }

  #putTag(at: number, priority: number, vlan: number): void {
    const { bytes } = this.batch;
    bytes[at] = this.#protocol >> 8;
    bytes[at + 1] = this.#protocol & 0xff;
    bytes[at + 2] = priority | (vlan >> 8);
    bytes[at + 3] = vlan & 0xff;
  }
}

/** What a virtio-net header says of places behind the tag. */
function moveHeaders(bytes: Uint8Array, at: number, by: number): void {
  if (((bytes[at] as number) & NEEDS_CHECKSUM) !== 0) addU16(bytes, at + CHECKSUM_START_AT, by);
  if (bytes[at + HEADER_LEN_AT] !== 0 || bytes[at + HEADER_LEN_AT + 1] !== 0) addU16(bytes, at + HEADER_LEN_AT, by);
}

/** Little-endian. */
function addU16(bytes: Uint8Array, at: number, by: number): void {
  const value = ((bytes[at] as number) | ((bytes[at + 1] as number) << 8)) + by;
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >> 8) & 0xff;
}
