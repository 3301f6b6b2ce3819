/** How a counter becomes a nonce. */

import { invalidArgument } from '../base/index.ts';

/** Bytes of a nonce; all algorithms here have the same. */
export const AEAD_NONCE_LENGTH = 12;

/** Bytes of an authentication tag; shorter ones are not offered. */
export const AEAD_TAG_LENGTH = 16;

/** Byte order of a counter. */
export type Endian = 'little' | 'big';

/**
 * The nonce is `iv` XOR the counter's bytes at `counterOffset`: with zeros there in `iv` the counter stands beside
 * a fixed part (WireGuard, ESP, OpenVPN), else it is mixed in (TLS 1.3, QUIC).
 * The defaults are WireGuard's: four zero bytes, then the counter in 64 bits, little endian.
 */
export interface NonceFormat {
  /** 12 bytes; default zeros. */
  readonly iv?: Uint8Array;
  /** Where the counter lies in the nonce; default 4. */
  readonly counterOffset?: number;
  /** 1 to 8 bytes; default 8. */
  readonly counterLength?: number;
  /** Default `little`. */
  readonly endian?: Endian;
  /**
   * Counters from this on are neither sealed nor opened. Default, and the most, is what fits into `counterLength`
   * (for 8 bytes one less). Set it to what the protocol allows a key, such as 2^64 - 2^13 - 1 for WireGuard.
   */
  readonly limit?: bigint;
}

/** A `NonceFormat` with its defaults filled in and checked. */
export interface CheckedNonceFormat {
  readonly iv: Uint8Array;
  readonly counterOffset: number;
  readonly counterLength: number;
  readonly endian: Endian;
  readonly limit: bigint;
}

/** @throws VNIC_INVALID_ARGUMENT */
export function checkNonceFormat(format: NonceFormat, attempted: string): CheckedNonceFormat {
  const { iv = new Uint8Array(AEAD_NONCE_LENGTH), counterOffset = 4, counterLength = 8, endian = 'little' } = format;
  const held = capacity(counterLength);
  const limit = format.limit ?? held;
  if (!(iv instanceof Uint8Array) || iv.length !== AEAD_NONCE_LENGTH) {
    throw invalidArgument(attempted, 'an IV of 12 bytes', iv?.length);
  }
  if (!Number.isInteger(counterLength) || counterLength < 1 || counterLength > 8) {
    throw invalidArgument(attempted, 'a counter of 1 to 8 bytes', counterLength);
  }
  if (!Number.isInteger(counterOffset) || counterOffset < 0 || counterOffset > AEAD_NONCE_LENGTH - counterLength) {
    throw invalidArgument(attempted, 'an offset at which the counter lies within the nonce', counterOffset);
  }
  if (endian !== 'little' && endian !== 'big') throw invalidArgument(attempted, '"little" or "big"', endian);
  if (typeof limit !== 'bigint' || limit < 1n || limit > held) {
    throw invalidArgument(attempted, `a limit from 1n to ${held}n`, limit);
  }
  return { iv: iv.slice(), counterOffset, counterLength, endian, limit };
}

/** How many counters fit into so many bytes; for 8 bytes one less, so that the number itself fits. */
export function capacity(length: number): bigint {
  if (!(length >= 1 && length <= 8)) return 0n;
  return length === 8 ? 2n ** 64n - 1n : 2n ** BigInt(8 * Math.trunc(length));
}
