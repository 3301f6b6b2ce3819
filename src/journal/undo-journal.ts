/** Undoes what journals say: of this process at its end, of others after theirs. */

import {
  type Change,
  changeKey,
  executeChanges,
  Kernel,
  type KernelView,
  namespacesOf,
  undoChanges,
} from '../changes/index.ts';
import { isHere, namespaceExists } from './identity.ts';
import { type Journal, type JournalOptions, listJournals, type StoredJournal, takeJournal } from './journal.ts';
import type { JournalEntry } from './journal-entry.ts';

/** What is undone. */
export interface UndoOptions extends JournalOptions {
  /** Only look. Default false. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** What became of one journal. */
export interface UndoneJournal {
  readonly journal: StoredJournal;
  /** What was undone, or would be. */
  readonly changes: readonly Change[];
  /** What somebody else has changed since, and stays. */
  readonly left: readonly { readonly change: Change; readonly reason: string }[];
  /** Its namespace: `here`, `elsewhere` (left for a process there), or `gone` with everything in it. */
  readonly place: 'here' | 'elsewhere' | 'gone';
  /** The first thing that could not be undone. */
  readonly error: unknown;
}

/** What undoing entries came to. */
export interface UndoResult {
  readonly changes: readonly Change[];
  readonly left: readonly { readonly change: Change; readonly reason: string }[];
  readonly error: unknown;
}

/**
 * Undoes entries of a journal, the last first, and drops them from it. What fails stays in it.
 * @param entries default all
 */
export async function undoJournal(
  journal: Journal,
  kernel: Kernel,
  entries: readonly JournalEntry[] = journal.entries,
): Promise<UndoResult> {
  const recorded = entries.map(({ change }) => change);
  const { changes, left } = undoChanges(recorded, await viewFor(kernel, recorded));
  // One after the other: what cannot be undone must not keep the rest from it.
  let rest = changes;
  let error: unknown;
  const failed = new Set<string>();
  while (rest.length > 0) {
    const { done, failure } = await executeChanges(rest, kernel);
    if (failure === undefined) break;
    error ??= failure.error;
    const undone = new Set(done);
    rest = rest.filter((change) => change !== failure.change && !undone.has(change));
    failed.add(changeKey(failure.change));
  }
  const kept = (change: Change): boolean => failed.has(changeKey(change));
  journal.drop(entries.filter(({ change }) => !kept(change)).map(({ id }) => id));
  return { changes, left, error };
}

/**
 * Undoes what processes have left behind that did not get to it: killed, or caught in a power cut that the kernel
 * survived. Also what a configuration had begun and not ended, when `unfinished` is asked for. What belongs to another
 * network namespace is left for a process there, unless the namespace is gone.
 */
export async function undoAbandoned(
  options: UndoOptions & { readonly unfinished?: boolean } = {},
): Promise<UndoneJournal[]> {
  const results: UndoneJournal[] = [];
  for (const journal of listJournals(options)) {
    const entries = abandonedEntries(journal, options.unfinished ?? false);
    if (entries.length > 0 || (journal.header.config === undefined && !journal.held)) {
      results.push(await undoOne(journal, entries, options));
    }
  }
  return results;
}

function abandonedEntries(journal: StoredJournal, unfinished: boolean): readonly JournalEntry[] {
  if (journal.held) return [];
  if (journal.header.config === undefined) return journal.entries;
  const { unfinishedFrom } = journal;
  return unfinished && unfinishedFrom !== undefined ? journal.entries.filter(({ id }) => id >= unfinishedFrom) : [];
}

async function undoOne(
  stored: StoredJournal,
  entries: readonly JournalEntry[],
  options: UndoOptions,
): Promise<UndoneJournal> {
  const place = placeOf(stored);
  const nothing = { journal: stored, changes: [], left: [], place, error: undefined };
  if (place === 'elsewhere') return nothing;
  if (place === 'here' && options.dryRun) return { ...nothing, ...(await wouldUndo(entries)) };
  if (options.dryRun) return nothing;
  const journal = takeJournal(stored.path);
  if (journal === undefined) return nothing;
  const ids = new Set(entries.map(({ id }) => id));
  const taken = journal.entries.filter(({ id }) => ids.has(id));
  try {
    if (place === 'gone') {
      journal.drop([...ids]);
      return nothing;
    }
    await using kernel = new Kernel();
    const result = await undoJournal(journal, kernel, taken);
    if (result.error === undefined) journal.end();
    return { ...nothing, ...result };
  } finally {
    journal.close();
  }
}

async function wouldUndo(entries: readonly JournalEntry[]): Promise<Pick<UndoneJournal, 'changes' | 'left'>> {
  await using kernel = new Kernel();
  const recorded = entries.map(({ change }) => change);
  return undoChanges(recorded, await viewFor(kernel, recorded));
}

/** The tables that these changes are about. */
function viewFor(kernel: Kernel, changes: readonly Change[]): Promise<KernelView> {
  const concerns = (resource: Change['resource']): boolean => changes.some((change) => change.resource === resource);
  return kernel.view(namespacesOf(changes), {
    neighbours: concerns('neighbour'),
    rules: concerns('rule'),
    masquerades: concerns('masquerade'),
  });
}

function placeOf({ header: { namespace } }: StoredJournal): UndoneJournal['place'] {
  if (isHere(namespace)) return 'here';
  return namespaceExists(namespace) ? 'elsewhere' : 'gone';
}
