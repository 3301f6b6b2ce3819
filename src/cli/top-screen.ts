/** The table of `vnic top`, and the terminal that it is redrawn on. */

import type { LinkRates } from '../netdev/index.ts';
import { printable, style } from './output.ts';
import { formatTable } from './table.ts';

/** What lines are ordered by; `name` rising, all others falling. */
export type SortKey = 'rate' | 'packets' | 'drops' | 'queue' | 'name';

export const sortKeys: readonly SortKey[] = ['rate', 'packets', 'drops', 'queue', 'name'];

const orders: Readonly<Record<SortKey, (rates: LinkRates) => number>> = {
  rate: ({ rxBps, txBps }) => rxBps + txBps,
  packets: ({ rxPps, txPps }) => rxPps + txPps,
  drops: ({ rxDroppedPps, txDroppedPps, errorsPps }) => rxDroppedPps + txDroppedPps + errorsPps,
  queue: ({ queued = 0 }) => queued,
  name: () => 0,
};

/** In the order of the key, then by name. */
export function sortRates(rates: readonly LinkRates[], key: SortKey): LinkRates[] {
  const order = orders[key];
  return rates.toSorted((a, b) => order(b) - order(a) || (a.name < b.name ? -1 : 1));
}

const head = [
  'device',
  'kind',
  'state',
  'in pps',
  'in bit/s',
  'out pps',
  'out bit/s',
  'drop in',
  'drop out',
  'errors',
  'queue',
];

/** Lines of the table, the head first. */
export function rateLines(rates: readonly LinkRates[]): string[] {
  return formatTable([head.map((word) => style('bold', word)), ...rates.map(row)]).split('\n');
}

/** `12`, `1.25k`, `3.40M`, `17.2G`: three digits that count. */
export function shortNumber(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T'];
  let unit = 0;
  let rest = value;
  // 999.5 is shown as 1.00k.
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  if (unit === 0) return String(Math.round(rest));
  return `${rest.toFixed(rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2)}${units[unit]}`;
}

/** Where a terminal does not tell its height. */
const DEFAULT_ROWS = 24;

/** Redraws a terminal in place, on a screen of its own that goes at the end. */
export class Screen {
  readonly #terminal: NodeJS.WriteStream;
  #lines: readonly string[] = [];
  readonly #redraw = (): void => this.draw(this.#lines);

  constructor(terminal: NodeJS.WriteStream) {
    this.#terminal = terminal;
    // Alternative screen, no cursor.
    terminal.write('\x1b[?1049h\x1b[?25l');
    terminal.on('resize', this.#redraw);
  }

  /** As many lines as there are rows; the terminal cuts what is too wide. */
  draw(lines: readonly string[]): void {
    this.#lines = lines;
    const shown = lines.slice(0, Math.max(1, (this.#terminal.rows || DEFAULT_ROWS) - 1));
    // No line is wrapped, and what was right and below of it is cleared.
    this.#terminal.write(`\x1b[?7l\x1b[H${shown.map((line) => `${line}\x1b[K`).join('\r\n')}\x1b[J\x1b[?7h`);
  }

  close(): void {
    this.#terminal.off('resize', this.#redraw);
    this.#terminal.write('\x1b[?25h\x1b[?1049l');
  }
}

function row(rates: LinkRates): string[] {
  const { name, kind, isUp, hasCarrier, rxPps, rxBps, txPps, txBps, rxDroppedPps, txDroppedPps, errorsPps } = rates;
  const state = !isUp ? style('yellow', 'down') : hasCarrier ? style('green', 'up') : style('yellow', 'no carrier');
  const bad = (value: number): string => (value > 0 ? style('red', shortNumber(value)) : '0');
  const queue = rates.queued === undefined ? '-' : `${rates.queued}/${rates.queueLen}`;
  return [
    printable(name),
    kind,
    state,
    ...[rxPps, rxBps, txPps, txBps].map(shortNumber),
    ...[rxDroppedPps, txDroppedPps, errorsPps].map(bad),
    queue,
  ];
}
