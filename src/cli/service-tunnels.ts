/** Tunnels of a running service, as `vnic service status` shows them. */

import type { RunnerStatus, TunnelDetail } from '../service/index.ts';
import { printable, style } from './output.ts';
import { age, type CarriedState, reasonLines, stateColours } from './service-lines.ts';
import { symbols } from './symbols.ts';
import { formatTable } from './table.ts';

/** A tunnel as the status shows it: `unknown` to who may not ask, `not running` while there is no service. */
export interface TunnelStatus
  extends Omit<RunnerStatus, 'kind' | 'state' | 'since' | 'starts' | 'about' | 'detail'>,
    TunnelDetail {
  readonly state: CarriedState;
  readonly since?: string;
  readonly starts?: number;
  readonly listen?: string;
  readonly connect?: string;
}

/** From what the service says of it. */
export function tunnelStatus({ kind: _kind, about, detail, ...status }: RunnerStatus): TunnelStatus {
  const { listen, connect } = about as { readonly listen?: string; readonly connect?: string };
  return {
    ...status,
    ...(listen !== undefined && { listen }),
    ...(connect !== undefined && { connect }),
    ...(detail as TunnelDetail | undefined),
  };
}

/** The table, a line for each client below its tunnel, and what is to be said of single ones. */
export function tunnelLines(tunnels: readonly TunnelStatus[], nowMs: number): string[] {
  const { ok, fail } = symbols();
  const head = ['', 'tunnel', 'state', 'since', 'where', 'device', 'addresses', 'in', 'out', 'lost'];
  const rows = tunnels.flatMap((tunnel) => {
    const { name, state, since, listen, connect, device = '', addresses = [], clients = [] } = tunnel;
    const where = listen === undefined ? `to ${connect ?? ''}` : `on ${listen}`;
    return [
      [
        state === 'up' ? style('green', ok) : state === 'failed' ? style('red', fail) : '',
        printable(name),
        style(stateColours[state], state),
        since === undefined ? '' : age(nowMs - Date.parse(since)),
        printable(where),
        printable(device),
        addresses.join(' '),
        ...(tunnel.packetsIn === undefined ? ['', ''] : [String(tunnel.packetsIn), String(tunnel.packetsOut)]),
        tunnel.dropped === undefined ? '' : String(total(tunnel.dropped)),
      ],
      ...clients.map((client) => [
        '',
        printable(`  ${client.name}`),
        '',
        age(nowMs - Date.parse(client.since)),
        printable(client.peer),
        '',
        client.addresses.join(' '),
        String(client.packetsIn),
        String(client.packetsOut),
        String(total(client.dropped)),
      ]),
    ];
  });
  const table = formatTable([head.map((title) => style('bold', title)), ...rows]).split('\n');
  return [
    ...table,
    ...tunnels.flatMap((tunnel) => reasonLines(tunnel, nowMs).map((line) => printable(`${tunnel.name}: ${line}`))),
  ];
}

function total(dropped: Readonly<Record<string, number>>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
