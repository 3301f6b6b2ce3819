/** Which backends there are, and keys made with one of them. */

import { getCiphers } from 'node:crypto';

import { invalidArgument, VnicError } from '../base/index.ts';
import { type AeadLibraryHandle, nativeCore } from '../native/index.ts';
import type { Aead, AeadOptions } from './aead.ts';
import { type AeadAlgorithm, type AeadBackend, algorithms, keyLength } from './algorithm.ts';
import { NodeAead } from './node-aead.ts';
import { checkNonceFormat } from './nonce.ts';
import { OpensslAead } from './openssl-aead.ts';

/** Bits of `NativeCore.aeadBackends`; that of an algorithm is its position in `algorithms`. */
const LOW_LEVEL_BIT = 8;

let library: AeadLibraryHandle | undefined;

/**
 * What works on this machine, best first; empty where the runtime lacks an algorithm (FIPS, BoringSSL).
 * The first call in a thread tries OpenSSL, which takes about a millisecond.
 * @throws VNIC_NATIVE_MISSING
 */
export function aeadBackends(): Readonly<Record<AeadAlgorithm, readonly AeadBackend[]>> {
  return {
    'chacha20-poly1305': backendsOf('chacha20-poly1305'),
    'aes-128-gcm': backendsOf('aes-128-gcm'),
    'aes-256-gcm': backendsOf('aes-256-gcm'),
  };
}

/**
 * Makes a key. Close it when it is no longer needed; a forgotten one is erased by garbage collection, or with its
 * thread.
 * @throws VNIC_INVALID_ARGUMENT
 * @throws VNIC_UNSUPPORTED when this runtime does not have the algorithm, or not that backend
 * @throws VNIC_NATIVE_MISSING
 */
export function createAead(options: AeadOptions): Aead {
  const { algorithm, key, backend = 'auto' } = options;
  if (!algorithms.includes(algorithm)) throw invalidArgument('make a key', algorithms.join(' or '), algorithm);
  const attempted = `make a key for ${algorithm}`;
  if (!(key instanceof Uint8Array) || key.length !== keyLength(algorithm)) {
    const got = key instanceof Uint8Array ? `${key.length} bytes` : typeof key;
    throw invalidArgument(attempted, `${keyLength(algorithm)} bytes of key`, got);
  }
  const nonce = checkNonceFormat(options.nonce ?? {}, attempted);
  const offered = backendsOf(algorithm);
  const chosen = backend === 'auto' ? offered[0] : offered.find((one) => one === backend);
  if (chosen === undefined) {
    throw new VnicError('VNIC_UNSUPPORTED', {
      attempted,
      reason: `the OpenSSL of this runtime offers ${offered.join(', ') || 'nothing'} for it, not ${backend}`,
      hint: 'Leave `backend` out to use what there is, or run another build of Node.js.',
    });
  }
  if (chosen === 'node') return new NodeAead(algorithm, key, nonce);
  return new OpensslAead(openLibrary(), algorithm, chosen, key, nonce);
}

function backendsOf(algorithm: AeadAlgorithm): readonly AeadBackend[] {
  const bits = nativeCore().aeadBackends(openLibrary());
  const backends: AeadBackend[] = [];
  if (algorithm === 'chacha20-poly1305' && (bits & (1 << LOW_LEVEL_BIT)) !== 0) backends.push('low-level');
  if ((bits & (1 << algorithms.indexOf(algorithm))) !== 0) backends.push('evp');
  if (getCiphers().includes(algorithm)) backends.push('node');
  return backends;
}

function openLibrary(): AeadLibraryHandle {
  if (library === undefined) {
    const opened = nativeCore().aeadLibrary();
    if (typeof opened === 'number') {
      throw new VnicError('VNIC_SYSTEM_CALL', {
        attempted: 'look for OpenSSL',
        reason: 'there is no memory left',
        hint: 'Free some.',
        errno: 'ENOMEM',
      });
    }
    library = opened;
  }
  return library;
}
