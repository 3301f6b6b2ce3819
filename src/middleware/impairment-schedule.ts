/**
 * Schedules of impairments: what changes when, a line each.
 *
 * ```
 * # a good link, an outage of two seconds, a bad link
 * 0s    both  delay=20ms
 * 10s   out   loss=100%
 * 12s   out   loss=0
 * 1min  both  clear
 * 1min  in    delay=200ms,jitter=50ms,distribution=pareto
 * ```
 * A line changes what it names and leaves the rest; `clear` sets all back. `out` is what is written to the link, `in` what is
 * read from it. Times count from the start and do not go back. What follows `#` is for people.
 */

import { type ImpairmentSettings, noImpairment } from './impairment-settings.ts';
import { readImpairment } from './impairment-text.ts';
import { type Part, parseDurationMs, type SettingText, settingMistake } from './text.ts';

/** Which way: what is written to the link, what is read from it, or both. */
export type ImpairmentDirection = 'out' | 'in' | 'both';

/** A change at a time. */
export interface ImpairmentStep {
  /** Milliseconds from the start. */
  readonly atMs: number;
  readonly direction: ImpairmentDirection;
  readonly settings: ImpairmentSettings;
}

const directions: readonly string[] = ['out', 'in', 'both'] satisfies ImpairmentDirection[];
const EXAMPLE = 'Write TIME DIRECTION SETTINGS, for example `10s out loss=100%`.';

/**
 * Reads a schedule; see the head of this file.
 * @param name of the file, for errors
 * @throws VNIC_INVALID_ARGUMENT with line and column; `cause` is a `SettingMistake`, whose text is the line
 */
export function parseImpairmentSchedule(text: string, name = 'the schedule'): ImpairmentStep[] {
  const steps: ImpairmentStep[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const whole = { attempted: `read ${name}, line ${i + 1}`, text: line };
    const words = wordsOf(line.replace(/#.*$/, ''));
    if (words.length > 0) steps.push(readStep(whole, words, steps.at(-1)?.atMs ?? 0));
  }
  return steps;
}

function readStep(whole: SettingText, words: readonly Part[], beforeMs: number): ImpairmentStep {
  const [time, direction, settings, more] = words;
  const end = { text: '', at: whole.text.trimEnd().length };
  const atMs = time === undefined ? undefined : parseDurationMs(time.text);
  if (time === undefined || atMs === undefined) {
    throw settingMistake(whole, time ?? end, 'expected a time such as 10s or 1.5min', EXAMPLE);
  }
  if (atMs < beforeMs) {
    throw settingMistake(
      whole,
      time,
      `${time.text} is before the line above`,
      'Put the lines in the order of their times.',
    );
  }
  if (direction === undefined || !directions.includes(direction.text)) {
    throw settingMistake(whole, direction ?? end, `expected ${directions.join(', ')}`, EXAMPLE);
  }
  if (settings === undefined) throw settingMistake(whole, end, 'expected settings, or clear', EXAMPLE);
  if (more !== undefined) {
    throw settingMistake(whole, more, 'expected nothing more', 'Put commas between settings, and no spaces.');
  }
  return {
    atMs,
    direction: direction.text as ImpairmentDirection,
    settings: settings.text === 'clear' ? noImpairment : readImpairment(whole, settings),
  };
}

function wordsOf(line: string): Part[] {
  return [...line.matchAll(/\S+/g)].map((match) => ({ text: match[0], at: match.index }));
}
