/**
 * Masquerading: packets of a device's network leave this machine under its own address, by a table of nftables that is
 * vnic's alone: `table inet vnic { chain postrouting { type nat hook postrouting priority srcnat; } }`. It comes with the
 * first rule and goes with the last. Rules that somebody else has put into it stay, and keep it.
 *
 * Forwarding has to be on (`vnic/netns`, `writeForwarding`), and a firewall of others has to let the packets through.
 */

import { Cidr, IpAddress, invalidArgument, VnicError } from '../base/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { NLM_F_CREATE } from './constants.ts';
import { checkInterfaceName } from './interface-name.ts';
import type { MessageBuilder, MessageFault, NetlinkMessage } from './message.ts';
import { NETLINK_NETFILTER, NFT_REQUEST, transact } from './nft-batch.ts';
import {
  be32,
  be64,
  type MasqueradeMatch,
  type MasqueradeRule,
  NFPROTO_INET,
  NftaChain,
  NftaHook,
  NftaRule,
  NftaTable,
  NftMsg,
  nftMessage,
  parseMasquerade,
  putMasquerade,
} from './nftables.ts';
import { dumpMessage, requestSync } from './socket.ts';

/** Which packets get this machine's address. */
export interface MasqueradeSpec {
  /** Where they come from: a prefix without host bits; its family is that of the rule. */
  readonly source: Cidr;
  /** Only those that leave by this interface. */
  readonly out?: string;
  /** Only those that leave by another interface than this: that of the source's own network. Not together with `out`. */
  readonly notOut?: string;
}

/** A rule with what it has counted: the first packet of each connection. */
export interface MasqueradeInfo extends MasqueradeSpec {
  readonly packets: number;
  readonly bytes: number;
}

/** Name of the table, in the family `inet`. */
export const MASQUERADE_TABLE: string = 'vnic';
const CHAIN = 'postrouting';
/** `linux/netfilter.h`, `netfilter_ipv4.h` */
const NF_INET_POST_ROUTING = 4;
const NF_IP_PRI_NAT_SRC = 100;
/** Append: the rule comes behind those that are there. */
const NLM_F_APPEND = 0x800;

/**
 * The rules of vnic's table, in the order of the kernel.
 * @throws VNIC_NO_PRIVILEGE (CAP_NET_ADMIN also for reading), VNIC_UNSUPPORTED, VNIC_NO_SUCH_NAMESPACE
 */
export async function listMasquerades(options: NetnsOptions = {}): Promise<MasqueradeInfo[]> {
  return readRules('list the masquerading rules', options).rules.map((rule) => {
    const { out, notOut } = namesOf(rule);
    const counters = { packets: Number(rule.packets), bytes: Number(rule.bytes) };
    return {
      source: sourceOf(rule),
      ...(out !== undefined && { out }),
      ...(notOut !== undefined && { notOut }),
      ...counters,
    };
  });
}

/**
 * Adds a rule, and the table with the first.
 * @throws VNIC_RULE_EXISTS, VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED (no nf_tables, or before Linux 5.2), VNIC_INVALID_ARGUMENT,
 *   VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_NO_SUCH_NAMESPACE
 */
export async function addMasquerade(spec: MasqueradeSpec, options: NetnsOptions = {}): Promise<void> {
  const attempted = `masquerade ${describe(spec)}`;
  const match = matchOf(spec, attempted);
  await transact(attempted, options, () => {
    const { rules } = readRules(attempted, options);
    if (rules.some((rule) => isSame(rule, spec))) {
      const hint = 'Nothing to do: see `vnic nat list`.';
      throw new VnicError('VNIC_RULE_EXISTS', { attempted, reason: 'the same rule is there already', hint });
    }
    return [newTable(), newChain(), newRule(match)];
  });
}

/**
 * Removes a rule, and the table with the last.
 * @throws VNIC_NO_SUCH_RULE, VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED, VNIC_INVALID_ARGUMENT, VNIC_NO_SUCH_NAMESPACE
 */
export async function removeMasquerade(spec: MasqueradeSpec, options: NetnsOptions = {}): Promise<void> {
  const attempted = `no longer masquerade ${describe(spec)}`;
  matchOf(spec, attempted);
  await transact(attempted, options, () => {
    const { rules, others } = readRules(attempted, options);
    const found = rules.find((rule) => isSame(rule, spec));
    if (found === undefined) {
      const hint = 'See those that are there with `vnic nat list`; everything given must agree.';
      throw new VnicError('VNIC_NO_SUCH_RULE', { attempted, hint });
    }
    return rules.length === 1 && others === 0 ? [deleteTable()] : [deleteRule(found.handle)];
  });
}

