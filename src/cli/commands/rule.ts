/** `vnic rule`: policy rules, which choose the table of routes. */

import type { Command } from 'commander';

import { Cidr, type IpFamily } from '../../base/index.ts';
import type { RuleAction, RuleInfo, RuleSpec } from '../../netlink/index.ts';
import type { NetnsOptions } from '../../netns/index.ts';
import { defineNoun, type NounAction, printList } from '../noun.ts';
import { printable } from '../output.ts';
import { usageError } from '../report-error.ts';
import { badValue, oneOf, option, type Parser, parseFamily, parseTable, parseText, wholeNumber } from '../values.ts';

interface RuleOptions extends NetnsOptions {
  readonly family?: IpFamily;
  readonly priority?: number;
  readonly from?: Cidr;
  readonly to?: Cidr;
  readonly iif?: string;
  readonly oif?: string;
  readonly fwmark?: Mark;
  readonly not?: true;
  readonly table?: number | 'all';
  readonly action?: RuleAction;
  readonly suppressPrefixLength?: number;
  readonly json?: true;
}

interface Mark {
  readonly fwmark: number;
  readonly fwmask?: number;
}

const actions = ['table', 'blackhole', 'unreachable', 'prohibit'] as const;
const keys = [
  'family',
  'priority',
  'from',
  'to',
  'iif',
  'oif',
  'fwmark',
  'not',
  'table',
  'action',
  'suppressPrefixLength',
] as const;

const change = (operation: 'add' | 'remove'): NounAction<RuleOptions> => ({
  options: keys,
  subject: 'none',
  async run(_subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    const { netns: _netns, json: _json, fwmark, not, table, ...rest } = options;
    if (table === 'all') throw usageError('change a rule', 'a rule looks in one table, not in all', 'Give its number.');
    if (operation === 'remove' && Object.keys(options).every((key) => key === 'netns' || key === 'family')) {
      throw usageError('delete a rule', 'nothing was said of the rule', 'Give at least its --priority.');
    }
    const rule: RuleSpec = { ...rest, ...fwmark, ...(not && { invert: true }), ...(table !== undefined && { table }) };
    await withNetlink(options, (netlink) => netlink.rules[operation](rule));
  },
});

const list: NounAction<RuleOptions> = {
  options: ['family', 'json'],
  subject: 'none',
  async run(_subject, options) {
    const { withNetlink } = await import('../../netdev/index.ts');
    const { family } = options;
    const rules = await withNetlink(options, (netlink) => netlink.rules.list(family === undefined ? {} : { family }));
    const rows = rules.map((rule) => ({
      json: ruleJson(rule),
      cells: [String(rule.priority), `IPv${rule.family}`, matchText(rule), actionText(rule), rule.protocol],
    }));
    printList(rows, ['PRIORITY', 'FAMILY', 'MATCHES', 'ACTION', 'PROTOCOL'], {
      ...(options.json && { json: true }),
      empty: 'no rules',
    });
  },
};

export function define(command: Command): void {
  command.description(
    'List, add and delete policy rules, of IPv4 and IPv6: for which packets to look in which table of routes. "delete" takes\n' +
      'the first rule that agrees in everything given.',
  );
  defineNoun(command, 'nothing', { list, add: change('add'), delete: change('remove') })
    .addOption(option('--priority <number>', 'lower is looked at first', wholeNumber(0, 0xffff_ffff)))
    .addOption(option('--from <cidr>', 'source addresses', parsePrefix))
    .addOption(option('--to <cidr>', 'destination addresses', parsePrefix))
    .addOption(option('--iif <interface>', 'packets that come in by it; lo for those of this machine', parseText))
    .addOption(option('--oif <interface>', 'packets of sockets that are bound to it', parseText))
    .addOption(option('--fwmark <mark>', 'mark of the packet, as MARK or MARK/MASK; hexadecimal with 0x', parseMark))
    .option('--not', 'packets that all this does not match')
    .addOption(option('--table <number>', 'look in it: a number, main, local or default', parseTable))
    .addOption(option(`--action <${actions.join('|')}>`, 'default table', oneOf(...actions)))
    .addOption(option('--suppress-prefix-length <bits>', 'ignore routes so short or shorter', wholeNumber(0, 128)))
    .addOption(option('--family <4|6>', 'where no address says it', parseFamily))
    .option('--json', 'listing: an array of objects')
    .addHelpText(
      'after',
      `
Examples:
  vnic rule
  sudo vnic rule add --from 10.7.0.0/24 --table 100 --priority 1000
  sudo vnic rule add --family 6 --fwmark 0x10/0xff --table 100
  sudo vnic rule delete --priority 1000 --family 4`,
    );
}

const parsePrefix: Parser<Cidr> = (text) => Cidr.parse(text);

const parseMark: Parser<Mark> = (text) => {
  const [mark, mask, ...rest] = text.split('/').map(parseWord);
  if (mark === undefined || rest.length > 0) throw badValue(text, 'a mark, or a mark and a mask, such as 0x10/0xff');
  return { fwmark: mark, ...(mask !== undefined && { fwmask: mask }) };
};

function parseWord(text: string): number {
  const value = /^(0x[0-9a-f]{1,8}|0|[1-9][0-9]{0,9})$/i.test(text) ? Number(text) : Number.NaN;
  if (value <= 0xffff_ffff) return value;
  throw badValue(text, 'a number of 32 bits, decimal or hexadecimal with 0x');
}

/** As `--json` prints it. */
export function ruleJson(rule: RuleInfo): Record<string, unknown> {
  return Object.fromEntries(Object.entries(rule).map(([key, value]) => [key, value ?? null]));
}

function matchText({ invert, from, to, iif, oif, fwmark, fwmask, tos, ipProtocol }: RuleInfo): string {
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const mask = fwmask === undefined || fwmask === 0xffff_ffff ? '' : `/${hex(fwmask)}`;
  const parts = [
    from === undefined ? '' : `from ${from}`,
    to === undefined ? '' : `to ${to}`,
    iif === undefined ? '' : `iif ${printable(iif)}`,
    oif === undefined ? '' : `oif ${printable(oif)}`,
    fwmark === undefined ? '' : `fwmark ${hex(fwmark)}${mask}`,
    tos === 0 ? '' : `tos ${hex(tos)}`,
    ipProtocol === undefined ? '' : `protocol ${ipProtocol}`,
  ].filter((part) => part !== '');
  return `${invert ? 'not ' : ''}${parts.join(' ') || 'all'}`;
}

function actionText({ action, table, suppressPrefixLength }: RuleInfo): string {
  if (action !== 'table') return action;
  const name = { 253: 'default', 254: 'main', 255: 'local' }[table] ?? String(table);
  return `table ${name}${suppressPrefixLength === undefined ? '' : ` without /${suppressPrefixLength}`}`;
}
