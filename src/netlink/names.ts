/** Numbers of the kernel and the names that iproute2 prints for them. */

import { VnicError } from '../base/index.ts';

/** A two-way table; numbers without a name are written as decimal text, as iproute2 does. */
export class NameTable {
  readonly #names: ReadonlyMap<number, string>;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(names: Readonly<Record<string, number>>) {
    this.#names = new Map(Object.entries(names).map(([name, number]) => [number, name]));
    this.#numbers = new Map(Object.entries(names));
  }

  /** `254` → `link`; `17` → `17`. */
  name(number: number): string {
    return this.#names.get(number) ?? String(number);
  }

  /** `link` → `253`; undefined for no name of the table. */
  find(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** A name of the table, or a number from 0 to 255. @throws VNIC_INVALID_ARGUMENT */
  number(value: string | number, attempted: string, what: string): number {
    const number = typeof value === 'number' ? value : this.#numbers.get(value);
    if (number !== undefined && Number.isInteger(number) && number >= 0 && number <= 255) return number;
    const expected = `one of ${[...this.#numbers.keys()].join(', ')}, or a number from 0 to 255`;
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted,
      reason: `${what}: expected ${expected}, got ${String(value)}`,
      hint: `Pass ${expected}.`,
    });
  }
}

/** Names of the bits that are set, in the order of the table. */
export function flagNames<Name extends string>(bits: number, table: Readonly<Record<Name, number>>): Name[] {
  return (Object.keys(table) as Name[]).filter((name) => (bits & table[name]) !== 0);
}

/** `if_arp.h`, with the names of iproute2's `ll_types.c`. */
export const linkTypes: NameTable = new NameTable({
  netrom: 0,
  ether: 1,
  ieee1394: 24,
  infiniband: 32,
  slip: 256,
  can: 280,
  rawip: 519,
  ppp: 512,
  ipip: 768,
  tunnel6: 769,
  loopback: 772,
  sit: 776,
  gre: 778,
  'ieee802.11': 801,
  'ieee802.11/radiotap': 803,
  'ieee802.15.4': 804,
  phonet_pipe: 821,
  gre6: 823,
  netlink: 824,
  '6lowpan': 825,
  vsockmon: 826,
  void: 65535,
  none: 65534,
});

/** The ARPHRD number of a link type that `LinkInfo.linkType` may have; undefined for no such name. */
export function linkTypeNumber(name: string): number | undefined {
  return linkTypes.find(name);
}

/** `if.h`, `IF_OPER_*` (RFC 2863), with the names of iproute2. */
export const operStates: NameTable = new NameTable({
  UNKNOWN: 0,
  NOTPRESENT: 1,
  DOWN: 2,
  LOWERLAYERDOWN: 3,
  TESTING: 4,
  DORMANT: 5,
  UP: 6,
});

/** `if_bridge.h`, `BR_STATE_*`, with the names of iproute2. */
export const portStates: NameTable = new NameTable({
  disabled: 0,
  listening: 1,
  learning: 2,
  forwarding: 3,
  blocking: 4,
});

/** `fib_rules.h`, `FR_ACT_*`, with the names of iproute2. */
export const ruleActions: NameTable = new NameTable({
  table: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
});

/** `rtnetlink.h`, `enum rt_scope_t`. */
export const scopes: NameTable = new NameTable({ global: 0, site: 200, link: 253, host: 254, nowhere: 255 });

/** `rtnetlink.h`, `RTN_*`. */
export const routeTypes: NameTable = new NameTable({
  unspec: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
  nat: 10,
  xresolve: 11,
});

/** `rtnetlink.h`, `RTPROT_*`, with the names of iproute2's `rt_protos`. */
export const routeProtocols: NameTable = new NameTable({
  unspec: 0,
  redirect: 1,
  kernel: 2,
  boot: 3,
  static: 4,
  gated: 8,
  ra: 9,
  mrt: 10,
  zebra: 11,
  bird: 12,
  dnrouted: 13,
  xorp: 14,
  ntk: 15,
  dhcp: 16,
  keepalived: 18,
  babel: 42,
  openr: 99,
  bgp: 186,
  isis: 187,
  ospf: 188,
  rip: 189,
  eigrp: 192,
});
