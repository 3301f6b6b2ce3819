/** What somebody probably meant. */

/** The word that differs least, when that is little; undefined else. */
export function suggest(typed: string, words: readonly string[]): string | undefined {
  const plain = (word: string): string => word.toLowerCase().replace(/[-_]/g, '');
  let best: string | undefined;
  let least = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const word of words) {
    const distance = editDistance(plain(typed), plain(word));
    if (distance >= least) continue;
    least = distance;
    best = word;
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make one of the other. */
function editDistance(from: string, to: string): number {
  // A long word is no typing mistake of a short one.
  if (Math.abs(from.length - to.length) > 8) return Number.POSITIVE_INFINITY;
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const cost = from[i - 1] === to[j - 1] ? 0 : 1;
      let value = Math.min((rows[i - 1]?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (rows[i - 1]?.[j - 1] ?? 0) + cost);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) value = Math.min(value, (rows[i - 2]?.[j - 2] ?? 0) + 1);
      row.push(value);
    }
    rows.push(row);
  }
  return rows.at(-1)?.at(-1) ?? 0;
}
