/** What OpenSSL is told: who this side is, whose signatures count, and TLS 1.3 or nothing. */

import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';

import { VnicError } from '../base/index.ts';
import type { Identity } from '../identity/index.ts';

/**
 * The options of a context, once OpenSSL has taken them.
 * @param ca PEM
 * @throws VNIC_IDENTITY when it refuses a key or certificate, one that is too short for instance
 */
export function contextOptions(
  attempted: string,
  identity: Identity | undefined,
  ca: string | undefined,
): SecureContextOptions {
  const options = rawOptions(identity, ca);
  contextOf(attempted, options);
  return options;
}

/** As a context. @throws VNIC_IDENTITY */
export function secureContext(
  attempted: string,
  identity: Identity | undefined,
  ca: string | undefined,
): SecureContext {
  return contextOf(attempted, rawOptions(identity, ca));
}

function rawOptions(identity: Identity | undefined, ca: string | undefined): SecureContextOptions {
  return {
    minVersion: 'TLSv1.3',
    ...(identity !== undefined && { cert: identity.certificatePem, key: identity.keyPem }),
    ...(ca !== undefined && { ca }),
  };
}

function contextOf(attempted: string, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    throw new VnicError('VNIC_IDENTITY', {
      attempted,
      reason: `OpenSSL refuses a key or certificate: ${(cause as Error).message}`,
      hint: 'Take one of 2048 bits or more for RSA, or let vnic make its own.',
      cause,
    });
  }
}
