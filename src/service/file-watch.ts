/** Tells that a file has changed, however it was written: in place, by a new file of its name, by a link. */

import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Editors write in several steps. */
const SETTLE_MS = 200;

/** Watches the folder, since a file that is replaced is another file. */
export class FileWatch implements Disposable {
  readonly #path: string;
  readonly #onChange: () => void;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen: string;

  /** @param onChange called once for changes within a fifth of a second; not when the file is gone */
  constructor(path: string, onChange: () => void) {
    this.#path = path;
    this.#onChange = onChange;
    this.#seen = stampOf(path);
    try {
      this.#watcher = watch(dirname(path), { persistent: false }, (_event, name) => this.#note(name));
      this.#watcher.on('error', () => this.close());
    } catch {
      // Without inotify a reload has to be asked for.
    }
  }

  /** False where changes cannot be noticed. */
  get active(): boolean {
    return this.#watcher !== undefined;
  }

  /** Idempotent. */
  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearTimeout(this.#timer);
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #note(name: string | null): void {
    if (name !== null && name !== basename(this.#path)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const stamp = stampOf(this.#path);
      if (stamp === '' || stamp === this.#seen) return;
      this.#seen = stamp;
      this.#onChange();
    }, SETTLE_MS);
  }
}

/** Differs for every content that was written; empty when there is no file. */
function stampOf(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false, bigint: true });
  return status === undefined ? '' : `${status.ino} ${status.size} ${status.mtimeNs} ${status.ctimeNs}`;
}
