/** A line of rates at the bottom of a terminal, for commands that run until they are stopped. */

import { style } from './output.ts';

/** Totals at a moment. */
export interface LiveTotals {
  readonly outBytes: number;
  readonly inBytes: number;
  /** Packets lost, over both directions. */
  readonly lost: number;
  /** What stands before the rates, and behind them. */
  readonly before?: string;
  readonly after?: string;
}

const REDRAW_INTERVAL_MS = 500;

/** Draws on standard error while it is a terminal; returns what takes the line away. */
export function showLiveLine(totals: () => LiveTotals): () => void {
  const terminal = process.stderr;
  if (!terminal.isTTY || process.env['TERM'] === 'dumb') return () => undefined;
  let last = { ...totals(), atMs: performance.now() };
  const timer = setInterval(() => {
    const now = { ...totals(), atMs: performance.now() };
    const rate = (bytes: number): string =>
      `${((bytes * 8) / 1000 / Math.max(1, now.atMs - last.atMs)).toFixed(1)} Mbit/s`;
    const rates = `→ ${rate(now.outBytes - last.outBytes)}  ← ${rate(now.inBytes - last.inBytes)}  lost ${now.lost}`;
    last = now;
    const line = [now.before, rates, now.after].filter((part) => part !== undefined && part !== '').join('  ');
    terminal.write(`\r${style('dim', line.slice(0, (terminal.columns ?? 80) - 1), terminal)}\x1b[K`);
  }, REDRAW_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    terminal.write('\r\x1b[K');
  };
}
