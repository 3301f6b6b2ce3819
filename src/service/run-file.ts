/**
 * What a running service says about itself: a file beside the journals, one for each configuration file in a network namespace.
 *
 * Theory of operation
 *
 *   lock     The service has its flock(2) from start to end: there is one for a file, and no pid has to be believed.
 *   write    In place, since the lock is that of the file: who reads in between gets text that is no JSON, and reads again.
 *   end      The file is deleted. One that stays without a lock is that of a service which was killed.
 */

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { findRuntimeDirectory, type ProcessIdentity, processIdentity, runtimeDirectory } from '../journal/index.ts';
import { nativeCore } from '../native/index.ts';
import { runKey } from './run-key.ts';
import type { SupervisorStatus } from './supervisor.ts';

/** The content. */
export interface RunInfo extends Omit<SupervisorStatus, 'error'> {
  readonly process: ProcessIdentity;
  readonly config: string;
  /** ISO 8601. */
  readonly since: string;
  /** When the status was written, ISO 8601. */
  readonly updated: string;
  readonly keep: boolean;
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
}

/** A file as it was found. */
export type FoundRun =
  | { readonly state: 'none' }
  /** `alive`: its service runs. `info` is undefined while it writes its first words. */
  | { readonly state: 'alive' | 'dead'; readonly info: RunInfo | undefined; readonly folder: string };

/** The runtime directory of root. */
const ROOT_FOLDER = '/run/vnic';

const READ_ATTEMPTS = 5;
const LOCK_ATTEMPTS = 20;
const PAUSE_MS = 5;

/** The file of a running service, locked. */
export class RunFile implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #config: string;
  readonly #keep: boolean;
  readonly #since: string = new Date().toISOString();
  #closed = false;

  /** Use `openRunFile`. */
  constructor(path: string, fd: number, config: string, keep: boolean) {
    this.#path = path;
    this.#fd = fd;
    this.#config = config;
    this.#keep = keep;
  }

  /** Writes what is true now. A full disk is no reason to end a service. */
  write({ error, ...status }: SupervisorStatus): void {
    if (this.#closed) return;
    const info: RunInfo = {
      process: processIdentity(),
      config: this.#config,
      since: this.#since,
      updated: new Date().toISOString(),
      keep: this.#keep,
      ...status,
      ...(error !== undefined && { error: { code: error.code, message: error.message, hint: error.hint } }),
    };
    const bytes = Buffer.from(`${JSON.stringify(info)}\n`);
    try {
      writeSync(this.#fd, bytes, 0, bytes.length, 0);
      ftruncateSync(this.#fd, bytes.length);
    } catch {
      // The lock is what counts.
    }
  }

  /** Deletes the file. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      unlinkSync(this.#path);
    } catch {
      // Somebody has tidied up.
    }
    closeSync(this.#fd);
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Takes the place of the service of a configuration file.
 * @param config its absolute path
 * @throws VNIC_SERVICE_RUNNING when another process is that, VNIC_JOURNAL when there is no folder for it
 */
export function openRunFile(
  config: string,
  options: { readonly keep?: boolean; readonly folder?: string } = {},
): RunFile {
  const path = runFilePath(config, options.folder);
  for (let attempt = 1; attempt <= LOCK_ATTEMPTS; attempt++) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
    // A lock on a file that has lost its name is worth nothing.
    if (nativeCore().lock(fd) >= 0 && fstatSync(fd).ino === inodeOf(path)) {
      return new RunFile(path, fd, config, options.keep ?? false);
    }
    closeSync(fd);
    // Who asks for the status has the lock for a moment.
    pause(PAUSE_MS);
  }
  const holder = readInfo(path)?.process;
  throw new VnicError('VNIC_SERVICE_RUNNING', {
    attempted: `keep the state of ${config}`,
    ...(holder !== undefined && { reason: `${holder.command} (pid ${holder.pid}) does it` }),
    hint: 'Stop it first (`vnic service stop`), or use another file.',
  });
}

/**
 * Looks for the service of a configuration file: one of this user, or else one of root.
 * @param config its absolute path
 */
export function findRun(config: string, options: { readonly folder?: string } = {}): FoundRun {
  const folders = options.folder === undefined ? [findRuntimeDirectory() ?? [], ROOT_FOLDER].flat() : [options.folder];
  for (const folder of new Set(folders)) {
    const found = findIn(config, folder);
    if (found.state !== 'none') return found;
  }
  return { state: 'none' };
}

function findIn(config: string, folder: string): FoundRun {
  const path = runFilePath(config, folder);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch {
    return { state: 'none' };
  }
  const locked = nativeCore().lock(fd) < 0;
  closeSync(fd);
  return { state: locked ? 'alive' : 'dead', info: readInfo(path), folder };
}

function runFilePath(config: string, folder = runtimeDirectory()): string {
  const name = basename(config)
    .replace(/[^\w.-]/g, '_')
    .slice(0, 60);
  return join(folder, `run-${name}-${runKey(config)}.json`);
}

function readInfo(path: string): RunInfo | undefined {
  for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt++) {
    try {
      return JSON.parse(readFileSync(path, 'utf8')) as RunInfo;
    } catch {
      pause(PAUSE_MS);
    }
  }
  return undefined;
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