/** The rules of the table: ours, and how many there are that we cannot have made. */
function readRules(attempted: string, options: NetnsOptions): { rules: MasqueradeRule[]; others: number } {
  const rules: MasqueradeRule[] = [];
  let others = 0;
  const message = dumpMessage(NftMsg.GETRULE)
    .fixed(4, (view) => view.setUint8(0, NFPROTO_INET))
    .text(NftaRule.TABLE, MASQUERADE_TABLE);
  const onMessage = ({ type, body }: NetlinkMessage): MessageFault | undefined => {
    if (type !== NftMsg.NEWRULE) return undefined;
    const rule = parseMasquerade(body);
    if (typeof rule === 'string') return rule;
    if (rule === undefined) others++;
    else rules.push(rule);
    return undefined;
  };
  const request = { subject: 'firewall', attempted, call: 'NFT_MSG_GETRULE', message, onMessage } as const;
  requestSync(request, { ...options, protocol: NETLINK_NETFILTER });
  return { rules, others };
}

function newTable(): MessageBuilder {
  return nftMessage(NftMsg.NEWTABLE, NFT_REQUEST | NLM_F_CREATE, NFPROTO_INET).text(NftaTable.NAME, MASQUERADE_TABLE);
}

function newChain(): MessageBuilder {
  return nftMessage(NftMsg.NEWCHAIN, NFT_REQUEST | NLM_F_CREATE, NFPROTO_INET)
    .text(NftaChain.TABLE, MASQUERADE_TABLE)
    .text(NftaChain.NAME, CHAIN)
    .text(NftaChain.TYPE, 'nat')
    .nested(NftaChain.HOOK, (hook) => {
      hook.bytes(NftaHook.HOOKNUM, be32(NF_INET_POST_ROUTING)).bytes(NftaHook.PRIORITY, be32(NF_IP_PRI_NAT_SRC));
    });
}

function newRule(match: MasqueradeMatch): MessageBuilder {
  const message = ruleMessage(NftMsg.NEWRULE, NFT_REQUEST | NLM_F_CREATE | NLM_F_APPEND);
  return putMasquerade(message, match);
}

function deleteRule(handle: bigint): MessageBuilder {
  return ruleMessage(NftMsg.DELRULE, NFT_REQUEST).bytes(NftaRule.HANDLE, be64(handle));
}

function ruleMessage(type: number, flags: number): MessageBuilder {
  return nftMessage(type, flags, NFPROTO_INET).text(NftaRule.TABLE, MASQUERADE_TABLE).text(NftaRule.CHAIN, CHAIN);
}

function deleteTable(): MessageBuilder {
  return nftMessage(NftMsg.DELTABLE, NFT_REQUEST, NFPROTO_INET).text(NftaTable.NAME, MASQUERADE_TABLE);
}

function matchOf({ source, out, notOut }: MasqueradeSpec, attempted: string): MasqueradeMatch {
  if (!source.equals(source.network)) {
    throw invalidArgument(attempted, `a prefix without host bits, ${source.network}`, source.toString());
  }
  if (out !== undefined && notOut !== undefined) throw invalidArgument(attempted, 'one interface, in or out', 'both');
  const name = out ?? notOut;
  if (name !== undefined) checkInterfaceName(name, attempted);
  return {
    family: source.family,
    source: { bytes: source.address.bytes, prefixLen: source.prefixLen },
    oifname: name === undefined ? undefined : { name, equal: out !== undefined },
  };
}

function sourceOf({ source }: MasqueradeMatch): Cidr {
  return new Cidr(IpAddress.fromBytes(source.bytes), source.prefixLen);
}

function namesOf({ oifname }: MasqueradeMatch): { out?: string | undefined; notOut?: string | undefined } {
  return {
    out: oifname?.equal === true ? oifname.name : undefined,
    notOut: oifname?.equal === false ? oifname.name : undefined,
  };
}

function isSame(rule: MasqueradeRule, spec: MasqueradeSpec): boolean {
  const { out, notOut } = namesOf(rule);
  return sourceOf(rule).equals(spec.source) && out === spec.out && notOut === spec.notOut;
}

function describe({ source, out, notOut }: MasqueradeSpec): string {
  const way =
    out === undefined
      ? notOut === undefined
        ? ''
        : ` where it does not leave by ${notOut}`
      : ` where it leaves by ${out}`;
  return `${source}${way}`;
}
