/** Where the parts of a packet lie that sealing and opening touch. */

import { invalidArgument } from '../base/index.ts';
import { AEAD_TAG_LENGTH, type Endian } from './nonce.ts';

/** A counter in the header of a packet. */
export interface CounterField {
  readonly offset: number;
  /** 1 to 8 bytes. Where it holds less than the counter, its low bytes. */
  readonly length: number;
  /** Default `little`. */
  readonly endian?: Endian;
}

/** Offsets in bytes from where the descriptor says that the packet starts. */
export interface AeadLayoutOptions {
  /** Where the encrypted part starts; it ends with the packet, or before the tag that ends the packet. */
  readonly payloadOffset: number;
  /** What of the header is authenticated; default nothing. */
  readonly aad?: { readonly offset: number; readonly length: number };
  /** `end`: the last 16 bytes of the packet; a number: an offset in the header. */
  readonly tag: 'end' | number;
  /** Written when sealing, before anything is authenticated. */
  readonly counter?: CounterField;
  /**
   * Where counters come from. `header`: sealing numbers the packets of a call from the counter it is given, opening
   * reads the header. `descriptors`: the third word of a packet's descriptor (low half) and the fourth (high), for
   * counters that the header holds only in part or that packets out of order have. Default `header` if there is a
   * `counter`. Either way both words hold the counter of a packet that was sealed or opened, for a replay window.
   */
  readonly counters?: 'header' | 'descriptors';
}

/** An offset that says "nowhere". */
const NOWHERE = 0xffff_ffff;
const BIG_ENDIAN = 1;
const COUNTERS_IN_DESCRIPTORS = 2;
const PAYLOAD_OFFSET_MAX = 65_535;

/** Checked `AeadLayoutOptions`. Make it once and pass it to every call. */
export class AeadLayout {
  readonly payloadOffset: number;
  readonly aad: { readonly offset: number; readonly length: number };
  readonly tag: 'end' | number;
  readonly counter: Required<CounterField> | undefined;
  readonly counters: 'header' | 'descriptors';
  /** `struct layout` of `native/aead.c`. @internal */
  readonly words: Uint32Array;

  /** @throws VNIC_INVALID_ARGUMENT for parts outside the header, or a tag that lies over another part */
  constructor(options: AeadLayoutOptions) {
    const { payloadOffset, aad = { offset: 0, length: 0 }, tag, counter } = options;
    const counters = options.counters ?? (counter === undefined ? 'descriptors' : 'header');
    const attempted = 'describe a packet layout';
    if (!Number.isInteger(payloadOffset) || payloadOffset < 0 || payloadOffset > PAYLOAD_OFFSET_MAX) {
      throw invalidArgument(attempted, `a payload offset from 0 to ${PAYLOAD_OFFSET_MAX}`, payloadOffset);
    }
    checkPart(attempted, 'associated data', aad.offset, aad.length, payloadOffset);
    if (counter !== undefined) checkCounterField(attempted, counter, payloadOffset);
    if (tag !== 'end') {
      checkPart(attempted, 'a tag', tag, AEAD_TAG_LENGTH, payloadOffset);
      for (const part of [aad, counter]) {
        if (part !== undefined && part.length > 0 && tag < part.offset + part.length && part.offset < tag + 16) {
          throw invalidArgument(attempted, 'a tag beside associated data and counter', tag);
        }
      }
    }
    if (counters !== 'descriptors' && (counters !== 'header' || counter === undefined)) {
      throw invalidArgument(attempted, 'counters in "descriptors", or in the "header" and where', counters);
    }
    this.payloadOffset = payloadOffset;
    this.aad = { offset: aad.offset, length: aad.length };
    this.tag = tag;
    this.counter = counter && { endian: 'little', ...counter };
    this.counters = counters;
    this.words = layoutWords(this);
  }
}

function checkPart(attempted: string, name: string, offset: number, length: number, headerLength: number): void {
  const sound = Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0;
  if (sound && offset + length <= headerLength) return;
  throw invalidArgument(
    attempted,
    `${name} within the ${headerLength} bytes of header`,
    `${length} bytes at ${offset}`,
  );
}

function checkCounterField(attempted: string, counter: CounterField, headerLength: number): void {
  checkPart(attempted, 'a counter', counter.offset, counter.length, headerLength);
  if (counter.length < 1 || counter.length > 8) {
    throw invalidArgument(attempted, 'a counter of 1 to 8 bytes', counter.length);
  }
  if (![undefined, 'little', 'big'].includes(counter.endian)) {
    throw invalidArgument(attempted, '"little" or "big"', counter.endian);
  }
}

function layoutWords(layout: AeadLayout): Uint32Array {
  const { counter, counters } = layout;
  return Uint32Array.of(
    layout.payloadOffset,
    layout.aad.offset,
    layout.aad.length,
    layout.tag === 'end' ? NOWHERE : layout.tag,
    counter?.offset ?? NOWHERE,
    counter?.length ?? 0,
    (counter?.endian === 'big' ? BIG_ENDIAN : 0) | (counters === 'descriptors' ? COUNTERS_IN_DESCRIPTORS : 0),
  );
}
