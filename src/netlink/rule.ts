/**
 * Policy rules on the wire: `RTM_NEWRULE`, `RTM_DELRULE`, `RTM_GETRULE` (`include/uapi/linux/fib_rules.h`).
 *
 *   struct fib_rule_hdr   0 family u8 | 1 destination length u8 | 2 source length u8 | 3 TOS u8
 *                         4 table u8 | 5 0 | 6 0 | 7 action u8 | 8 flags u32
 *
 * Not read: goto targets, L3 master devices, tunnel ids.
 */

import type { Cidr, IpFamily } from '../base/index.ts';
import { addressFamily, ipFamilyOf, prefixOf } from './address.ts';
import { FIB_RULE_INVERT, Fra, RT_TABLE_UNSPEC } from './constants.ts';
import { type Attributes, littleEndian, type MessageBuilder, type MessageFault, parseBody } from './message.ts';
import { routeProtocols, ruleActions } from './names.ts';

const RULE_HEADER_LEN = 12;
const ALL_BITS = 0xffff_ffff;

/** What a rule does with packets that match: look in a table, or drop them in one of three ways. */
export type RuleAction = 'table' | 'blackhole' | 'unreachable' | 'prohibit';

/** A range, both ends included. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** A policy rule as the kernel describes it. Absent matches everything. */
export interface RuleInfo {
  readonly family: IpFamily;
  /** Lower is looked at first, 0 to 2^32 - 1. */
  readonly priority: number;
  readonly from: Cidr | undefined;
  readonly to: Cidr | undefined;
  /** Name of the interface that the packet came in by; `lo` for the machine's own. */
  readonly iif: string | undefined;
  /** Name of the interface that the socket is bound to. */
  readonly oif: string | undefined;
  readonly fwmark: number | undefined;
  /** Bits of the mark that are compared; all by default. */
  readonly fwmask: number | undefined;
  readonly tos: number;
  /** Packets that do not match. */
  readonly invert: boolean;
  /** `table`, `blackhole`, `unreachable`, `prohibit`, `goto`, `nop`, or a number as text. */
  readonly action: string;
  /** Looked at with the action `table`: 254 = main, 255 = local, 253 = default. */
  readonly table: number;
  /** Ignore routes of the table with a prefix of this length or shorter. */
  readonly suppressPrefixLength: number | undefined;
  /** IP protocol number. */
  readonly ipProtocol: number | undefined;
  readonly sourcePorts: NumberRange | undefined;
  readonly destinationPorts: NumberRange | undefined;
  readonly uids: NumberRange | undefined;
  /** Who made it: `kernel`, `boot`, `static`, ... */
  readonly protocol: string;
}

/** A rule to be added or removed, in numbers. */
export interface RuleFields {
  readonly family: IpFamily;
  readonly action: number;
  readonly table: number | undefined;
  readonly priority: number | undefined;
  readonly from: Cidr | undefined;
  readonly to: Cidr | undefined;
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  readonly fwmark: number | undefined;
  readonly fwmask: number | undefined;
  readonly tos: number;
  readonly invert: boolean;
  readonly suppressPrefixLength: number | undefined;
  readonly ipProtocol: number | undefined;
  readonly destinationPorts: NumberRange | undefined;
  readonly protocol: number | undefined;
}

