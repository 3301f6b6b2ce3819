/**
 * The grammar of ends: `KIND[:WHERE][,OPTION=VALUE…]`, in the command, in configuration files and in the library.
 *
 *     tun:tun0,address=10.0.0.1/24
 *     udp:192.0.2.1:7000        udp:[2001:db8::1]:7000
 *     tcp-listen:7000,framing=slip
 *     exec,framing=slip:ssh host vnic link stdio tun:tun0
 *
 * Of `exec` everything behind the first colon is the command, so its options stand before it. A mistake is told with the
 * place where it is.
 */

import { VnicError } from '../base/index.ts';
import { type EndKind, type EndKindInfo, endKinds } from './end-kinds.ts';

/** An end as it was written, checked. */
export interface EndSpec {
  readonly kind: EndKind;
  /** What stands behind the colon: a name, an address with its port, a path or a command. */
  readonly where: string;
  /** Options by name, each with every value that was given, in order; a flag has the value `''`. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** As it was written. */
  readonly text: string;
  /** Of a device: it is used when it is there, and not made when it is not. */
  readonly mustExist?: true;
}

/** A host and a port. */
export interface HostPort {
  /** A name or an address, without brackets; empty for any address of this machine. */
  readonly host: string;
  readonly port: number;
}

/**
 * Reads an end.
 * @throws VNIC_INVALID_END with the place of the mistake
 */
export function parseEnd(text: string): EndSpec {
  const head = /^([a-z-]*)/.exec(text)?.[1] ?? '';
  if (!isKind(head)) {
    const known = Object.keys(endKinds).join(', ');
    throw mistake(
      text,
      0,
      Math.max(1, head.length),
      head === '' ? 'no kind of end' : `no kind of end is called ${head}`,
      {
        hint: `Begin with one of ${known}.`,
      },
    );
  }
  const info = endKinds[head];
  const { whereAt, where, optionsAt, options } = split(text, head);
  if (info.where === undefined && where !== '') {
    throw mistake(text, whereAt, where.length, `${head} takes nothing behind a colon`, {
      hint: `Write ${info.example}.`,
    });
  }
  if (info.where !== undefined && where === '' && !info.whereOptional) {
    throw mistake(text, text.length, 1, `${head} needs ${info.where}`, { hint: `For example ${info.example}.` });
  }
  const spec: EndSpec = { kind: head, where, options: readOptions(text, head, info, options, optionsAt), text };
  if (info.isHostPort) parseHostPort(info.hasPath ? splitPath(spec).spec : spec, whereAt);
  return spec;
}

/** Where a mistake in the value of an option is told. @throws VNIC_INVALID_END when `read` throws or gives undefined */
export function readOption<T>(
  spec: EndSpec,
  name: string,
  expected: string,
  read: (text: string) => T | undefined,
): T | undefined {
  const value = spec.options.get(name)?.at(-1);
  return value === undefined ? undefined : readValue(spec, name, value, expected, read);
}

/** As `readOption`, of an option that may be given several times. */
export function readEach<T>(spec: EndSpec, name: string, expected: string, read: (text: string) => T | undefined): T[] {
  return (spec.options.get(name) ?? []).map((value) => readValue(spec, name, value, expected, read));
}

/** The host and the port of an end that has one; the kind's own port where it is left out. @throws VNIC_INVALID_END */
export function parseHostPort({ kind, where, text }: EndSpec, at: number = kind.length + 1): HostPort {
  const { defaultPort, isListener, where: expected, example } = endKinds[kind];
  const found = splitHostPort(where, defaultPort);
  if (found === undefined || found.port > 0xffff) {
    const isBareIpv6 = (where.match(/:/g)?.length ?? 0) > 1 && !where.startsWith('[');
    throw mistake(text, at, Math.max(1, where.length), `expected ${expected}, found ${JSON.stringify(where)}`, {
      hint: isBareIpv6 ? 'Put an IPv6 address in brackets: [2001:db8::1]:7000.' : `For example ${example}.`,
    });
  }
  if (found.host === '' && !isListener) {
    throw mistake(text, at, where.length, `${kind} needs a host before the port`, { hint: `For example ${example}.` });
  }
  return found;
}

