/** What a responder has done, as text: one line redrawn on a terminal while it runs, a summary at the end. */

import type { ResponderCounters } from '../host/index.ts';
import type { LinkCounters } from '../link/index.ts';
import { style } from './output.ts';
import { symbols } from './symbols.ts';

/** Redraws a second at most: enough for the eye, nothing to the machine. */
const REDRAW_INTERVAL_MS = 250;
/** Where a terminal does not tell its width. */
const DEFAULT_COLUMNS = 80;

export interface CounterSources {
  readonly link: LinkCounters;
  readonly responder: ResponderCounters;
}

/**
 * Keeps a line of counters at the bottom of the terminal until the returned function is called, which clears it.
 * Reads the counters a few times a second; costs nothing per packet.
 */
export function showLiveCounters(sources: CounterSources, terminal: NodeJS.WriteStream): () => void {
  let echoes = echoReplies(sources.responder);
  let sinceMs = performance.now();
  const draw = (): void => {
    const nowMs = performance.now();
    const total = echoReplies(sources.responder);
    const rate = ((total - echoes) * 1000) / Math.max(1, nowMs - sinceMs);
    echoes = total;
    sinceMs = nowMs;
    const line = liveLine(sources, rate);
    const columns = (terminal.columns ?? DEFAULT_COLUMNS) - 1;
    const cut = line.length > columns ? line.slice(0, columns - 1) + symbols().ellipsis.slice(0, 1) : line;
    terminal.write(`\r${style('dim', cut, terminal)}\x1b[K`);
  };
  draw();
  const timer = setInterval(draw, REDRAW_INTERVAL_MS);
  return () => {
    clearInterval(timer);
    terminal.write('\r\x1b[K');
  };
}

/** `in 12  out 12  echo 40/s  arp 1  nd 1  dropped 3 (not-for-us 3)` */
function liveLine({ link, responder }: CounterSources, echoesPerSecond: number): string {
  const parts = [
    `in ${grouped(link.packetsRead)}`,
    `out ${grouped(link.packetsWritten)}`,
    `echo ${grouped(Math.round(echoesPerSecond))}/s`,
    `arp ${grouped(responder.arpReplies)}`,
    `nd ${grouped(responder.neighborAdvertisements)}`,
    `dropped ${dropText(responder)}`,
  ];
  return parts.join('  ');
}

/** The final words: a few aligned lines. */
export function summaryLines({ link, responder }: CounterSources, seconds: number): string[] {
  const rows: [string, string][] = [
    ['packets', `${grouped(link.packetsRead)} in, ${grouped(link.packetsWritten)} out, in ${seconds.toFixed(1)} s`],
    ['echo replies', `${grouped(responder.echoRepliesV4)} IPv4, ${grouped(responder.echoRepliesV6)} IPv6`],
    ['neighbours', `${grouped(responder.arpReplies)} ARP, ${grouped(responder.neighborAdvertisements)} discovery`],
    ['not answered', dropText(responder)],
  ];
  const lost = Object.entries(link.writeDropped).filter(([, count]) => count > 0);
  if (lost.length > 0) rows.push(['not sent', countsText(lost)]);
  return rows.map(([name, text]) => `${name.padEnd(12)}  ${text}`);
}

/** Reasons that occurred, with their counts. */
export function occurredDrops(responder: ResponderCounters): Record<string, number> {
  return Object.fromEntries(Object.entries(responder.dropped).filter(([, count]) => count > 0));
}

function echoReplies({ echoRepliesV4, echoRepliesV6 }: ResponderCounters): number {
  return echoRepliesV4 + echoRepliesV6;
}

function dropText(responder: ResponderCounters): string {
  const entries = Object.entries(occurredDrops(responder)).sort(([, a], [, b]) => b - a);
  if (entries.length === 0) return '0';
  return `${grouped(entries.reduce((sum, [, count]) => sum + count, 0))} (${countsText(entries)})`;
}

function countsText(entries: readonly (readonly [string, number])[]): string {
  return entries.map(([reason, count]) => `${reason} ${grouped(count)}`).join(', ');
}

/** `1,234,567` */
function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
