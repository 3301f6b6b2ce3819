/**
 * A port of a running VDE switch (Virtual Distributed Ethernet, vde2): Ethernet frames in Unix datagrams.
 *
 * Theory of operation
 *
 *   asking     A stream connection to the switch's `ctl` socket carries one request, with the path of a datagram socket that this
 *              side has bound, and one answer, with the path of the switch's. The layout is that of version 3 of the protocol:
 *
 *              octet 0         4             8          12           122               250
 *                    +---------+-------------+----------+------------+-----------------+
 *                    | magic(4)| version (4) | type (4) | socket(110)| description(128)|
 *                    +---------+-------------+----------+------------+-----------------+
 *
 *              in the byte order of the machine; `type` has the number of the wanted port in its upper 24 bits, or 0.
 *   lasting    The port is ours as long as the connection is open; its end is that of the switch, or of the port.
 *   sockets    Ours lies in the folder of the switch, or in that for temporary files. One that was left after `kill -9` is deleted by
 *              the next who comes.
 */

import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { endianness, tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { errno, errnoName } from '../native/index.ts';
import type { DatagramCarrier } from './datagram-link.ts';
import {
  bindUnixDatagram,
  emitUnixAddress,
  isUnixPath,
  parseUnixAddress,
  removeIfAbandoned,
  SOCKADDR_UN_LEN,
  type UnixDatagramSocket,
} from './unix-datagram.ts';

/** Which port of which switch. */
export interface VdeOptions {
  /** The folder of the switch (`vde_switch -sock`), or the path of its control socket. */
  readonly path: string;
  /** Number of the port, 1 to 16,777,215; default one that is free. */
  readonly port?: number;
  /** What the switch shows for the port; default `vnic`. */
  readonly description?: string;
  readonly signal?: AbortSignal;
}

const MAGIC = 0xfeed_face;
const VERSION = 3;
const REQUEST_LEN = 250;
const SOCKET_AT = 12;
const DESCRIPTION_AT = SOCKET_AT + SOCKADDR_UN_LEN;
const MAX_DESCRIPTION_LEN = 127;
const ANSWER_TIMEOUT_MS = 5000;
const OWN_PREFIX = '.vnic-';
const SOCKET_MODE = 0o660;
const isLittle = endianness() === 'LE';

/**
 * Asks the switch for a port.
 * @throws VNIC_PEER_UNREACHABLE without a switch, without a free port, or when it was given up; VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES
 */
export async function openVdePort(options: VdeOptions): Promise<VdePort> {
  const { path, port = 0, description = 'vnic', signal } = options;
  const control = controlPath(path);
  const data = bindBeside(control);
  try {
    const { connection, answer } = await ask(control, emitRequest(data.path, port, description), signal);
    const target = absolute(parseUnixAddress(answer), control);
    const refused = isUnixPath(target) ? data.connect(target) : errno.EINVAL;
    if (refused === 0) return new VdePort(data, connection);
    connection.destroy();
    throw unreachable(control, `the data socket of its port cannot be reached: ${errnoName(refused)}`);
  } catch (error) {
    data.close();
    throw error;
  }
}

/** A port; a carrier of a `DatagramLink`. */
export class VdePort implements DatagramCarrier {
  readonly fd: number;
  readonly isConnected = true;
  /** The path of this side's socket. */
  readonly path: string;
  readonly #data: UnixDatagramSocket;
  readonly #connection: Socket;

  /** @param connection over which the port was got; both are this object's own */
  constructor(data: UnixDatagramSocket, connection: Socket) {
    this.fd = data.fd;
    this.path = data.path;
    this.#data = data;
    this.#connection = connection;
    connection.on('error', () => undefined).resume();
  }

  /** Calls back once the switch has ended, or has taken the port away. */
  onEnd(handler: (error: VnicError) => void): void {
    this.#connection.once('close', () => handler(ended(this.path)));
  }

  onRefused(): void {
    this.#connection.destroy();
  }

  close(): void {
    this.#connection.removeAllListeners('close').destroy();
    this.#data.close();
  }
}

function controlPath(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? join(path, 'ctl') : path;
}

/** A path as the switch has it may be relative to where it was started; its sockets are all in one folder. */
function absolute(path: string, control: string): string {
  return isAbsolute(path) ? path : join(dirname(control), basename(path));
}

function bindBeside(control: string): UnixDatagramSocket {
  const name = `${OWN_PREFIX}${randomBytes(6).toString('hex')}`;
  const folders = [dirname(control), tmpdir()];
  for (const [i, folder] of folders.entries()) {
    try {
      removeAbandoned(folder);
      const socket = bindUnixDatagram(join(folder, name));
      chmodSync(socket.path, SOCKET_MODE);
      return socket;
    } catch (error) {
      if (i === folders.length - 1 || !(error instanceof VnicError)) throw error;
    }
  }
  throw unreachable(control, 'no folder takes a socket');
}

function removeAbandoned(folder: string): void {
  for (const name of namesIn(folder)) if (name.startsWith(OWN_PREFIX)) removeIfAbandoned(join(folder, name));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function emitRequest(dataPath: string, port: number, description: string): Uint8Array {
  const request = new Uint8Array(REQUEST_LEN);
  const words = new DataView(request.buffer);
  words.setUint32(0, MAGIC, isLittle);
  words.setUint32(4, VERSION, isLittle);
  words.setUint32(8, port * 0x100, isLittle);
  request.set(emitUnixAddress(dataPath), SOCKET_AT);
  request.set(Buffer.from(description).subarray(0, MAX_DESCRIPTION_LEN), DESCRIPTION_AT);
  return request;
}

interface Answered {
  readonly connection: Socket;
  readonly answer: Uint8Array;
}

/** Sends the request and waits for the whole answer. */
function ask(control: string, request: Uint8Array, signal: AbortSignal | undefined): Promise<Answered> {
  const connection = connect({ path: control });
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const timer = setTimeout(
      () => give('it does not answer, as when it has no port of that number'),
      ANSWER_TIMEOUT_MS,
    );
    const onAbort = (): void => give('it was given up');
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      connection.removeAllListeners();
    };
    const give = (reason: string, cause?: NodeJS.ErrnoException): void => {
      settle();
      connection.on('error', () => undefined).destroy();
      reject(unreachable(control, reason, cause));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    connection.once('connect', () => connection.write(request));
    connection.once('error', (error: NodeJS.ErrnoException) => give(error.message, error));
    connection.once('end', () => give('it has refused: the port is taken, or none is free'));
    connection.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < SOCKADDR_UN_LEN) return;
      settle();
      resolve({ connection, answer });
    });
  });
}

function unreachable(control: string, reason: string, cause?: NodeJS.ErrnoException): VnicError {
  return new VnicError('VNIC_PEER_UNREACHABLE', {
    attempted: `get a port of the VDE switch ${control}`,
    reason,
    hint: 'See that `vde_switch -sock` runs with that folder, and that this user may write there.',
    ...(cause?.code !== undefined && { errno: cause.code, syscall: 'connect', cause }),
  });
}

function ended(path: string): VnicError {
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `use the port of a VDE switch at ${path}`,
    reason: 'the switch has ended, or has taken the port away',
    hint: 'The port is asked for again once the switch is back.',
  });
}
