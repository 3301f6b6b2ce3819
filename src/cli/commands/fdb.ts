/** `vnic fdb`: forwarding tables of bridges. */

import type { Command } from 'commander';

import { MacAddress } from '../../base/index.ts';
import type { FdbEntryType, FdbSpec } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { readLinkNames } from '../link-names.ts';
import { defineNoun, type NounAction, printList, requireOption } from '../noun.ts';
import { oneOf, option, parseText, parseValue, wholeNumber } from '../values.ts';

interface FdbOptions extends NetnsOptions {
  readonly bridge?: string;
  readonly dev?: string;
  readonly vlan?: number;
  readonly type?: FdbEntryType;
  readonly self?: true;
  readonly json?: true;
}

const types = ['local', 'static', 'dynamic'] as const;

const change = (operation: 'add' | 'replace' | 'remove'): NounAction<FdbOptions> => ({
  options: operation === 'remove' ? ['dev', 'vlan', 'self'] : ['dev', 'vlan', 'type', 'self'],
  subject: 'required',
  async run(subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    const { vlan, type, self } = options;
    const entry: FdbSpec = {
      mac: parseValue('the MAC address', subject as string, (text) => MacAddress.parse(text)),
      ...(vlan !== undefined && { vlan }),
      ...(type !== undefined && { type }),
      ...(self && { self }),
    };
    const dev = requireOption(options.dev, `vnic fdb ${operation === 'remove' ? 'delete' : operation}`, '--dev');
    await withNetlink(options, (netlink) => netlink.fdb[operation](dev, entry));
  },
});

const list: NounAction<FdbOptions> = {
  options: ['bridge', 'dev', 'json'],
  subject: 'none',
  async run(_subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    await withNetlink(options, async (netlink) => {
      const { bridge, dev } = options;
      const entries = await netlink.fdb.list({
        ...(bridge !== undefined && { bridge }),
        ...(dev !== undefined && { link: dev }),
      });
      const names = await readLinkNames(netlink);
      const rows = entries.map(({ mac, linkIndex, master, vlan, type, flags }) => ({
        json: { mac, interface: names.name(linkIndex), bridge: names.name(master), vlan: vlan ?? null, type, flags },
        cells: [
          mac.toString(),
          names.text(linkIndex),
          names.text(master),
          vlan?.toString() ?? '-',
          type,
          flags.join(' '),
        ],
      }));
      const header = ['MAC', 'INTERFACE', 'BRIDGE', 'VLAN', 'TYPE', 'FLAGS'];
      printList(rows, header, { ...(options.json && { json: true }), empty: 'no forwarding entries' });
    });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add, replace and delete entries of the forwarding tables of bridges: by which port a MAC address is reached.\n' +
      'local: an address of the port itself; static: set, and kept; dynamic: learned, or forgotten as if it were.',
  );
  defineNoun(command, 'mac', { list, add: change('add'), replace: change('replace'), delete: change('remove') })
    .addOption(option('--dev <interface>', 'the port', parseText))
    .addOption(option('--bridge <interface>', 'listing: of this bridge and its ports', parseText))
    .addOption(option('--vlan <number>', 'with VLAN filtering', wholeNumber(1, 4094)))
    .addOption(option(`--type <${types.join('|')}>`, 'default static', oneOf(...types)))
    .option('--self', 'of the table of the interface itself; needed where --dev is the bridge')
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  vnic fdb --bridge br0
  sudo vnic fdb add 02:00:00:00:00:02 --dev tap0
  sudo vnic fdb delete 02:00:00:00:00:02 --dev tap0`,
    );
}
