/** Changes that a process makes for as long as it runs. */

import { type Change, executeChanges, Kernel } from '../changes/index.ts';
import { type Journal, type JournalOptions, openJournal } from './journal.ts';
import type { JournalEntry } from './journal-entry.ts';
import { undoAbandoned, undoJournal } from './undo-journal.ts';

/** What is changed of the machine, and given back at the end. */
export interface Loan {
  /**
   * Writes changes down and makes them, all or none.
   * @throws what the change that failed throws, after the others were taken back; VNIC_JOURNAL, with nothing changed
   */
  change(changes: readonly Change[]): Promise<void>;
  /** Undoes what is still as it was changed, the last first. Idempotent; never throws: what resists is left to `vnic cleanup`. */
  giveBack(): Promise<void>;
}

/** How changes are borrowed. */
export interface LoanOptions extends JournalOptions {
  /**
   * What other processes have left behind is undone `before` the first changes, or `after` them: then nothing is let through in
   * between that both forbid. Default `before`.
   */
  readonly abandoned?: 'before' | 'after';
}

/**
 * Changes of this process, which end with it: by `giveBack`, or, when it gets no chance to, by the next vnic that
 * changes something, or by `vnic cleanup`. What other processes have left behind is undone with the first changes.
 */
export function openLoan(options: LoanOptions = {}): Loan {
  let journal: Journal | undefined;
  return {
    change: async (changes) => {
      if (changes.length === 0) return;
      const isFirst = journal === undefined;
      if (isFirst && options.abandoned !== 'after') await undoAbandoned(options);
      journal ??= openJournal({ kind: 'process' }, options);
      await makeAll(journal, changes);
      if (isFirst && options.abandoned === 'after') await undoAbandoned(options);
    },
    giveBack: async () => {
      const open = journal;
      journal = undefined;
      if (open === undefined) return;
      await using kernel = new Kernel();
      try {
        await undoJournal(open, kernel);
      } catch {
        // The journal keeps what could not be undone.
      } finally {
        open.close();
      }
    },
  };
}

async function makeAll(journal: Journal, changes: readonly Change[]): Promise<void> {
  await using kernel = new Kernel();
  const recorded = new Map<Change, JournalEntry>();
  const { failure } = await executeChanges(changes, kernel, {
    onBatch: (batch) => {
      for (const entry of journal.record(batch)) recorded.set(entry.change, entry);
    },
    onDone: (outcomes) => {
      const settled = outcomes.filter(({ outcome }) => outcome === 'settled');
      journal.drop(settled.flatMap(({ change }) => recorded.get(change)?.id ?? []));
    },
  });
  if (failure === undefined) return;
  await undoJournal(journal, kernel, [...recorded.values()]);
  throw failure.error;
}
