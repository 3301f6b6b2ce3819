/** `vnic monitor`: what changes in the network, as it happens. */

import { Argument, type Command } from 'commander';

import { isVnicError } from '../../base/index.ts';
import { type EventGroup, type NetlinkEvent, openLinkEvents } from '../../netlink/index.ts';
import { type NetnsOptions, openNetworkNamespace } from '../../netns/index.ts';
import { addressJson, addressText, routeJson, routeText, stateText } from '../interface-text.ts';
import { interruption } from '../interruption.ts';
import { print, printable, printNote, style } from '../output.ts';
import { formatTime, wallClockMs } from '../packet-line.ts';
import { option, wholeNumber } from '../values.ts';
import { neighbourJson } from './neigh.ts';
import { ruleJson } from './rule.ts';

interface MonitorOptions extends NetnsOptions {
  readonly count?: number;
  readonly json?: true;
}

const groups: Readonly<Record<string, EventGroup>> = {
  link: 'link',
  address: 'address',
  route: 'route',
  neigh: 'neighbour',
  fdb: 'fdb',
  rule: 'rule',
  netns: 'netns',
};

export function define(command: Command): void {
  command
    .description(
      'Print changes of links, addresses, routes, neighbours, forwarding entries, policy rules and ids of namespaces, one line\n' +
        'each, until Ctrl-C. A change is printed with the whole state after it. Needs no privilege.',
    )
    .addArgument(new Argument('[what...]', 'only these; default all but neigh and fdb').choices(Object.keys(groups)))
    .addOption(option('-c, --count <events>', 'end after so many', wholeNumber(1, 1e12)))
    .option('--json', 'one object a line')
    .addHelpText(
      'after',
      `
"lost" means that the kernel dropped events, because they came faster than they were read: list anew what you follow.

Examples:
  vnic monitor
  vnic monitor link address --json
  vnic monitor neigh --netns blue`,
    )
    .action(monitor);
}

async function monitor(what: readonly string[], options: MonitorOptions): Promise<void> {
  const signal = interruption();
  const names = what.length > 0 ? what : ['link', 'address', 'route', 'rule', 'netns'];
  // One handle for both sockets: the name could be another namespace's in between.
  const namespace = options.netns === undefined ? undefined : openNetworkNamespace(options.netns);
  const netns = namespace === undefined ? {} : { netns: namespace };
  const wanted = names.map((name) => groups[name] as EventGroup);
  try {
    await using events = openLinkEvents({ groups: [...new Set<EventGroup>(['link', ...wanted])], signal, ...netns });
    const known = await knownLinks(netns);
    printNote(`watching ${names.join(', ')}; Ctrl-C ends it`);
    await printEvents(events, known, new Set([...wanted, 'lost']), options);
  } finally {
    namespace?.closeSync();
  }
}

async function printEvents(
  events: AsyncIterable<NetlinkEvent>,
  known: Map<number, string>,
  wanted: ReadonlySet<string>,
  options: MonitorOptions,
): Promise<void> {
  let left = options.count ?? Number.POSITIVE_INFINITY;
  try {
    for await (const event of events) {
      // Followed in any case: a link is named by its index elsewhere.
      if (event.type === 'link') known.set(event.link.index, event.link.name);
      if (!wanted.has(event.type)) continue;
      print(options.json ? JSON.stringify(eventJson(event, known)) : eventLine(event, known));
      if (event.type === 'link' && event.action === 'delete') known.delete(event.link.index);
      if (--left <= 0) return;
    }
  } catch (error) {
    if (!isVnicError(error, 'VNIC_ABORTED')) throw error;
  }
}

async function knownLinks(netns: NetnsOptions): Promise<Map<number, string>> {
  const { withNetlink } = await import('../../netdev/index.ts');
  const links = await withNetlink(netns, (netlink) => netlink.links.list());
  return new Map(links.map(({ index, name }) => [index, name]));
}

