/**
 * Makes the kernel what the configuration asks for, all of it or nothing.
 *
 * Theory of operation
 *
 *   journal   The journal of the file is held from beginning to end, so two cannot work on the same. Each batch is
 *             written down before it is made. What is removed is forgotten last, when everything is done: an entry of
 *             something that is gone harms nobody, a thing without its entry would be nobody's.
 *   failure   What was made is taken back in reverse, what was removed is given back, and only then is the error
 *             thrown. An abort is a failure like any other.
 *   kill -9   leaves a journal that says more than was done. The next apply finds devices by their indexes and the
 *             rest by its mark for ours, and makes what is missing; `vnic cleanup` undoes what was begun.
 *   twice     The kernel removes routes with an address. Where one was removed, the difference is taken again, and what it
 *             says is done: a wanted route may have gone that way.
 *   nothing   When nothing is to be done, a mark is written by which that is found out faster the next time (`in-force.ts`).
 */

import { VnicError } from '../base/index.ts';
import { type Change, type Execution, executeChanges, invertChange, Kernel, type NetnsRef } from '../changes/index.ts';
import type { Config } from '../config/index.ts';
import { type Journal, type JournalEntry, openJournal, undoJournal } from '../journal/index.ts';
import { digestOf, isInForce, markInForce, tablesOf } from './in-force.ts';
import { journalPath } from './journal-path.ts';
import { needsRecord } from './ownership.ts';
import { makePlan, namedParts, type Plan, type PlanOptions, type WorkingPlan } from './plan.ts';

/** Told while it goes on. */
export type ApplyProgress =
  | { readonly event: 'planned'; readonly plan: Plan }
  | { readonly event: 'done'; readonly changes: readonly Change[] }
  /** Something failed: what was done is taken back. */
  | { readonly event: 'rollback'; readonly changes: readonly Change[]; readonly error: unknown };

/** How a configuration is applied. */
export interface ApplyOptions extends PlanOptions {
  /** A digest by which the configuration is known, for example of its file; default one of the configuration. See `isInForce`. */
  readonly digest?: string;
  /** Called as things happen, while the journal is held. */
  onProgress?(progress: ApplyProgress): void;
}

/** What was done. */
export interface ApplyResult {
  /** In their order; empty when everything was as asked for. */
  readonly changes: readonly Change[];
  readonly plan: Plan;
}

/**
 * Applies a configuration.
 * @throws VNIC_CONFIG_CONFLICT (nothing was changed), VNIC_JOURNAL_BUSY, VNIC_JOURNAL, VNIC_NO_SUCH_USER,
 *   VNIC_NO_SUCH_GROUP; what the change that failed throws, VNIC_ABORTED too, after everything was taken back
 */
export async function applyConfig(config: Config, options: ApplyOptions = {}): Promise<ApplyResult> {
  const path = journalPath(options.path);
  const folder = options.folder === undefined ? {} : { folder: options.folder };
  const digest = options.digest ?? ((): string => digestOf(config));
  if (await isInForce(digest, { ...options, path })) {
    options.onProgress?.({ event: 'planned', plan: nothing });
    return { changes: [], plan: nothing };
  }
  const journal = openJournal({ kind: 'config', path }, folder);
  try {
    await using kernel = new Kernel();
    const { entries } = journal;
    const tables = entries.length === 0 ? undefined : tablesOf(config, entries, namedParts(config, entries));
    const before = tables === undefined ? '' : await (await kernel.netlink()).digest(tables);
    const plan = await makePlan(config, kernel, entries, options);
    options.onProgress?.({ event: 'planned', plan });
    if (plan.conflicts.length > 0) throw conflictError(path, plan);
    if (tables !== undefined && isNothing(plan) && plan.obsolete.length === 0)
      await markInForce(journal, {
        config: typeof digest === 'string' ? digest : digest(),
        kernel: before,
        parts: tables,
      });
    return { changes: await carryOut(plan, { config, journal, kernel, options, recorded: new Map() }), plan };
  } finally {
    journal.close();
  }
}

/** How a configuration is taken down. */
export interface TakeDownOptions {
  /** Path of the configuration file; it need not exist any more. Default that of the machine. */
  readonly path?: string;
  /** Folder of the journals. */
  readonly folder?: string;
}

/**
 * Undoes everything that was applied of a configuration file: its devices are deleted, and what it changed of others is
 * as it was, as far as nobody else has changed it since.
 * @returns what was undone and what was left
 * @throws VNIC_JOURNAL_BUSY, VNIC_JOURNAL; the first thing that could not be undone, after the rest was
 */
export async function takeDown(
  options: TakeDownOptions = {},
): Promise<{ readonly changes: readonly Change[]; readonly left: Plan['left'] }> {
  const folder = options.folder === undefined ? {} : { folder: options.folder };
  const journal = openJournal({ kind: 'config', path: journalPath(options.path) }, folder);
  try {
    await using kernel = new Kernel();
    const { changes, left, error } = await undoJournal(journal, kernel);
    if (error !== undefined) throw error;
    journal.end();
    return { changes, left };
  } finally {
    journal.close();
  }
}

