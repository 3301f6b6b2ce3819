import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeEach, describe, expect, it } from 'vitest';

import * as der from './der.ts';
import {
  createIdentity,
  findIdentity,
  fingerprintOf,
  identityFolder,
  loadIdentity,
  parseFingerprint,
  readIdentity,
} from './index.ts';

const root = mkdtempSync(join(tmpdir(), 'vnic-identity-'));
let folder = root;
let runs = 0;

beforeEach(() => {
  folder = join(root, String(++runs), 'made', 'on', 'use');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const openssl = (args: readonly string[], input = ''): string =>
  execFileSync('openssl', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });

/** A file of its own beside the folder. */
function file(text: string, mode = 0o600): string {
  const path = join(root, `file-${runs}-${readdirSync(root).length}`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('DER', () => {
  it('is what X.690 says, length by length', () => {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
    expect(hex(der.octetString(new Uint8Array(127)))).toMatch(/^047f0/);
    expect(hex(der.octetString(new Uint8Array(128)))).toMatch(/^0481800/);
    expect(hex(der.octetString(new Uint8Array(256)))).toMatch(/^0482010000/);
    expect(hex(der.oid('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302');
    expect(hex(der.unsignedInteger(Uint8Array.of(0, 0, 0x80)))).toBe('02020080');
    expect(hex(der.unsignedInteger(Uint8Array.of(0)))).toBe('020100');
    expect(hex(der.unsignedInteger(Uint8Array.of(0, 0x7f)))).toBe('02017f');
    expect(hex(der.explicit(3, der.TRUE))).toBe('a3030101ff');
  });
});

describe('an identity that was made', () => {
  it('is a certificate that OpenSSL reads and verifies, with the key that belongs to it', () => {
    const { certificatePem, keyPem, fingerprint } = createIdentity('lab.example');
    const text = openssl(['x509', '-text', '-noout'], certificatePem);
    expect(text).toMatch(/Version: 3/);
    expect(text).toMatch(/Issuer: CN = lab\.example/);
    expect(text).toMatch(/Not Before: Jan +1 00:00:00 2020 GMT/);
    expect(text).toMatch(/Not After : Dec 31 23:59:59 9999 GMT/);
    expect(text).toMatch(/ASN1 OID: prime256v1/);
    expect(text).toMatch(/CA:FALSE/);
    expect(text).toMatch(/DNS:lab\.example/);
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    const path = file(certificatePem);
    for (const purpose of ['sslserver', 'sslclient']) {
      expect(openssl(['verify', '-x509_strict', '-purpose', purpose, '-CAfile', path, path])).toMatch(/OK/);
    }
    expect(openssl(['pkey', '-check', '-noout'], keyPem)).toMatch(/valid/);
    const spki = execFileSync('sh', [
      '-c',
      `openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -r`,
      'sh',
      path,
    ]).toString();
    expect(parseFingerprint(spki.slice(0, 64))).toBe(fingerprint);
  });

  it('is another each time, always with valid DER: serial numbers have no fixed length', () => {
    const made = Array.from({ length: 40 }, () => createIdentity());
    expect(new Set(made.map(({ fingerprint }) => fingerprint)).size).toBe(40);
    for (const { certificatePem, fingerprint } of made) {
      expect(fingerprintOf(new X509Certificate(certificatePem))).toBe(fingerprint);
      openssl(['x509', '-noout'], certificatePem);
    }
  });

  it.each(['', 'a b', '-a', 'a'.repeat(64), 'a/b', 'a\n'])('has no name such as %j', (name) => {
    expect(() => createIdentity(name)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});

describe('fingerprints', () => {
  it('are read as people have them', () => {
    const { certificatePem, fingerprint } = createIdentity();
    expect(fingerprint).toMatch(/^sha256:[\w-]{43}$/);
    expect(fingerprintOf(Buffer.from(certificatePem))).toBe(fingerprint);
    const bytes = Buffer.from(fingerprint.slice(7), 'base64url');
    const hex = bytes.toString('hex');
    const written = [
      fingerprint,
      fingerprint.replace('sha', 'SHA'),
      `SHA256:${bytes.toString('base64')}`,
      hex,
      hex.toUpperCase().replace(/(..)(?!$)/g, '$1:'),
      `sha256:${hex}`,
    ];
    expect(written.map(parseFingerprint)).toEqual(written.map(() => fingerprint));
  });

  it.each(['', 'sha256:', 'sha1:abc', `sha256:${'A'.repeat(42)}`, `sha256:${'A'.repeat(42)}B`, 'a'.repeat(63)])(
    'are not %j',
    (text) => expect(parseFingerprint(text)).toBeUndefined(),
  );
});

describe('the identity of a machine', () => {
  it('is made on first use, for its owner alone, and is the same from then on', () => {
    expect(findIdentity(folder)).toBeUndefined();
    const made = loadIdentity(folder);
    expect(loadIdentity(folder)).toEqual(made);
    expect(findIdentity(folder)).toEqual(made);
    expect(readdirSync(folder)).toEqual(['identity.pem']);
    expect(statSync(join(folder, 'identity.pem')).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('takes away the draft that a killed process has left, and not that of one under way', () => {
    loadIdentity(folder);
    rmSync(join(folder, 'identity.pem'));
    const drafts = ['.identity.pem.000000000000', '.identity.pem.111111111111'];
    for (const name of drafts) writeFileSync(join(folder, name), '');
    utimesSync(join(folder, drafts[0] as string), 0, 0);
    loadIdentity(folder);
    expect(readdirSync(folder).toSorted()).toEqual([drafts[1], 'identity.pem']);
  });

  it.each([0o640, 0o604, 0o620])('is refused when others may read or write it: mode %o', (mode) => {
    loadIdentity(folder);
    chmodSync(join(folder, 'identity.pem'), mode);
    expect(() => loadIdentity(folder)).toThrow(
      expect.objectContaining({ code: 'VNIC_IDENTITY', hint: expect.stringContaining('chmod 600') }),
    );
  });

  it('has its folder where the environment says, or the user', () => {
    expect(identityFolder({ VNIC_IDENTITY_DIRECTORY: '/a/b/' })).toBe('/a/b');
    const own = process.getuid?.() === 0 ? '/etc/vnic' : '/c/vnic';
    expect(identityFolder({ XDG_CONFIG_HOME: '/c' })).toBe(own);
  });

  it('cannot be made where nothing can be written, which is said', () => {
    const path = file('no folder');
    expect(() => loadIdentity(join(path, 'x'))).toThrow(expect.objectContaining({ code: 'VNIC_IDENTITY' }));
  });
});

describe('an identity that was given', () => {
  const { certificatePem, keyPem, fingerprint } = createIdentity();

  it('is in one file or two, with text around it, and a key that its group may read', () => {
    const both = file(`Bag Attributes\n${keyPem}\nsubject=CN = x\n${certificatePem}`);
    expect(readIdentity({ certificateFile: both })).toMatchObject({ fingerprint });
    const given = { certificateFile: file(certificatePem, 0o644), keyFile: file(keyPem, 0o640) };
    expect(readIdentity(given)).toEqual({ certificatePem, keyPem, fingerprint });
  });

  it('may be of another kind: RSA and Ed25519 as openssl makes them, with a chain', () => {
    for (const algorithm of ['rsa:2048', 'ed25519']) {
      const [certificateFile, keyFile] = [file(''), file('')];
      openssl([
        ...['req', '-x509', '-newkey', algorithm, '-nodes', '-subj', '/CN=x'],
        ...['-keyout', keyFile, '-out', certificateFile],
      ]);
      expect(readIdentity({ certificateFile, keyFile }).fingerprint).toMatch(/^sha256:/);
      writeFileSync(certificateFile, readFileSync(certificateFile, 'utf8') + certificatePem);
      const { certificatePem: chain, fingerprint: first } = readIdentity({ certificateFile, keyFile });
      expect(chain.match(/BEGIN/g)).toHaveLength(2);
      expect(first).not.toBe(fingerprint);
    }
  });

  it.each([
    ['is missing', () => '/nowhere/x.pem', /no such file/],
    ['all may read', () => file(keyPem + certificatePem, 0o604), /others than its owner/],
    ['has no key', () => file(certificatePem), /no private key/],
    ['has no certificate', () => file(keyPem), /no certificate/],
    ['has the key of another', () => file(createIdentity().keyPem + certificatePem), /not that of the certificate/],
    ['is cut off', () => file(keyPem + certificatePem.slice(0, 200)), /no certificate/],
    ['has a damaged certificate', () => file(keyPem + certificatePem.replace(/MI/, 'MA')), /certificate is damaged/],
    ['has a damaged key', () => file(keyPem.replace(/MI/, 'MA') + certificatePem), /private key is damaged/],
    [
      'needs a passphrase',
      () => file(openssl(['pkey', '-aes256', '-passout', 'pass:x'], keyPem) + certificatePem),
      /passphrase/,
    ],
  ])('is refused when the file %s, and no error quotes it', (_what, make, message) => {
    const certificateFile = make();
    let thrown: unknown;
    try {
      readIdentity({ certificateFile });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'VNIC_IDENTITY', message: expect.stringMatching(message) });
    const secret = keyPem.split('\n')[1] as string;
    expect(JSON.stringify(thrown) + String((thrown as Error).stack)).not.toContain(secret);
  });
});
