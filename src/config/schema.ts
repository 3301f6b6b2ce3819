/**
 * What may stand in a document: values that read a YAML node and report what is wrong with it, and that say the same
 * as JSON Schema. Both come from one description, so they cannot disagree.
 */

import { isAlias, isMap, isScalar, isSeq, type Node, type Pair, type Scalar } from 'yaml';

import { isVnicError } from '../base/index.ts';
import { suggest } from './suggest.ts';

/** JSON Schema, draft 2020-12, as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A part of the text of a scalar, in characters from its beginning. */
export interface TextPart {
  readonly at: number;
  readonly length: number;
}

/** Where a reader tells what it finds. */
export interface Reading {
  /** Resolves an alias; undefined for one that names nothing. */
  resolve(node: Node): Node | undefined;
  /** A mistake at a node, or at the end of its parent when there is none; `within`: at a part of its text. */
  report(node: Node | undefined, path: string, message: string, hint?: string, within?: TextPart): void;
  /** Remembers where a path stands, for checks that come later. */
  place(path: string, node: Node): void;
}

/** Reads values of one shape. */
export interface Schema<T> {
  /** Undefined after a mistake was reported. */
  read(node: Node | null | undefined, path: string, reading: Reading): T | undefined;
  readonly jsonSchema: JsonSchema;
}

/** A value of one line that a parser understands, which throws VnicError with the reason. */
export function text<T>(
  parse: (text: string) => T,
  expected: string,
  options: { readonly json?: JsonSchema; readonly numbers?: boolean } = {},
): Schema<T> {
  const { json = {}, numbers = false } = options;
  return {
    jsonSchema: { type: numbers ? ['string', 'integer'] : 'string', ...json },
    read: (node, path, reading) => {
      const scalar = scalarOf(node, path, expected, reading);
      if (scalar === undefined) return undefined;
      const { value } = scalar;
      // As it was written: 0x10 and 1e3 stay what they were.
      if (typeof value === 'string') return parsed(scalar, value, parse, path, reading);
      if (numbers && typeof value === 'number')
        return parsed(scalar, scalar.source ?? String(value), parse, path, reading);
      const isWord = typeof value === 'number' || typeof value === 'boolean';
      reading.report(scalar, path, mismatch(scalar, expected), isWord ? 'Put it in quotes.' : undefined);
      return undefined;
    },
  };
}

function parsed<T>(
  scalar: Scalar,
  written: string,
  parse: (text: string) => T,
  path: string,
  reading: Reading,
): T | undefined {
  try {
    return parse(written);
  } catch (error) {
    if (!isVnicError(error)) throw error;
    // What the parser expects is more exact where it says so.
    const [, exact] = /^expected (.+?)(?:, got .*)?$/.exec(error.reason) ?? [];
    const message = exact === undefined ? `found ${found(scalar)}: ${error.reason}` : mismatch(scalar, exact);
    reading.report(scalar, path, message);
    return undefined;
  }
}

/** A whole number. */
export function integer(min: number, max: number): Schema<number> {
  const expected = `a whole number from ${min} to ${max}`;
  return {
    jsonSchema: { type: 'integer', minimum: min, maximum: max },
    read: (node, path, reading) => {
      const scalar = scalarOf(node, path, expected, reading);
      if (scalar === undefined) return undefined;
      const { value } = scalar;
      if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
      reading.report(scalar, path, mismatch(scalar, expected));
      return undefined;
    },
  };
}

/** `true` or `false`. */
export const flag: Schema<boolean> = {
  jsonSchema: { type: 'boolean' },
  read: (node, path, reading) => {
    const scalar = scalarOf(node, path, 'true or false', reading);
    if (scalar === undefined) return undefined;
    if (typeof scalar.value === 'boolean') return scalar.value;
    const word = String(scalar.value).toLowerCase();
    const meant = ['yes', 'on', 'y', '1'].includes(word)
      ? 'true'
      : ['no', 'off', 'n', '0'].includes(word)
        ? 'false'
        : undefined;
    reading.report(scalar, path, mismatch(scalar, 'true or false'), meant && `Did you mean ${meant}?`);
    return undefined;
  },
};

