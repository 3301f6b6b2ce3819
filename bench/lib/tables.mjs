/** How figures are shown: Markdown tables, medians with their ratios and ranges. */

import { figures, median, ratio } from './turns.mjs';

/** A Markdown table. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** `12 [10–15]` */
export function range(values, digits = 0) {
  const show = (value) => value.toFixed(digits);
  return `${show(median(values))} [${show(Math.min(...values))}–${show(Math.max(...values))}]`;
}

/** `396k` */
export const thousands = (value) => `${Math.round(value / 1000)}k`;

/** `0.97×`: the kind to its baseline; `–` where a run was too short to tell. */
export function times(results, kind, baseline, key) {
  const value = ratio(results, kind, baseline, key);
  return Number.isFinite(value) ? `${value.toFixed(2)}×` : '–';
}

/** `396k (0.97×)` */
export function rateCell(results, kind, baseline, key) {
  return `${thousands(median(figures(results, kind, key)))} (${times(results, kind, baseline, key)})`;
}

/** `2.48 [2.41–2.60] (1.03×)` */
export function rangeCell(results, kind, baseline, key, digits = 2) {
  return `${range(figures(results, kind, key), digits)} (${times(results, kind, baseline, key)})`;
}
