/** What a journal holds. */

import type { Change } from '../changes/index.ts';
import type { TableParts } from '../netlink/index.ts';
import type { NamespaceIdentity, ProcessIdentity } from './identity.ts';

/** The first line of a journal. */
export interface JournalHeader {
  readonly vnic: 1;
  readonly boot: string;
  readonly namespace: NamespaceIdentity;
  /** Who worked with it last. */
  readonly process: ProcessIdentity;
  /** Absolute path of the configuration; absent for the journal of a process. */
  readonly config?: string;
}

/** A change that is in force as far as vnic knows. */
export interface JournalEntry {
  /** Rising. */
  readonly id: number;
  readonly change: Change;
}

/** That a configuration was found in force: digests of it and of the kernel's tables, and which parts of them count. */
export interface JournalMark {
  readonly config: string;
  readonly kernel: string;
  readonly parts: TableParts;
}
