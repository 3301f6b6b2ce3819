/** What the tables of links and of tunnels of a service have in common. */

import type { RunnerState } from '../service/index.ts';
import type { StyleFormat } from './output.ts';

/** `unknown` to who may not ask, `not running` while there is no service. */
export type CarriedState = RunnerState | 'unknown' | 'not running';

/** By state, of links and of tunnels. */
export const stateColours: Readonly<Record<CarriedState, StyleFormat>> = {
  up: 'green',
  starting: 'yellow',
  waiting: 'yellow',
  failed: 'red',
  closed: 'dim',
  unknown: 'dim',
  'not running': 'dim',
};

/** Why it is not up, in lines. */
export function reasonLines(
  {
    state,
    reason,
    hint,
    again,
  }: { readonly state: CarriedState; readonly reason?: string; readonly hint?: string; readonly again?: string },
  nowMs: number,
): string[] {
  const lines: string[] = [];
  if (state === 'unknown') lines.push('only who runs the service may ask for more: `sudo vnic service status`');
  if (reason !== undefined) {
    const inSec = again === undefined ? undefined : Math.max(0, (Date.parse(again) - nowMs) / 1000);
    lines.push(`${reason}${inSec === undefined ? '' : `; again in ${inSec.toFixed(1)} s`}`);
    if (hint !== undefined) lines.push(hint);
  }
  return lines;
}

/** How long ago, in a word. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}
