/**
 * Self-signed X.509 v3 certificates (RFC 5280) for keys on the curve P-256, which every TLS 1.3 peer takes; Ed25519 is left out by
 * some, those in FIPS mode among them.
 *
 *   validity     2020-01-01 to 9999-12-31, the date that means "never" (4.1.2.5): a clock that is wrong by years, as on a board
 *                without a battery, must not cut a machine off. What counts is the fingerprint.
 *   basic constraints
 *                Not a CA: it vouches for nobody else. The certificate can still be given to OpenSSL as the one to trust.
 *   key usage    Left out, which allows every use: with it, self-signed ones would also need `keyCertSign`, which only a CA may have.
 */

import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto';

import * as der from './der.ts';

const NOT_BEFORE = '200101000000Z';
const NOT_AFTER = '99991231235959Z';
const SERIAL_LEN = 16;
const KEY_IDENTIFIER_LEN = 20;

const Oid = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const;

/**
 * Makes a certificate, DER.
 * @param name subject, issuer and the only DNS name
 */
export function selfSignedCertificate(name: string, publicKey: KeyObject, privateKey: KeyObject): Uint8Array {
  const algorithm = der.sequence(der.oid(Oid.ecdsaWithSha256));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const subject = der.sequence(der.set(der.sequence(der.oid(Oid.commonName), der.utf8String(name))));
  const toBeSigned = der.sequence(
    der.explicit(0, der.smallInteger(2)),
    der.unsignedInteger(randomBytes(SERIAL_LEN)),
    algorithm,
    subject,
    der.sequence(der.utcTime(NOT_BEFORE), der.generalizedTime(NOT_AFTER)),
    subject,
    spki,
    der.explicit(3, der.sequence(...extensions(name, spki))),
  );
  return der.sequence(toBeSigned, algorithm, der.bitString(sign('sha256', toBeSigned, privateKey)));
}

function extensions(name: string, spki: Uint8Array): Uint8Array[] {
  // RFC 7093, method 1, over the whole key with its algorithm.
  const keyIdentifier = createHash('sha256').update(spki).digest().subarray(0, KEY_IDENTIFIER_LEN);
  return [
    der.sequence(der.oid(Oid.basicConstraints), der.TRUE, der.octetString(der.sequence())),
    extension(Oid.extKeyUsage, der.sequence(der.oid(Oid.serverAuth), der.oid(Oid.clientAuth))),
    extension(Oid.subjectAltName, der.sequence(der.implicit(2, new TextEncoder().encode(name)))),
    extension(Oid.subjectKeyIdentifier, der.octetString(keyIdentifier)),
    extension(Oid.authorityKeyIdentifier, der.sequence(der.implicit(0, keyIdentifier))),
  ];
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return der.sequence(der.oid(id), der.octetString(value));
}