/** One of a few words. */
export function choice<const Word extends string>(...words: readonly Word[]): Schema<Word> {
  const expected = words.length === 1 ? `${words[0]}` : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return {
    jsonSchema: { enum: words },
    read: (node, path, reading) => {
      const scalar = scalarOf(node, path, expected, reading);
      if (scalar === undefined) return undefined;
      const word = words.find((candidate) => candidate === scalar.value);
      if (word !== undefined) return word;
      const meant = typeof scalar.value === 'string' ? suggest(scalar.value, words) : undefined;
      reading.report(scalar, path, mismatch(scalar, expected), meant && `Did you mean ${meant}?`);
      return undefined;
    },
  };
}

/** A list. */
export function list<T>(item: Schema<T>): Schema<T[]> {
  return {
    jsonSchema: { type: 'array', items: item.jsonSchema },
    read: (node, path, reading) => {
      const resolved = present(node, path, 'a list', reading);
      if (resolved === undefined) return undefined;
      if (!isSeq(resolved)) {
        reading.report(resolved, path, mismatch(resolved, 'a list'), 'Begin each entry with "- ", or write [a, b].');
        return undefined;
      }
      const values: T[] = [];
      for (const [i, entry] of resolved.items.entries()) {
        const value = item.read(entry as Node, `${path}[${i}]`, reading);
        if (value !== undefined) values.push(value);
      }
      return values;
    },
  };
}

/** A list of two. */
export function pair<T>(item: Schema<T>): Schema<readonly [T, T]> {
  const items = list(item);
  return {
    jsonSchema: { ...items.jsonSchema, minItems: 2, maxItems: 2 },
    read: (node, path, reading) => {
      const values = items.read(node, path, reading);
      const resolved = node && reading.resolve(node);
      if (values === undefined || !isSeq(resolved)) return undefined;
      for (const [i, entry] of resolved.items.entries()) reading.place(`${path}[${i}]`, entry as Node);
      const [first, second] = values;
      if (resolved.items.length === 2 && first !== undefined && second !== undefined) return [first, second];
      if (resolved.items.length !== 2)
        reading.report(node ?? undefined, path, `found ${resolved.items.length}, expected a list of two`);
      return undefined;
    },
  };
}

/** A mapping from free names to values. */
export function record<T>(name: Schema<string>, item: Schema<T>): Schema<[key: string, value: T][]> {
  const { type: _, ...propertyNames } = name.jsonSchema;
  return {
    jsonSchema: { type: 'object', propertyNames, additionalProperties: item.jsonSchema },
    read: (node, path, reading) => {
      const pairs = pairsOf(node, path, reading);
      if (pairs === undefined) return undefined;
      const entries: [string, T][] = [];
      for (const { key, value } of pairs) {
        const shown = keyText(key);
        const inner = path === '' ? shown : `${path}.${shown}`;
        const id = name.read(key, inner, reading);
        if (id === undefined) continue;
        reading.place(inner, key);
        if (value === null) reading.report(key, inner, 'found nothing behind the key');
        const read = value === null ? undefined : item.read(value, inner, reading);
        if (read !== undefined) entries.push([id, read]);
      }
      return entries;
    },
  };
}

/** One key of an object. */
export interface Field<T> {
  readonly schema: Schema<T>;
  /** For people who fill it in, one sentence without a full stop. */
  readonly about: string;
  readonly required?: boolean;
  /** What holds when it is left out, where that is a value. */
  readonly default?: T;
}

/** The fields of `T`, one for each key. */
export type Fields<T> = { readonly [Key in keyof T]-?: Field<Exclude<T[Key], undefined>> };

/** A mapping of known keys. Every key that is not known is a mistake. */
export function object<T extends object>(
  fields: Fields<T>,
  options: { readonly later?: Readonly<Record<string, string>> } = {},
): Schema<Partial<T>> {
  const known = Object.keys(fields) as (keyof T & string)[];
  const required = known.filter((key) => fields[key].required);
  return {
    jsonSchema: {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(known.map((key) => [key, fieldSchema(fields[key])])),
      ...(required.length > 0 && { required }),
    },
    read: (node, path, reading) => {
      const pairs = pairsOf(node, path, reading);
      if (pairs === undefined) return undefined;
      const result: Partial<T> = {};
      const seen = new Set<string>();
      for (const { key, value } of pairs) {
        const name = keyText(key);
        const inner = path === '' ? name : `${path}.${name}`;
        if (Object.hasOwn(fields, name)) {
          seen.add(name);
          const read = readField(fields[name as keyof T], { key, value }, inner, reading);
          if (read !== undefined) result[name as keyof T] = read as T[keyof T];
        } else reportUnknown(key, name, inner, known, options.later, reading);
      }
      const missing = required.filter((key) => !seen.has(key));
      for (const key of missing) {
        reading.report(node ?? undefined, path, `${key} is missing`, `${fields[key].about}.`);
      }
      return missing.length > 0 ? undefined : result;
    },
  };
}

