/** Mistakes in a configuration file, each with its place. */

/** One mistake. */
export interface ConfigMistake {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in characters. */
  readonly column: number;
  /** How many characters are meant, at least 1, on that line. */
  readonly length: number;
  /** Where in the document, for example `devices.tap0.mtu`; empty for the whole. */
  readonly path: string;
  /** What was found and what was expected, or what is at odds. */
  readonly message: string;
  /** What was probably meant, or what to write. */
  readonly hint?: string;
  /** The text of the line. */
  readonly source: string;
}

/**
 * A mistake as compilers show it:
 *
 *     vnic.yaml:4:10: devices.tap0.mtu: found 99999, expected a whole number from 68 to 65535
 *         mtu: 99999
 *              ^^^^^
 */
export function formatMistake(file: string, mistake: ConfigMistake): string {
  const { line, column, length, path, message, hint, source } = mistake;
  const where = path === '' ? '' : `${path}: `;
  const shown = source.slice(0, MAX_SOURCE_LEN).replaceAll('\t', ' ');
  const caret =
    column > MAX_SOURCE_LEN
      ? []
      : [`${' '.repeat(column - 1)}${'^'.repeat(Math.max(1, length))}`.slice(0, MAX_SOURCE_LEN)];
  const lines = [`${file}:${line}:${column}: ${where}${message}`, shown, ...caret];
  if (hint !== undefined) lines.push(`hint: ${hint}`);
  return lines.map((text, i) => (i === 0 ? text : `    ${text}`)).join('\n');
}

const MAX_SOURCE_LEN = 160;
