/** Whom each side believes, and how it finds out. */

import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

import { VnicError } from '../base/index.ts';
import { fingerprintOf, type KnownPeers } from '../identity/index.ts';

/** How a client tells the server. */
export type ServerTrust =
  /** One of these fingerprints, or the one. */
  | { readonly pin: string | readonly string[] }
  /** The fingerprint that the place had when it was met first, which is written down then. */
  | { readonly known: KnownPeers }
  /** A certificate for the name of the host, signed by one of these (PEM). */
  | { readonly ca: string }
  /** Anybody: whoever is on the way can read and change everything. */
  | { readonly insecure: true };

/** Clients that may come in, by fingerprint. */
export interface AllowedClients {
  /** These, or those of which the function says so. */
  readonly allow: readonly string[] | ((fingerprint: string) => boolean);
}

/** How a server tells its clients. */
export type ClientTrust =
  | AllowedClients
  /** A certificate signed by one of these (PEM). */
  | { readonly ca: string }
  /** Anybody, also without a certificate. */
  | { readonly anyone: true };

/** Why a client that has shaken hands is refused. */
export type ClientRefusal = 'no-certificate' | 'not-allowed';

/** The fingerprint of the peer's certificate; undefined when it has none, or one with a key that cannot be read. */
export function peerFingerprint(socket: TLSSocket): string | undefined {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  try {
    return fingerprintOf(certificate);
  } catch {
    return undefined;
  }
}

/** Whether the server at the other side is the right one. @throws VNIC_PEER_UNTRUSTED, VNIC_PEER_CHANGED, VNIC_IDENTITY */
export async function checkServer(
  socket: TLSSocket,
  place: string,
  trust: ServerTrust,
): Promise<{ readonly fingerprint: string; readonly isNew: boolean }> {
  const fingerprint = peerFingerprint(socket);
  if (fingerprint === undefined) throw untrusted(place, 'it has shown no certificate that can be read');
  if ('known' in trust) return { fingerprint, isNew: (await trust.known.trust(place, fingerprint)) === 'new' };
  if ('pin' in trust && ![trust.pin].flat().includes(fingerprint)) {
    throw untrusted(place, `its key is ${fingerprint}, and not ${[trust.pin].flat().join(' or ')}`);
  }
  // Node has checked chain, dates and host name, and leaves the verdict here.
  if ('ca' in trust && !socket.authorized) {
    const why = String(socket.authorizationError);
    throw untrusted(
      place,
      `its certificate is not one of that authority for that host (${why}); its key is ${fingerprint}`,
    );
  }
  return { fingerprint, isNew: false };
}

/** Whether a client may come in. Hostile input: throws nothing but what `allow` throws. */
export function checkClient(
  socket: TLSSocket,
  trust: ClientTrust,
): { readonly fingerprint: string | undefined; readonly refusal: ClientRefusal | undefined } {
  const fingerprint = peerFingerprint(socket);
  if ('anyone' in trust) return { fingerprint, refusal: undefined };
  if (fingerprint === undefined) return { fingerprint, refusal: 'no-certificate' };
  const isAllowed = 'ca' in trust ? socket.authorized : isAmong(trust, fingerprint);
  return { fingerprint, refusal: isAllowed ? undefined : 'not-allowed' };
}

function untrusted(place: string, reason: string): VnicError {
  return new VnicError('VNIC_PEER_UNTRUSTED', {
    attempted: `trust ${place}`,
    reason,
    hint: 'Ask `vnic identity` on that machine for its fingerprint, and give that as `pin=`; or the right `ca=`.',
  });
}

function isAmong({ allow }: AllowedClients, fingerprint: string): boolean {
  return typeof allow === 'function' ? allow(fingerprint) : allow.includes(fingerprint);
}
