/**
 * Journals: one file per owner, a line of JSON per fact.
 *
 * Theory of operation
 *
 *   owner     A process (its changes end with it) or a configuration file (its changes stay until `vnic down`), in one
 *             network namespace.
 *   lines     The first says whose it is. `{"id":…,"do":…}` is written before a change is made, `{"drop":[…]}` after it
 *             was undone or did not come about, `begin` and `end` around what belongs together. Lines that are wanted
 *             at once are one `write`; one that was torn by the end of its writer is that of a change which was
 *             never begun.
 *   mark      `{"mark":…}` says that a configuration was found in force; any line behind it ends that.
 *   lock      Whoever works with a file has its flock(2). The kernel ends it with the process, however that ends, so
 *             a file that can be locked has no owner at work: no pid has to be believed.
 *   compact   When dead lines outweigh, the live ones are written to a new file that takes the place of the old.
 *             A lock on a file that has lost its name is worth nothing: who gets one looks again.
 *   end       A journal with nothing in it is deleted.
 *   reboot    Nothing of what a journal speaks of survives the kernel: a file with another boot id is deleted.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';

import { VnicError } from '../base/index.ts';
import { type Change, chainsOf } from '../changes/index.ts';
import { nativeCore } from '../native/index.ts';
import { bootId, namespaceIdentity, processIdentity } from './identity.ts';
import type { JournalEntry, JournalHeader, JournalMark } from './journal-entry.ts';
import { parseJournal } from './journal-lines.ts';
import { findRuntimeDirectory, runtimeDirectory } from './runtime-directory.ts';

/** On whose behalf changes are made. */
export type JournalOwner =
  /** This process: what it changes ends with it. */
  | { readonly kind: 'process' }
  /** A configuration: what it changes stays until it is taken down. */
  | { readonly kind: 'config'; readonly path: string };

/** A journal as its file tells it. */
export interface StoredJournal {
  readonly path: string;
  readonly header: JournalHeader;
  /** In the order in which they were made. */
  readonly entries: readonly JournalEntry[];
  /** Entries from this id on belong to something that was begun and not ended; undefined when nothing is. */
  readonly unfinishedFrom: number | undefined;
  /** True while a process works with it. */
  readonly held: boolean;
}

/** Where journals are. */
export interface JournalOptions {
  /** Default `runtimeDirectory()`. */
  readonly folder?: string;
}

const FILE_MODE = 0o600;
const SUFFIX = '.journal';
const LOCK_ATTEMPTS = 20;
const LOCK_PAUSE_MS = 2;
/** Dead lines that are not worth a new file. */
const DEAD_LINES = 256;

/** A journal that this process works with. Every call writes at once and waits for nothing but the write. */
export class Journal implements Disposable {
  readonly header: JournalHeader;
  readonly #path: string;
  readonly #entries: Map<number, JournalEntry>;
  #fd: number;
  #nextId: number;
  #lines: number;
  #unfinishedFrom: number | undefined;
  #closed = false;

  /** Use `openJournal` or `takeJournal`. */
  constructor(path: string, fd: number, header: JournalHeader, text: string) {
    const stored = parseJournal(text);
    this.#path = path;
    this.#fd = fd;
    this.header = header;
    this.#entries = new Map(stored?.entries.map((entry) => [entry.id, entry]));
    this.#nextId = stored?.nextId ?? 1;
    this.#lines = stored?.lines ?? 0;
    this.#unfinishedFrom = stored?.unfinishedFrom;
    if (stored === undefined) this.#append([header]);
    // A line that was torn would tear the next.
    else if (stored.torn) this.#rewrite();
    else this.#append([{ by: header.process }]);
  }