/** Reads the body of `RTM_NEWRULE` or `RTM_DELRULE`; undefined for other families. */
export function parseRule(body: Uint8Array): RuleInfo | undefined | MessageFault {
  const parsed = parseBody(body, RULE_HEADER_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const family = ipFamilyOf(fixed.getUint8(0));
  if (family === undefined) return undefined;
  const to = prefixOf(attributes.bytes(Fra.DST), fixed.getUint8(1), family);
  if (typeof to === 'string') return to;
  const from = prefixOf(attributes.bytes(Fra.SRC), fixed.getUint8(2), family);
  if (typeof from === 'string') return from;
  return {
    family,
    priority: attributes.u32(Fra.PRIORITY) ?? 0,
    from: from.prefixLen === 0 && !attributes.has(Fra.SRC) ? undefined : from,
    to: to.prefixLen === 0 && !attributes.has(Fra.DST) ? undefined : to,
    iif: attributes.text(Fra.IIFNAME),
    oif: attributes.text(Fra.OIFNAME),
    ...markOf(attributes),
    tos: fixed.getUint8(3),
    invert: (fixed.getUint32(8, littleEndian) & FIB_RULE_INVERT) !== 0,
    action: ruleActions.name(fixed.getUint8(7)),
    table: attributes.u32(Fra.TABLE) ?? fixed.getUint8(4),
    suppressPrefixLength: suppressed(attributes.u32(Fra.SUPPRESS_PREFIXLEN)),
    ipProtocol: attributes.u8(Fra.IP_PROTO),
    sourcePorts: rangeOf(attributes.bytes(Fra.SPORT_RANGE), 2),
    destinationPorts: rangeOf(attributes.bytes(Fra.DPORT_RANGE), 2),
    uids: rangeOf(attributes.bytes(Fra.UID_RANGE), 4),
    protocol: routeProtocols.name(attributes.u8(Fra.PROTOCOL) ?? 0),
  };
}

/** Appends the filter of a dump: the family alone. */
export function putRuleFilter(builder: MessageBuilder, family: IpFamily): MessageBuilder {
  return builder.fixed(RULE_HEADER_LEN, (view) => view.setUint8(0, addressFamily(family)));
}

/** Appends a rule. */
export function putRule(builder: MessageBuilder, rule: RuleFields): MessageBuilder {
  const { table = RT_TABLE_UNSPEC } = rule;
  builder.fixed(RULE_HEADER_LEN, (view) => {
    view.setUint8(0, addressFamily(rule.family));
    view.setUint8(1, rule.to?.prefixLen ?? 0);
    view.setUint8(2, rule.from?.prefixLen ?? 0);
    view.setUint8(3, rule.tos);
    // Tables from 256 on are told by the attribute alone.
    view.setUint8(4, table < 256 ? table : RT_TABLE_UNSPEC);
    view.setUint8(7, rule.action);
    view.setUint32(8, rule.invert ? FIB_RULE_INVERT : 0, littleEndian);
  });
  if (rule.to !== undefined) builder.bytes(Fra.DST, rule.to.address.bytes);
  if (rule.from !== undefined) builder.bytes(Fra.SRC, rule.from.address.bytes);
  if (rule.iif !== undefined) builder.text(Fra.IIFNAME, rule.iif);
  if (rule.oif !== undefined) builder.text(Fra.OIFNAME, rule.oif);
  if (rule.ipProtocol !== undefined) builder.u8(Fra.IP_PROTO, rule.ipProtocol);
  if (rule.destinationPorts !== undefined) builder.bytes(Fra.DPORT_RANGE, rangeBytes(rule.destinationPorts));
  if (rule.protocol !== undefined) builder.u8(Fra.PROTOCOL, rule.protocol);
  const numbers: readonly (readonly [number, number | undefined])[] = [
    [Fra.PRIORITY, rule.priority],
    [Fra.FWMARK, rule.fwmark],
    [Fra.FWMASK, rule.fwmask],
    [Fra.TABLE, rule.table],
    [Fra.SUPPRESS_PREFIXLEN, rule.suppressPrefixLength],
  ];
  for (const [type, value] of numbers) if (value !== undefined) builder.u32(type, value);
  return builder;
}

function markOf(attributes: Attributes): Pick<RuleInfo, 'fwmark' | 'fwmask'> {
  const mark = attributes.u32(Fra.FWMARK);
  const mask = attributes.u32(Fra.FWMASK);
  if (mark === undefined && mask === undefined) return { fwmark: undefined, fwmask: undefined };
  return { fwmark: mark ?? 0, fwmask: mask ?? ALL_BITS };
}

/** -1 for none. */
function suppressed(value: number | undefined): number | undefined {
  return value === ALL_BITS ? undefined : value;
}

function rangeOf(bytes: Uint8Array | undefined, width: 2 | 4): NumberRange | undefined {
  if (bytes === undefined || bytes.length < width * 2) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = (at: number): number =>
    width === 2 ? view.getUint16(at, littleEndian) : view.getUint32(at, littleEndian);
  return { from: read(0), to: read(width) };
}

/** `struct fib_rule_port_range`, in the byte order of the machine. */
function rangeBytes({ from, to }: NumberRange): Uint8Array {
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, from, littleEndian);
  view.setUint16(2, to, littleEndian);
  return bytes;
}
