/** Identities: a private key with its certificate, made here or given. */

import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

import { invalidArgument, VnicError } from '../base/index.ts';
import { selfSignedCertificate } from './certificate.ts';
import { fingerprintOf } from './fingerprint.ts';

/** Who this machine is towards its peers. `keyPem` is a secret. */
export interface Identity {
  /** The certificate, and those of the authorities between, if there are any. */
  readonly certificatePem: string;
  /** PKCS #8 or what was given, not encrypted. */
  readonly keyPem: string;
  /** As `fingerprintOf`. */
  readonly fingerprint: string;
}

/** Bits of a mode that let others than the owner, or than owner and group, read or write. */
const OF_OTHERS = 0o007;
const OF_GROUP_AND_OTHERS = 0o077;

/**
 * Makes an identity in memory.
 * @param name what the certificate says, 1 to 63 letters, digits, dots and dashes; for people, and no proof of anything
 * @throws VNIC_INVALID_ARGUMENT
 */
export function createIdentity(name = 'vnic'): Identity {
  if (!/^(?=.{1,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(name)) {
    throw invalidArgument('make an identity', 'a name of 1 to 63 letters, digits, dots and dashes', name);
  }
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = selfSignedCertificate(name, publicKey, privateKey);
  return {
    certificatePem: pem('CERTIFICATE', certificate),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    fingerprint: fingerprintOf(certificate),
  };
}

/**
 * Reads an identity that was given: PEM files, which may be one.
 * @param files `keyFile` default the file of the certificate
 * @throws VNIC_IDENTITY when a file cannot be read, has no key or certificate or not of one another, or all may read the key
 */
export function readIdentity(files: { readonly certificateFile: string; readonly keyFile?: string }): Identity {
  const { certificateFile, keyFile = certificateFile } = files;
  const key = readSecret(keyFile, OF_OTHERS);
  const certificate = keyFile === certificateFile ? key : readPublic(certificateFile);
  return identityOf({ text: certificate, path: certificateFile }, { text: key, path: keyFile });
}

/** Reads the certificates of authorities: a PEM file. @throws VNIC_IDENTITY */
export function readAuthorities(path: string): string {
  const text = blocks(readPublic(path), 'CERTIFICATE');
  if (text === '') throw unusable(path, 'it has no certificate', 'Give a PEM file that has one.');
  for (const block of text.split(/(?=-----BEGIN)/)) parseCertificate(block, path);
  return text;
}

/** Reads the identity that vnic has made: one file that only its owner may read. @throws VNIC_IDENTITY; ENOENT as it is */
export function readOwnIdentity(path: string): Identity {
  const text = readSecret(path, OF_GROUP_AND_OTHERS, { missingOk: true });
  return identityOf({ text, path }, { text, path });
}

/** The error for a file of this folder that is of no use. */
export function unusable(path: string, reason: string, hint: string, cause?: unknown): VnicError {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  return new VnicError('VNIC_IDENTITY', {
    attempted: `use ${path}`,
    reason,
    hint,
    ...(syscall !== undefined && { errno: code ?? 'failed', syscall }),
    ...(cause !== undefined && { cause }),
  });
}

/** The error for a file that the system does not give. */
export function unreadable(path: string, cause: unknown): VnicError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') return unusable(path, 'there is no such file', 'Check the path.', cause);
  return unusable(path, 'the system does not let it be used', 'Check who owns it, or use `sudo`.', cause);
}

interface PemFile {
  readonly text: string;
  readonly path: string;
}

function identityOf(certificate: PemFile, key: PemFile): Identity {
  const certificatePem = blocks(certificate.text, 'CERTIFICATE');
  const keyPem = blocks(key.text, '[A-Z ]*PRIVATE KEY');
  if (certificatePem === '') throw unusable(certificate.path, 'it has no certificate', 'Give a PEM file that has one.');
  if (keyPem === '') throw unusable(key.path, 'it has no private key', 'Give a PEM file that has one.');
  const parsed = parseCertificate(certificatePem, certificate.path);
  if (!parsed.checkPrivateKey(parseKey(keyPem, key.path))) {
    const reason = `its private key is not that of the certificate in ${certificate.path}`;
    throw unusable(key.path, reason, 'Give the two that belong together.');
  }
  return { certificatePem, keyPem, fingerprint: fingerprintOf(parsed) };
}

function parseCertificate(text: string, path: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw unusable(path, 'its certificate is damaged', 'Check it: `openssl x509 -text -noout -in FILE`.', cause);
  }
}

function parseKey(text: string, path: string): KeyObject {
  if (/ENCRYPTED/.test(text)) {
    throw unusable(path, 'its private key needs a passphrase', 'Take that off: `openssl pkey -in FILE -out OTHER`.');
  }
  try {
    return createPrivateKey(text);
  } catch {
    // Not the cause: who knows what it quotes.
    throw unusable(path, 'its private key is damaged', 'Check it: `openssl pkey -noout -check -in FILE`.');
  }
}

/** The file with a key, unless somebody has it who should not. */
function readSecret(path: string, forbidden: number, { missingOk = false } = {}): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    if (missingOk && (cause as NodeJS.ErrnoException).code === 'ENOENT') throw cause;
    throw unreadable(path, cause);
  }
  try {
    const { mode } = fstatSync(fd);
    if ((mode & forbidden) !== 0) {
      const text = (mode & 0o777).toString(8).padStart(4, '0');
      const hint = `If nobody has read it yet, \`chmod 600 ${path}\`; else replace the key.`;
      throw unusable(path, `others than its owner may use the private key (mode ${text})`, hint);
    }
    return readFileSync(fd, 'utf8');
  } catch (cause) {
    throw cause instanceof VnicError ? cause : unreadable(path, cause);
  } finally {
    closeSync(fd);
  }
}

/** A file that is no secret. @throws VNIC_IDENTITY */
function readPublic(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function blocks(text: string, label: string): string {
  const found = text.match(new RegExp(`-----BEGIN (${label})-----[^-]*-----END \\1-----`, 'g')) ?? [];
  return found.map((block) => `${block}\n`).join('');
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
