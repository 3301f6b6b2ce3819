/**
 * Unix datagram sockets, which Node has not: bound to a path, and connected to another. A path that was left by somebody who has
 * ended is taken over; the path goes when the socket is closed, unless it is somebody else's by then.
 */

import { lstatSync, type Stats, unlinkSync } from 'node:fs';
import { endianness } from 'node:os';

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, systemError } from '../native/index.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** `struct sockaddr_un`: family, and a path with the zero behind it. */
export const SOCKADDR_UN_LEN = 110;
const PATH_AT = 2;
const MAX_PATH_LEN = SOCKADDR_UN_LEN - PATH_AT - 1;
const isLittle = endianness() === 'LE';

/** Whether a socket can have that path. */
export function isUnixPath(path: string): boolean {
  const length = Buffer.byteLength(path);
  return length > 0 && length <= MAX_PATH_LEN && !path.includes('\0');
}

/** `struct sockaddr_un` of a path. @throws VNIC_INVALID_ARGUMENT for one of more than 107 bytes */
export function emitUnixAddress(path: string): Uint8Array {
  if (!isUnixPath(path)) {
    throw invalidArgument('use a Unix socket', `a path of 1 to ${MAX_PATH_LEN} bytes`, path);
  }
  const address = new Uint8Array(SOCKADDR_UN_LEN);
  new DataView(address.buffer).setUint16(0, AF_UNIX, isLittle);
  address.set(Buffer.from(path), PATH_AT);
  return address;
}

/** The path of a `struct sockaddr_un`; empty for one without. */
export function parseUnixAddress(bytes: Uint8Array): string {
  const path = bytes.subarray(PATH_AT, SOCKADDR_UN_LEN);
  const end = path.indexOf(0);
  return Buffer.from(path.subarray(0, end < 0 ? path.length : end)).toString();
}

/**
 * Binds a socket to a path, readable and writable for those of its group.
 * @throws VNIC_SYSTEM_CALL (EADDRINUSE while somebody has the path, EACCES, ENOENT), VNIC_INVALID_ARGUMENT, VNIC_TOO_MANY_FILES
 */
export function bindUnixDatagram(path: string): UnixDatagramSocket {
  const attempted = `listen on ${path}`;
  const address = emitUnixAddress(path);
  const core = nativeCore();
  const fd = core.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) throw systemError(attempted, 'socket', -fd);
  let result = core.bind(fd, address);
  if (result === -errno.EADDRINUSE && removeIfAbandoned(path)) result = core.bind(fd, address);
  if (result === 0) return new UnixDatagramSocket(fd, path);
  core.close(fd);
  throw bindError(attempted, -result);
}

/**
 * Deletes the file of a socket that nobody has any more: one that refuses to be connected to.
 * @returns whether it has
 */
export function removeIfAbandoned(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() !== true) return false;
  const core = nativeCore();
  const fd = core.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return false;
  const result = core.udpConnect(fd, emitUnixAddress(path));
  core.close(fd);
  // A stream socket that somebody has says EPROTOTYPE, a connected one EPERM.
  if (result !== -errno.ECONNREFUSED) return false;
  unlinkSync(path);
  return true;
}

/** A bound socket; `bindUnixDatagram` makes it. Owns its descriptor and its path. */
export class UnixDatagramSocket {
  readonly fd: number;
  readonly path: string;
  readonly #file: Stats | undefined;
  #closed = false;

  /** @param fd bound to `path` */
  constructor(fd: number, path: string) {
    this.fd = fd;
    this.path = path;
    this.#file = lstatSync(path, { throwIfNoEntry: false });
  }

  /**
   * Sends to `path` from now on, and takes nothing from others; what was connected before stays so after a failure.
   * @returns 0 or errno: ENOENT or ECONNREFUSED while nobody is there
   */
  connect(path: string): number {
    return this.#closed ? errno.EBADF : 0 - nativeCore().udpConnect(this.fd, emitUnixAddress(path));
  }

  /** Closes the socket and deletes its path. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    nativeCore().close(this.fd);
    const now = lstatSync(this.path, { throwIfNoEntry: false });
    if (now !== undefined && now.ino === this.#file?.ino && now.dev === this.#file.dev) unlinkSync(this.path);
  }
}

function bindError(attempted: string, error: number): VnicError {
  const hints: Readonly<Record<number, string>> = {
    [errno.EADDRINUSE]: 'Choose another path, or end the program that has it: `ss -xlp`.',
    [errno.EACCES]: 'The folder of the path may need `sudo`.',
    [errno.ENOENT]: 'Make the folder of the path first.',
  };
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted,
    reason: `bind failed with ${errnoName(error)}`,
    hint: hints[error] ?? 'Check the path.',
    errno: errnoName(error),
    syscall: 'bind',
  });
}
