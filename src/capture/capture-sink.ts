/** Where a recorder writes: a file with as many behind it as are kept, or standard output. */

import { fstatSync, lstatSync, type Stats, write } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';

import { VnicError } from '../base/index.ts';

/** Takes whole records, one write at a time. */
export interface CaptureSink {
  /** For people. */
  readonly name: string;
  /**
   * Writes all of it.
   * @param keep how many of the first so many bytes are whole records, for a write that fails in between
   */
  write(bytes: Uint8Array, keep: (written: number) => number): Promise<void>;
  /** Idempotent; waits for what was written. */
  close(): Promise<void>;
}

/** How a file is made. */
export interface FileSinkOptions {
  readonly path: string;
  /** What every file begins with. */
  readonly header: Uint8Array;
  /** Replace a file that is there. */
  readonly overwrite: boolean;
  /** Bytes after which a new file is begun; undefined for never. */
  readonly maxFileLen: number | undefined;
  /** How many of those before are kept, as `PATH.1`, `PATH.2` … */
  readonly keepFiles: number;
}

/** Only its owner may read it: packets are private. */
const MODE = 0o600;
const STDOUT = 1;
const LINGER_MS = 1000;

/** Makes the file and writes the header. @throws VNIC_FILE_EXISTS, VNIC_SYSTEM_CALL */
export async function openFileSink(options: FileSinkOptions): Promise<CaptureSink> {
  const { path, overwrite, keepFiles } = options;
  const names = [path, ...Array.from({ length: keepFiles }, (_, i) => `${path}.${i + 1}`)];
  for (const name of names) {
    const found = look(name);
    if (found === undefined) continue;
    // A device or a socket is never replaced.
    if (!overwrite || !found.isFile()) throw fileExists(name, found.isFile());
    // Made anew: a file that stays would keep its mode, and a link lead elsewhere.
    await unlink(name).catch((error: unknown) => {
      throw fileError(`replace ${name}`, error);
    });
  }
  const file = await create(path);
  const sink = new FileSink(options, file);
  try {
    await sink.begin();
  } catch (error) {
    await sink.close();
    throw error;
  }
  return sink;
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileError(`record to ${path}`, error);
  }
}

class FileSink implements CaptureSink {
  readonly name: string;
  readonly #options: FileSinkOptions;
  #file: FileHandle | undefined;
  #length = 0;

  constructor(options: FileSinkOptions, file: FileHandle) {
    this.name = options.path;
    this.#options = options;
    this.#file = file;
  }

  begin(): Promise<void> {
    this.#length = 0;
    return this.#append(this.#options.header, () => 0);
  }

  async write(bytes: Uint8Array, keep: (written: number) => number): Promise<void> {
    const { maxFileLen, header } = this.#options;
    const isFull = maxFileLen !== undefined && this.#length + bytes.length > maxFileLen;
    if (isFull && this.#length > header.length) await this.#rotate();
    await this.#append(bytes, keep);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
  }

  async #append(bytes: Uint8Array, keep: (written: number) => number): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    let written = 0;
    try {
      while (written < bytes.length) {
        const { bytesWritten } = await file.write(bytes, written, bytes.length - written, this.#length + written);
        written += bytesWritten;
      }
    } catch (error) {
      // Half a record would make the file a damaged one.
      await file.truncate(this.#length + keep(written)).catch(() => undefined);
      throw fileError(`write to ${this.name}`, error);
    }
    this.#length += written;
  }

  async #rotate(): Promise<void> {
    const { path, keepFiles } = this.#options;
    await this.#file?.close();
    this.#file = undefined;
    try {
      for (let i = keepFiles; i > 0; i--) {
        await rename(i === 1 ? path : `${path}.${i - 1}`, `${path}.${i}`).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOENT') throw error;
        });
      }
      if (keepFiles === 0) await unlink(path);
    } catch (error) {
      throw fileError(`begin a new file after ${path}`, error);
    }
    this.#file = await create(path);
    await this.begin();
  }
}

/** Writes to standard output. @throws VNIC_SYSTEM_CALL when it is a terminal */
export async function openStdoutSink(header: Uint8Array): Promise<CaptureSink> {
  if (isatty(STDOUT)) {
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted: 'record to standard output',
      reason: 'it is a terminal',
      hint: 'Name a file, or pipe it into a program: `… --capture - | wireshark -k -i -`.',
    });
  }
  const found = fstatSync(STDOUT);
  const sink = found.isFIFO() || found.isSocket() ? new StdoutStream() : new StdoutFile();
  await sink.write(header);
  return sink;
}

const writeTo = promisify(write);

async function writeStdout(bytes: Uint8Array): Promise<number> {
  return (await writeTo(STDOUT, bytes)).bytesWritten;
}

class StdoutFile implements CaptureSink {
  readonly name = 'standard output';

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < bytes.length; ) written += await writeStdout(bytes.subarray(written));
    } catch (error) {
      throw fileError(`write to ${this.name}`, error);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A pipe. `process.stdout` would wait for its reader, and all traffic with it. */
class StdoutStream implements CaptureSink {
  readonly name = 'standard output';
  readonly #socket = new Socket({ fd: STDOUT, readable: false, writable: true });
  #error: Error | undefined;

  constructor() {
    this.#socket.on('error', (error) => {
      this.#error = error;
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (error: Error): void => reject(fileError(`write to ${this.name}`, error));
      const onClose = (): void => refuse(this.#error ?? new Error('it was closed'));
      this.#socket.once('close', onClose);
      this.#socket.write(bytes, (error) => {
        this.#socket.off('close', onClose);
        if (error) refuse(error);
        else resolve();
      });
    });
  }

  /** A reader that takes nothing must not keep the process. */
  close(): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#socket.destroySoon();
    });
  }
}

/** Fails when the name is taken, also by a link that leads nowhere. */
async function create(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw fileExists(path, true);
    throw fileError(`create ${path}`, error);
  }
}

function fileExists(path: string, isFile: boolean): VnicError {
  return new VnicError('VNIC_FILE_EXISTS', {
    attempted: `record to ${path}`,
    reason: isFile ? 'there is a file of that name' : 'there is something of that name that is no file',
    hint: isFile
      ? 'Choose another name, or ask for it to be replaced: `--overwrite`, or the option `overwrite` of an end.'
      : 'Choose another name.',
    errno: 'EEXIST',
    syscall: 'open',
  });
}

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'Make room on the disk, or record less of each packet.',
  EDQUOT: 'Make room within the quota, or record less of each packet.',
  ENOENT: 'Check the path: it, or a folder of it, does not exist.',
  ENOTDIR: 'Check the path: a part of it is no folder.',
  EISDIR: 'Name a file: it is a folder.',
  EACCES: 'Choose a place where this user may read and write.',
  EPERM: 'Choose a place where this user may read and write.',
  EROFS: 'Choose a place that is not read-only.',
  EPIPE: 'The program that reads it has ended.',
};

/** What a call on a file failed with. */
export function fileError(attempted: string, cause: unknown): VnicError {
  const { code, syscall, message } = cause as NodeJS.ErrnoException;
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted,
    // Node's text is `CODE: words, call 'path'`.
    reason: message.replace(/^[A-Z0-9]+: /, '').replace(/, [a-z]+( '.*')?$/, ''),
    hint: hints[code ?? ''] ?? 'Check the file and the disk.',
    ...(code !== undefined && { errno: code, syscall: syscall ?? 'write' }),
    cause,
  });
}
