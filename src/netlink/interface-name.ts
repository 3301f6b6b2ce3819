/**
 * Names of network interfaces: what the kernel takes (`dev_valid_name` in `net/core/dev.c`), checked before it
 * is asked, because its answer to each of these is the same EINVAL, or worse a truncated name.
 */

import { invalidArgument, VnicError } from '../base/index.ts';

/** `IFNAMSIZ` less the final NUL (`include/uapi/linux/if.h`). */
export const MAX_INTERFACE_NAME_LEN: number = 15;

/** `ALTIFNAMSIZ` less the final NUL. */
export const MAX_ALTERNATIVE_NAME_LEN: number = 127;

/** A name, or the index of an interface: a whole number from 1 to 2^31 - 1. */
export type LinkSelector = string | number;

/** What beside an exact name is accepted. */
export interface CheckInterfaceNameOptions {
  /** Allow one `%d`, which the kernel replaces by the lowest free number. Default false. */
  readonly pattern?: boolean;
  /** Bytes; default 15, `MAX_ALTERNATIVE_NAME_LEN` for further names. */
  readonly maxLen?: number;
}

/**
 * Checks the name of an interface that is to be made or renamed: 1 to 15 bytes of UTF-8, no `/`, `:`, `%`,
 * white space or control character, not `.` or `..`.
 * @param attempted what the caller is doing, for the message, such as `open TUN device "a b"`.
 * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG
 */
export function checkInterfaceName(name: string, attempted: string, options: CheckInterfaceNameOptions = {}): void {
  checkCharacters(name, attempted);
  if (name.includes('%')) checkPattern(name, attempted, options.pattern ?? false);
  checkLength(name, attempted, options.maxLen ?? MAX_INTERFACE_NAME_LEN);
}

/**
 * Checks what selects an existing interface: an index, a name, or an alternative name of up to 127 bytes.
 * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_INVALID_ARGUMENT
 */
export function checkLinkSelector(link: LinkSelector, attempted: string): void {
  if (typeof link === 'string') {
    checkCharacters(link, attempted);
    checkLength(link, attempted, MAX_ALTERNATIVE_NAME_LEN);
    return;
  }
  if (!Number.isInteger(link) || link < 1 || link > 0x7fff_ffff) {
    throw invalidArgument(attempted, 'an interface name, or an index from 1 to 2147483647', link);
  }
}

/** `link "tun0"` or `link 4`, for messages. */
export function describeLink(link: LinkSelector): string {
  return typeof link === 'string' ? `link ${JSON.stringify(shorten(link))}` : `link ${link}`;
}

/** Bytes of the name as UTF-8, which is what the kernel counts. */
export function interfaceNameLen(name: string): number {
  return new TextEncoder().encode(name).length;
}

function checkCharacters(name: string, attempted: string): void {
  if (typeof name !== 'string') throw invalidArgument(attempted, 'an interface name', name);
  if (name === '') throw invalidName(attempted, 'the name is empty');
  if (name === '.' || name === '..') throw invalidName(attempted, `"${name}" means a directory in /sys/class/net`);
  const bad = firstForbidden(name);
  if (bad !== undefined) throw invalidName(attempted, `the name contains ${bad}`);
}

/** The kernel refuses `/`, `:` and what its `isspace` takes, which by Latin-1 includes the byte 0xa0. */
function firstForbidden(name: string): string | undefined {
  for (const character of name) {
    const code = character.codePointAt(0) as number;
    if (character === '/' || character === ':') return `"${character}"`;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
      return `the control character 0x${code.toString(16).padStart(2, '0')}`;
    if (/\s/u.test(character))
      return code === 0x20 ? 'a space' : `white space (U+${code.toString(16).padStart(4, '0')})`;
    if (code >= 0xd800 && code <= 0xdfff) return 'half of a surrogate pair';
  }
  // `isspace(0xa0)` is true in the kernel, byte by byte, so UTF-8 with that byte is refused as well.
  return new TextEncoder().encode(name).includes(0xa0) ? 'a character whose UTF-8 form has the byte 0xa0' : undefined;
}

function checkPattern(name: string, attempted: string, allowed: boolean): void {
  if (!allowed) throw invalidName(attempted, 'the kernel would take "%" as a pattern');
  if (name.split('%').length !== 2 || !name.includes('%d')) {
    throw invalidName(attempted, 'a pattern has exactly one "%d" and no other "%"');
  }
}

function checkLength(name: string, attempted: string, limit: number): void {
  const length = interfaceNameLen(name);
  if (length <= limit) return;
  throw new VnicError('VNIC_NAME_TOO_LONG', {
    attempted,
    reason: `the name has ${length} bytes, the kernel takes ${limit}`,
    hint: `Choose a name of at most ${limit} bytes.`,
  });
}

function invalidName(attempted: string, reason: string): VnicError {
  return new VnicError('VNIC_INVALID_NAME', {
    attempted,
    reason,
    hint: 'Use 1 to 15 letters, digits, "-", "_" or ".", for example tun0.',
  });
}

function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 57)}...` : name;
}
