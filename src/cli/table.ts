/** Aligned columns of text, coloured or not. */

import { stripVTControlCharacters } from 'node:util';

/** Between two columns. */
const GAP = '  ';

/**
 * Rows as lines of aligned columns; the last column is not padded, lines have no trailing space.
 * @param rows cells that may carry colour; what comes from outside has been through `printable`
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, visibleWidth(cell));
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => pad(cell, widths[i] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n');
}

function pad(cell: string, width: number): string {
  return cell + ' '.repeat(width - visibleWidth(cell));
}

/** Columns on a terminal: colour takes none, East Asian wide characters take two. */
function visibleWidth(text: string): number {
  let width = 0;
  for (const character of stripVTControlCharacters(text)) width += isWide(character) ? 2 : 1;
  return width;
}

function isWide(character: string): boolean {
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}]/u.test(
    character,
  );
}