function eventLine(event: NetlinkEvent, known: ReadonlyMap<number, string>): string {
  const time = style('dim', formatTime(wallClockMs()));
  if (event.type === 'lost') return `${time} ${style('red', 'lost')}    some events: list anew what you follow`;
  const { action, type } = event;
  const sign = action === 'new' ? style('green', '+') : style('red', '-');
  return `${time} ${sign} ${(type === 'neighbour' ? 'neigh' : type).padEnd(7)} ${describe(event, known)}`;
}

function describe(event: Exclude<NetlinkEvent, { type: 'lost' }>, known: ReadonlyMap<number, string>): string {
  const on = (index: number | undefined): string => style('cyan', printable(nameOf(index, known) ?? '-'));
  switch (event.type) {
    case 'link': {
      const { link } = event;
      const kind = link.tun?.kind ?? link.kind ?? link.linkType;
      const moved = link.movedTo === undefined ? '' : `, moved to namespace ${link.movedTo.netnsId}`;
      const port = link.master === undefined ? '' : `, port of ${nameOf(link.master, known)}`;
      return `${on(link.index)} ${kind}, ${stateText(link)}, mtu ${link.mtu}${port}${moved}`;
    }
    case 'address':
      return `${on(event.address.linkIndex)} ${addressText(event.address)} ${event.address.flags.join(' ')}`.trimEnd();
    case 'route':
      return `${on(event.route.linkIndex)} ${routeText(event.route)} table ${event.route.table}`;
    case 'neighbour': {
      const { address, mac, state, linkIndex } = event.neighbour;
      return `${on(linkIndex)} ${address} ${mac ?? '-'} ${state.toLowerCase()}`;
    }
    case 'fdb':
      return `${on(event.entry.linkIndex)} ${event.entry.mac} ${event.entry.type}`;
    case 'rule': {
      const { priority, family, from, to, action, table } = event.rule;
      return `${priority} IPv${family} from ${from ?? 'all'} to ${to ?? 'all'} ${action === 'table' ? `table ${table}` : action}`;
    }
    case 'netns':
      return `id ${event.netnsId}`;
  }
}

function eventJson(event: NetlinkEvent, known: ReadonlyMap<number, string>): Record<string, unknown> {
  const time = wallClockMs() / 1000;
  if (event.type === 'lost') return { time, type: 'lost' };
  const { type, action } = event;
  const of = (linkIndex: number | undefined): Record<string, unknown> => ({
    interface: nameOf(linkIndex, known) ?? null,
  });
  const head = { time, type: type === 'neighbour' ? 'neigh' : type, action };
  switch (event.type) {
    case 'link': {
      const { index, name, kind, isUp, isRunning, mtu, mac, master, movedTo } = event.link;
      const port = nameOf(master, known) ?? null;
      return {
        ...head,
        name,
        index,
        kind: kind ?? null,
        up: isUp,
        running: isRunning,
        mtu,
        mac: mac ?? null,
        master: port,
        movedTo: movedTo ?? null,
      };
    }
    case 'address':
      return { ...head, ...of(event.address.linkIndex), ...addressJson(event.address) };
    case 'route':
      // The type of a route has the name of the event's.
      return { ...head, ...of(event.route.linkIndex), route: routeJson(event.route) };
    case 'neighbour':
      return { ...head, ...of(event.neighbour.linkIndex), ...neighbourJson(event.neighbour) };
    case 'fdb':
      return { ...head, ...of(event.entry.linkIndex), mac: event.entry.mac, entry: event.entry.type };
    case 'rule':
      return { ...head, rule: ruleJson(event.rule) };
    case 'netns':
      return { ...head, id: event.netnsId };
  }
}

function nameOf(index: number | undefined, known: ReadonlyMap<number, string>): string | undefined {
  return index === undefined ? undefined : (known.get(index) ?? `if${index}`);
}
