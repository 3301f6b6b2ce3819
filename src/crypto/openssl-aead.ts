/** Keys in the native core, with the OpenSSL of the node binary. */

import { invalidArgument, type VnicError } from '../base/index.ts';
import {
  type AeadKeyHandle,
  type AeadLibraryHandle,
  errno,
  type NativeCore,
  nativeCore,
  systemError,
} from '../native/index.ts';
import type { Aead } from './aead.ts';
import { type AeadAlgorithm, algorithms } from './algorithm.ts';
import {
  checkArguments,
  checkCounter,
  checkPackets,
  checkShared,
  keyBusy,
  keyClosed,
  keyExhausted,
  nonceReused,
} from './check-packets.ts';
import type { AeadLayout } from './layout.ts';
import type { CheckedNonceFormat } from './nonce.ts';

const SEAL = 'seal packets';
const OPEN = 'open packets';

/** An `Aead` of the native core. */
export class OpensslAead implements Aead {
  readonly algorithm: AeadAlgorithm;
  readonly backend: 'evp' | 'low-level';
  readonly #core: NativeCore = nativeCore();
  readonly #key: AeadKeyHandle;
  #closed = false;

  /** The arguments are checked by `createAead`. */
  constructor(
    library: AeadLibraryHandle,
    algorithm: AeadAlgorithm,
    backend: 'evp' | 'low-level',
    key: Uint8Array,
    nonce: CheckedNonceFormat,
  ) {
    this.algorithm = algorithm;
    this.backend = backend;
    const { counterOffset, counterLength, endian, limit } = nonce;
    const limitWords = [Number(limit & 0xffff_ffffn), Number(limit >> 32n)];
    const format = Uint32Array.of(counterOffset, counterLength, endian === 'big' ? 1 : 0, ...limitWords);
    const number = algorithms.indexOf(algorithm);
    const made = this.#core.aeadCreate(library, number, backend === 'evp' ? 0 : 1, key, nonce.iv, format);
    if (typeof made === 'number') throw systemError(`make a key for ${algorithm}`, 'aeadCreate', -made);
    this.#key = made;
  }

  get closed(): boolean {
    return this.#closed;
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
    const n = this.#core.aeadSeal(this.#key, bytes, descriptors, from, to, layout.words, counterLow, counterHigh);
    if (n < 0) throw refusal(SEAL, -n, bytes, descriptors, from, to, layout);
    return n;
  }

  openBatch(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number, layout: AeadLayout): number {
    checkArguments(OPEN, bytes, descriptors, from, to, layout);
    const n = this.#core.aeadOpen(this.#key, bytes, descriptors, from, to, layout.words);
    if (n < 0) throw refusal(OPEN, -n, bytes, descriptors, from, to, layout);
    return n;
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
    checkCounter(SEAL, counterLow, counterHigh);
    checkShared(SEAL, bytes, descriptors);
    const key = this.#key;
    const n = this.#core.aeadSealAsync(key, bytes, descriptors, from, to, layout.words, counterLow, counterHigh);
    if (typeof n === 'number') throw refusal(SEAL, -n, bytes, descriptors, from, to, layout);
    return n;
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
    const n = this.#core.aeadOpenAsync(this.#key, bytes, descriptors, from, to, layout.words);
    if (typeof n === 'number') throw refusal(OPEN, -n, bytes, descriptors, from, to, layout);
    return n;
  }

  close(): void {
    this.#closed = true;
    this.#core.aeadClose(this.#key);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function refusal(
  attempted: string,
  error: number,
  bytes: Uint8Array,
  descriptors: Uint32Array,
  from: number,
  to: number,
  layout: AeadLayout,
): VnicError {
  if (error === errno.EBADF) return keyClosed(attempted);
  if (error === errno.EBUSY) return keyBusy(attempted);
  if (error === errno.EOVERFLOW) return keyExhausted(attempted);
  if (error === errno.EALREADY) return nonceReused(attempted);
  if (error === errno.ERANGE) {
    checkPackets(attempted, { bytes, descriptors, from, to, layout }, attempted === SEAL);
    return invalidArgument(attempted, 'memory that no other thread changes meanwhile', 'changing descriptors');
  }
  return systemError(attempted, attempted === SEAL ? 'aeadSeal' : 'aeadOpen', error);
}
