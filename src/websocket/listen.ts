/**
 * WebSockets as a server.
 *
 * Theory of operation
 *
 *   A connection waits in the gate of the listener (`secure/gate.ts`) until its request was answered with a WebSocket, so a request that
 *   comes slowly, or never, is bounded as a TLS handshake is. What is no such request gets its HTTP status and is counted. Requests that
 *   a web page has caused say so by `Origin`; they are refused unless their origin is allowed, or any page could send packets.
 */

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';

import { WebSocketServer } from 'ws';

import {
  type GateLimits,
  type GuardedClient,
  listenGuarded,
  type SecureAddress,
  type SecureListener,
  type TlsListenTrust,
} from '../secure/index.ts';
import type { WebSocketChannel } from './channel.ts';
import { channelOf, socketOptions } from './open-channel.ts';

/** A client whose WebSocket is open. */
export interface WebSocketClient {
  /** Belongs to who is told of it. */
  readonly channel: WebSocketChannel;
  /** `HOST:PORT`, for people. */
  readonly peer: string;
  /** Of the client's certificate; undefined without TLS, or where anyone may come in. */
  readonly fingerprint: string | undefined;
}

/** Who listens, for what. */
export interface WebSocketListenOptions extends GateLimits {
  /** Left out: without TLS, in the clear, and anybody is a client. */
  readonly tls?: TlsListenTrust;
  /** The only path that is served, for example `/vnic`; default any. */
  readonly path?: string;
  /** Origins of web pages that may connect, or `*`; default none. */
  readonly origins?: readonly string[];
  /** Told of each client. */
  onChannel(client: WebSocketClient): void;
}

const MAX_HEADER_LEN = 8192;

/** Listens. @throws VNIC_SYSTEM_CALL when the port cannot be had, VNIC_IDENTITY */
export function listenForWebSockets(address: SecureAddress, options: WebSocketListenOptions): Promise<SecureListener> {
  const { tls, waiting, waitingPerSource, handshakeMs } = options;
  const upgrader = new Upgrader(options);
  return listenGuarded(address, {
    ...(tls !== undefined && { tls }),
    ...(waiting !== undefined && { waiting }),
    ...(waitingPerSource !== undefined && { waitingPerSource }),
    ...(handshakeMs !== undefined && { handshakeMs }),
    onClient: (client) => upgrader.take(client),
  });
}

/** Makes WebSockets of connections. */
class Upgrader {
  readonly #options: WebSocketListenOptions;
  readonly #clients = new WeakMap<Duplex, GuardedClient>();
  readonly #http: Server;
  readonly #sockets: WebSocketServer;

  constructor(options: WebSocketListenOptions) {
    this.#options = options;
    this.#sockets = new WebSocketServer({ noServer: true, clientTracking: false, ...socketOptions });
    this.#sockets.on('wsClientError', (_error, stream) => this.#answer(stream, 400, 'Bad Request'));
    this.#http = createServer({ maxHeaderSize: MAX_HEADER_LEN });
    this.#http.on('request', ({ socket }: IncomingMessage) => this.#answer(socket, 426, 'Upgrade Required'));
    this.#http.on('clientError', (_error, stream) => this.#answer(stream, 400, 'Bad Request'));
    this.#http.on('upgrade', (request, stream, head) => this.#upgrade(request, stream, head));
  }

  take(client: GuardedClient): void {
    this.#clients.set(client.stream, client);
    this.#http.emit('connection', client.stream);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { path, origins = [] } = this.#options;
    const { origin } = request.headers;
    if (path !== undefined && request.url?.replace(/\?.*$/, '') !== path) {
      this.#answer(stream, 404, 'Not Found');
    } else if (origin !== undefined && !origins.includes(origin) && !origins.includes('*')) {
      this.#answer(stream, 403, 'Forbidden');
    } else {
      this.#sockets.handleUpgrade(request, stream, head, (socket) => {
        const channel = channelOf(socket, stream);
        const client = this.#clients.get(stream);
        if (!client?.pass()) {
          channel.destroy();
          return;
        }
        const { peer, fingerprint } = client;
        this.#options.onChannel({ channel, peer, fingerprint });
      });
    }
  }

  #answer(stream: Duplex, status: number, text: string): void {
    const client = this.#clients.get(stream);
    const upgrade = status === 426 ? 'Upgrade: websocket\r\n' : '';
    stream.on('error', () => undefined);
    stream.end(
      `HTTP/1.1 ${status} ${text}\r\n${upgrade}Connection: close\r\nContent-Length: 0\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      () => client?.refuse('bad-request'),
    );
  }
}
