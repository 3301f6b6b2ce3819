/**
 * Rules of nftables (and iptables on it) that drop what comes from a device or goes to it, as `nft -j list ruleset` shows them.
 *
 * Judged are base chains of the type filter: a rule that drops and names the device, or names none and has dropped; and
 * the policy, where no rule accepts the device by name. What hangs on addresses, sets or marks is not followed.
 */

import { spawnSync } from 'node:child_process';

import { findProgram } from '../netdev/index.ts';
import { enteringWords, fine, found, type PathCheck, type PathContext, shellWord } from './path-check.ts';

interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}

interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

const TITLE = 'Firewall';
/** Where packets of a device come along. */
const hooks = ['ingress', 'prerouting', 'input', 'forward', 'output', 'postrouting', 'egress'];

export function checkFirewall({ link, ...place }: PathContext): PathCheck {
  const program = findProgram('nft');
  if (program === undefined) return fine('firewall', TITLE, 'not looked at: the program nft is not installed');
  const [first = program, ...rest] = [...enteringWords(place), program, '-j', 'list', 'ruleset'];
  const { status, stdout = '', stderr = '' } = spawnSync(first, rest, { encoding: 'utf8' });
  if (status !== 0)
    return fine('firewall', TITLE, `not looked at: ${stderr?.trim().split('\n')[0] || `${first} failed`}`);
  const { chains, rules } = parseRuleset(stdout);
  const filters = chains.filter(({ hook }) => hook !== undefined && hooks.includes(hook));
  for (const chain of filters) {
    const verdict = judgeChain(chain, rulesOf(chain, rules), link.name);
    if (verdict !== undefined) return verdict;
  }
  return fine(
    'firewall',
    TITLE,
    filters.length === 0
      ? 'no rules'
      : `nothing in the ${filters.length === 1 ? 'chain' : `${filters.length} chains`} drops its packets`,
  );
}

function judgeChain(chain: NftChain, rules: readonly NftRule[], name: string): PathCheck | undefined {
  for (const rule of rules) {
    const match = deviceMatch(rule, name);
    // Everything behind a rule that accepts the device is not reached by its packets.
    if (match === 'named' && hasVerdict(rule, 'accept')) return undefined;
    const verdict = match === 'other' ? undefined : judgeRule(chain, rule, match);
    if (verdict !== undefined) return verdict;
  }
  if (chain.policy !== 'drop') return undefined;
  const side = chain.hook === 'output' || chain.hook === 'postrouting' ? 'oifname' : 'iifname';
  return found('firewall', TITLE, {
    detail: `${textOf(chain)} drops what no rule accepts (policy), and none accepts the device`,
    fix: `sudo nft insert rule ${words(chain)} ${side} ${shellWord(name)} accept`,
  });
}

function judgeRule(chain: NftChain, rule: NftRule, match: 'named' | 'any'): PathCheck | undefined {
  if (!hasVerdict(rule, 'drop') && !hasVerdict(rule, 'reject')) return undefined;
  const packets = packetsOf(rule);
  if (match === 'any' && (packets ?? 0) === 0) return undefined;
  const counted = packets === undefined ? '' : `, ${packets} packets so far`;
  return found('firewall', TITLE, {
    status: match === 'named' ? 'fail' : 'warn',
    detail: `a rule of ${textOf(chain)} drops packets${match === 'named' ? ' of the device' : ''}${counted}`,
    fix: `sudo nft delete rule ${words(chain)} handle ${rule.handle}`,
  });
}

/** `named`: it speaks of this device and of nothing else; `other`: of another one, or of more than it can be judged by. */
function deviceMatch({ expr }: NftRule, name: string): 'named' | 'any' | 'other' {
  let result: 'named' | 'any' = 'any';
  for (const expression of expr) {
    const match = expression['match'] as
      | { op?: string; left?: { meta?: { key?: string } }; right?: unknown }
      | undefined;
    if (match === undefined) continue;
    const key = match.left?.meta?.key ?? '';
    if (!/^[io]if(name)?$/.test(key)) {
      // Some of the packets only.
      if (result === 'any') return 'other';
      continue;
    }
    const isNamed = match.right === name || (typeof match.right === 'string' && isPatternOf(match.right, name));
    if (isNamed === (match.op === '!=')) return 'other';
    result = 'named';
  }
  return result;
}

/** `tap*` */
function isPatternOf(pattern: string, name: string): boolean {
  return pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1));
}

function hasVerdict({ expr }: NftRule, verdict: string): boolean {
  return expr.some((expression) => verdict in expression);
}

function packetsOf({ expr }: NftRule): number | undefined {
  for (const expression of expr) {
    const counter = expression['counter'] as { packets?: number } | undefined;
    if (counter?.packets !== undefined) return counter.packets;
  }
  return undefined;
}

function rulesOf({ family, table, name }: NftChain, rules: readonly NftRule[]): NftRule[] {
  return rules.filter((rule) => rule.family === family && rule.table === table && rule.chain === name);
}

function textOf({ family, table, name }: NftChain): string {
  return `${family} ${table} ${name}`;
}

function words({ family, table, name }: NftChain): string {
  return [family, table, name].map(shellWord).join(' ');
}

/** libnftables-json(5) */
function parseRuleset(text: string): { readonly chains: NftChain[]; readonly rules: NftRule[] } {
  const { nftables } = JSON.parse(text) as { nftables: { chain?: NftChain; rule?: NftRule }[] };
  return { chains: nftables.flatMap(({ chain }) => chain ?? []), rules: nftables.flatMap(({ rule }) => rule ?? []) };
}
