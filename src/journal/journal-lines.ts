/** The text of a journal: what a reader makes of it, whatever became of its writer. */

import type { JournalEntry, JournalHeader, JournalMark } from './journal-entry.ts';

/** What a file says. */
export interface JournalText {
  readonly header: JournalHeader;
  readonly entries: readonly JournalEntry[];
  readonly unfinishedFrom: number | undefined;
  /** Greater than any id in the file. */
  readonly nextId: number;
  readonly lines: number;
  /** The writer did not get to the end of its last line. */
  readonly torn: boolean;
}

type Line =
  | { readonly id: number; readonly do: JournalEntry['change'] }
  | { readonly drop: readonly number[] }
  | { readonly begin: number }
  | { readonly end: true }
  | { readonly by: JournalHeader['process'] }
  | { readonly mark: JournalMark };

/** Undefined when not even the first line is whole. What follows a damaged line is not believed. */
export function parseJournal(text: string): JournalText | undefined {
  // What follows the last line feed was torn.
  const lines = text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1);
  const header = parseLine(lines[0]) as JournalHeader | undefined;
  if (header?.vnic !== 1) return undefined;
  const entries = new Map<number, JournalEntry>();
  let unfinishedFrom: number | undefined;
  let process = header.process;
  let torn = !text.endsWith('\n');
  let nextId = 1;
  let count = 1;
  for (const each of lines.slice(1)) {
    const line = parseLine(each) as Line | undefined;
    if (line === undefined) {
      torn = true;
      break;
    }
    count++;
    if ('do' in line) {
      entries.set(line.id, { id: line.id, change: line.do });
      nextId = Math.max(nextId, line.id + 1);
    } else if ('drop' in line) for (const id of line.drop) entries.delete(id);
    else if ('by' in line) process = line.by;
    else if (!('mark' in line)) unfinishedFrom = 'begin' in line ? line.begin : undefined;
  }
  return { header: { ...header, process }, torn, entries: [...entries.values()], unfinishedFrom, nextId, lines: count };
}

function parseLine(text: string | undefined): object | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '');
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
