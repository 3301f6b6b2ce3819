/**
 * What stands before a secure listener: connections wait here until they have proved who they are.
 *
 * Theory of operation
 *
 *   silent      A socket and a timer; no TLS state. Of TLS the first record, which is the client's greeting, is collected (at most 16 KiB)
 *               and only then shown to OpenSSL: half a greeting costs what it has sent. What cannot be TLS is cut off at its first byte.
 *   waiting     The handshake is under way. All that the room holds is cut off when its time is up, or when others push it out.
 *   passed      Out of the room; whoever let it pass answers for it.
 *
 *   Connections are cut off by a reset, so that the kernel keeps nothing of them either, unless it got as far as to be told why.
 */

import { createServer, type Server, type Socket } from 'node:net';

import { cannotListen, type SecureAddress, sourceOf } from './place.ts';
import { type Waiting, WaitingRoom } from './waiting-room.ts';

/** Why a connection was ended before it was let in. */
export type RefusalReason =
  /** Time was up. */
  | 'timeout'
  /** Too many waited. */
  | 'crowded'
  /** What it sent is not TLS. */
  | 'not-tls'
  /** It went away, or TLS found no common ground: another version among them. */
  | 'handshake-failed'
  /** It has shown no certificate that can be read. */
  | 'no-certificate'
  /** Its certificate is not one that may come in. */
  | 'not-allowed'
  /** Its request is none for a WebSocket, or not for this one. */
  | 'bad-request';

/** Bounds for those who have not proved who they are. */
export interface GateLimits {
  /** Connections at once; default 256. */
  readonly waiting?: number;
  /** Connections at once from an IPv4 address or an IPv6 network of 64 bits; default 32. */
  readonly waitingPerSource?: number;
  /** Milliseconds from the connection to the proof; default 10,000. */
  readonly handshakeMs?: number;
}

/** What a listener has seen. */
export interface GateCounters {
  /** Connections that came. */
  readonly connections: number;
  /** Those that were let in. */
  readonly accepted: number;
  /** Those that wait now. */
  readonly waiting: number;
  /** Those that were ended before, by reason. */
  readonly refused: Readonly<Record<RefusalReason, number>>;
}

/** A connection that waits. */
export interface Entrant extends Waiting {
  readonly socket: Socket;
  /** It is one of ours. @returns false when it is out already */
  pass(): boolean;
  /** Ends it, once. */
  refuse(reason: RefusalReason): void;
}

const DEFAULT_WAITING = 256;
const DEFAULT_WAITING_PER_SOURCE = 32;
const DEFAULT_HANDSHAKE_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
const RECORD_HEADER_LEN = 5;
const MAX_RECORD_LEN = 16_384;
/** ContentType handshake, and the major version, which stays 3 (RFC 8446, 5.1). */
const HANDSHAKE_TYPE = 22;
const LEGACY_MAJOR_VERSION = 3;

const orderly: ReadonlySet<RefusalReason> = new Set(['no-certificate', 'not-allowed', 'bad-request']);

/** A listening socket whose connections wait. */
export class Gate {
  readonly #room: WaitingRoom<Entrant>;
  readonly #handshakeMs: number;
  readonly #server: Server;
  readonly #refused: Record<RefusalReason, number> = {
    timeout: 0,
    crowded: 0,
    'not-tls': 0,
    'handshake-failed': 0,
    'no-certificate': 0,
    'not-allowed': 0,
    'bad-request': 0,
  };
  #connections = 0;
  #accepted = 0;
  #stopped = false;

  constructor(limits: GateLimits, onEntrant: (entrant: Entrant) => void) {
    this.#room = new WaitingRoom({
      total: limits.waiting ?? DEFAULT_WAITING,
      perSource: limits.waitingPerSource ?? DEFAULT_WAITING_PER_SOURCE,
    });
    this.#handshakeMs = limits.handshakeMs ?? DEFAULT_HANDSHAKE_MS;
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) => {
      const entrant = this.#enter(socket);
      if (entrant !== undefined) onEntrant(entrant);
    });
    // Without descriptors left, a connection is not accepted, and the next one may be.
    this.#server.on('error', () => undefined);
  }

  /** A snapshot. */
  get counters(): GateCounters {
    const { size: waiting } = this.#room;
    return { connections: this.#connections, accepted: this.#accepted, waiting, refused: { ...this.#refused } };
  }

  /** Opens the port. @returns where it is, with the port that the kernel chose @throws VNIC_SYSTEM_CALL */
  listen(address: SecureAddress): Promise<SecureAddress> {
    const { host, port } = address;
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => reject(cannotListen(address, error));
      this.#server.once('error', onError);
      this.#server.listen({ port, ...(host !== '' && { host }) }, () => {
        this.#server.off('error', onError);
        const bound = this.#server.address();
        resolve({ host, port: typeof bound === 'object' && bound !== null ? bound.port : port });
      });
    });
  }

  /** Lets nobody in any more, and ends those who wait. Idempotent. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#server.close();
    for (const { socket } of [...this.#room]) socket.destroy();
  }

  #enter(socket: Socket): Entrant | undefined {
    socket.on('error', () => undefined);
    if (this.#stopped) {
      socket.destroy();
      return undefined;
    }
    this.#connections++;
    const leave = (): boolean => {
      clearTimeout(timer);
      return this.#room.leave(entrant);
    };
    const end = (reason: RefusalReason): void => {
      clearTimeout(timer);
      this.#refused[reason]++;
      // Who has shaken hands is a program that may be told to do better; it sees an orderly end.
      if (orderly.has(reason)) socket.destroy();
      else socket.resetAndDestroy();
    };
    const entrant: Entrant = {
      socket,
      source: sourceOf(socket.remoteAddress),
      isSilent: true,
      pass: () => {
        if (!leave()) return false;
        this.#accepted++;
        return true;
      },
      refuse: (reason) => {
        if (leave()) end(reason);
      },
    };
    const timer = setTimeout(() => entrant.refuse('timeout'), this.#handshakeMs).unref();
    socket.once('close', () => entrant.refuse('handshake-failed'));
    const victim = this.#room.enter(entrant);
    if (victim !== undefined) this.#pushOut(victim);
    return entrant;
  }

  #pushOut({ socket }: Entrant): void {
    this.#refused.crowded++;
    socket.resetAndDestroy();
  }
}

/** Calls back once the first record of TLS is there, whole and unread; what cannot be one is refused. */
export function awaitGreeting({ socket, refuse }: Entrant, onGreeting: () => void): void {
  let collected: Buffer = Buffer.alloc(0);
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    collected = collected.length === 0 ? chunk : Buffer.concat([collected, chunk]);
    const [type, major] = collected;
    if (type !== HANDSHAKE_TYPE || (major ?? LEGACY_MAJOR_VERSION) !== LEGACY_MAJOR_VERSION) {
      refuse('not-tls');
      return;
    }
    if (collected.length < RECORD_HEADER_LEN) return;
    const length = collected.readUInt16BE(RECORD_HEADER_LEN - 2);
    if (length > MAX_RECORD_LEN) refuse('not-tls');
    else if (collected.length >= RECORD_HEADER_LEN + length) {
      socket.off('readable', onReadable);
      socket.unshift(collected);
      onGreeting();
    }
  };
  socket.on('readable', onReadable);
}
