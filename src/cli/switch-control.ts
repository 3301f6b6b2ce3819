/** A running switch asked and changed: `vnic switch show`, `add`, `remove`, `set`, `fdb`, `groups`, `bindings`, `counters`, `events`, `list`. */

import { isVnicError, VnicError } from '../base/index.ts';
import { checkEnd, parseEnd } from '../ends/index.ts';
import {
  connectSwitch,
  type NumberedNote,
  type SwitchBinding,
  type SwitchGroup,
  type SwitchStation,
  type SwitchStatus,
  switchNames,
} from '../service/index.ts';
import { pointAtMistake } from './end-mistake.ts';
import { interruption } from './interruption.ts';
import { print, printable, printJson, style } from './output.ts';
import { usageError } from './report-error.ts';
import { middlewareOfPort, type PortFlags, settingsOfPort } from './switch-port-options.ts';
import { noteLine } from './switch-run.ts';
import { bindingTable, groupTable, portTable, stationTable } from './switch-tables.ts';
import { formatTable } from './table.ts';
import { wholeNumber } from './values.ts';

/** Options of what is said to a running switch. */
export interface SwitchControlFlags extends PortFlags {
  readonly name?: string;
  readonly flush?: true;
  readonly json?: true;
}

const EVENTS_INTERVAL_MS = 500;

/** Words that may stand where otherwise the first end does. */
export const switchVerbs = [
  'list',
  'show',
  'add',
  'remove',
  'set',
  'fdb',
  'groups',
  'bindings',
  'counters',
  'events',
] as const;
/** One of them. */
export type SwitchVerb = (typeof switchVerbs)[number];

type Ask = (question: string, more?: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** Says or asks something. */
export async function controlSwitch(
  verb: SwitchVerb,
  words: readonly string[],
  flags: SwitchControlFlags,
): Promise<void> {
  checkWords(verb, words);
  if (verb === 'list') return await listSwitches(flags);
  const name = flags.name ?? (await onlyOne());
  using client = await connectSwitch(name);
  const ask: Ask = (question, more) => client.ask(question, more);
  switch (verb) {
    case 'show':
      return await show(ask, name, 'rates', flags);
    case 'counters':
      return await show(ask, name, 'totals', flags);
    case 'add':
      return await add(ask, words[0] as string, flags);
    case 'remove':
      await ask('remove', { port: portOf(words[0]) });
      return;
    case 'set':
      return await set(ask, portOf(words[0]), flags);
    case 'fdb':
      return await stations(ask, flags);
    case 'groups':
      return await listed<SwitchGroup>(
        ask,
        'groups',
        'Start it with --snooping, or with --querier.',
        groupTable,
        flags,
      );
    case 'bindings':
      return await listed<SwitchBinding>(ask, 'bindings', 'Start it with --dhcp-snooping.', bindingTable, flags);
    case 'events':
      return await follow(ask, flags);
  }
}

function checkWords(verb: SwitchVerb, words: readonly string[]): void {
  const wanted = { add: 'END', remove: 'PORT', set: 'PORT' }[verb as string];
  if (words.length === (wanted === undefined ? 0 : 1)) return;
  const call = `vnic switch ${verb}${wanted === undefined ? '' : ` ${wanted}`}`;
  throw usageError(`run \`vnic switch ${verb}\``, `got ${words.length} words`, `Write \`${call}\`.`);
}

const portOf = (text: string | undefined): number => wholeNumber(1, 4096)(text ?? '');

async function show(ask: Ask, name: string, what: 'rates' | 'totals', { json }: SwitchControlFlags): Promise<void> {
  const status = (await ask('show')) as SwitchStatus;
  if (json) {
    printJson({ name, ...status });
    return;
  }
  if (status.ports.length > 0) print(portTable(status, what));
  const more = [
    status.flaps === 0 ? '' : `, ${status.flaps} times one at two ports in turn`,
    status.evicted === 0 ? '' : `, ${status.evicted} had to make room`,
  ];
  if (status.spanningTree !== undefined) {
    const { bridgeId, rootId, rootPort, rootPathCost, topologyChanges } = status.spanningTree;
    const way = rootPort === undefined ? 'this switch' : `by port ${rootPort}, cost ${rootPathCost}`;
    print(`bridge ${bridgeId}, root ${rootId} (${way}), ${topologyChanges} topology changes`);
  }
  print(`${style('bold', printable(name))}: ${status.ports.length} ports, ${status.stations} stations${more.join('')}`);
}

async function add(ask: Ask, text: string, flags: SwitchControlFlags): Promise<void> {
  try {
    checkEnd(parseEnd(text));
  } catch (error) {
    pointAtMistake(error);
    throw error;
  }
  const { impair, shape } = middlewareOfPort(flags, 'one');
  const port = (await ask('add', {
    end: text,
    settings: settingsOfPort(flags, 'one'),
    ...(impair && { impair: impair.text }),
    ...(shape && { shape: shape.text }),
  })) as number;
  for (const { from } of flags.mirror ?? []) await ask('mirror', { port, from });
  if (flags.json) printJson({ port });
  else print(`port ${port}`);
}

async function set(ask: Ask, port: number, flags: SwitchControlFlags): Promise<void> {
  if (flags.impair !== undefined || flags.shape !== undefined) {
    throw usageError(
      'run `vnic switch set`',
      'what lies before an end is settled when it is added',
      'Remove the port, and add it with --impair or --shape.',
    );
  }
  const settings = settingsOfPort(flags, 'one');
  const mirrors = flags.mirror ?? [];
  if (Object.keys(settings).length === 0 && mirrors.length === 0) {
    throw usageError('run `vnic switch set`', 'nothing is to be set', 'See `vnic switch --help` for what ports have.');
  }
  if (Object.keys(settings).length > 0) await ask('set', { port, settings });
  for (const { from } of mirrors) await ask('mirror', { port, from });
}

async function stations(ask: Ask, { flush, json }: SwitchControlFlags): Promise<void> {
  if (flush) {
    await ask('flush');
    return;
  }
  const found = (await ask('stations')) as readonly SwitchStation[];
  if (json) printJson(found);
  else print(stationTable(found));
}

/** What a switch tells only if it looks at it. */
async function listed<T>(
  ask: Ask,
  what: 'groups' | 'bindings',
  hint: string,
  table: (rows: readonly T[]) => string,
  { json }: SwitchControlFlags,
): Promise<void> {
  const found = (await ask(what)) as readonly T[] | null;
  if (found === null) {
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted: `show ${what}`,
      reason: 'this switch does not look at them',
      hint,
    });
  }
  if (json) printJson(found);
  else print(table(found));
}

