/** Tells that something of the network has changed, in every namespace that a configuration speaks of. */

import { type FSWatcher, watch } from 'node:fs';

import { namespaceInode } from '../changes/index.ts';
import type { Config } from '../config/index.ts';
import { type EventGroup, type LinkEvents, openLinkEvents } from '../netlink/index.ts';
import { NETNS_FOLDER } from '../netns/index.ts';
import { namespaceNames } from '../state/index.ts';

interface Watched {
  /** Of the namespace; 0 for that of the process. */
  readonly inode: number;
  readonly groups: string;
  readonly events: LinkEvents;
}

/** Sockets for events; `follow` brings them in line with a configuration. */
export class KernelWatch implements Disposable {
  readonly #onChange: () => void;
  readonly #watched = new Map<string, Watched>();
  #folder: FSWatcher | undefined;

  /** @param onChange called for each event, also when events were lost; cheap, please */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /**
   * Listens where the configuration has something, and no longer where it has not. To be called again after namespaces
   * were made.
   * @throws VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES, VNIC_NAMESPACE_FORBIDDEN
   */
  follow(config: Config): void {
    const names = namespaceNames(config);
    const groups = groupsFor(config);
    for (const [name, watched] of this.#watched) {
      const isCurrent = watched.groups === groups.join() && (name === '' || watched.inode === namespaceInode(name));
      if ((name === '' || names.has(name)) && isCurrent) continue;
      watched.events.closeSync();
      this.#watched.delete(name);
    }
    for (const name of ['', ...names]) this.#listen(name, groups);
    if (names.size > 0) this.#watchFolder();
    else this.#closeFolder();
  }

  /** Idempotent. */
  close(): void {
    for (const { events } of this.#watched.values()) events.closeSync();
    this.#watched.clear();
    this.#closeFolder();
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #listen(name: string, groups: readonly EventGroup[]): void {
    const inode = name === '' ? 0 : namespaceInode(name);
    if (this.#watched.has(name) || (name !== '' && inode === 0)) return;
    const events = openLinkEvents({ groups, ...(name !== '' && { netns: name }) });
    events.onEvent(() => this.#onChange());
    this.#watched.set(name, { inode, groups: groups.join(), events });
  }

  /** Namespaces come and go as files of a folder, which comes with the first one. */
  #watchFolder(): void {
    if (this.#folder !== undefined) return;
    try {
      this.#folder = watch(NETNS_FOLDER, { persistent: false }, () => this.#onChange());
      this.#folder.on('error', () => this.#closeFolder());
    } catch {
      // No folder yet; it is looked for after the next change.
    }
  }

  #closeFolder(): void {
    this.#folder?.close();
    this.#folder = undefined;
  }
}

/** Neighbours change all the time: they are listened to only where some are asked for. */
function groupsFor({ devices }: Config): EventGroup[] {
  const neighbours = devices.some((device) => device.neighbours.length > 0);
  return ['link', 'address', 'route', 'rule', ...(neighbours ? (['neighbour'] as const) : [])];
}
