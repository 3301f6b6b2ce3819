/** The contract of a key, whatever is behind it. */

import type { AeadAlgorithm, AeadBackend } from './algorithm.ts';
import type { AeadLayout } from './layout.ts';
import type { NonceFormat } from './nonce.ts';

/** What a key is made of. */
export interface AeadOptions {
  readonly algorithm: AeadAlgorithm;
  /** 32 bytes, 16 for AES-128. Copied: erase yours when nobody else needs it. */
  readonly key: Uint8Array;
  /** How counters become nonces; default WireGuard's way. */
  readonly nonce?: NonceFormat;
  /** Default `auto`: the first that `aeadBackends()` names. */
  readonly backend?: AeadBackend | 'auto';
}

/**
 * A key that seals and opens packets in place, many in a call. Nothing is allocated per packet (but by `node`).
 *
 * Packets of length 0 are skipped. Packets must lie within the memory and apart from each other, or the call throws
 * and has touched nothing. Nothing of the key or the packets appears in an error.
 */
export interface Aead extends Disposable {
  readonly algorithm: AeadAlgorithm;
  readonly backend: AeadBackend;
  readonly closed: boolean;

  /**
   * Encrypts packets `from` to `to` and writes counter and tag. With the tag at the end a packet grows by 16 bytes,
   * which must be free. Counters of a key rise from packet to packet and from call to call, so that no nonce comes
   * twice; another `Aead` with the same key knows nothing of them: give each its own range, or its own IV.
   * @param counterLow low 32 bits of the first packet's counter; not used with counters in the descriptors
   * @param counterHigh high 32 bits of it
   * @returns how many were sealed: by as much the counter has gone on
   * @throws VNIC_KEY_EXHAUSTED, VNIC_NONCE_REUSED, VNIC_KEY_CLOSED, VNIC_KEY_BUSY, VNIC_INVALID_ARGUMENT
   */
  sealBatch(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
    counterLow?: number,
    counterHigh?: number,
  ): number;

  /**
   * Checks and decrypts packets `from` to `to`. A good packet keeps its header, so that one without payload is not
   * taken for a bad one, and loses a tag at its end. A bad one, also one too short or with a counter over the limit,
   * gets length 0 and its payload is overwritten with zeros. Tags are compared in constant time.
   * A replayed packet is a good one: look at its counter, in the last two words of its descriptor, afterwards.
   * @returns how many are good
   * @throws VNIC_KEY_CLOSED, VNIC_KEY_BUSY, VNIC_INVALID_ARGUMENT
   */
  openBatch(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number, layout: AeadLayout): number;

  /**
   * As `sealBatch`, on a thread of libuv's pool (`node`: on this one). Memory and descriptors must lie in a
   * `SharedArrayBuffer`, since another one could be detached meanwhile; leave them alone until the promise settles.
   * One call in each direction of a key at a time.
   *
   * For the sake of the event loop, not of speed: with 64 packets of 1420 bytes a call it does 0.7 of `sealBatch`,
   * from a megabyte on as much; a second core that is idle adds at most a third, with two keys at a time.
   */
  sealBatchAsync(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
    counterLow?: number,
    counterHigh?: number,
  ): Promise<number>;

  /** As `openBatch`, on a thread of libuv's pool, on the terms of `sealBatchAsync`. */
  openBatchAsync(
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: AeadLayout,
  ): Promise<number>;

  /** Erases the key from native memory, at once or when its calls on the pool have ended. Idempotent. */
  close(): void;
}
