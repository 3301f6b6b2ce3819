/**
 * Netlink messages and attributes: RFC 3549 section 2.2, `include/uapi/linux/netlink.h`.
 *
 * A datagram is a row of messages, each a header, a fixed part that the type defines, and attributes.
 * All integers are in the byte order of the host; messages and attributes start at multiples of 4.
 *
 *   message    0 length (with header) u32 | 4 type u16 | 6 flags u16 | 8 sequence u32 | 12 port id u32 | 16 body
 *   attribute  0 length (with header) u16 | 2 type u16, its two top bits flags                        | 4 value
 *
 * Nothing here throws on what it reads: what does not fit its lengths comes back as a `MessageFault`, what an
 * attribute does not hold comes back as undefined. Views share the memory they were read from.
 */

import { invalidArgument } from '../base/index.ts';
import { NLA_F_NESTED, NLA_TYPE_MASK } from './constants.ts';

export const MESSAGE_HEADER_LEN: number = 16;
const ATTRIBUTE_HEADER_LEN = 4;
const MAX_ATTRIBUTE_LEN = 0xffff;

/** True where the host, and so netlink, is little-endian. */
export const littleEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Why bytes are not a well-formed message. */
export type MessageFault =
  /** Fewer bytes than the header or the fixed part of the type. */
  | 'truncated'
  /** A length that is smaller than its own header. */
  | 'bad-length'
  /** A length that goes past the end of what encloses it. */
  | 'length-past-end';

/** One message; `body` is what follows the header and shares the memory of the datagram. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly body: Uint8Array;
}

/** Rounds up to a multiple of 4 (`NLMSG_ALIGN`, `NLA_ALIGN`). */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

/** Splits a datagram. Messages before a fault are returned together with the fault. */
export function splitMessages(datagram: Uint8Array): { messages: NetlinkMessage[]; fault?: MessageFault } {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(datagram);
  let offset = 0;
  while (offset < datagram.length) {
    if (datagram.length - offset < MESSAGE_HEADER_LEN) return { messages, fault: 'truncated' };
    const length = view.getUint32(offset, littleEndian);
    if (length < MESSAGE_HEADER_LEN) return { messages, fault: 'bad-length' };
    if (length > datagram.length - offset) return { messages, fault: 'length-past-end' };
    messages.push({
      type: view.getUint16(offset + 4, littleEndian),
      flags: view.getUint16(offset + 6, littleEndian),
      sequence: view.getUint32(offset + 8, littleEndian),
      portId: view.getUint32(offset + 12, littleEndian),
      body: datagram.subarray(offset + MESSAGE_HEADER_LEN, offset + length),
    });
    offset += align4(length);
  }
  return { messages };
}

/** Checks every attribute length in `bytes` from `offset` on, once. */
export function parseAttributes(bytes: Uint8Array, offset = 0): Attributes | MessageFault {
  const places: number[] = [];
  const view = viewOf(bytes);
  let at = offset;
  while (at < bytes.length) {
    if (bytes.length - at < ATTRIBUTE_HEADER_LEN) return 'truncated';
    const length = view.getUint16(at, littleEndian);
    if (length < ATTRIBUTE_HEADER_LEN) return 'bad-length';
    if (length > bytes.length - at) return 'length-past-end';
    places.push(view.getUint16(at + 2, littleEndian) & NLA_TYPE_MASK, at + ATTRIBUTE_HEADER_LEN, at + length);
    at += align4(length);
  }
  return new Attributes(view, places);
}

/**
 * The fixed part of a message as a view, and its attributes.
 * @param fixedLen bytes of the fixed part, such as 16 of `struct ifinfomsg`.
 */
export function parseBody(
  body: Uint8Array,
  fixedLen: number,
): { fixed: DataView; attributes: Attributes } | MessageFault {
  if (body.length < fixedLen) return 'truncated';
  const attributes = parseAttributes(body, align4(fixedLen));
  if (typeof attributes === 'string') return attributes;
  return { fixed: viewOf(body.subarray(0, fixedLen)), attributes };
}

/**
 * Attributes by type. A getter gives undefined when the attribute is absent or shorter than its type;
 * a longer value is read from its start, as the kernel's own policy allows growing structs.
 *
 * A link has some fifty, of which a reader wants a few: only places are kept, and no object is made for one until then.
 */
export class Attributes {
  readonly #view: DataView;
  /** Three numbers for each: type, start and end of its value. */
  readonly #places: readonly number[];

  constructor(view: DataView = new DataView(new ArrayBuffer(0)), places: readonly number[] = []) {
    this.#view = view;
    this.#places = places;
  }

  /** The last value of a type, as the kernel's parser takes it. */
  bytes(type: number): Uint8Array | undefined {
    const place = this.#find(type);
    return place < 0 ? undefined : this.#value(place);
  }