function splitHostPort(where: string, defaultPort: number | undefined): HostPort | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]:|(?:([^[\]:]*):)?)([0-9]{1,5})$/.exec(where) ?? [];
  if (digits !== undefined) return { host: bracketed ?? plain ?? '', port: Number(digits) };
  const [matched, inBrackets, name] = /^(?:\[([^\]]*)\]|([^[\]:]*))$/.exec(where) ?? [];
  if (matched === undefined || defaultPort === undefined) return undefined;
  return { host: inBrackets ?? name ?? '', port: defaultPort };
}

/** An end without the path behind its port, and that path; undefined where there is none. */
export function splitPath(spec: EndSpec): { readonly spec: EndSpec; readonly path: string | undefined } {
  const where = spec.where.replace(/^\/\//, '');
  const slash = where.indexOf('/');
  if (slash < 0) return { spec: { ...spec, where }, path: undefined };
  return { spec: { ...spec, where: where.slice(0, slash) }, path: where.slice(slash) };
}

/** The place of a mistake: `cause` of a VNIC_INVALID_END. */
export interface EndMistake {
  readonly text: string;
  /** Where it begins, counted from 0. */
  readonly at: number;
  readonly length: number;
  /** What is wrong there. */
  readonly reason: string;
}

/** An error that points at a part of the text. */
export function mistake(
  text: string,
  at: number,
  length: number,
  reason: string,
  { hint }: { hint: string },
): VnicError {
  return new VnicError('VNIC_INVALID_END', {
    attempted: `read the end ${JSON.stringify(text)}`,
    reason: `${reason} (column ${at + 1})`,
    hint,
    cause: { text, at, length: Math.max(1, length), reason } satisfies EndMistake,
  });
}

function isKind(text: string): text is EndKind {
  return Object.hasOwn(endKinds, text);
}

interface Parts {
  readonly where: string;
  readonly whereAt: number;
  readonly options: string;
  readonly optionsAt: number;
}

function split(text: string, kind: EndKind): Parts {
  const rest = text.slice(kind.length);
  const at = kind.length;
  if (endKinds[kind].whereIsRest) {
    const colon = rest.indexOf(':');
    const options = colon < 0 ? rest : rest.slice(0, colon);
    return { where: colon < 0 ? '' : rest.slice(colon + 1), whereAt: at + colon + 1, options, optionsAt: at };
  }
  const comma = rest.indexOf(',');
  const where = comma < 0 ? rest : rest.slice(0, comma);
  if (where !== '' && !where.startsWith(':')) {
    throw mistake(text, at, where.length, `expected a colon behind ${kind}`, {
      hint: `For example ${endKinds[kind].example}.`,
    });
  }
  return {
    where: where.slice(1),
    whereAt: at + 1,
    options: comma < 0 ? '' : rest.slice(comma),
    optionsAt: at + Math.max(0, comma),
  };
}

function readOptions(
  text: string,
  kind: EndKind,
  info: EndKindInfo,
  written: string,
  optionsAt: number,
): ReadonlyMap<string, readonly string[]> {
  const options = new Map<string, string[]>();
  if (written === '') return options;
  let at = optionsAt + 1;
  for (const part of written.slice(1).split(',')) {
    const [, name = part, , value = ''] = /^([^=]*)(=(.*))?$/s.exec(part) ?? [];
    const expected = Object.hasOwn(info.options, name) ? info.options[name] : undefined;
    if (expected === undefined) {
      const known = Object.keys(info.options);
      throw mistake(text, at, Math.max(1, name.length), `${kind} has no option ${JSON.stringify(name)}`, {
        hint: known.length === 0 ? 'It has none.' : `It has ${known.join(', ')}.`,
      });
    }
    const isFlag = expected === 'flag';
    if (isFlag !== (value === '' && !part.includes('='))) {
      const reason = isFlag ? `${name} takes no value` : `${name} needs a value`;
      throw mistake(text, at, part.length, reason, { hint: isFlag ? `Write ${name}.` : `Write ${name}=${expected}.` });
    }
    options.set(name, [...(options.get(name) ?? []), value]);
    at += part.length + 1;
  }
  return options;
}

function readValue<T>(
  spec: EndSpec,
  name: string,
  value: string,
  expected: string,
  read: (text: string) => T | undefined,
): T {
  let found: T | undefined;
  try {
    found = read(value);
  } catch (error) {
    if (!(error instanceof VnicError)) throw error;
  }
  if (found !== undefined) return found;
  const at = spec.text.indexOf(`${name}=${value}`) + name.length + 1;
  throw mistake(spec.text, at, value.length, `expected ${expected}, found ${JSON.stringify(value)}`, {
    hint: `Give ${name} ${expected}.`,
  });
}
