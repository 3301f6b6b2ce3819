/**
 * A text file of one entry a line, which people edit too: what vnic does not understand stays.
 *
 * Theory of operation
 *
 *   reading   Without a lock: a file is replaced as a whole, and what is added is added by one write.
 *   changing  Under the `flock` of a file beside it, which the kernel takes away with its process. What is added goes to the end;
 *             what is taken out makes a new file, which takes the old one's place.
 */

import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { VnicError } from '../base/index.ts';
import { nativeCore } from '../native/index.ts';
import { unreadable, unusable } from './identity.ts';
import { makeFolder } from './identity-folder.ts';

/** A line with its number, counted from 1. */
export interface Line {
  readonly number: number;
  readonly text: string;
}

const LOCK_ATTEMPTS = 400;
const LOCK_PAUSE_MS = 5;
const WRITABLE_BY_OTHERS = 0o022;

/** Such a file; nothing is made before something is added. */
export class LineFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Every line that is neither empty nor a comment. @throws VNIC_IDENTITY when it cannot be read, or others may write to it */
  lines(): Line[] {
    return this.#read()
      .split('\n')
      .map((text, i) => ({ number: i + 1, text: text.trim() }))
      .filter(({ text }) => text !== '' && !text.startsWith('#'));
  }

  /**
   * Adds a line, unless `decide` says otherwise once nobody else writes.
   * @returns whether it was added
   * @throws VNIC_IDENTITY; what `decide` throws
   */
  add(line: string, decide: () => boolean): Promise<boolean> {
    return this.#locked(() => {
      if (!decide()) return false;
      const text = this.#read();
      const fd = openSync(this.path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
      try {
        writeSync(fd, `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      return true;
    });
  }

  /** Takes entries out. @returns how many it were @throws VNIC_IDENTITY */
  remove(isMeant: (text: string) => boolean): Promise<number> {
    if (this.lines().every(({ text }) => !isMeant(text))) return Promise.resolve(0);
    return this.#locked(() => {
      const before = this.#read().split('\n');
      const after = before.filter((text) => text.trim().startsWith('#') || !isMeant(text.trim()));
      if (after.length === before.length) return 0;
      const path = realpathSync(this.path);
      const draft = `${path}.new`;
      writeFileSync(draft, after.join('\n'), { mode: 0o600, flush: true });
      renameSync(draft, path);
      return before.length - after.length;
    });
  }

  #read(): string {
    try {
      const mode = statSync(this.path, { throwIfNoEntry: false })?.mode;
      if (mode === undefined) return '';
      if ((mode & WRITABLE_BY_OTHERS) === 0) return readFileSync(this.path, 'utf8');
    } catch (cause) {
      throw unreadable(this.path, cause);
    }
    const hint = `Look whether each line is yours, then \`chmod 600 ${this.path}\`.`;
    throw unusable(this.path, 'others than its owner may write to it', hint);
  }

  async #locked<T>(act: () => T): Promise<T> {
    const path = `${this.path}.lock`;
    let fd: number | undefined;
    try {
      makeFolder(dirname(path));
      fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
      for (let attempt = 1; nativeCore().lock(fd) < 0; attempt++) {
        if (attempt === LOCK_ATTEMPTS) {
          throw unusable(this.path, 'another process keeps it to itself', `Look who it is: \`fuser ${path}\`.`);
        }
        await delay(LOCK_PAUSE_MS);
      }
      return act();
    } catch (cause) {
      throw cause instanceof VnicError ? cause : unreadable(this.path, cause);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}
