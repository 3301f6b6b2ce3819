/** A packet as one line for people: time, direction, what is in it. */

import { describeSummary, type PacketSummary } from '../wire/index.ts';
import { type StyleFormat, style } from './output.ts';
import { symbols } from './symbols.ts';

/** As the kernel sees it: `out` was sent by the kernel out of the interface, `in` was received by it. */
export type PacketDirection = 'in' | 'out';

/** Milliseconds since 1970, with a fraction: finer than `Date.now()`. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}

/** `12:34:56.123456`, local time. */
export function formatTime(timeMs: number): string {
  const date = new Date(Math.floor(timeMs));
  const two = (number: number): string => String(number).padStart(2, '0');
  const micros = Math.floor((timeMs % 1000) * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(micros).padStart(6, '0')}`;
}

/** The arrow of a direction, in its colour. */
export function directionArrow(direction: PacketDirection): string {
  return direction === 'out' ? style('cyan', symbols().sent) : style('green', symbols().received);
}

/** The decoded packet with its protocol coloured, and in red why a host would not take it. */
export function packetText(summary: PacketSummary): string {
  const text = describeSummary(summary);
  const end = summary.drop === undefined ? -1 : text.lastIndexOf(' [');
  const body = end < 0 ? text : text.slice(0, end);
  const coloured = body.replace(PROTOCOL, (name) => style(colourOf(summary), name));
  return end < 0 ? coloured : `${coloured} ${style(['red', 'bold'], text.slice(end + 1))}`;
}

/** The first word of `describeSummary` that names a protocol; addresses have no capital letters. */
const PROTOCOL = /\b(ARP|ICMP6?|UDP|TCP|Flags|IGMP|SCTP)\b/;

function colourOf({ arp, ndp, icmpv4, icmpv6, udp, tcp }: PacketSummary): StyleFormat {
  if (arp !== undefined || ndp !== undefined) return 'yellow';
  if (icmpv4 !== undefined || icmpv6 !== undefined) return 'green';
  if (udp !== undefined) return 'blue';
  if (tcp !== undefined) return 'magenta';
  return 'bold';
}