  /** All values of a type, in order. */
  all(type: number): readonly Uint8Array[] {
    const values: Uint8Array[] = [];
    for (let place = 0; place < this.#places.length; place += 3) {
      if (this.#places[place] === type) values.push(this.#value(place));
    }
    return values;
  }

  has(type: number): boolean {
    return this.#find(type) >= 0;
  }

  u8(type: number): number | undefined {
    const start = this.#startOf(type, 1);
    return start < 0 ? undefined : this.#view.getUint8(start);
  }

  u16(type: number): number | undefined {
    const start = this.#startOf(type, 2);
    return start < 0 ? undefined : this.#view.getUint16(start, littleEndian);
  }

  u32(type: number): number | undefined {
    const start = this.#startOf(type, 4);
    return start < 0 ? undefined : this.#view.getUint32(start, littleEndian);
  }

  i32(type: number): number | undefined {
    const start = this.#startOf(type, 4);
    return start < 0 ? undefined : this.#view.getInt32(start, littleEndian);
  }

  /** Text up to its first NUL or the end of the value. */
  text(type: number): string | undefined {
    const value = this.bytes(type);
    return value === undefined ? undefined : decodeText(value);
  }

  /** Attributes inside the value; undefined when absent or malformed. */
  nested(type: number): Attributes | undefined {
    const value = this.bytes(type);
    if (value === undefined) return undefined;
    const attributes = parseAttributes(value);
    return typeof attributes === 'string' ? undefined : attributes;
  }

  /** How many attributes there are. */
  get size(): number {
    return this.#places.length / 3;
  }

  /** Where the last of a type is told of in `#places`, or -1. */
  #find(type: number): number {
    for (let place = this.#places.length - 3; place >= 0; place -= 3) if (this.#places[place] === type) return place;
    return -1;
  }

  #value(place: number): Uint8Array {
    const start = this.#places[place + 1] as number;
    const { buffer, byteOffset } = this.#view;
    return new Uint8Array(buffer, byteOffset + start, (this.#places[place + 2] as number) - start);
  }

  /** Where the value starts; -1 when it is absent or shorter than this. */
  #startOf(type: number, length: number): number {
    const place = this.#find(type);
    if (place < 0) return -1;
    const start = this.#places[place + 1] as number;
    return (this.#places[place + 2] as number) - start < length ? -1 : start;
  }
}

const utf8 = new TextDecoder();

/** Text up to its first NUL; bytes that are not UTF-8 become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Builds one message: fixed part first, then attributes in the order of the calls. */
export class MessageBuilder {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(128);
  #length: number = MESSAGE_HEADER_LEN;
  readonly type: number;
  readonly flags: number;

  constructor(type: number, flags: number) {
    this.type = type;
    this.flags = flags;
  }

  /** Appends the fixed part of the type, padded to 4. */
  fixed(length: number, fill: (view: DataView) => void): this {
    const offset = this.#grow(length);
    fill(new DataView(this.#bytes.buffer, offset, length));
    return this;
  }

  /** Appends an attribute with a copy of `value`. @throws VNIC_INVALID_ARGUMENT over 65,531 bytes. */
  bytes(type: number, value: Uint8Array): this {
    const length = ATTRIBUTE_HEADER_LEN + value.length;
    if (length > MAX_ATTRIBUTE_LEN) {
      throw invalidArgument('build a netlink attribute', 'at most 65531 bytes', `${value.length} bytes`);
    }
    const offset = this.#grow(length);
    this.#putHeader(offset, length, type);
    this.#bytes.set(value, offset + ATTRIBUTE_HEADER_LEN);
    return this;
  }

  u8(type: number, value: number): this {
    return this.bytes(type, Uint8Array.of(value));
  }

  u16(type: number, value: number): this {
    return this.bytes(type, new Uint8Array(Uint16Array.of(value).buffer));
  }

  u32(type: number, value: number): this {
    return this.bytes(type, new Uint8Array(Uint32Array.of(value).buffer));
  }

  i32(type: number, value: number): this {
    return this.u32(type, value);
  }

  /** UTF-8 with a final NUL. */
  text(type: number, value: string): this {
    return this.bytes(type, new TextEncoder().encode(`${value}\0`));
  }

  /** An attribute whose value is the attributes that `fill` appends. */
  nested(type: number, fill: (builder: this) => void): this {
    const offset = this.#grow(ATTRIBUTE_HEADER_LEN);
    fill(this);
    const length = this.#length - offset;
    if (length > MAX_ATTRIBUTE_LEN) {
      throw invalidArgument('build a netlink attribute', 'at most 65535 bytes', `${length} bytes`);
    }
    this.#putHeader(offset, length, type | NLA_F_NESTED);
    return this;
  }

  /**
   * The finished message with this sequence number; a view that the next call may reuse.
   * @param flags those of the message unless others are given
   */
  finish(sequence: number, flags: number = this.flags): Uint8Array {
    const view = new DataView(this.#bytes.buffer);
    view.setUint32(0, this.#length, littleEndian);
    view.setUint16(4, this.type, littleEndian);
    view.setUint16(6, flags, littleEndian);
    view.setUint32(8, sequence, littleEndian);
    view.setUint32(12, 0, littleEndian);
    return this.#bytes.subarray(0, this.#length);
  }

  #putHeader(offset: number, length: number, type: number): void {
    const view = new DataView(this.#bytes.buffer);
    view.setUint16(offset, length, littleEndian);
    view.setUint16(offset + 2, type, littleEndian);
  }

  /** Makes room for `length` bytes padded to 4 and returns where they start. */
  #grow(length: number): number {
    const offset = this.#length;
    this.#length += align4(length);
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return offset;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