  /** In the order in which they were recorded. */
  get entries(): readonly JournalEntry[] {
    return [...this.#entries.values()];
  }

  /** See `StoredJournal.unfinishedFrom`. */
  get unfinishedFrom(): number | undefined {
    return this.#unfinishedFrom;
  }

  /** Writes down changes that are about to be made. @throws VNIC_JOURNAL; then none of them may be made. */
  record(changes: readonly Change[]): readonly JournalEntry[] {
    const entries = changes.map((change, i) => ({ id: this.#nextId + i, change }));
    this.#append(entries.map(({ id, change }) => ({ id, do: change })));
    for (const entry of entries) this.#entries.set(entry.id, entry);
    this.#nextId += entries.length;
    return entries;
  }

  /** Puts what is known by now in the place of what was planned, under the same id. */
  amend(id: number, change: Change): void {
    this.#append([{ id, do: change }]);
    this.#entries.set(id, { id, change });
  }

  /** Forgets changes that were undone, or did not come about. */
  drop(ids: readonly number[]): void {
    const known = ids.filter((id) => this.#entries.delete(id));
    if (known.length === 0) return;
    this.#append([{ drop: known }]);
    if (this.#lines > 2 * this.#entries.size + DEAD_LINES) this.#rewrite();
  }

  /** What is recorded from now on belongs together, until `end`. */
  begin(): void {
    // What an earlier one had begun and not ended is completed by this one, or undone with it.
    this.#unfinishedFrom ??= this.#nextId;
    this.#append([{ begin: this.#unfinishedFrom }]);
  }

  /** What was begun is complete. */
  end(): void {
    if (this.#unfinishedFrom === undefined) return;
    this.#unfinishedFrom = undefined;
    this.#append([{ end: true }]);
    this.#fold();
  }

  /** Says that everything was found in force. It holds as long as it is the last line. */
  mark(mark: JournalMark): void {
    this.#append([{ mark }]);
  }

  /** A value that was set several times was first one thing and is now another: that is all there is to know. */
  #fold(): void {
    for (const chain of chainsOf(this.entries.map(({ change }) => change)).values()) {
      const [first, ...rest] = this.entries.filter(({ change }) => chain.includes(change));
      const last = rest.at(-1);
      if (first === undefined || last === undefined) continue;
      this.amend(first.id, { ...last.change, before: (first.change as { before: unknown }).before } as Change);
      this.drop(rest.map(({ id }) => id));
    }
  }

  /** Lets go of the file, and deletes it when nothing is in it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#entries.size === 0) remove(this.#path);
    closeSync(this.#fd);
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #append(lines: readonly object[]): void {
    if (lines.length === 0) return;
    writeLines(this.#fd, lines, this.#path);
    this.#lines += lines.length;
  }

  /** The live lines in a new file, complete before it takes the name of the old one. */
  #rewrite(): void {
    const lines = [
      this.header,
      ...(this.#unfinishedFrom === undefined ? [] : [{ begin: this.#unfinishedFrom }]),
      ...this.entries.map(({ id, change }) => ({ id, do: change })),
    ];
    const draft = `${this.#path}.new`;
    const fd = openFile(draft, constants.O_CREAT | constants.O_TRUNC);
    try {
      nativeCore().lock(fd);
      writeLines(fd, lines, draft);
      renameSync(draft, this.#path);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(this.#fd);
    this.#fd = fd;
    this.#lines = lines.length;
  }
}

/**
 * Opens the journal of an owner in the network namespace of this thread, with what is in it.
 * @throws VNIC_JOURNAL_BUSY when another process works with it, VNIC_JOURNAL when it cannot be read or written
 */
export function openJournal(owner: JournalOwner, options: JournalOptions = {}): Journal {
  const header = headerOf(owner);
  const path = join(options.folder ?? runtimeDirectory(), fileName(header));
  const fd = lockPatiently(path);
  const text = readText(path);
  const stored = parseJournal(text);
  const isCurrent = stored?.header.boot === header.boot && stored.header.namespace.cookie === header.namespace.cookie;
  return start(path, fd, header, isCurrent ? text : '');
}

/** The mark with which the journal of an owner ends, if it ends with one. Takes no lock and writes nothing. */
export function readMark(owner: JournalOwner, options: JournalOptions = {}): JournalMark | undefined {
  const folder = options.folder ?? findRuntimeDirectory();
  if (folder === undefined) return undefined;
  const text = readText(join(folder, fileName(headerOf(owner))));
  const lastLine = text.slice(text.lastIndexOf('\n', text.length - 2) + 1);
  if (!text.endsWith('\n') || !lastLine.startsWith('{"mark":')) return undefined;
  const { boot } = JSON.parse(text.slice(0, text.indexOf('\n'))) as JournalHeader;
  return boot === bootId() ? (JSON.parse(lastLine) as { mark: JournalMark }).mark : undefined;
}

/** Takes over a journal that no process works with; undefined when one does, or when it is gone. */
export function takeJournal(path: string): Journal | undefined {
  const fd = lockFile(path, 0);
  if (fd === undefined) return undefined;
  const text = readText(path);
  const stored = parseJournal(text);
  // Nothing was begun by a writer that did not get to its first line, and nothing survives a boot.
  if (stored === undefined || stored.header.boot !== bootId()) {
    remove(path);
    closeSync(fd);
    return undefined;
  }
  return start(path, fd, { ...stored.header, process: processIdentity() }, text);
}

/** Every journal of this boot, by name of its file. Those of other users are left out. */
export function listJournals(options: JournalOptions = {}): StoredJournal[] {
  const folder = options.folder ?? findRuntimeDirectory();
  if (folder === undefined) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith(SUFFIX));
  return names.sort().flatMap((name) => {
    const path = join(folder, name);
    const stored = parseJournal(readText(path));
    if (stored === undefined || stored.header.boot !== bootId()) return [];
    const { header, entries, unfinishedFrom } = stored;
    return [{ path, header, entries, unfinishedFrom, held: isHeld(path) }];
  });
}

function start(path: string, fd: number, header: JournalHeader, text: string): Journal {
  try {
    if (text === '') ftruncateSync(fd);
    return new Journal(path, fd, header, text);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function headerOf(owner: JournalOwner): JournalHeader {
  return {
    vnic: 1,
    boot: bootId(),
    namespace: namespaceIdentity(),
    process: processIdentity(),
    ...(owner.kind === 'config' && { config: owner.path }),
  };
}

/** One name for an owner, whoever asks; the namespace belongs to it. */
function fileName({ namespace, process, config }: JournalHeader): string {
  const place = namespace.cookie || namespace.id.replace(/\D/g, '');
  if (config === undefined) return `process-${process.pid}-${process.startTime}-${place}${SUFFIX}`;
  const hash = createHash('sha256').update(config).digest('hex').slice(0, 12);
  return `config-${basename(config)
    .replace(/[^\w.-]/g, '_')
    .slice(0, 60)}-${hash}-${place}${SUFFIX}`;
}

/** Who lists the journals has each for a moment. */
function lockPatiently(path: string): number {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
    const fd = lockFile(path, constants.O_CREAT);
    if (fd !== undefined) return fd;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_PAUSE_MS);
  }
  throw busy(path);
}

/** The descriptor of the locked file that has the name; undefined when another process has the lock, or none has. */
function lockFile(path: string, flags: number): number | undefined {
  for (;;) {
    let fd: number;
    try {
      fd = openFile(path, flags);
    } catch (error) {
      if (flags === 0 && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw journalError(`open ${path}`, error);
    }
    if (nativeCore().lock(fd) < 0) {
      closeSync(fd);
      return undefined;
    }
    if (fstatSync(fd).ino === inodeOf(path)) return fd;
    closeSync(fd);
  }
}

function openFile(path: string, flags: number): number {
  return openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | flags, FILE_MODE);
}

function isHeld(path: string): boolean {
  try {
    const fd = openSync(path, constants.O_RDONLY);
    const locked = nativeCore().lock(fd);
    closeSync(fd);
    return locked < 0;
  } catch {
    return false;
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was faster.
  }
}

function writeLines(fd: number, lines: readonly object[], path: string): void {
  const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  try {
    for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset);
  } catch (error) {
    throw journalError(`write to ${path}`, error);
  }
}

function busy(path: string): VnicError {
  const holder = parseJournal(readText(path))?.header.process;
  return new VnicError('VNIC_JOURNAL_BUSY', {
    attempted: `open ${path}`,
    ...(holder !== undefined && { reason: `${holder.command} (pid ${holder.pid}) works with it` }),
    hint: 'Wait for it, or end it, and try again.',
  });
}

function journalError(attempted: string, error: unknown): VnicError {
  const errno = (error as NodeJS.ErrnoException).code ?? 'EIO';
  return new VnicError('VNIC_JOURNAL', {
    attempted,
    reason: `the file system said ${errno}`,
    hint: 'Nothing is changed that cannot be written down first: make room, or set VNIC_RUNTIME_DIRECTORY.',
    errno,
    cause: error,
  });
}