/** What is held while a configuration is carried out. */
interface Work {
  readonly config: Config;
  readonly journal: Journal;
  readonly kernel: Kernel;
  readonly options: ApplyOptions;
  /** By the change that was written down. */
  readonly recorded: Map<Change, JournalEntry>;
}

const nothing: Plan = { changes: [], conflicts: [], unnamed: [], left: [] };

function isNothing({ changes, unnamed, left }: Plan): boolean {
  return changes.length + unnamed.length + left.length === 0;
}

async function carryOut(first: WorkingPlan, work: Work): Promise<readonly Change[]> {
  const { journal, kernel, options, recorded } = work;
  if (first.changes.length > 0) journal.begin();
  const done: Change[] = [];
  let obsolete = first.obsolete;
  try {
    for (let plan = first; plan.changes.length > 0; ) {
      const pass = await executePass(plan, work);
      done.push(...pass.done);
      if (pass.failure !== undefined) throw pass.failure.error;
      if (!pass.done.some(takesRoutesAlong)) break;
      plan = await makePlan(work.config, kernel, journal.entries, options);
      obsolete = [...obsolete, ...plan.obsolete];
    }
  } catch (error) {
    options.onProgress?.({ event: 'rollback', changes: done, error });
    await takeBack(done, first, kernel);
    journal.drop(idsOf([...recorded.keys()], recorded));
    journal.end();
    throw error;
  }
  journal.drop(obsolete);
  journal.end();
  return done;
}

/** With an address the kernel removes routes, and further addresses of its subnet. */
function takesRoutesAlong(change: Change): boolean {
  return change.resource === 'address' && change.action === 'remove';
}

function executePass(plan: WorkingPlan, { journal, kernel, options, recorded }: Work): Promise<Execution> {
  const made = new Set(plan.changes.flatMap(madeIndexes));
  const isOwn = (index: number): boolean => made.has(index) || plan.ownership.ownsDevice(index);
  return executeChanges(plan.changes, kernel, {
    ...(options.signal !== undefined && { signal: options.signal }),
    onBatch: (batch) => {
      // Removals are of things that are in the journal already.
      const toRecord = batch.filter((change) => !plan.removals.has(change) && needsRecord(change, isOwn));
      for (const entry of journal.record(toRecord)) recorded.set(entry.change, entry);
    },
    onNamespace: (planned, { netns }) => {
      const entry = recorded.get(planned);
      // The changes that follow share the reference: they are recorded with the number of the namespace.
      (planned.netns as { -readonly [Key in keyof NetnsRef]: NetnsRef[Key] }).inode = netns.inode;
      if (entry !== undefined) journal.amend(entry.id, planned);
    },
    onDone: (outcomes) => {
      // What was there already by somebody else's hand is not ours.
      const others = outcomes.filter(({ outcome }) => outcome === 'settled').map(({ change }) => change);
      journal.drop(idsOf(others, recorded));
      options.onProgress?.({ event: 'done', changes: outcomes.map(({ change }) => change) });
    },
  });
}

/** The inverse in reverse; a thing that resists must not keep the rest from it. */
async function takeBack(done: readonly Change[], plan: WorkingPlan, kernel: Kernel): Promise<void> {
  const removed = new Set(
    done.flatMap((change) => {
      const takesMore = change.resource === 'device' || change.resource === 'address';
      return takesMore && change.action === 'remove' ? [change.link.index] : [];
    }),
  );
  const restoring = plan.restoring.filter((change) => 'link' in change && removed.has(change.link?.index ?? 0));
  const inverse = done.toReversed().filter(isWorthGivingBack).map(invertChange);
  let rest: readonly Change[] = [...inverse, ...restoring];
  while (rest.length > 0) {
    const { failure } = await executeChanges(rest, kernel);
    if (failure === undefined) return;
    rest = rest.slice(rest.indexOf(failure.change) + 1);
  }
}

/** Not a name that was left without its namespace. */
function isWorthGivingBack(change: Change): boolean {
  return !(change.resource === 'namespace' && change.action === 'remove');
}

function madeIndexes(change: Change): number[] {
  if (change.resource !== 'device' || change.action !== 'add') return [];
  return change.make.kind === 'veth' ? [change.link.index, change.make.peer.index] : [change.link.index];
}

function idsOf(changes: readonly Change[], recorded: ReadonlyMap<Change, JournalEntry>): number[] {
  return changes.flatMap((change) => recorded.get(change)?.id ?? []);
}

function conflictError(path: string, { conflicts }: Plan): VnicError {
  const [first] = conflicts;
  const more = conflicts.length > 1 ? `${conflicts.length} conflicts, the first: ` : '';
  return new VnicError('VNIC_CONFIG_CONFLICT', {
    attempted: `apply ${path}`,
    reason: `${more}${first?.path}: ${first?.reason}`,
    hint: first?.hint ?? '',
    cause: conflicts,
  });
}
