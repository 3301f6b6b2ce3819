/**
 * Everything that the command writes. Results go to stdout, notes and errors to stderr.
 *
 * Colour follows `util.styleText`: only on a terminal, not with NO_COLOR, always with FORCE_COLOR.
 */

import { styleText } from 'node:util';

import { ExitStatus, VnicError } from '../base/index.ts';
import { interrupt } from './interruption.ts';

/** A colour or weight of `util.styleText`. */
export type StyleFormat = Exclude<Parameters<typeof styleText>[0], readonly unknown[]>;

/** Writes lines to stdout; a final newline is added. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Writes a value to stdout as JSON of several lines, for commands that give one answer; streams are a line each. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}

/** Writes lines to stderr: what a person wants to know beside the result. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The text in colours and weights, where `stream` shows them; default stdout. */
export function style(
  formats: StyleFormat | readonly StyleFormat[],
  text: string,
  stream: NodeJS.WriteStream = process.stdout,
): string {
  // One by one: given an array, styleText of Node 20 does not look at the stream.
  return [formats].flat().reduce((styled, format) => styleText(format, styled, { stream }), text);
}

/**
 * Text from outside (interface names, process names, packet contents) made safe for a terminal: control,
 * format and other invisible characters become `\xNN` or `\u{N}`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/**
 * Ends the command quietly, with status 0, when the reader of stdout has gone (`vnic list | head -1`), and by
 * `onError` when stdout cannot be written for another reason, such as a full disk.
 */
export function guardOutput(onError: (error: VnicError) => void): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') interrupt(ExitStatus.ok);
    else onError(writeFailed(error));
  });
  // With stderr gone there is nobody left to tell; the status still says it.
  process.stderr.on('error', () => undefined);
}

function writeFailed(error: NodeJS.ErrnoException): VnicError {
  return new VnicError('VNIC_SYSTEM_CALL', {
    attempted: 'write to stdout',
    reason: error.message,
    hint: 'Check where the output goes: the disk may be full.',
    ...(error.code !== undefined && { errno: error.code, syscall: error.syscall ?? 'write' }),
    cause: error,
  });
}
