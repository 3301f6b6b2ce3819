/** `vnic nat`: masquerading, so that a device's network reaches the world. */

import type { Command } from 'commander';

import { Cidr } from '../../base/index.ts';
import type { MasqueradeSpec } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { defineNoun, type NounAction, printList } from '../noun.ts';
import { printable, printNote } from '../output.ts';
import { option, parseText, parseValue } from '../values.ts';

interface NatOptions extends NetnsOptions {
  readonly out?: string;
  readonly notOut?: string;
  readonly forwarding?: true;
  readonly json?: true;
}

const add: NounAction<NatOptions> = {
  options: ['out', 'notOut', 'forwarding'],
  subject: 'required',
  async run(source, options) {
    const { addMasquerade } = await import('../../netlink/index.ts');
    const { readForwarding, writeForwarding } = await import('../../netns/index.ts');
    const spec = specOf(source as string, options);
    const family = spec.source.family === 4 ? 'ipv4' : 'ipv6';
    await addMasquerade(spec, options);
    if (readForwarding(options)[family]) return;
    if (options.forwarding) writeForwarding({ [family]: true }, options);
    else
      printNote(`IPv${spec.source.family} forwarding is off, so nothing passes: add --forwarding, or \`vnic sysctl\``);
  },
};

const remove: NounAction<NatOptions> = {
  options: ['out', 'notOut'],
  subject: 'required',
  async run(source, options) {
    const { removeMasquerade } = await import('../../netlink/index.ts');
    await removeMasquerade(specOf(source as string, options), options);
  },
};

const list: NounAction<NatOptions> = {
  options: ['json'],
  subject: 'none',
  async run(_source, options) {
    const { listMasquerades } = await import('../../netlink/index.ts');
    const rows = (await listMasquerades(options)).map(({ source, out, notOut, packets, bytes }) => ({
      json: { source, out: out ?? null, notOut: notOut ?? null, packets, bytes },
      cells: [source.toString(), wayText(out, notOut), String(packets), String(bytes)],
    }));
    const empty = 'nothing is masqueraded by vnic; the whole firewall is shown by `nft list ruleset`';
    printList(rows, ['SOURCE', 'LEAVING BY', 'CONNECTIONS', 'BYTES'], { ...(options.json && { json: true }), empty });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add and delete masquerading: packets from a network, given by its prefix, leave this machine under its own address,\n' +
      'and the answers find back. It is done by a table of nftables of its own, "inet vnic"; other rules are not touched.',
  );
  defineNoun(command, 'prefix', { list, add, delete: remove })
    .addOption(option('--out <interface>', 'only what leaves by this interface', parseText).conflicts('notOut'))
    .addOption(option('--not-out <interface>', 'only what leaves by another than this, that of the network', parseText))
    .option('--forwarding', 'adding: also switch on forwarding of that family, for the whole namespace')
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  sudo vnic nat add 10.0.0.0/24 --not-out tap0 --forwarding
  sudo vnic nat add fd00::/64 --not-out tap0 --forwarding
  sudo vnic nat
  sudo vnic nat delete 10.0.0.0/24 --not-out tap0`,
    );
}

function specOf(text: string, { out, notOut }: NatOptions): MasqueradeSpec {
  return {
    source: parseValue('the prefix', text, (value) => Cidr.parse(value)),
    ...(out !== undefined && { out }),
    ...(notOut !== undefined && { notOut }),
  };
}

function wayText(out: string | undefined, notOut: string | undefined): string {
  if (out !== undefined) return printable(out);
  return notOut === undefined ? 'any' : `any but ${printable(notOut)}`;
}
