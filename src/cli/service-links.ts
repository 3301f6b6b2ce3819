/** Links of a running service: asked through its control socket, shown as a table. */

import { isVnicError } from '../base/index.ts';
import type { Config } from '../config/index.ts';
import {
  type ControlClient,
  connectControl,
  controlPath,
  type FoundRun,
  type LinkDetail,
  type RunnerStatus,
} from '../service/index.ts';
import { printable, style } from './output.ts';
import { age, type CarriedState, reasonLines, stateColours } from './service-lines.ts';
import { type SwitchRunStatus, switchRunStatus } from './service-switches.ts';
import { type TunnelStatus, tunnelStatus } from './service-tunnels.ts';
import { symbols } from './symbols.ts';
import { formatTable } from './table.ts';
import { shortNumber } from './top-screen.ts';

/** A link as the status shows it: `unknown` to who may not ask, `not running` while there is no service. */
export interface LinkStatus extends Omit<RunnerStatus, 'kind' | 'state' | 'since' | 'starts' | 'about' | 'detail'> {
  readonly state: CarriedState;
  readonly since?: string;
  readonly starts?: number;
  /** As the file has them. */
  readonly ends: readonly [string, string];
  readonly medium?: LinkDetail['medium'];
  readonly ways?: LinkDetail['ways'];
}

/** What a service carries. */
export interface Carried {
  readonly links: readonly LinkStatus[];
  readonly tunnels: readonly TunnelStatus[];
  readonly switches: readonly SwitchRunStatus[];
}

/** What a service is asked through, for as long as somebody watches. */
export class LinkSource implements Disposable {
  readonly #config: string;
  #client: ControlClient | undefined;

  /** @param config absolute path of the configuration file */
  constructor(config: string) {
    this.#config = config;
  }

  /**
   * The links, tunnels and switches of the service; of a file where it cannot be asked.
   * @param config undefined where the file cannot be read
   */
  async read(config: Config | undefined, run: FoundRun): Promise<Carried> {
    const state = run.state === 'alive' ? 'unknown' : 'not running';
    const ofFile: Carried = {
      links: (config?.links ?? []).map(({ name, ends }): LinkStatus => ({ name, state, ends })),
      tunnels: (config?.tunnels ?? []).map(({ name, listen, connect }) => ({
        name,
        state,
        ...(listen !== undefined && { listen }),
        ...(connect !== undefined && { connect }),
      })),
      switches: (config?.switches ?? []).map(({ name }) => ({ name, state })),
    };
    if (run.state !== 'alive') return ofFile;
    try {
      this.#client ??= await connectControl(controlPath(this.#config, run.folder));
      const { running } = (await this.#client.ask('status')) as { readonly running: readonly RunnerStatus[] };
      return {
        links: running.filter(({ kind }) => kind === 'link').map(linkStatus),
        tunnels: running.filter(({ kind }) => kind === 'tunnel').map(tunnelStatus),
        switches: running.filter(({ kind }) => kind === 'switch').map(switchRunStatus),
      };
    } catch (error) {
      if (!isVnicError(error, 'VNIC_SYSTEM_CALL')) throw error;
      this.close();
      return ofFile;
    }
  }

  /** Idempotent. */
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  /** As `close()`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function linkStatus({ kind: _kind, about, detail, ...status }: RunnerStatus): LinkStatus {
  const { ends } = about as { readonly ends: readonly [string, string] };
  const { medium, ways } = (detail ?? {}) as Partial<LinkDetail>;
  return { ...status, ends, ...(medium && { medium }), ...(ways && { ways }) };
}

/** The table, and below it what is to be said of single links. */
export function linkLines(links: readonly LinkStatus[], nowMs: number): string[] {
  const { ok, fail } = symbols();
  const head = ['', 'link', 'state', 'since', 'ends', 'a to b', 'bit/s', 'b to a', 'bit/s', 'queue', 'lost'];
  const rows = links.map((link) => {
    const { name, state, since, ends, ways } = link;
    const mark = state === 'up' ? style('green', ok) : state === 'failed' ? style('red', fail) : '';
    const [ab, ba] = ways ?? [];
    const carried = (way: typeof ab): string[] =>
      way === undefined ? ['', ''] : [String(way.packets), shortNumber(way.bitsPerSec)];
    const lost = ways?.reduce((sum, way) => sum + total(way.dropped), 0);
    return [
      mark,
      printable(name),
      style(stateColours[state], state),
      since === undefined ? '' : age(nowMs - Date.parse(since)),
      printable(ends.map(shortEnd).join(' ')),
      ...carried(ab),
      ...carried(ba),
      ways === undefined ? '' : ways.map(({ queued }) => queued).join('/'),
      lost === undefined ? '' : lost === 0 ? '0' : style('yellow', String(lost)),
    ];
  });
  const table = formatTable([head.map((word) => style('bold', word)), ...rows]).split('\n');
  return [...table, ...links.flatMap((link) => remarks(link, nowMs))];
}

function remarks({ ways, ...link }: LinkStatus, nowMs: number): string[] {
  const lines = reasonLines(link, nowMs);
  for (const [i, { dropped }] of (ways ?? []).entries()) {
    const reasons = Object.entries(dropped).map(([why, count]) => `${why} ${count}`);
    if (reasons.length > 0) lines.push(`lost ${i === 0 ? 'a to b' : 'b to a'}: ${reasons.join(', ')}`);
  }
  return lines.map((line) => printable(`${link.name}: ${line}`));
}

/** Without its options, and a command cut short. */
function shortEnd(text: string): string {
  const MAX_LEN = 40;
  const short = text.startsWith('exec') ? text : (text.split(',')[0] ?? text);
  return short.length <= MAX_LEN ? short : `${short.slice(0, MAX_LEN - 3)}...`;
}

/** `12 s`, `3 min`, `2 h`, `5 d`. */

function total(dropped: Readonly<Record<string, number>>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}
