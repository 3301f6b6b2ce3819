/** What a journal says about who made what. */

import { type Change, changeKey } from '../changes/index.ts';
import type { JournalEntry } from '../journal/index.ts';

/** The live entries of one owner, for questions. */
export class Ownership {
  readonly entries: readonly JournalEntry[];
  readonly #devices: ReadonlySet<number>;

  constructor(entries: readonly JournalEntry[]) {
    this.entries = entries;
    this.#devices = new Set(
      entries.flatMap(({ change }) => {
        if (change.resource !== 'device') return [];
        return change.make.kind === 'veth' ? [change.link.index, change.make.peer.index] : [change.link.index];
      }),
    );
  }

  /** True for a device that this owner made; the index is proof. */
  ownsDevice(index: number): boolean {
    return this.#devices.has(index);
  }

  /** Entries that speak of none of these things. */
  entriesBeside(wanted: ReadonlySet<string>): JournalEntry[] {
    return this.entries.filter(({ change }) => !wanted.has(changeKey(change)));
  }
}

/** What has to be written down: what would outlive a device of our own, and devices themselves. */
export function needsRecord(change: Change, isOwnDevice: (index: number) => boolean): boolean {
  if ('action' in change) return change.action === 'add';
  return !isOwnDevice(('link' in change ? change.link?.index : undefined) ?? 0);
}
