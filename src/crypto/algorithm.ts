/** The algorithms, and the ways to reach them. */

/** ChaCha20-Poly1305 of RFC 8439, or AES-GCM of NIST SP 800-38D with a nonce of 12 bytes. */
export type AeadAlgorithm = 'chacha20-poly1305' | 'aes-128-gcm' | 'aes-256-gcm';

/** `evp` and `low-level`: the OpenSSL inside the node binary; `node`: `node:crypto`, once a packet. */
export type AeadBackend = 'evp' | 'low-level' | 'node';

/** Names as `node:crypto` has them; the position is the number that the native core uses. */
export const algorithms: readonly AeadAlgorithm[] = ['chacha20-poly1305', 'aes-128-gcm', 'aes-256-gcm'];

/** Length of a key in bytes. */
export function keyLength(algorithm: AeadAlgorithm): number {
  return algorithm === 'aes-128-gcm' ? 16 : 32;
}
