/** TLS 1.3 as a server: each client is checked before its stream is handed over. */

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket } from 'node:tls';

import type { Identity } from '../identity/index.ts';
import { contextOptions } from './context.ts';
import { awaitGreeting, type Entrant, Gate, type GateCounters, type GateLimits, type RefusalReason } from './gate.ts';
import { Notices } from './notices.ts';
import { peerOf, type SecureAddress } from './place.ts';
import { type ClientRefusal, type ClientTrust, checkClient } from './trust.ts';

/** A client that has proved who it is. */
export interface TlsClient {
  /** Belongs to who is told of it. */
  readonly stream: Duplex;
  /** `HOST:PORT`, for people. */
  readonly peer: string;
  /** Undefined only where anyone may come in, and it has shown no certificate. */
  readonly fingerprint: string | undefined;
}

/** A client that was turned away after it had shaken hands. */
export interface RefusedClient {
  readonly peer: string;
  /** What to allow, should it come in; undefined when it has shown no certificate. */
  readonly fingerprint: string | undefined;
  readonly reason: ClientRefusal;
  /** So many more were turned away since the last that was told. */
  readonly untold: number;
}

/** Who listens, for whom, and who is told of those that may not come in. */
export interface TlsListenTrust {
  readonly identity: Identity;
  readonly trust: ClientTrust;
  /** Told of at most ten clients, and of one more a second: strangers must not fill a log. All are counted. */
  onRefused?(client: RefusedClient): void;
  /** What `allow` of `trust` has thrown; the client is turned away. */
  onError?(error: unknown): void;
}

/** Who listens, and who takes the streams. */
export interface TlsListenOptions extends GateLimits, TlsListenTrust {
  /** Told of each client that may come in; at once it has to take the stream's events. */
  onStream(client: TlsClient): void;
}

/** A client that has still something to say before it is let in. */
export interface GuardedClient extends TlsClient {
  /** Lets it in, unless its time is up. @returns false when it was too late, and the stream is destroyed */
  pass(): boolean;
  /** Ends and counts it, unless that has happened. */
  refuse(reason: RefusalReason): void;
}

/** Who listens, and who decides. */
export interface GuardedListenOptions extends GateLimits {
  /** Left out: without TLS, and anybody is a client. */
  readonly tls?: TlsListenTrust;
  /** Told of each client that may come in as far as TLS is concerned. */
  onClient(client: GuardedClient): void;
}

/** A port that is listened on. */
export interface SecureListener {
  /** Where, with the port that the kernel chose. */
  readonly address: SecureAddress;
  /** A snapshot of what it has seen. */
  readonly counters: GateCounters;
  /** Closes the port; streams that were handed over stay. Idempotent. */
  stop(): void;
}

/**
 * Listens for TLS 1.3 clients, which show a certificate unless anyone may come in. Hostile ones cost a bounded amount of memory for a
 * bounded time, see `gate.ts`.
 * @throws VNIC_SYSTEM_CALL when the port cannot be had, VNIC_IDENTITY
 */
export function listenForTls(address: SecureAddress, options: TlsListenOptions): Promise<SecureListener> {
  return listenGuarded(address, {
    ...options,
    tls: options,
    onClient: ({ stream, peer, fingerprint, pass }) => {
      if (pass()) options.onStream({ stream, peer, fingerprint });
    },
  });
}

/**
 * Listens for clients of a protocol that begins with a handshake of its own, with TLS below it or without: the bounds of `GateLimits`
 * hold until `pass`.
 * @throws VNIC_SYSTEM_CALL when the port cannot be had, VNIC_IDENTITY
 */
export async function listenGuarded(address: SecureAddress, options: GuardedListenOptions): Promise<SecureListener> {
  const { tls, onClient } = options;
  const guarded = (stream: Duplex, entrant: Entrant, fingerprint: string | undefined): GuardedClient => ({
    stream,
    peer: peerOf(entrant.socket),
    fingerprint,
    pass: () => {
      const isIn = entrant.pass();
      if (!isIn) stream.destroy();
      return isIn;
    },
    refuse: entrant.refuse,
  });
  const door = tls === undefined ? undefined : new TlsDoor(tls, (...client) => onClient(guarded(...client)));
  const gate = new Gate(options, (entrant) => {
    if (door === undefined) onClient(guarded(entrant.socket, entrant, undefined));
    else door.knock(entrant);
  });
  const bound = await gate.listen(address);
  return {
    address: bound,
    get counters() {
      return gate.counters;
    },
    stop: () => gate.stop(),
  };
}

type OnTrusted = (stream: TLSSocket, entrant: Entrant, fingerprint: string | undefined) => void;

/** Takes those who wait through the handshake and the check. */
class TlsDoor {
  readonly #options: TlsListenTrust;
  readonly #onTrusted: OnTrusted;
  readonly #server: Server;
  readonly #entrants = new Map<string, Entrant>();
  readonly #notices = new Notices();

  constructor(options: TlsListenTrust, onTrusted: OnTrusted) {
    const { identity, trust } = options;
    this.#options = options;
    this.#onTrusted = onTrusted;
    this.#server = createServer({
      ...contextOptions('listen for TLS', identity, 'ca' in trust ? trust.ca : undefined),
      requestCert: true,
      // The verdict is that of `checkClient`, which also asks Node's.
      rejectUnauthorized: false,
    });
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
    // Its connection is closed, which the gate counts.
    this.#server.on('tlsClientError', () => undefined);
  }

  /** Begins as soon as the client has said something. */
  knock(entrant: Entrant): void {
    awaitGreeting(entrant, () => {
      entrant.isSilent = false;
      const key = keyOf(entrant.socket);
      this.#entrants.set(key, entrant);
      entrant.socket.once('close', () => this.#forget(key, entrant));
      this.#server.emit('connection', entrant.socket);
    });
  }

  #forget(key: string, entrant: Entrant): void {
    if (this.#entrants.get(key) === entrant) this.#entrants.delete(key);
  }

  #onSecure(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const key = keyOf(socket);
    const entrant = this.#entrants.get(key);
    if (entrant === undefined) {
      socket.destroy();
      return;
    }
    this.#entrants.delete(key);
    try {
      const { fingerprint, refusal } = checkClient(socket, this.#options.trust);
      if (refusal === undefined) this.#onTrusted(socket, entrant, fingerprint);
      else this.#refuse(entrant, { peer: peerOf(entrant.socket), fingerprint, reason: refusal });
    } catch (error) {
      entrant.refuse('not-allowed');
      this.#options.onError?.(error);
    }
  }

  #refuse(entrant: Entrant, client: Omit<RefusedClient, 'untold'>): void {
    entrant.refuse(client.reason);
    const untold = this.#notices.take(performance.now());
    if (untold !== undefined) this.#options.onRefused?.({ ...client, untold });
  }
}

/** Both ends of a connection: the socket of TLS has those of the one below it. */
function keyOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