function readField<T>(field: Field<T>, { key, value }: Entry, path: string, reading: Reading): T | undefined {
  reading.place(path, value ?? key);
  if (value !== null) return field.schema.read(value, path, reading);
  reading.report(key, path, 'found nothing behind the key', 'Give a value, or leave the key out.');
  return undefined;
}

/** A short form of one line, or the long form. */
export function either<T>(short: Schema<T>, long: Schema<T>): Schema<T> {
  return {
    jsonSchema: { anyOf: [short.jsonSchema, long.jsonSchema] },
    read: (node, path, reading) => {
      const resolved = node && reading.resolve(node);
      return (isMap(resolved) ? long : short).read(node, path, reading);
    },
  };
}

/** The result of a schema turned into something else; the function reports nothing. */
export function mapped<From, To>(schema: Schema<From>, convert: (value: From) => To): Schema<To> {
  return {
    jsonSchema: schema.jsonSchema,
    read: (node, path, reading) => {
      const value = schema.read(node, path, reading);
      return value === undefined ? undefined : convert(value);
    },
  };
}

interface Entry {
  readonly key: Node;
  /** Null when nothing stands behind the key. */
  readonly value: Node | null;
}

function pairsOf(node: Node | null | undefined, path: string, reading: Reading): Entry[] | undefined {
  const resolved = present(node, path, 'a mapping', reading);
  if (resolved === undefined) return undefined;
  if (!isMap(resolved)) {
    reading.report(resolved, path, mismatch(resolved, 'a mapping'), 'Write "key: value" lines.');
    return undefined;
  }
  return (resolved.items as Pair<Node, Node | null>[]).map(({ key, value }) => ({
    key,
    value: isEmpty(value) ? null : value,
  }));
}

/** A key without a value has a scalar of null without text. */
function isEmpty(value: Node | null): value is null {
  return value === null || (isScalar(value) && value.value === null && (value.source ?? '') === '');
}

function present(node: Node | null | undefined, path: string, expected: string, reading: Reading): Node | undefined {
  const resolved = node == null ? undefined : reading.resolve(node);
  if (resolved === undefined) reading.report(node ?? undefined, path, `found nothing, expected ${expected}`);
  return resolved;
}

function scalarOf(node: Node | null | undefined, path: string, expected: string, reading: Reading): Scalar | undefined {
  const resolved = present(node, path, expected, reading);
  if (resolved === undefined) return undefined;
  if (isScalar(resolved)) return resolved;
  reading.report(resolved, path, mismatch(resolved, expected));
  return undefined;
}

function mismatch(node: Node, expected: string): string {
  return `found ${found(node)}, expected ${expected}`;
}

function found(node: Node): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (isAlias(node)) return 'an alias';
  if (!isScalar(node)) return 'something else';
  const { value } = node;
  if (value === null) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  return String(value);
}

/** Only scalars are keys here; another one shows as what it is. */
function keyText(key: Node): string {
  return isScalar(key) ? String(key.value) : found(key);
}

function reportUnknown(
  key: Node,
  shown: string,
  path: string,
  known: readonly string[],
  later: Readonly<Record<string, string>> | undefined,
  reading: Reading,
): void {
  const reserved = later !== undefined && Object.hasOwn(later, shown) ? later[shown] : undefined;
  if (reserved !== undefined) {
    reading.report(key, path, `this version has no ${shown} yet`, reserved);
    return;
  }
  const meant = suggest(shown, known);
  const hint = meant === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${meant}?`;
  reading.report(key, path, 'is not known', hint);
}

function fieldSchema<T>({ schema, about, default: value }: Field<T>): JsonSchema {
  return { description: `${about}.`, ...schema.jsonSchema, ...(value !== undefined && { default: value }) };
}
