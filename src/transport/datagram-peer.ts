/**
 * Two Unix datagram sockets that send to each other's path, as QEMU's `-netdev dgram` has them.
 *
 * Theory of operation
 *
 * Neither side hears when the other ends or comes. So the socket is connected to the path again and again: to the same peer that
 * changes nothing, to a new one it is what makes its packets come in, and without one it is refused. A refused send
 * and a packet from somebody unknown do the same at once. An empty datagram would tell more, but ends QEMU's netdev.
 */

import { VnicError } from '../base/index.ts';
import { errno, errnoName } from '../native/index.ts';
import type { DatagramCarrier } from './datagram-link.ts';
import { bindUnixDatagram, emitUnixAddress, type UnixDatagramSocket } from './unix-datagram.ts';

/** Where the two sockets are. */
export interface DatagramPeerOptions {
  /** The path of this side, which is made. */
  readonly local: string;
  /** The path of the other side. */
  readonly remote: string;
  /** How often the other side is looked for, in milliseconds; default 500. */
  readonly probeMs?: number;
  /** Told when the other side comes and goes. */
  onPeer(isThere: boolean): void;
}

const PROBE_MS = 500;

/**
 * Binds this side; the other may come later.
 * @throws VNIC_SYSTEM_CALL, VNIC_INVALID_ARGUMENT, VNIC_TOO_MANY_FILES
 */
export function openDatagramPeer(options: DatagramPeerOptions): DatagramPeer {
  const { local, remote } = options;
  emitUnixAddress(remote);
  const socket = bindUnixDatagram(local);
  const result = socket.connect(remote);
  if (result !== errno.EPROTOTYPE && result !== errno.EACCES) return new DatagramPeer(socket, options);
  socket.close();
  const isKind = result === errno.EPROTOTYPE;
  throw new VnicError('VNIC_SYSTEM_CALL', {
    attempted: `connect ${local} to ${remote}`,
    reason: isKind ? `${remote} is a socket of another kind than datagrams` : 'this user may not write to it',
    hint: isKind ? 'Of a stream socket use `qemu:` or `unix:`.' : 'Give it to a group of both users, or use `sudo`.',
    errno: errnoName(result),
    syscall: 'connect',
  });
}

/** This side's socket; a carrier of a `DatagramLink`. */
export class DatagramPeer implements DatagramCarrier {
  readonly fd: number;
  readonly #socket: UnixDatagramSocket;
  readonly #remote: string;
  readonly #onPeer: (isThere: boolean) => void;
  readonly #timer: NodeJS.Timeout;
  #isConnected = false;

  /** @param socket is this carrier's own */
  constructor(socket: UnixDatagramSocket, { remote, probeMs = PROBE_MS, onPeer }: DatagramPeerOptions) {
    this.fd = socket.fd;
    this.#socket = socket;
    this.#remote = remote;
    this.#onPeer = onPeer;
    this.#timer = setInterval(() => this.#probe(), probeMs);
    this.#timer.unref();
    this.#isConnected = socket.connect(remote) === 0;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  onRefused(): void {
    this.#probe();
  }

  onHeard(): void {
    this.#probe();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #probe(): void {
    const isConnected = this.#socket.connect(this.#remote) === 0;
    if (isConnected === this.#isConnected) return;
    this.#isConnected = isConnected;
    this.#onPeer(isConnected);
  }
}
