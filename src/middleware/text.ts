/** Settings as text: `NAME=VALUE,NAME=VALUE`, with units; a mistake is told with its place. */

import { VnicError } from '../base/index.ts';

/** The place of a mistake: `cause` of the VNIC_INVALID_ARGUMENT that tells of it. */
export interface SettingMistake {
  /** The text, or of a file the line. */
  readonly text: string;
  /** Where it begins, counted from 0. */
  readonly at: number;
  readonly length: number;
}

/** A part of a text: what a mistake can point at. */
export interface Part {
  readonly text: string;
  /** Where it begins in the whole. */
  readonly at: number;
}

/** Where settings stand, for errors. */
export interface SettingText {
  /** For example `read the impairment "loss=1"` or `read bad.txt, line 3`. */
  readonly attempted: string;
  readonly text: string;
}

/** An error that points at a part of the text. */
export function settingMistake(whole: SettingText, part: Part, reason: string, hint: string): VnicError {
  return new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted: whole.attempted,
    reason: `${reason} (column ${part.at + 1})`,
    hint,
    cause: { text: whole.text, at: part.at, length: Math.max(1, part.text.length) } satisfies SettingMistake,
  });
}

/** One `NAME=VALUE`. */
export interface Setting {
  readonly name: Part;
  /** Undefined where nothing stands behind the name, not even `=`. */
  readonly value: Part | undefined;
}

/** Splits at the commas. */
export function splitSettings({ text, at }: Part): Setting[] {
  const settings: Setting[] = [];
  let start = at;
  for (const piece of text.split(',')) {
    const equals = piece.indexOf('=');
    const name = { text: equals < 0 ? piece : piece.slice(0, equals), at: start };
    const value = equals < 0 ? undefined : { text: piece.slice(equals + 1), at: start + equals + 1 };
    settings.push({ name, value });
    start += piece.length + 1;
  }
  return settings;
}

/** Milliseconds of `50ms`, `1.5s`, `200us`, `2min` or `0`; undefined when it is none of these. */
export function parseDurationMs(text: string): number | undefined {
  const unitsMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000 };
  return scaled(text, unitsMs);
}

/** A share from 0 to 1 of `1%`, `0.05%` or `0`; undefined when it is none. */
export function parseShare(text: string): number | undefined {
  const share = scaled(text, { '%': 0.01 });
  return share !== undefined && share <= 1 ? share : undefined;
}

/** Bits a second of `64kbit`, `10mbit`, `1gbit`, `9600bit` or `0`; undefined when it is none. */
export function parseRate(text: string): number | undefined {
  return scaled(text, { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12 });
}

/** A decimal whole number, or undefined. */
export function parseCount(text: string): number | undefined {
  return /^[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
}

/** A number and its unit; only 0 may stand without one, since nobody could tell what is meant. */
function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ''] = /^([0-9]{1,12}(?:\.[0-9]{1,9})?)([a-z%]*)$/.exec(text.toLowerCase()) ?? [];
  const value = Number(digits);
  if (digits === undefined) return undefined;
  if (unit === '') return value === 0 ? 0 : undefined;
  return Object.hasOwn(units, unit) ? value * (units[unit] as number) : undefined;
}
