/** Policy rules, which choose the table of routes for a packet: list, add, remove. */

import { type Cidr, type IpFamily, invalidArgument } from '../base/index.ts';
import { NLM_F_CREATE, NLM_F_EXCL, RT_TABLE_MAIN, Rtm } from './constants.ts';
import { checkInterfaceName } from './interface-name.ts';
import { checkRange, checkU32 } from './link-spec.ts';
import { collectInto, type RequestOptions } from './links.ts';
import { routeProtocols, ruleActions } from './names.ts';
import {
  type NumberRange,
  parseRule,
  putRule,
  putRuleFilter,
  type RuleAction,
  type RuleFields,
  type RuleInfo,
} from './rule.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** A rule to be added or removed. */
export interface RuleSpec {
  /** Needed where neither `from` nor `to` says it. */
  readonly family?: IpFamily;
  /** Lower is looked at first. Adding: default one less than that of the first rule behind that of priority 0. */
  readonly priority?: number;
  /** Source addresses. */
  readonly from?: Cidr;
  /** Destination addresses. */
  readonly to?: Cidr;
  /** Name of the interface that packets come in by, which need not exist; `lo` for those of this machine. */
  readonly iif?: string;
  /** Name of the interface that the sending socket is bound to. */
  readonly oif?: string;
  /** Mark of the packet or the socket (`SO_MARK`). */
  readonly fwmark?: number;
  /** Bits of the mark that are compared. Default all. */
  readonly fwmask?: number;
  readonly tos?: number;
  /** Match the packets that all this does not. Default false. */
  readonly invert?: boolean;
  /** Default `table`. */
  readonly action?: RuleAction;
  /** For the action `table`: where to look. Adding: default 254 (main). */
  readonly table?: number;
  /** Ignore routes of the table with a prefix of this length or shorter; 0 ignores default routes. */
  readonly suppressPrefixLength?: number;
  /** IP protocol number, 1 to 255. */
  readonly ipProtocol?: number;
  /** Ports 1 to 65535 that packets go to; needs the `ipProtocol` of TCP, UDP or SCTP. */
  readonly destinationPorts?: NumberRange;
  /** Who makes it. Adding: default `boot`. */
  readonly protocol?: 'kernel' | 'boot' | 'static' | 'ra' | 'dhcp' | number;
}

/** Which rules to list. */
export interface ListRulesOptions extends RequestOptions {
  /** Default both. */
  readonly family?: IpFamily;
}

/** The policy rules of the namespace that the socket was opened in. */
export class Rules {
  readonly #requester: NetlinkRequester;

  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
  }

  /** In the order in which the kernel looks at them, IPv4 before IPv6. @throws VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListRulesOptions = {}): Promise<RuleInfo[]> {
    const families: readonly IpFamily[] = options.family === undefined ? [4, 6] : [options.family];
    const rules: RuleInfo[] = [];
    for (const family of families) {
      const found: RuleInfo[] = [];
      await this.#requester.request({
        subject: 'rule',
        attempted: 'list the policy rules',
        call: 'RTM_GETRULE',
        message: putRuleFilter(dumpMessage(Rtm.GETRULE), family),
        ...collectInto(found, Rtm.NEWRULE, parseRule),
        signal: options.signal,
      });
      // A kernel without IPv6 answers for another family.
      rules.push(...found.filter((rule) => rule.family === family));
    }
    return rules;
  }

  /** @throws VNIC_RULE_EXISTS, VNIC_NO_PRIVILEGE, VNIC_INVALID_ARGUMENT, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG */
  async add(rule: RuleSpec, options: RequestOptions = {}): Promise<void> {
    const attempted = `add ${describeRule(rule)}`;
    const { table = RT_TABLE_MAIN, protocol = 'boot', action = 'table' } = rule;
    const spec = { ...rule, protocol, action, ...(action === 'table' && { table }) };
    await this.#requester.request({
      subject: 'rule',
      attempted,
      call: 'RTM_NEWRULE',
      message: putRule(requestMessage(Rtm.NEWRULE, NLM_F_CREATE | NLM_F_EXCL), fieldsOf(spec, attempted)),
      signal: options.signal,
    });
  }

  /** Removes the first rule that agrees in everything given. @throws VNIC_NO_SUCH_RULE, VNIC_NO_PRIVILEGE, VNIC_INVALID_ARGUMENT */
  async remove(rule: RuleSpec, options: RequestOptions = {}): Promise<void> {
    const attempted = `remove ${describeRule(rule)}`;
    await this.#requester.request({
      subject: 'rule',
      attempted,
      call: 'RTM_DELRULE',
      message: putRule(requestMessage(Rtm.DELRULE), fieldsOf(rule, attempted)),
      signal: options.signal,
    });
  }
}

function fieldsOf(rule: RuleSpec, attempted: string): RuleFields {
  const family = familyOf(rule, attempted);
  for (const key of ['priority', 'fwmark', 'fwmask', 'table'] as const) checkU32(rule[key], key, attempted);
  checkRange(rule.tos, 'a type of service', 0, 255, attempted);
  checkRange(rule.ipProtocol, 'an IP protocol', 1, 255, attempted);
  checkRange(rule.destinationPorts?.from, 'a port', 1, rule.destinationPorts?.to ?? 1, attempted);
  checkRange(rule.destinationPorts?.to, 'a port', 1, 0xffff, attempted);
  checkRange(rule.suppressPrefixLength, 'a prefix length', 0, family === 4 ? 32 : 128, attempted);
  for (const name of [rule.iif, rule.oif]) if (name !== undefined) checkInterfaceName(name, attempted);
  if (rule.action !== undefined && rule.action !== 'table' && rule.table !== undefined) {
    throw invalidArgument(attempted, `no table with the action ${rule.action}`, rule.table);
  }
  return {
    family,
    // In a removal 0 means any.
    action: rule.action === undefined ? 0 : ruleActions.number(rule.action, attempted, 'action'),
    protocol: rule.protocol === undefined ? undefined : routeProtocols.number(rule.protocol, attempted, 'protocol'),
    table: rule.table,
    priority: rule.priority,
    from: rule.from,
    to: rule.to,
    iif: rule.iif,
    oif: rule.oif,
    fwmark: rule.fwmark,
    fwmask: rule.fwmask,
    tos: rule.tos ?? 0,
    invert: rule.invert ?? false,
    suppressPrefixLength: rule.suppressPrefixLength,
    ipProtocol: rule.ipProtocol,
    destinationPorts: rule.destinationPorts,
  };
}

function familyOf(rule: RuleSpec, attempted: string): IpFamily {
  const family = rule.family ?? rule.from?.family ?? rule.to?.family;
  if (family === undefined) throw invalidArgument(attempted, 'a family, or an address that has one', 'none');
  for (const cidr of [rule.from, rule.to]) {
    if (cidr === undefined) continue;
    if (cidr.family !== family) throw invalidArgument(attempted, `an IPv${family} prefix`, cidr.toString());
    if (!cidr.equals(cidr.network)) {
      throw invalidArgument(attempted, `a prefix without host bits, ${cidr.network}`, cidr.toString());
    }
  }
  return family;
}

function describeRule({ priority, from, to, iif, oif, fwmark, table, action }: RuleSpec): string {
  const parts = { priority, from, to, iif, oif, fwmark, table, action };
  const given = Object.entries(parts).filter(([, value]) => value !== undefined);
  return ['the policy rule', ...given.map(([key, value]) => `${key} ${value}`)].join(' ');
}
