/** Interface indexes that nobody has and the kernel would not give. */

import { randomInt } from 'node:crypto';

import type { KernelSnapshot } from '../changes/index.ts';

/** Seven digits: far from what the kernel counts up from 1, and still easy on the eye. */
const FIRST = 1_000_000;
const LAST = 9_999_999;

/** Indexes that are free in every namespace in use. */
export class IndexPool {
  readonly #snapshots: readonly KernelSnapshot[];
  readonly #taken = new Set<number>();

  constructor(snapshots: readonly KernelSnapshot[]) {
    this.#snapshots = snapshots;
  }

  /** An index at random: one that was used before would let an old record speak of a new device. */
  take(): number {
    for (;;) {
      const index = randomInt(FIRST, LAST + 1);
      if (this.#taken.has(index) || this.#snapshots.some((all) => all.linkByIndex(index) !== undefined)) continue;
      this.#taken.add(index);
      return index;
    }
  }
}
