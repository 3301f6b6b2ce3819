/** The log of a service on stderr: for people on a terminal, structured elsewhere. */

import { fstatSync } from 'node:fs';

import { formatLog, isJournalStream, type Log, type LogFormat, type LogLevel, logLevels } from '../service/index.ts';
import { printable, printNote, type StyleFormat, style } from './output.ts';

/** `auto`: `human` on a terminal, `journal` where stderr is the journal, `logfmt` elsewhere. */
export type LogChoice = 'auto' | 'human' | LogFormat;

export const logChoices: readonly LogChoice[] = ['auto', 'human', 'logfmt', 'json', 'journal'];

const STDERR = 2;
const colours: Readonly<Record<LogLevel, StyleFormat>> = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red' };

/** Writes records of that level and above. */
export function serviceLog(choice: LogChoice, level: LogLevel): { readonly log: Log; readonly isHuman: boolean } {
  const format = choice === 'auto' ? defaultFormat() : choice;
  const least = logLevels.indexOf(level);
  const log: Log = (record) => {
    if (logLevels.indexOf(record.level) < least) return;
    const time = new Date();
    if (format !== 'human') {
      printNote(formatLog(record, format, time));
      return;
    }
    const clock = time.toTimeString().slice(0, 8);
    const mark = style(colours[record.level], record.level.padEnd(5), process.stderr);
    printNote(`${style('dim', clock, process.stderr)} ${mark} ${printable(record.message)}`);
    const hint = record.fields?.['hint'];
    if (typeof hint === 'string') printNote(`${' '.repeat(15)}${printable(hint)}`);
  };
  return { log, isHuman: format === 'human' };
}

function defaultFormat(): Exclude<LogChoice, 'auto'> {
  if (process.stderr.isTTY) return 'human';
  return isJournalStream(fstatSync(STDERR), process.env) ? 'journal' : 'logfmt';
}
