/** `vnic neigh`: the ARP and neighbour discovery caches, and what is answered for in place of others. */

import type { Command } from 'commander';

import { IpAddress, type IpFamily, type MacAddress } from '../../base/index.ts';
import type { NeighbourInfo, NeighbourSpec } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { readLinkNames } from '../link-names.ts';
import { defineNoun, type NounAction, printList, requireOption } from '../noun.ts';
import { oneOf, option, parseFamily, parseInterfaceMac, parseText, parseValue } from '../values.ts';

interface NeighOptions extends NetnsOptions {
  readonly dev?: string;
  readonly mac?: MacAddress;
  readonly state?: NonNullable<NeighbourSpec['state']>;
  readonly proxy?: true;
  readonly router?: true;
  readonly family?: IpFamily;
  readonly json?: true;
}

const states = ['permanent', 'noarp', 'reachable', 'stale'] as const;

const change = (operation: 'add' | 'replace' | 'remove'): NounAction<NeighOptions> => ({
  options: operation === 'remove' ? ['dev', 'proxy'] : ['dev', 'mac', 'state', 'proxy', 'router'],
  subject: 'required',
  async run(subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    const { mac, state, proxy, router } = options;
    const neighbour: NeighbourSpec = {
      address: parseValue('the address', subject as string, (text) => IpAddress.parse(text)),
      ...(mac !== undefined && { mac }),
      ...(state !== undefined && { state }),
      ...(proxy && { proxy }),
      ...(router && { router }),
    };
    const line = `vnic neigh ${operation === 'remove' ? 'delete' : operation}`;
    const dev = requireOption(options.dev, line, '--dev');
    if (operation !== 'remove' && !proxy) requireOption(mac, line, '--mac');
    await withNetlink(options, (netlink) => netlink.neighbours[operation](dev, neighbour));
  },
});

const list: NounAction<NeighOptions> = {
  options: ['dev', 'proxy', 'family', 'json'],
  subject: 'none',
  async run(_subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    await withNetlink(options, async (netlink) => {
      const { dev, family, proxy } = options;
      const entries = await netlink.neighbours.list({
        ...(dev !== undefined && { link: dev }),
        ...(family !== undefined && { family }),
        ...(proxy && { proxy }),
      });
      const names = await readLinkNames(netlink);
      const rows = entries.map((entry) => ({
        json: { ...neighbourJson(entry), interface: names.name(entry.linkIndex) },
        cells: [
          entry.address.toString(),
          names.text(entry.linkIndex),
          entry.mac?.toString() ?? '-',
          entry.state.toLowerCase(),
          entry.flags.join(' '),
        ],
      }));
      const empty = proxy ? 'nothing is answered for in place of others' : 'no neighbours';
      printList(rows, ['ADDRESS', 'INTERFACE', 'MAC', 'STATE', 'FLAGS'], {
        ...(options.json && { json: true }),
        empty,
      });
    });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add, replace and delete neighbours: which MAC address an IP address has. With --proxy: the addresses for which\n' +
      'this machine answers ARP or neighbour solicitations in place of others.',
  );
  defineNoun(command, 'address', { list, add: change('add'), replace: change('replace'), delete: change('remove') })
    .addOption(option('--dev <interface>', 'on this interface', parseText))
    .addOption(option('--mac <address>', 'its MAC address', parseInterfaceMac))
    .addOption(option(`--state <${states.join('|')}>`, 'default permanent', oneOf(...states)))
    .option('--proxy', 'answer for the address')
    .option('--router', 'IPv6: it is a router')
    .addOption(option('--family <4|6>', 'listing: one family', parseFamily))
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  vnic neigh
  sudo vnic neigh add 10.0.0.2 --dev tap0 --mac 02:00:00:00:00:02
  sudo vnic neigh delete 10.0.0.2 --dev tap0
  sudo vnic neigh add fd00::2 --dev eth0 --proxy        needs: vnic sysctl net.ipv6.conf.eth0.proxy_ndp=1`,
    );
}

/** As `--json` prints it. */
export function neighbourJson({ address, family, mac, state, flags }: NeighbourInfo): Record<string, unknown> {
  return { address, family, mac: mac ?? null, state: state.toLowerCase(), flags };
}
