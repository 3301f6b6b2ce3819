/**
 * Turns: every kind is measured once a round, so that a machine that slows down slows down for all.
 *
 * A figure that other programs disturb is taken again, a bounded number of times. What stays disturbed is marked, and
 * left out of medians as long as the kind has runs that are not. All runs are kept for `--json` and for the notes
 * under a bench.
 */

import { capture } from '../../scripts/process.mjs';
import { foreignCores, processorTimes } from './foreign.mjs';

/** Processors that others may take during a figure. */
const tolerableCores = 0.3;
const attempts = 3;

let runs = [];
let notes = [];
let repeatingMs = 0;
let worstCores = 0;

/** Begins a bench that may spend so long, all in all, on figures that were disturbed. */
export function beginRuns(repeatSeconds) {
  [runs, notes, repeatingMs] = [[], [], repeatSeconds * 1000];
}

/** All runs since then, and what to say of them. */
export const finishedRuns = () => ({ runs, notes: [...notes, ...disturbances(runs)] });

/** The kinds that this machine can run; a note tells of the others. `missing` of a kind is why it cannot. */
export function runnable(kinds) {
  for (const { name, missing } of kinds.filter((kind) => kind.missing)) notes.push(`Left out: ${name}, ${missing}.`);
  return kinds.filter((kind) => !kind.missing);
}

/** `missing` for a kind that needs a program which tells, by ending with 0, that it can work here. */
export const unlessWorks = (command, reason) => (capture(command).ok ? undefined : reason);

/**
 * @param part names these runs where a bench has several tables
 * @returns {Promise<object[]>} what `measure(kind)` gave, with the name of the kind, `rounds` times for each
 */
export async function inTurn(kinds, rounds, measure, part) {
  const results = [];
  for (let round = 1; round <= rounds; round++) {
    for (const kind of kinds) {
      worstCores = 0;
      const measured = await measure(kind);
      const disturbed = worstCores > tolerableCores;
      results.push({ part, kind: kind.name, round, foreignCores: worstCores, disturbed, ...measured });
    }
    process.stderr.write(`  ${part === undefined ? '' : `${part}: `}round ${round} of ${rounds}\n`);
  }
  runs.push(...results);
  return results;
}

/** What `work()` gives, from the attempt that other programs disturbed least. */
export async function undisturbed(work) {
  let best;
  for (let attempt = 1; best === undefined || mayRepeat(best, attempt); attempt++) {
    const startMs = performance.now();
    if (best !== undefined) await quiet();
    const before = processorTimes();
    const result = await work();
    const foreign = foreignCores(before, processorTimes());
    if (best !== undefined) repeatingMs -= performance.now() - startMs;
    if (best === undefined || foreign < best.foreign) best = { result, foreign };
  }
  worstCores = Math.max(worstCores, best.foreign);
  return best.result;
}

const mayRepeat = ({ foreign }, attempt) => foreign > tolerableCores && attempt <= attempts && repeatingMs > 0;

/** Waits until others leave the machine alone, at most two seconds. */
async function quiet() {
  for (let i = 0; i < 10; i++) {
    const before = processorTimes();
    await new Promise((resolve) => setTimeout(resolve, 200));
    if (foreignCores(before, processorTimes()) <= tolerableCores) return;
  }
}

function disturbances(all) {
  const disturbed = all.filter((run) => run.disturbed);
  if (disturbed.length === 0) return [];
  const most = Math.max(...disturbed.map((run) => run.foreignCores)).toFixed(1);
  return [
    `${disturbed.length} of ${all.length} runs were disturbed: other programs took up to ${most} processors meanwhile. ` +
      'They count only for kinds that have no other.',
  ];
}

/** The figures of one kind. */
export function figures(results, kind, key) {
  const own = results.filter((result) => result.kind === kind);
  const clean = own.filter((result) => !result.disturbed);
  return (clean.length > 0 ? clean : own).map((result) => result[key]);
}

/** Median of the kind over that of the baseline. */
export function ratio(results, kind, baseline, key) {
  return median(figures(results, kind, key)) / median(figures(results, baseline, key));
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return sorted.length === 0 ? Number.NaN : (low + high) / 2;
}
