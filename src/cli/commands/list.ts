/** `vnic list`: the TUN/TAP devices, or every interface. */

import type { Command } from 'commander';

import type { InterfaceInfo } from '../../netdev/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { accountText, addressText, holdersText, interfaceJson, stateText } from '../interface-text.ts';
import { print, printable, printJson, printNote, style } from '../output.ts';
import { formatTable } from '../table.ts';

interface ListOptions extends NetnsOptions {
  readonly all?: true;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .description('List the TUN/TAP devices of this network namespace. Needs no privilege; only root sees every holder.')
    .option('-a, --all', 'every interface')
    .option('--json', 'an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  vnic list
  vnic list --all
  vnic list --json | jq -r '.[] | select(.tun.persist) | .name'`,
    )
    .action(list);
}

async function list(options: ListOptions): Promise<void> {
  const { describeInterfaces, interfaceKind } = await import('../../netdev/index.ts');
  const infos = await describeInterfaces(options);
  if (options.json) {
    printJson(infos.map((info) => interfaceJson(info, interfaceKind(info.link))));
    return;
  }
  if (infos.length === 0) {
    printNote(
      `no TUN/TAP devices here; make one with \`vnic create\`, or list every interface with \`vnic list --all\``,
    );
    return;
  }
  const header = ['NAME', 'KIND', 'STATE', 'MTU', 'MAC', 'ADDRESSES', 'OWNER', 'GROUP', 'PERSIST', 'QUEUES', 'HELD BY'];
  print(
    formatTable([
      header.map((title) => style('bold', title)),
      ...infos.map((info) => row(info, interfaceKind(info.link))),
    ]),
  );
}

function row(info: InterfaceInfo, kind: string): string[] {
  const { link } = info;
  const ofTun = (text: string): string => (link.tun === undefined ? '-' : text);
  return [
    style('cyan', printable(link.name)),
    kind,
    stateText(link),
    String(link.mtu),
    link.mac?.toString() ?? '-',
    info.addresses.map(addressText).join(', ') || '-',
    accountText(info.owner),
    accountText(info.group),
    ofTun(link.tun?.persist ? 'yes' : 'no'),
    ofTun(String(info.queues)),
    holdersText(info.holders),
  ];
}
