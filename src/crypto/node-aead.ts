/**
 * The same by `node:crypto`, for runtimes whose OpenSSL cannot be reached: an object and several crossings a packet.
 *
 * It is also the slow readable twin that the tests compare the native core with.
 */

import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';

import type { Aead } from './aead.ts';
import type { AeadAlgorithm } from './algorithm.ts';
import {
  checkArguments,
  checkCounter,
  checkPackets,
  checkShared,
  DESCRIPTOR_WORDS,
  keyClosed,
  keyExhausted,
  nonceReused,
} from './check-packets.ts';
import type { AeadLayout } from './layout.ts';
import { AEAD_TAG_LENGTH, type CheckedNonceFormat, capacity, type Endian } from './nonce.ts';

const SEAL = 'seal packets';
const OPEN = 'open packets';
const tagLength = { authTagLength: AEAD_TAG_LENGTH };

/** An `Aead` of `node:crypto`. */
export class NodeAead implements Aead {
  readonly algorithm: AeadAlgorithm;
  readonly backend = 'node';
  readonly #nonce: CheckedNonceFormat;
  /** The lowest counter that may be sealed. */
  #next = 0n;
  // Node erases a KeyObject when it collects it, which nobody can hasten.
  #key: KeyObject | undefined;

  /** The arguments are checked by `createAead`. */
  constructor(algorithm: AeadAlgorithm, key: Uint8Array, nonce: CheckedNonceFormat) {
    this.algorithm = algorithm;
    this.#key = createSecretKey(key);
    this.#nonce = nonce;
  }

  get closed(): boolean {
    return this.#key === undefined;
  }

  sealBatch(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
    counterLow = 0,
    counterHigh = 0,
  ): number {
    checkArguments(SEAL, bytes, descriptors, from, to, layout);
    checkCounter(SEAL, counterLow, counterHigh);
    const key = this.#usableKey(SEAL);
    checkPackets(SEAL, { bytes, descriptors, from, to, layout }, true);
    let counter = join(counterLow, counterHigh);
    this.#checkCounters(descriptors, from, to, layout, counter);
    let sealed = 0;
    for (let index = from; index < to; index++) {
      const packet = packetAt(bytes, descriptors, index, layout.tag === 'end' ? AEAD_TAG_LENGTH : 0);
      if (packet.length === 0) continue;
      if (layout.counters === 'descriptors') counter = descriptorCounter(descriptors, index);
      this.#sealPacket(key, packet, layout, counter);
      setDescriptor(descriptors, index, packet.length, counter);
      this.#next = ++counter;
      sealed++;
    }
    return sealed;
  }

  openBatch(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number, layout: AeadLayout): number {
    checkArguments(OPEN, bytes, descriptors, from, to, layout);
    const key = this.#usableKey(OPEN);
    checkPackets(OPEN, { bytes, descriptors, from, to, layout }, false);
    const trailer = layout.tag === 'end' ? AEAD_TAG_LENGTH : 0;
    let opened = 0;
    for (let index = from; index < to; index++) {
      const packet = packetAt(bytes, descriptors, index, 0);
      if (packet.length === 0) continue;
      const counter = counterOf(packet, descriptors, index, layout);
      if (this.#openPacket(key, packet, layout, counter)) {
        setDescriptor(descriptors, index, packet.length - trailer, counter);
        opened++;
      } else {
        descriptors[index * DESCRIPTOR_WORDS + 1] = 0;
        packet.fill(0, layout.payloadOffset, Math.max(layout.payloadOffset, packet.length - trailer));
      }
    }
    return opened;
  }

  async sealBatchAsync(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
    counterLow = 0,
    counterHigh = 0,
  ): Promise<number> {
    checkArguments(SEAL, bytes, descriptors, from, to, layout);
    checkShared(SEAL, bytes, descriptors);
    return this.sealBatch(bytes, descriptors, from, to, layout, counterLow, counterHigh);
  }

  async openBatchAsync(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
  ): Promise<number> {
    checkArguments(OPEN, bytes, descriptors, from, to, layout);
    checkShared(OPEN, bytes, descriptors);
    return this.openBatch(bytes, descriptors, from, to, layout);
  }

