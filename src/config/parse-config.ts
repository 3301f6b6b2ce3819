/**
 * Text to configuration, or to every mistake in it.
 *
 * First the YAML itself, then the shape (`config-schema.ts`), then what must agree across keys. Each step works on as
 * much as is whole, so that one mistake does not hide the next.
 */

import { isAlias, isScalar, LineCounter, type Node, parseDocument, type YAMLError } from 'yaml';

import { checkDocument } from './check-document.ts';
import { checkLinks } from './check-links.ts';
import type { Config, DeviceConfig, NamespaceConfig } from './config.ts';
import { type ConfigDocument, configSchema, type DeviceDocument, type NamespaceDocument } from './config-schema.ts';
import type { LinkDocument } from './link-schema.ts';
import type { ConfigMistake } from './mistake.ts';
import type { Reading, TextPart } from './schema.ts';
import { checkSwitch, type SwitchDocument } from './switch-schema.ts';
import { checkTunnel } from './tunnel-schema.ts';

/** What came of a text: a configuration exactly when there is no mistake. */
export type ParsedConfig =
  | { readonly config: Config; readonly mistakes: readonly [] }
  | { readonly config: undefined; readonly mistakes: readonly ConfigMistake[] };

/** Characters; a thousand devices take a hundredth of it. */
const MAX_TEXT_LEN = 16 * 1024 * 1024;

/** Reads a configuration. Never throws for what is in the text. */
export function parseConfig(text: string): ParsedConfig {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const mistakes: ConfigMistake[] = [];
  const reader = new Reader(source, mistakes);
  if (source.length > MAX_TEXT_LEN) {
    reader.reportAt(0, 1, '', `the file has ${source.length} characters, expected at most ${MAX_TEXT_LEN}`);
    return { config: undefined, mistakes };
  }
  const document = reader.parse();
  const config = document === undefined ? undefined : toConfig(document);
  if (mistakes.length > 0 || config === undefined) {
    return { config: undefined, mistakes: mistakes.sort((a, b) => a.line - b.line || a.column - b.column) };
  }
  return { config, mistakes: [] };
}

/** One text, its lines, and where things stand in it. */
class Reader implements Reading {
  readonly #text: string;
  readonly #mistakes: ConfigMistake[];
  readonly #lines = new LineCounter();
  readonly #places = new Map<string, Node>();
  #resolve: (node: Node) => Node | undefined = (node) => node;

  constructor(text: string, mistakes: ConfigMistake[]) {
    this.#text = text;
    this.#mistakes = mistakes;
  }

  parse(): Partial<ConfigDocument> | undefined {
    const document = parseDocument(this.#text, { lineCounter: this.#lines, prettyErrors: false, version: '1.2' });
    for (const error of [...document.errors, ...document.warnings]) this.#reportSyntax(error);
    if (document.errors.length > 0) return undefined;
    // Nothing at all asks for nothing.
    if (document.contents === null) return {};
    this.#resolve = (node) => (isAlias(node) ? (node.resolve(document) as Node | undefined) : node);
    const read = configSchema.read(document.contents as Node, '', this);
    if (read === undefined) return undefined;
    checkDocument(read, (path, message, hint) => this.#reportPath(path, message, hint));
    checkLinks(read, (path, message, hint, within) => this.#reportPath(path, message, hint, within));
    for (const [name, tunnel] of read.tunnels ?? [])
      checkTunnel(tunnel, `tunnels.${name}`, (path, message, hint) => this.#reportPath(path, message, hint));
    for (const [name, one] of read.switches ?? [])
      checkSwitch(one, `switches.${name}`, (path, message, hint) => this.#reportPath(path, message, hint));
    return read;
  }

  resolve(node: Node): Node | undefined {
    return this.#resolve(node);
  }

  place(path: string, node: Node): void {
    this.#places.set(path, node);
  }

  report(node: Node | undefined, path: string, message: string, hint?: string, within?: TextPart): void {
    const [start, end] = (within && this.#partOf(node, within)) ?? node?.range ?? [0, 0];
    this.reportAt(start, end, path, message, hint);
  }

  /** Where a part of the value stands; undefined where the text has escapes or line breaks that the value has not. */
  #partOf(node: Node | undefined, { at, length }: TextPart): readonly [start: number, end: number] | undefined {
    if (!isScalar(node) || typeof node.value !== 'string' || !node.range) return undefined;
    const start = node.range[0] + (node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE' ? 1 : 0);
    return this.#text.startsWith(node.value, start) ? [start + at, start + at + length] : undefined;
  }

  reportAt(start: number, end: number, path: string, message: string, hint?: string): void {
    const { line, col } = this.#lines.linePos(start);
    const lineStart = start - Math.max(0, col - 1);
    const lineEnd = this.#text.indexOf('\n', lineStart);
    const source = this.#text.slice(lineStart, lineEnd < 0 ? undefined : lineEnd).replace(/\r$/, '');
    const column = Math.max(1, col);
    this.#mistakes.push({
      line: Math.max(1, line),
      column,
      length: Math.max(1, Math.min(end - start, source.length - column + 1)),
      path,
      message,
      source,
      ...(hint !== undefined && { hint }),
    });
  }

  #reportPath(path: string, message: string, hint?: string, within?: TextPart): void {
    this.report(this.#placeOf(path), path, message, hint, within);
  }

  /** Entries of lists are not remembered: their list is. */
  #placeOf(path: string): Node | undefined {
    return this.#places.get(path) ?? this.#places.get(path.replace(/\[\d+\].*$/, ''));
  }

  #reportSyntax(error: YAMLError): void {
    const [start, end] = error.pos;
    const duplicate = error.code === 'DUPLICATE_KEY';
    const [first = ''] = error.message.split('\n');
    this.reportAt(
      start,
      end,
      '',
      duplicate ? 'the key is there already' : first.replace(/\.$/, '').replace(/^./, (letter) => letter.toLowerCase()),
      error.code === 'TAB_AS_INDENT' ? 'Indent with spaces.' : undefined,
    );
  }
}

function toConfig(document: Partial<ConfigDocument>): Config {
  const { devices = [], namespaces = [], links = [], tunnels = [], switches = [] } = document;
  return {
    devices: devices.map(([id, device]) => toDevice(id, device)),
    namespaces: Object.fromEntries(namespaces.map(([name, namespace]) => [name, toNamespace(namespace)])),
    ...toNamespace(document),
    links: links.map(([name, link]) => ({ name, ...(link as LinkDocument) })),
    tunnels: tunnels.map(([name, tunnel]) => ({ name, ...tunnel })),
    switches: switches.map(([name, one]) => ({ name, ...(one as SwitchDocument) })),
  };
}

function toNamespace({ sysctls = [], rules = [], masquerade = [] }: Partial<NamespaceDocument>): NamespaceConfig {
  return { sysctls: Object.fromEntries(sysctls), rules, masquerade };
}

function toDevice(id: string, device: Partial<DeviceDocument>): DeviceConfig {
  const { name = id, altNames = [], addresses = [], routes = [], neighbours = [], sysctls = [], ...rest } = device;
  return {
    id,
    name,
    ...rest,
    ...(rest.kind !== undefined && { up: rest.up ?? true }),
    altNames,
    addresses,
    routes,
    neighbours,
    sysctls: Object.fromEntries(sysctls),
  };
}
