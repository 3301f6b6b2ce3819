/** Switches of a running service, as `vnic service status` shows them. */

import type { RunnerStatus, SwitchDetail } from '../service/index.ts';
import { printable, style } from './output.ts';
import { age, type CarriedState, reasonLines, stateColours } from './service-lines.ts';
import { symbols } from './symbols.ts';
import { formatTable } from './table.ts';

/** A switch as the status shows it: `unknown` to who may not ask, `not running` while there is no service. */
export interface SwitchRunStatus
  extends Omit<RunnerStatus, 'kind' | 'state' | 'since' | 'starts' | 'about' | 'detail'>,
    Partial<SwitchDetail> {
  readonly state: CarriedState;
  readonly since?: string;
  readonly starts?: number;
}

/** From what the service says of it. */
export function switchRunStatus({ kind: _kind, about: _about, detail, ...status }: RunnerStatus): SwitchRunStatus {
  return { ...status, ...(detail as SwitchDetail | undefined) };
}

/** The table, and what is to be said of single ones; `vnic switch show` has the ports. */
export function switchLines(switches: readonly SwitchRunStatus[], nowMs: number): string[] {
  const { ok, fail } = symbols();
  const head = ['', 'switch', 'state', 'since', 'ports', 'stations', 'in', 'lost'].map((word) => style('bold', word));
  const rows = switches.map(({ name, state, since, ports, stations }) => [
    state === 'up' ? style('green', ok) : state === 'failed' ? style('red', fail) : '',
    printable(name),
    style(stateColours[state], state),
    since === undefined ? '' : age(nowMs - Date.parse(since)),
    ports === undefined ? '' : String(ports.length),
    stations === undefined ? '' : String(stations),
    ports === undefined ? '' : String(ports.reduce((sum, { framesIn }) => sum + framesIn, 0)),
    ports === undefined ? '' : String(ports.reduce((sum, { dropped }) => sum + total(dropped), 0)),
  ]);
  return [
    ...formatTable([head, ...rows]).split('\n'),
    ...switches.flatMap((one) => reasonLines(one, nowMs).map((line) => printable(`${one.name}: ${line}`))),
  ];
}

function total(dropped: Readonly<Record<string, number>>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