  close(): void {
    this.#key = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #usableKey(attempted: string): KeyObject {
    if (this.#key === undefined) throw keyClosed(attempted);
    return this.#key;
  }

  #checkCounters(descriptors: Uint32Array, from: number, to: number, layout: AeadLayout, start: bigint): void {
    const { counter: field, counters } = layout;
    const held = counters === 'header' && field !== undefined ? capacity(field.length) : this.#nonce.limit;
    let next = this.#next;
    let counter = start;
    for (let index = from; index < to; index++) {
      if (descriptors[index * DESCRIPTOR_WORDS + 1] === 0) continue;
      if (counters === 'descriptors') counter = descriptorCounter(descriptors, index);
      if (counter >= held || counter >= this.#nonce.limit) throw keyExhausted(SEAL);
      if (counter < next) throw nonceReused(SEAL);
      next = ++counter;
    }
  }

  /** `packet` has its room for a tag at the end. */
  #sealPacket(key: KeyObject, packet: Uint8Array, layout: AeadLayout, counter: bigint): void {
    const { counter: field, aad, tag, payloadOffset } = layout;
    if (field !== undefined) {
      packet.fill(0, field.offset, field.offset + field.length);
      xorCounter(packet, field.offset, field.length, field.endian, counter);
    }
    const payload = packet.subarray(payloadOffset, tag === 'end' ? packet.length - AEAD_TAG_LENGTH : packet.length);
    // Of node's three types of cipher this one takes all of our algorithms, and does the same.
    const cipher = createCipheriv(this.algorithm as 'chacha20-poly1305', key, this.#nonceOf(counter), tagLength);
    cipher.setAAD(packet.subarray(aad.offset, aad.offset + aad.length), { plaintextLength: payload.length });
    payload.set(cipher.update(payload));
    cipher.final();
    packet.set(cipher.getAuthTag(), tag === 'end' ? packet.length - AEAD_TAG_LENGTH : tag);
  }

  #openPacket(key: KeyObject, packet: Uint8Array, layout: AeadLayout, counter: bigint | undefined): boolean {
    const { aad, payloadOffset } = layout;
    const end = layout.tag === 'end' ? packet.length - AEAD_TAG_LENGTH : packet.length;
    if (counter === undefined || counter >= this.#nonce.limit || end < payloadOffset) return false;
    const tag = layout.tag === 'end' ? end : layout.tag;
    const payload = packet.subarray(payloadOffset, end);
    const cipher = createDecipheriv(this.algorithm as 'chacha20-poly1305', key, this.#nonceOf(counter), tagLength);
    cipher.setAAD(packet.subarray(aad.offset, aad.offset + aad.length), { plaintextLength: payload.length });
    cipher.setAuthTag(packet.subarray(tag, tag + AEAD_TAG_LENGTH));
    const plain = cipher.update(payload);
    try {
      cipher.final();
    } catch {
      return false;
    } finally {
      payload.set(plain);
      plain.fill(0);
    }
    return true;
  }

  #nonceOf(counter: bigint): Uint8Array {
    const nonce = this.#nonce.iv.slice();
    xorCounter(nonce, this.#nonce.counterOffset, this.#nonce.counterLength, this.#nonce.endian, counter);
    return nonce;
  }
}

function packetAt(bytes: Uint8Array, descriptors: Uint32Array, index: number, room: number): Uint8Array {
  const at = descriptors[index * DESCRIPTOR_WORDS] as number;
  const length = descriptors[index * DESCRIPTOR_WORDS + 1] as number;
  return bytes.subarray(at, length === 0 ? at : at + length + room);
}

function setDescriptor(descriptors: Uint32Array, index: number, length: number, counter: bigint | undefined): void {
  const word = index * DESCRIPTOR_WORDS;
  descriptors[word + 1] = length;
  descriptors[word + 2] = Number((counter ?? 0n) & 0xffff_ffffn);
  descriptors[word + 3] = Number((counter ?? 0n) >> 32n);
}

function descriptorCounter(descriptors: Uint32Array, index: number): bigint {
  const word = index * DESCRIPTOR_WORDS;
  return join(descriptors[word + 2] as number, descriptors[word + 3] as number);
}

/** `undefined` when the packet is too short to have one. */
function counterOf(
  packet: Uint8Array,
  descriptors: Uint32Array,
  index: number,
  layout: AeadLayout,
): bigint | undefined {
  if (layout.counters === 'descriptors') return descriptorCounter(descriptors, index);
  if (layout.counter === undefined || packet.length < layout.payloadOffset) return undefined;
  const { offset, length, endian } = layout.counter;
  const field = packet.slice(offset, offset + length);
  if (endian === 'little') field.reverse();
  return field.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function join(low: number, high: number): bigint {
  return BigInt(low) | (BigInt(high) << 32n);
}

function xorCounter(bytes: Uint8Array, offset: number, length: number, endian: Endian, counter: bigint): void {
  for (let i = 0; i < length; i++) {
    const at = offset + (endian === 'big' ? length - 1 - i : i);
    bytes[at] = (bytes[at] as number) ^ Number((counter >> BigInt(8 * i)) & 0xffn);
  }
}
