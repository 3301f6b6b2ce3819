/** The policy rules, masquerading and forwarding of a network namespace as they are now. */

import { type KernelSnapshot, ruleMatches } from '../changes/index.ts';
import type { NamespaceConfig, RuleConfig } from '../config/index.ts';
import type { RuleInfo } from '../netlink/index.ts';

/** @param note told of what a configuration cannot say */
export function exportNamespace(snapshot: KernelSnapshot, note: (message: string) => void): NamespaceConfig {
  return {
    sysctls: Object.fromEntries(forwardingKeys.flatMap((key) => (snapshot.sysctl(key) === '1' ? [[key, '1']] : []))),
    rules: exportRules(snapshot.rules, note),
    masquerade: snapshot.masquerades.map(({ source, out, notOut }) => ({
      from: source.toString(),
      ...(out !== undefined && { out }),
      ...(notOut !== undefined && { notOut }),
    })),
  };
}

const forwardingKeys = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'];

/** A rule of a configuration that names no address is for both families, so that one of each is needed. */
function exportRules(rules: readonly RuleInfo[], note: (message: string) => void): RuleConfig[] {
  const found: RuleConfig[] = [];
  for (const info of rules) {
    if (info.protocol === 'kernel') continue;
    const rule = plainRule(info);
    const families = rule.from === undefined && rule.to === undefined ? ([4, 6] as const) : [info.family];
    const isSayable = families.every((family) =>
      rules.some((other) => ruleMatches(other, { resource: 'rule', action: 'add', family, ...rule })),
    );
    if (!isSayable) note(`the IPv${info.family} rule ${info.priority} is of a kind that a configuration cannot say`);
    else if (families.length === 1 || info.family === 4) found.push(rule);
  }
  return found;
}

function plainRule({ priority, table, from, to, iif, fwmark }: RuleInfo): RuleConfig {
  return {
    priority,
    table,
    ...(from !== undefined && { from: from.toString() }),
    ...(to !== undefined && { to: to.toString() }),
    ...(iif !== undefined && { in: iif }),
    ...(fwmark !== undefined && { mark: fwmark }),
  };
}
