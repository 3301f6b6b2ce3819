/** `vnic route`: routes of any table. */

import type { Command } from 'commander';

import { Cidr, IpAddress, type IpFamily } from '../../base/index.ts';
import type { RouteInfo, RouteSpec, RouteType } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { routeJson } from '../interface-text.ts';
import { readLinkNames } from '../link-names.ts';
import { defineNoun, type NounAction, printList } from '../noun.ts';
import { usageError } from '../report-error.ts';
import { oneOf, option, parseFamily, parseMtu, parseTable, parseText, parseValue, wholeNumber } from '../values.ts';

interface RouteOptions extends NetnsOptions {
  readonly family?: IpFamily;
  readonly via?: IpAddress;
  readonly dev?: string;
  readonly table?: number | 'all';
  readonly metric?: number;
  readonly source?: IpAddress;
  readonly mtu?: number;
  readonly type?: RouteType;
  readonly onlink?: true;
  readonly json?: true;
}

const types = ['unicast', 'blackhole', 'unreachable', 'prohibit', 'throw', 'local'] as const;
const parseAddress = (text: string): IpAddress => IpAddress.parse(text);
const routeOptions = ['family', 'via', 'dev', 'table', 'metric', 'source', 'mtu', 'type', 'onlink'] as const;

const change = (operation: 'add' | 'replace' | 'remove'): NounAction<RouteOptions> => ({
  options: routeOptions,
  subject: 'required',
  async run(destination, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    const route = routeSpec(destination as string, options);
    await withNetlink(options, (netlink) => netlink.routes[operation](route));
  },
});

const list: NounAction<RouteOptions> = {
  options: ['family', 'table', 'dev', 'json'],
  subject: 'none',
  async run(_subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    await withNetlink(options, async (netlink) => {
      const { family, table, dev } = options;
      const routes = await netlink.routes.list({
        ...(family !== undefined && { family }),
        ...(table !== undefined && { table }),
        ...(dev !== undefined && { link: dev }),
      });
      const names = await readLinkNames(netlink);
      const rows = routes.map((route) => ({
        json: {
          ...routeJson(route),
          interface: names.name(route.linkIndex),
          mtu: route.mtu ?? null,
          nextHops: route.nextHops.map(({ via, linkIndex, weight }) => ({
            via: via ?? null,
            interface: names.name(linkIndex),
            weight,
          })),
        },
        cells: [
          destinationText(route),
          route.type,
          route.via?.toString() ?? (route.nextHops.length > 0 ? `${route.nextHops.length} ways` : '-'),
          names.text(route.linkIndex),
          route.metric?.toString() ?? '-',
          route.source?.toString() ?? '-',
          tableText(route.table),
          route.protocol,
        ],
      }));
      const header = ['DESTINATION', 'TYPE', 'VIA', 'INTERFACE', 'METRIC', 'SOURCE', 'TABLE', 'PROTOCOL'];
      printList(rows, header, { ...(options.json && { json: true }), empty: 'no routes in that table' });
    });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add, replace and delete routes, of IPv4 and IPv6. "replace" puts a route in the place of the one with the same\n' +
      'destination, metric and table. "delete" takes the first that agrees in everything given.',
  );
  defineNoun(command, 'destination', { list, add: change('add'), replace: change('replace'), delete: change('remove') })
    .addOption(option('--via <address>', 'the gateway, which may be of the other family', parseAddress))
    .addOption(option('--dev <interface>', 'through this interface', parseText))
    .addOption(option('--table <number>', 'number, main, local or default; listing: or all; default main', parseTable))
    .addOption(option('--metric <number>', 'lower is preferred', wholeNumber(0, 0xffff_ffff)))
    .addOption(option('--source <address>', 'preferred source address', parseAddress))
    .addOption(option('--mtu <bytes>', 'path MTU', parseMtu))
    .addOption(option(`--type <${types.join('|')}>`, 'default unicast', oneOf(...types)))
    .option('--onlink', 'take the gateway as reachable although no subnet has it')
    .addOption(option('--family <4|6>', 'listing: one family; else that of "default" without an address', parseFamily))
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  vnic route                                            the main table
  vnic route list --table all --family 6 --json
  sudo vnic route add default --via 10.0.0.1
  sudo vnic route replace 192.168.7.0/24 --dev tun0 --metric 50 --source 10.0.0.1
  sudo vnic route add 10.99.0.0/16 --type blackhole
  sudo vnic route delete default --family 6 --table 100`,
    );
}

function routeSpec(text: string, options: RouteOptions): RouteSpec {
  const { family, via, dev, table, metric, source, mtu, type, onlink } = options;
  if (table === 'all') throw usageError('change a route', 'a route is in one table, not in all', 'Give its number.');
  return {
    destination: text === 'default' ? text : parseValue('the destination', text, (value) => Cidr.parse(value)),
    ...(family !== undefined && { family }),
    ...(via !== undefined && { via }),
    ...(dev !== undefined && { link: dev }),
    ...(table !== undefined && { table }),
    ...(metric !== undefined && { metric }),
    ...(source !== undefined && { source }),
    ...(mtu !== undefined && { mtu }),
    ...(type !== undefined && { type }),
    ...(onlink && { onlink }),
  };
}

function destinationText({ destination }: RouteInfo): string {
  return destination.prefixLen === 0 ? `default (IPv${destination.family})` : destination.toString();
}

function tableText(table: number): string {
  return { 253: 'default', 254: 'main', 255: 'local' }[table] ?? String(table);
}
