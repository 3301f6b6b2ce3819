/** The options of ends over TLS: who this side is, and whom it believes. */

import { VnicError } from '../base/index.ts';
import {
  AuthorizedPeers,
  type Identity,
  KnownPeers,
  loadIdentity,
  parseFingerprint,
  readAuthorities,
  readIdentity,
} from '../identity/index.ts';
import type { ServerTrust, TlsConnectOptions, TlsListenTrust } from '../secure/index.ts';
import type { CarrierPolicy } from './carrier.ts';
import { type EndSpec, mistake, readEach } from './end-spec.ts';

/** What a client needs. */
export type TlsClientOptions = Pick<TlsConnectOptions, 'trust' | 'servername'> & { readonly identity: Identity };

/** Reads those of a client; makes the identity of this machine on first use. @throws VNIC_INVALID_END, VNIC_IDENTITY */
export function readTlsClient(spec: EndSpec, name: string, { onEvent }: CarrierPolicy): TlsClientOptions {
  requireOne(spec, ['pin', 'ca', 'insecure']);
  const servername = spec.options.get('servername')?.at(-1);
  const trust = serverTrust(spec);
  const identity = readOwn(spec);
  onEvent?.({ event: 'identity', link: name, fingerprint: identity.fingerprint });
  return { identity, trust, ...(servername !== undefined && { servername }) };
}

/** Reads those of a listener. @throws VNIC_INVALID_END, VNIC_IDENTITY */
export function readTlsListener(spec: EndSpec, name: string, { onEvent }: CarrierPolicy): TlsListenTrust {
  requireOne(spec, ['allow', 'ca', 'insecure']);
  const allow = readEach(spec, 'allow', 'a fingerprint, sha256:…', parseFingerprint);
  const ca = spec.options.get('ca')?.at(-1);
  const anyone = spec.options.has('insecure');
  const authorized = new AuthorizedPeers();
  const isInFile = (fingerprint: string): boolean => authorized.find(fingerprint) !== undefined;
  const trust = anyone
    ? ({ anyone } as const)
    : ca === undefined
      ? { allow: allow.length > 0 ? allow : isInFile }
      : { ca: readAuthorities(ca) };
  const allowed = 'allow' in trust ? allow.length || authorized.list().length : undefined;
  const identity = readOwn(spec);
  onEvent?.({
    event: 'identity',
    link: name,
    fingerprint: identity.fingerprint,
    ...(allowed !== undefined && { allowed }),
  });
  return {
    identity,
    trust,
    onRefused: ({ peer, fingerprint, untold }) =>
      onEvent?.({ event: 'unallowed', link: name, peer, fingerprint, untold }),
    onError: (error) => {
      if (error instanceof VnicError) onEvent?.({ event: 'down', link: name, error });
    },
  };
}

function serverTrust(spec: EndSpec): ServerTrust {
  const pin = readEach(spec, 'pin', 'a fingerprint, sha256:…', parseFingerprint);
  if (pin.length > 0) return { pin };
  const ca = spec.options.get('ca')?.at(-1);
  if (ca !== undefined) return { ca: readAuthorities(ca) };
  return spec.options.has('insecure') ? { insecure: true } : { known: new KnownPeers() };
}

function readOwn(spec: EndSpec): Identity {
  const certificateFile = spec.options.get('cert')?.at(-1);
  const keyFile = spec.options.get('key')?.at(-1);
  if (certificateFile !== undefined) {
    return readIdentity({ certificateFile, ...(keyFile !== undefined && { keyFile }) });
  }
  if (keyFile !== undefined) {
    throw mistake(spec.text, spec.text.indexOf('key='), 'key='.length, 'a key needs its certificate', {
      hint: 'Give cert= too; key= may be left out when both are in one file.',
    });
  }
  return loadIdentity();
}

function requireOne(spec: EndSpec, names: readonly string[]): void {
  const [first, second] = names.filter((name) => spec.options.has(name));
  if (first === undefined || second === undefined) return;
  throw mistake(
    spec.text,
    spec.text.indexOf(`,${second}`) + 1,
    second.length,
    `${first} and ${second} exclude one another`,
    {
      hint: 'Choose one.',
    },
  );
}
