/**
 * Authenticated encryption of packets in batches: ChaCha20-Poly1305 and AES-GCM, in place, over a slab and its
 * descriptor table (those of a `PacketBatch`).
 *
 *     descriptors   offset, length, counter low, counter high                    4 words a packet
 *
 *     'end'         |header: counter, AAD …|payload …………………………|‥16 free‥|      before sealing: length up to here →|
 *                   |header: counter, AAD …|ciphertext ……………………|tag 16    |      after it 16 bytes longer
 *     at an offset  |header: counter, AAD, tag 16|payload …………………………|           the length stays
 *
 * A key says how a counter becomes a nonce (`NonceFormat`), an `AeadLayout` where things lie in a packet:
 *
 * ```ts
 * // WireGuard: type, receiver, 64-bit counter, ciphertext, tag; the nonce is four zeros and the counter.
 * const layout = new AeadLayout({ payloadOffset: 16, counter: { offset: 8, length: 8 }, tag: 'end' });
 * const key = createAead({ algorithm: 'chacha20-poly1305', key: bytes });
 * sent += key.sealBatch(batch.bytes, batch.descriptors, 0, batch.count, layout, sent);
 *
 * // OpenVPN data packets: opcode and peer, packet id, tag, ciphertext; the nonce is packet id and implicit IV.
 * const layout = new AeadLayout({
 *   payloadOffset: 24, aad: { offset: 0, length: 8 }, tag: 8,
 *   counter: { offset: 4, length: 4, endian: 'big' },
 * });
 * const nonce = { iv: concat(new Uint8Array(4), implicitIv), counterOffset: 0, counterLength: 4, endian: 'big' };
 * ```
 *
 * Three ways to the ciphers (`aeadBackends`) give the same bytes: `low-level` and `evp` call the OpenSSL that the
 * node binary carries and hold the key in native memory, which `close()` erases; `node` calls `node:crypto` once a
 * packet, for runtimes whose OpenSSL cannot be found, and is several times slower.
 */

export type { Aead, AeadOptions } from './aead.ts';
export type { AeadAlgorithm, AeadBackend } from './algorithm.ts';
export { aeadBackends, createAead } from './create-aead.ts';
export { AeadLayout, type AeadLayoutOptions, type CounterField } from './layout.ts';
export { AEAD_NONCE_LENGTH, AEAD_TAG_LENGTH, type NonceFormat } from './nonce.ts';
