/** Shows where in the text of an end a mistake is. */

import { isVnicError } from '../base/index.ts';
import type { EndMistake } from '../ends/index.ts';
import { printable, printNote, style } from './output.ts';

/** Prints the text with the place marked, when the error is about one. */
export function pointAtMistake(error: unknown): void {
  if (!isVnicError(error, 'VNIC_INVALID_END')) return;
  const { text, at, length } = error.cause as EndMistake;
  printNote(`  ${printable(text)}\n  ${' '.repeat(at)}${style('red', '^'.repeat(length), process.stderr)}`);
}