/** What happened, and what happens until Ctrl-C. */
async function follow(ask: Ask, { json }: SwitchControlFlags): Promise<void> {
  const signal = interruption();
  let since = 0;
  while (!signal.aborted) {
    for (const note of (await ask('events', { since })) as readonly NumberedNote[]) {
      since = note.number;
      print(json ? JSON.stringify(note) : `${note.at}  ${noteLine(note)}`);
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, EVENTS_INTERVAL_MS);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

interface Listed {
  readonly name: string;
  readonly ports: number;
  readonly stations: number;
}

async function running(): Promise<readonly Listed[]> {
  const found: Listed[] = [];
  for (const name of switchNames()) {
    try {
      using client = await connectSwitch(name);
      const { ports, stations: known } = (await client.ask('show')) as SwitchStatus;
      found.push({ name, ports: ports.length, stations: known });
    } catch (error) {
      // One that was killed has left its socket behind.
      if (!isVnicError(error, 'VNIC_SYSTEM_CALL') || error.errno === 'EACCES') throw error;
    }
  }
  return found;
}

async function listSwitches({ json }: SwitchControlFlags): Promise<void> {
  const found = await running();
  if (json) printJson(found);
  else if (found.length > 0) {
    const head = ['switch', 'ports', 'stations'].map((word) => style('bold', word));
    print(formatTable([head, ...found.map((one) => [printable(one.name), String(one.ports), String(one.stations)])]));
  }
}

/** Which is meant where one runs. */
async function onlyOne(): Promise<string> {
  const found = await running();
  const [first] = found;
  if (first !== undefined && found.length === 1) return first.name;
  const names = found.map(({ name }) => name).join(', ');
  throw new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted: 'choose a switch',
    reason: first === undefined ? 'none runs' : `these run: ${names}`,
    hint: first === undefined ? 'Start one: `vnic switch tap:tap0 tap:tap1`.' : 'Say which: --name NAME.',
  });
}
