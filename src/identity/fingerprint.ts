/**
 * Fingerprints of keys: `sha256:` and the SHA-256 of the SubjectPublicKeyInfo in base64url, 43 characters. A certificate that is
 * renewed with the same key keeps its fingerprint.
 */

import { createHash, X509Certificate } from 'node:crypto';

const PREFIX = 'sha256:';
const HASH_LEN = 32;

/**
 * The fingerprint of the key in a certificate.
 * @param certificate DER or PEM, or parsed
 * @throws what `X509Certificate` throws of bytes that are none
 */
export function fingerprintOf(certificate: Uint8Array | X509Certificate): string {
  const parsed = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate);
  const spki = parsed.publicKey.export({ type: 'spki', format: 'der' });
  return PREFIX + createHash('sha256').update(spki).digest('base64url');
}

/**
 * Reads a fingerprint as people have it: `sha256:` with base64url or base64, or 64 hexadecimal digits with or without colons.
 * @returns it in the form of `fingerprintOf`, or undefined
 */
export function parseFingerprint(text: string): string | undefined {
  const plain = text.replace(/^sha256:/i, '');
  const digits = plain.replaceAll(':', '');
  if (/^[0-9a-f]{64}$/i.test(digits)) return PREFIX + Buffer.from(digits, 'hex').toString('base64url');
  const encoded = plain.replaceAll('+', '-').replaceAll('/', '_').replace(/=$/, '');
  if (!/^[\w-]{43}$/.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64url');
  // The last character has two bits that say nothing.
  return bytes.length === HASH_LEN && bytes.toString('base64url') === encoded ? PREFIX + encoded : undefined;
}
