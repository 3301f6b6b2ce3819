/** Authenticated encryption in batches, as `native/aead.c` offers it. */

/** What was found in this process; opaque. */
export type AeadLibraryHandle = { readonly __brand: 'AeadLibrary' };

/** A key held by the core; opaque. */
export type AeadKeyHandle = { readonly __brand: 'AeadKey' };

/**
 * Calls on batches return how many packets were sealed or opened, or, with nothing touched, `-EBADF` after
 * `aeadClose`, `-EBUSY` while the same direction of the key is on the pool, `-ERANGE` for a packet outside the
 * memory or overlapping another, `-EALREADY` for a counter that was used, `-EOVERFLOW` for one over the limit.
 */
export interface NativeAead {
  /** Looks OpenSSL up in the process and tries it, which takes about a millisecond. */
  aeadLibrary(): AeadLibraryHandle | number;
  /** Bit 0 ChaCha20-Poly1305, 1 AES-128-GCM, 2 AES-256-GCM: works through EVP; bit 8: the first also low-level. */
  aeadBackends(library: AeadLibraryHandle): number;
  /**
   * Copies the key. `nonce` = [counter offset, counter length, 1 for big endian, limit low, limit high].
   * @returns `-ENOTSUP` when the library has no such algorithm that way.
   */
  aeadCreate(
    library: AeadLibraryHandle,
    algorithm: number,
    lowLevel: 0 | 1,
    key: Uint8Array,
    iv: Uint8Array,
    nonce: Uint32Array,
  ): AeadKeyHandle | number;
  /** Erases the key, after the calls on the pool have ended. Idempotent. */
  aeadClose(key: AeadKeyHandle): number;

  /** The words of `layout` are those of `struct layout`. */
  aeadSeal(
    key: AeadKeyHandle,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: Uint32Array,
    counterLow: number,
    counterHigh: number,
  ): number;
  aeadOpen(
    key: AeadKeyHandle,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: Uint32Array,
  ): number;

  /** On libuv's pool. The memory must be shared: a detached one would be written to after it was freed. */
  aeadSealAsync(
    key: AeadKeyHandle,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: Uint32Array,
    counterLow: number,
    counterHigh: number,
  ): Promise<number> | number;
  aeadOpenAsync(
    key: AeadKeyHandle,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
    layout: Uint32Array,
  ): Promise<number> | number;
}
