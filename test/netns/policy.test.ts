/** Neighbours, proxy entries, policy rules and their events by src/netlink, with `ip` as the witness. */

import { spawnSync } from 'node:child_process';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress } from '../../src/base/index.ts';
import {
  type Netlink,
  type NetlinkEvent,
  openLinkEvents,
  openNetlink,
  type RuleInfo,
  type RuleSpec,
} from '../../src/netlink/index.ts';
import { codeOf, ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

const cidr = (text: string): Cidr => Cidr.parse(text);
const address = (text: string): IpAddress => IpAddress.parse(text);
const mac = (text: string): MacAddress => MacAddress.parse(text);

let netlink: Netlink;

beforeAll(() => requirePrivateNetns());

beforeEach(async () => {
  netlink = await openNetlink();
  ip('link add p0 type veth peer name p1');
  ip('link set p0 up');
  ip('link set p1 up');
  ip('addr add 10.1.0.1/24 dev p0');
  ip('addr add fd01::1/64 nodad dev p0');
});

afterEach(async () => {
  await netlink.close();
  for (const { name } of ipJson<{ name: string }>('netns list')) ip(`netns delete ${name}`);
  for (const name of ipNames()) if (name !== 'lo') spawnSync('ip', ['link', 'delete', name]);
  for (const family of ['-4', '-6']) {
    while (ipJson<{ priority: number }>(`${family} rule`).some(({ priority }) => priority > 0 && priority < 32766)) {
      const [rule] = ipJson<{ priority: number }>(`${family} rule`).filter(({ priority }) => priority > 0);
      ip(`${family} rule delete priority ${rule?.priority}`);
    }
  }
});

describe('neighbours', () => {
  const seen = (family: '-4' | '-6', of: string): Record<string, unknown> | undefined =>
    ipJson<Record<string, unknown>>(`${family} neigh show dev p0`).find(({ dst }) => dst === of);

  it.each([
    ['-4', '10.1.0.2'],
    ['-6', 'fd01::2'],
  ] as const)('of %s are added, replaced and removed as `ip neigh` sees', async (family, text) => {
    const key = { address: address(text) };
    await netlink.neighbours.add('p0', { ...key, mac: mac('02:00:00:00:00:02') });
    expect(seen(family, text)).toMatchObject({ lladdr: '02:00:00:00:00:02', state: ['PERMANENT'] });
    const again = { ...key, mac: mac('02:00:00:00:00:03') };
    expect(await codeOf(() => netlink.neighbours.add('p0', again))).toBe('VNIC_NEIGHBOUR_EXISTS');
    await netlink.neighbours.replace('p0', { ...again, state: 'stale' });
    expect(seen(family, text)).toMatchObject({ lladdr: '02:00:00:00:00:03', state: ['STALE'] });
    await netlink.neighbours.replace('p0', { ...again, state: 'noarp' });
    expect(seen(family, text) ?? ip(`${family} neigh show dev p0 nud all`)).toBeTruthy();
    expect(await netlink.neighbours.list({ link: 'p0', family: family === '-4' ? 4 : 6 })).toContainEqual(
      expect.objectContaining({ state: 'NOARP', mac: mac('02:00:00:00:00:03') }),
    );
    await netlink.neighbours.remove('p0', key);
    expect((await netlink.neighbours.list({ link: 'p0' })).filter(({ mac: one }) => one?.equals(again.mac))).toEqual(
      [],
    );
    ip(`${family} neigh add ${text} lladdr 02:00:00:00:00:09 dev p0`);
    expect(await netlink.neighbours.list({ link: 'p0' })).toContainEqual(
      expect.objectContaining({ address: key.address, state: 'PERMANENT' }),
    );
  });

  it.each([
    ['-4', '10.9.0.2'],
    ['-6', 'fd09::2'],
  ] as const)('of %s can be answered for in place of others', async (family, text) => {
    const proxy = { address: address(text), proxy: true };
    await netlink.neighbours.add('p0', proxy);
    expect(ipJson(`${family} neigh show proxy dev p0`)).toMatchObject([{ dst: text }]);
    ip(`${family} neigh add proxy ${text}9 dev p0`);
    const listed = await netlink.neighbours.list({ link: 'p0', proxy: true });
    expect(listed.map((entry) => [entry.address.toString(), entry.flags]).toSorted()).toEqual([
      [text, ['proxy']],
      [`${text}9`, ['proxy']],
    ]);
    await netlink.neighbours.remove('p0', proxy);
    ip(`${family} neigh delete proxy ${text}9 dev p0`);
    expect(await netlink.neighbours.list({ proxy: true })).toEqual([]);
    expect(await codeOf(() => netlink.neighbours.remove('p0', proxy))).toBe('VNIC_NO_SUCH_NEIGHBOUR');
  });

  it('that make no sense are refused', async () => {
    const key = { address: address('10.1.0.2') };
    const full = { ...key, mac: mac('02:00:00:00:00:02') };
    expect(await codeOf(() => netlink.neighbours.add('p0', key))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => netlink.neighbours.add('p0', { ...full, proxy: true }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => netlink.neighbours.add('none0', full))).toBe('VNIC_NO_SUCH_INTERFACE');
    expect(await codeOf(() => netlink.neighbours.remove('p0', key))).toBe('VNIC_NO_SUCH_NEIGHBOUR');
  });
});

describe('policy rules', () => {
  it('agree with `ip -j rule` in every field', async () => {
    ip('rule add priority 100 from 10.1.0.0/24 to 10.2.0.1 table 1000');
    ip('rule add priority 101 iif p0 oif p1 fwmark 0x10/0xff tos 0x10 table 100');
    ip('rule add priority 102 not from 10.9.0.0/16 prohibit');
    ip('rule add priority 103 ipproto udp sport 53 dport 1000-2000 uidrange 0-99 table main suppress_prefixlength 0');
    ip('-6 rule add priority 100 from fd01::/64 to fd02::1 table 1000');
    ip('-6 rule add priority 101 fwmark 7 blackhole');
    ip('-6 rule add priority 102 iif p0 unreachable protocol static');
    const own = await netlink.rules.list();
    for (const family of [4, 6] as const) {
      const witnessed = ipJson<Record<string, unknown>>(`-d -${family} rule`);
      expect(own.filter((rule) => rule.family === family).map(asIpRule)).toEqual(witnessed);
    }
    expect(own.length).toBe(7 + 5);
    expect((await netlink.rules.list({ family: 6 })).length).toBe(5);
  });

  const specs: [RuleSpec, Record<string, unknown>][] = [
    [
      { priority: 200, from: cidr('10.1.0.0/24'), table: 77 },
      { src: '10.1.0.0', srclen: 24, table: '77' },
    ],
    [
      { priority: 201, to: cidr('fd02::/48'), table: 3000 },
      { dst: 'fd02::', dstlen: 48, table: '3000' },
    ],
    [
      { priority: 202, family: 4, iif: 'p0', oif: 'p1', table: 5 },
      { iif: 'p0', oif: 'p1', table: '5' },
    ],
    [
      { priority: 203, family: 6, fwmark: 16, fwmask: 255, table: 5 },
      { fwmark: '0x10', fwmask: '0xff' },
    ],
    [
      { priority: 204, family: 4, from: cidr('10.7.0.0/16'), invert: true },
      { not: null, table: 'main' },
    ],
    [
      { priority: 205, from: cidr('10.8.0.1/32'), action: 'blackhole' },
      { src: '10.8.0.1', action: 'blackhole' },
    ],
    [
      { priority: 206, from: cidr('fd08::1/128'), action: 'prohibit' },
      { src: 'fd08::1', action: 'prohibit' },
    ],
    [{ priority: 207, family: 4, suppressPrefixLength: 0, protocol: 'static' }, { suppress_prefixlen: 0 }],
    [
      { priority: 208, family: 6, ipProtocol: 17, tos: 16, table: 9 },
      { ipproto: 'udp', table: '9' },
    ],
    [
      { priority: 209, to: cidr('192.0.2.1/32'), ipProtocol: 6, destinationPorts: { from: 443, to: 443 }, table: 9 },
      { dst: '192.0.2.1', ipproto: 'tcp', dport: 443, table: '9' },
    ],
    [
      { priority: 210, family: 6, ipProtocol: 17, destinationPorts: { from: 53, to: 60 }, table: 9 },
      { ipproto: 'udp', dport_start: 53, dport_end: 60, table: '9' },
    ],
  ];

  it.each(specs)('%o is added, refused twice, and removed', async (spec, expected) => {
    const family = spec.family ?? spec.from?.family ?? spec.to?.family;
    const seen = (): Record<string, unknown>[] =>
      ipJson<Record<string, unknown>>(`-d -${family} rule`).filter(({ priority }) => priority === spec.priority);
    await netlink.rules.add(spec);
    expect(seen()).toMatchObject([expected]);
    expect(await codeOf(() => netlink.rules.add(spec))).toBe('VNIC_RULE_EXISTS');
    await netlink.rules.remove(spec);
    expect(seen()).toEqual([]);
    expect(await codeOf(() => netlink.rules.remove(spec))).toBe('VNIC_NO_SUCH_RULE');
  });

  it('steer a packet by its source to another table', async () => {
    ip('route add default via 10.1.0.254 table 77');
    const way = (): string => ip('route get 192.0.2.1 from 10.1.0.1').split('\n')[0] ?? '';
    expect(() => way()).toThrow();
    await netlink.rules.add({ priority: 200, from: cidr('10.1.0.0/24'), table: 77 });
    expect(way()).toContain('via 10.1.0.254 dev p0 table 77');
  });

  it('that make no sense are refused', async () => {
    const { rules } = netlink;
    expect(await codeOf(() => rules.add({ priority: 1, table: 5 }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => rules.add({ from: cidr('10.0.0.1/8') }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => rules.add({ from: cidr('10.0.0.0/8'), to: cidr('fd00::/8') }))).toBe(
      'VNIC_INVALID_ARGUMENT',
    );
    expect(await codeOf(() => rules.add({ family: 4, action: 'prohibit', table: 5 }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => rules.add({ family: 4, iif: 'far-too-long-a-name' }))).toBe('VNIC_NAME_TOO_LONG');
    expect(await codeOf(() => rules.add({ family: 4, fwmark: -1 }))).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('events', () => {
  it('tell of rules, forwarding entries, neighbours and namespace ids, each to who asked', async () => {
    await using events = openLinkEvents({ groups: ['rule', 'fdb', 'netns'] });
    await using neighbours = openLinkEvents({ groups: ['neighbour'] });
    ip('rule add priority 300 from 10.5.0.0/16 table 5');
    ip('-6 rule add priority 300 from fd05::/16 table 5');
    ip('rule delete priority 300');
    ip('neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev p0');
    ip('link add br0 type bridge');
    ip('link set p0 master br0');
    ip('netns add red');
    ip('netns set red 42');
    ip('netns delete red');
    const seen: string[] = [];
    for await (const event of events) {
      seen.push(summarise(event));
      if (event.type === 'netns' && event.action === 'delete') break;
    }
    expect(seen.filter((text) => !text.startsWith('fdb'))).toEqual([
      'rule new 300 IPv4',
      'rule new 300 IPv6',
      'rule delete 300 IPv4',
      'netns new 42',
      'netns delete 42',
    ]);
    expect(seen.filter((text) => text.startsWith('fdb new')).length).toBeGreaterThan(0);
    for await (const event of neighbours) {
      expect(event.type).toBe('neighbour');
      if (summarise(event) === 'neighbour new 10.1.0.7') break;
    }
  });
});

describe('ids of namespaces', () => {
  it('are looked up and given as `ip netns` sees them', async () => {
    ip('netns add red');
    ip('netns add green');
    expect(await netlink.namespaceIds.get('red')).toBeUndefined();
    expect(await netlink.namespaceIds.assign('red', 7)).toBe(7);
    expect(ipJson('netns list')).toContainEqual({ name: 'red', id: 7 });
    const chosen = await netlink.namespaceIds.assign('green');
    expect(ipJson('netns list')).toContainEqual({ name: 'green', id: chosen });
    expect(await netlink.namespaceIds.list()).toEqual([chosen, 7].toSorted((a, b) => a - b));
    expect(await codeOf(() => netlink.namespaceIds.assign('red'))).toBe('VNIC_NAMESPACE_EXISTS');
    expect(await codeOf(() => netlink.namespaceIds.get('blue'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => netlink.namespaceIds.assign('red', -2))).toBe('VNIC_INVALID_ARGUMENT');
  });
});

/** A rule in the words of `ip -d -j rule`. */
function asIpRule(rule: RuleInfo): Record<string, unknown> {
  const tables: Record<number, string> = { 253: 'default', 254: 'main', 255: 'local' };
  const prefix = (key: string, value: Cidr | undefined): Record<string, unknown> =>
    value === undefined
      ? {}
      : { [key]: value.address.toString(), ...(value.isHost ? {} : { [`${key}len`]: value.prefixLen }) };
  const range = ({ from, to }: { from: number; to: number }): unknown => [from, to];
  const [sport0, sport1] = rule.sourcePorts === undefined ? [] : (range(rule.sourcePorts) as number[]);
  const [dport0, dport1] = rule.destinationPorts === undefined ? [] : (range(rule.destinationPorts) as number[]);
  return {
    priority: rule.priority,
    ...(rule.invert && { not: null }),
    src: 'all',
    ...prefix('src', rule.from),
    ...prefix('dst', rule.to),
    ...(rule.tos !== 0 && { tos: '0x10' }),
    ...(rule.fwmark !== undefined && {
      fwmark: `0x${rule.fwmark.toString(16)}`,
      ...(rule.fwmask !== 0xffff_ffff && { fwmask: `0x${rule.fwmask?.toString(16)}` }),
    }),
    ...(rule.iif !== undefined && { iif: rule.iif, ...(rule.iif === 'none' && { iif_detached: null }) }),
    ...(rule.oif !== undefined && { oif: rule.oif }),
    ...(rule.uids && { uid_start: rule.uids.from, uid_end: rule.uids.to }),
    ...(rule.ipProtocol !== undefined && { ipproto: 'udp' }),
    ...(sport0 !== undefined && (sport0 === sport1 ? { sport: sport0 } : { sport_start: sport0, sport_end: sport1 })),
    ...(dport0 !== undefined && (dport0 === dport1 ? { dport: dport0 } : { dport_start: dport0, dport_end: dport1 })),
    ...(rule.action === 'table' ? { table: tables[rule.table] ?? String(rule.table) } : {}),
    ...(rule.suppressPrefixLength !== undefined && { suppress_prefixlen: rule.suppressPrefixLength }),
    ...(rule.action !== 'table' && { action: rule.action }),
    protocol: rule.protocol,
  };
}

function summarise(event: NetlinkEvent): string {
  switch (event.type) {
    case 'rule':
      return `rule ${event.action} ${event.rule.priority} IPv${event.rule.family}`;
    case 'fdb':
      return `fdb ${event.action} ${event.entry.mac}`;
    case 'netns':
      return `netns ${event.action} ${event.netnsId}`;
    case 'neighbour':
      return `neighbour ${event.action} ${event.neighbour.address}`;
    default:
      return event.type;
  }
}
