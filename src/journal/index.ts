/** The ownership journal: what vnic has changed, written down before it is done, undone in reverse order. */

export {
  bootId,
  isHere,
  type NamespaceIdentity,
  namespaceExists,
  namespaceIdentity,
  type ProcessIdentity,
  processIdentity,
} from './identity.ts';
export {
  Journal,
  type JournalOptions,
  type JournalOwner,
  listJournals,
  openJournal,
  readMark,
  type StoredJournal,
  takeJournal,
} from './journal.ts';
export type { JournalEntry, JournalHeader, JournalMark } from './journal-entry.ts';
export { type Loan, type LoanOptions, openLoan } from './loan.ts';
export { findRuntimeDirectory, runtimeDirectory } from './runtime-directory.ts';
export { type UndoneJournal, type UndoOptions, undoAbandoned, undoJournal } from './undo-journal.ts';
