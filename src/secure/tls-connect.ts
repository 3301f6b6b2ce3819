/** TLS 1.3 as a client: the server is checked before anything is sent or read. */

import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectSocket, type TLSSocket } from 'node:tls';

import { aborted, throwIfAborted, VnicError } from '../base/index.ts';
import type { Identity } from '../identity/index.ts';
import { secureContext } from './context.ts';
import { formatPlace, type SecureAddress, unreachable } from './place.ts';
import { checkServer, type ServerTrust } from './trust.ts';

/** Where to connect, as whom, and whom to expect. */
export interface TlsConnectOptions extends SecureAddress {
  /** Who this side is; left out, it shows no certificate, which a listener of vnic refuses. */
  readonly identity?: Identity;
  readonly trust: ServerTrust;
  /** Gives up with `VNIC_ABORTED`. */
  readonly signal?: AbortSignal;
  /** The name that is asked for, and that a certificate of an authority has to be for; default the host. */
  readonly servername?: string;
  /** Addresses of the host, where they are known already; default those of the resolver. */
  readonly lookup?: LookupFunction;
}

/** A connection whose other side has proved who it is. */
export interface TlsConnection {
  /** Belongs to the caller. */
  readonly stream: Duplex;
  /** `HOST:PORT`, as it was asked for. */
  readonly peer: string;
  readonly fingerprint: string;
  /** The fingerprint was written down just now, and nobody has compared it. */
  readonly isNew: boolean;
}

const TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;

/**
 * Connects within ten seconds.
 *
 * A server that refuses this side's certificate ends the connection after it was made: TLS 1.3 has the client's proof last.
 * @throws VNIC_PEER_UNREACHABLE, VNIC_PEER_UNTRUSTED, VNIC_PEER_CHANGED, VNIC_IDENTITY, VNIC_ABORTED
 */
export async function connectTls(options: TlsConnectOptions): Promise<TlsConnection> {
  const peer = formatPlace(options);
  const socket = await shakeHands(options, peer);
  try {
    const { fingerprint, isNew } = await checkServer(socket, peer, options.trust);
    throwIfAborted(options.signal, `connect to ${peer}`);
    return { stream: socket, peer, fingerprint, isNew };
  } catch (error) {
    socket.on('error', () => undefined).destroy();
    throw error;
  }
}

function shakeHands(options: TlsConnectOptions, peer: string): Promise<TLSSocket> {
  const { host, port, identity, trust, signal, servername, lookup } = options;
  const attempted = `connect to ${peer}`;
  throwIfAborted(signal, attempted);
  const socket = connectSocket({
    host,
    port,
    secureContext: secureContext(attempted, identity, 'ca' in trust ? trust.ca : undefined),
    // The verdict is that of `checkServer`, which also asks Node's.
    rejectUnauthorized: false,
    ...(servername !== undefined && { servername }),
    ...(lookup !== undefined && { lookup }),
  });
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const give = (error: VnicError): void => {
      settle();
      socket.on('error', () => undefined).destroy();
      reject(error);
    };
    const onAbort = (): void => give(aborted(signal as AbortSignal, attempted));
    const onError = (error: Error): void => give(unreachable(peer, error));
    const onClose = (): void => give(endedEarly(attempted));
    const timer = setTimeout(() => give(tooSlow(attempted)), TIMEOUT_MS);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError).once('close', onClose);
    socket.once('secureConnect', () => {
      settle();
      socket.off('error', onError).off('close', onClose);
      resolve(socket);
    });
  });
}

function endedEarly(attempted: string): VnicError {
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted,
    reason: 'the other side has ended the connection before it was made',
    hint: 'See that a TLS 1.3 server listens there.',
  });
}

function tooSlow(attempted: string): VnicError {
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted,
    reason: `no answer within ${TIMEOUT_MS / 1000} s`,
    hint: 'See that the other side listens there, and that nothing on the way forbids it.',
  });
}
