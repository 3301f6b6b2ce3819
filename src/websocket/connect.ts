/** WebSockets as a client. */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

import { WebSocket } from 'ws';

import { aborted, throwIfAborted, VnicError } from '../base/index.ts';
import {
  connectTls,
  formatPlace,
  notAdmitted,
  type SecureAddress,
  type TlsConnectOptions,
  unreachable,
} from '../secure/index.ts';
import type { WebSocketChannel } from './channel.ts';
import { channelOf, socketOptions } from './open-channel.ts';

/** Where to connect, and how. */
export interface WebSocketConnectOptions extends SecureAddress {
  /** Path and query of the request; default `/`. */
  readonly path?: string;
  /** Left out: without TLS, in the clear, and anybody may answer. */
  readonly tls?: Pick<TlsConnectOptions, 'identity' | 'trust' | 'servername' | 'lookup'>;
  /** Gives up with `VNIC_ABORTED`. */
  readonly signal?: AbortSignal;
}

/** A WebSocket that is open. */
export interface WebSocketConnection {
  /** Belongs to the caller. */
  readonly channel: WebSocketChannel;
  /** `HOST:PORT`, as it was asked for. */
  readonly peer: string;
  /** Of the server's certificate; undefined without TLS. */
  readonly fingerprint: string | undefined;
  /** The fingerprint was written down just now, and nobody has compared it. */
  readonly isNew: boolean;
}

const TIMEOUT_MS = 10_000;

/**
 * Connects, each step within ten seconds.
 * @throws VNIC_PEER_UNREACHABLE, VNIC_ABORTED; with TLS what `connectTls` throws
 */
export async function connectWebSocket(options: WebSocketConnectOptions): Promise<WebSocketConnection> {
  const { tls, signal } = options;
  const peer = formatPlace(options);
  throwIfAborted(signal, `connect to ${peer}`);
  if (tls === undefined) {
    return { channel: await upgrade(options, peer, undefined), peer, fingerprint: undefined, isNew: false };
  }
  const { host, port } = options;
  const secured = await connectTls({ host, port, ...tls, ...(signal !== undefined && { signal }) });
  const channel = await upgrade(options, peer, secured.stream);
  return { channel, peer, fingerprint: secured.fingerprint, isNew: secured.isNew };
}

/** @param stream the connection to use; left out, one is made */
function upgrade(
  options: WebSocketConnectOptions,
  peer: string,
  stream: Duplex | undefined,
): Promise<WebSocketChannel> {
  const { path = '/', signal, host } = options;
  const attempted = `connect to ${peer}`;
  // Below it is TLS already, where it is to be.
  const socket = new WebSocket(`ws://${formatPlace({ ...options, host: host.replace(/%.*$/, '') })}${path}`, {
    ...socketOptions,
    handshakeTimeout: TIMEOUT_MS,
    // Any stream will do for Node's HTTP client; the types know sockets only.
    ...(stream !== undefined && { createConnection: () => stream as Socket }),
  });
  return new Promise((resolve, reject) => {
    const give = (error: VnicError): void => {
      signal?.removeEventListener('abort', onAbort);
      socket.on('error', () => undefined).terminate();
      stream?.on('error', () => undefined).destroy();
      reject(error);
    };
    const onAbort = (): void => give(aborted(signal as AbortSignal, attempted));
    const onError = (error: Error): void => {
      const isReset = (error as NodeJS.ErrnoException).code === 'ECONNRESET';
      give(isReset && options.tls !== undefined ? notAdmitted(peer, options.tls.identity) : unreachable(peer, error));
    };
    let below = stream;
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError);
    socket.once('unexpected-response', (_request, { statusCode }) => give(noWebSocket(attempted, statusCode)));
    socket.once('upgrade', (response) => {
      below ??= response.socket;
    });
    socket.once('open', () => {
      signal?.removeEventListener('abort', onAbort);
      const channel = channelOf(socket, below as Duplex);
      socket.off('error', onError);
      resolve(channel);
    });
  });
}

function noWebSocket(attempted: string, status: number | undefined): VnicError {
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted,
    reason: `it answers with the HTTP status ${status} instead of a WebSocket`,
    hint: 'Check host, port and path.',
  });
}
