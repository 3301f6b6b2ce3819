/**
 * src/netlink against the real kernel, with iproute2 as the independent witness.
 *
 *   private network namespace
 *   ┌─────────────────────────────────────────────┐
 *   │ lo    t0 (tun)    v0 ── v1 (veth)    br0    │   made by `ip`, changed by vnic, and the other way round
 *   └─────────────────────────────────────────────┘
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { Cidr, IpAddress, isVnicError, MacAddress, VnicError, type VnicErrorCode } from '../../src/base/index.ts';
import { nativeCandidates } from '../../src/native/index.ts';
import { Rtm } from '../../src/netlink/constants.ts';
import {
  type AddressInfo,
  checkInterfaceName,
  getLinkSync,
  type LinkInfo,
  type Netlink,
  type NetlinkEvent,
  openLinkEvents,
  openNetlink,
} from '../../src/netlink/index.ts';
import { putLinkChange } from '../../src/netlink/link.ts';
import { requestMessage, requestSync } from '../../src/netlink/socket.ts';
import {
  asIpAddr,
  asIpLink,
  asIpRoute,
  type IpAddr,
  type IpLink,
  type IpRoute,
  ip,
  ipJson,
  ipNames,
  makeZoo,
  pickIpAddr,
  pickIpLink,
  pickIpRoute,
  sorted,
} from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const cidr = (text: string): Cidr => Cidr.parse(text);
const ipAddress = (text: string): IpAddress => IpAddress.parse(text);

let netlink: Netlink;

beforeAll(() => {
  requirePrivateNetns();
  ip('link set lo up');
});

beforeEach(async () => {
  netlink = await openNetlink();
});

afterEach(async () => {
  await netlink.close();
  ip('link set dev lo group 0');
  for (const { ifname } of ipJson<{ ifname: string }>('link')) {
    // A veth goes with its peer, so some are gone already.
    if (ifname !== 'lo') spawnSync('ip', ['link', 'delete', ifname]);
  }
  for (const family of ['-4', '-6']) {
    for (const proto of ['boot', 'static']) spawnSync('ip', [family, 'route', 'flush', 'table', 'all', 'proto', proto]);
  }
  expect(ipJson<{ ifname: string }>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
});

describe('links', () => {
  it('agree with `ip -d -s -j link` in every field', async () => {
    // IPv6 sends when it likes, and with it the counters move.
    writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1');
    onTestFinished(() => writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '0'));
    makeZoo();
    ip('addr add 10.1.0.1/24 dev v0');
    ip('neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev v0');
    await sendDatagram('10.1.0.2');
    const { witnessed, own: links } = await atRest(
      () => ipJson<IpLink>('-d -s link'),
      () => netlink.links.list(),
    );
    const names = new Map(witnessed.map(({ ifindex, ifname }) => [ifindex, ifname]));
    expect(links.map((link) => asIpLink(link, names))).toEqual(witnessed.map(pickIpLink));
    expect(links.length).toBe(9);
    expect(links.find(({ name }) => name === 'v0')?.statistics.txBytes).toBeGreaterThan(100);
  });

  it('tell what a TUN/TAP device is, also to a synchronous caller', async () => {
    ip('tuntap add mq0 mode tap multi_queue vnet_hdr pi user 0 group 0');
    ip('tuntap add t0 mode tun');
    const tap = await netlink.links.get('mq0');
    expect(tap.kind).toBe('tun');
    expect(tap.tun).toEqual({
      kind: 'tap',
      owner: 0,
      group: 0,
      packetInfo: true,
      vnetHeader: true,
      persist: true,
      multiQueue: true,
      numQueues: 0,
      numDisabledQueues: 0,
    });
    expect(getLinkSync('mq0')).toEqual(tap);
    expect(getLinkSync(tap.index)).toEqual(tap);
    const tun = getLinkSync('t0');
    expect(tun?.tun).toMatchObject({ kind: 'tun', packetInfo: false, multiQueue: false, owner: undefined });
    expect([tun?.mac, tun?.linkType, tun?.minMtu, tun?.maxMtu]).toEqual([undefined, 'none', 68, 65535]);
  });

  it('are found by index, name and alternative name', async () => {
    ip('link add br0 type bridge');
    ip(`link property add dev br0 altname short altname ${'long-'.repeat(10)}`);
    const byName = await netlink.links.get('br0');
    expect(byName.altNames).toEqual(['short', 'long-'.repeat(10)]);
    for (const selector of [byName.index, 'short', 'long-'.repeat(10)]) {
      expect((await netlink.links.get(selector)).index).toBe(byName.index);
    }
    await netlink.links.set('short', { mtu: 1400 });
    await netlink.links.delete('long-'.repeat(10));
    expect(getLinkSync('br0')).toBeUndefined();
  });

  it('are changed as `ip` then sees them', async () => {
    ip('link add v0 type veth peer name v1');
    ip('link add br0 type bridge');
    const master = (await netlink.links.get('br0')).index;
    await netlink.links.set('v0', {
      up: true,
      mtu: 1400,
      mac: MacAddress.parse('02:00:00:00:00:99'),
      promisc: true,
      allMulticast: true,
      arp: false,
      multicast: false,
      txQueueLen: 77,
      alias: 'uplink of Zoë',
      group: 5,
      master,
    });
    expect(ipJson<IpLink>('-d link show v0')[0]).toMatchObject({
      mtu: 1400,
      address: '02:00:00:00:00:99',
      txqlen: 77,
      ifalias: 'uplink of Zoë',
      group: '5',
      master: 'br0',
      promiscuity: 2,
      flags: ['NO-CARRIER', 'BROADCAST', 'NOARP', 'ALLMULTI', 'PROMISC', 'UP', 'M-DOWN'],
    });
    await netlink.links.set('v0', {
      up: false,
      promisc: false,
      allMulticast: false,
      arp: true,
      multicast: true,
      master: 0,
      alias: '',
    });
    const after = ipJson<IpLink>('-d link show v0')[0];
    expect(after).toMatchObject({ promiscuity: 0, flags: ['BROADCAST', 'MULTICAST', 'M-DOWN'] });
    expect([after?.master, after?.ifalias]).toEqual([undefined, undefined]);
  });

  it('are renamed, up or down, and deleted, as `ip` then sees', async () => {
    ip('tuntap add t0 mode tun');
    await netlink.links.set('t0', { name: 'renamed-0123456' });
    expect(ipNames()).toEqual(['lo', 'renamed-0123456']);
    await netlink.links.delete('renamed-0123456');
    expect(ipNames()).toEqual(['lo']);
  });

  it('are listed whole when they fill many datagrams', async () => {
    const lines = Array.from({ length: 300 }, (_, i) => `link add name b${i} group 7 type bridge`);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    const links = await netlink.links.list({ kind: 'bridge' });
    ip('link delete group 7');
    expect(links.map(({ name }) => name)).toEqual(lines.map((_, i) => `b${i}`));
  });

  it('are listed whole, each once, while others come and go', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `b${i}`);
    execFileSync('ip', ['-batch', '-'], {
      input: names.map((name) => `link add ${name} group 7 type bridge`).join('\n'),
    });
    const churn = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const ended = new Promise((resolve) => churn.once('exit', resolve));
    churn.stdin.end(Array.from({ length: 40 }, () => 'tuntap add t0 mode tun\ntuntap del t0 mode tun').join('\n'));
    let lists = 0;
    while (churn.exitCode === null) {
      const listed = (await netlink.links.list())
        .map(({ name }) => name)
        .filter((name) => name !== 'lo' && name !== 't0');
      expect(listed).toEqual(names);
      lists++;
    }
    expect(await ended).toBe(0);
    expect(lists).toBeGreaterThan(10);
    ip('link delete group 7');
  });
});

describe('addresses', () => {
  it('agree with `ip -d -j addr` in every field', async () => {
    makeZoo();
    ip('addr add 10.1.0.1/24 broadcast 10.1.0.255 label v0:main dev v0');
    ip('addr add 10.1.0.2/24 dev v0');
    ip('addr add 10.2.0.1 peer 10.2.0.2/32 dev t0');
    ip('addr add 10.3.0.1/16 valid_lft 1000 preferred_lft 0 dev v0');
    ip('addr add 169.254.1.1/16 scope link metric 50 noprefixroute dev v0');
    ip('-6 addr add fd01::1/64 nodad dev v0');
    ip('-6 addr add fd02::1 peer fd02::2/128 dev t0');
    ip('-6 addr add fd03::1/48 valid_lft 1000 preferred_lft 500 nodad noprefixroute dev v0');
    const witnessed = ipJson<{ ifindex: number; addr_info: IpAddr[] }>('-d addr').flatMap(({ ifindex, addr_info }) =>
      addr_info.filter((info) => info.local !== undefined).map((info) => pickIpAddr(info, ifindex)),
    );
    const addresses = await netlink.addresses.list();
    expect(sorted(addresses.map(asIpAddr))).toEqual(sorted(witnessed));
    expect(addresses.length).toBeGreaterThanOrEqual(10);
  });

  it('are added and removed as `ip` then sees', async () => {
    ip('tuntap add t0 mode tun');
    const { index } = await netlink.links.get('t0');
    await netlink.addresses.add('t0', cidr('10.0.0.1/24'), { broadcast: ipAddress('10.0.0.255'), label: 't0:x' });
    await netlink.addresses.add(index, cidr('10.5.0.1/32'), { peer: ipAddress('10.5.0.2') });
    await netlink.addresses.add('t0', cidr('fd00::1/64'), { noDad: true, validLftSec: 900, preferredLftSec: 300 });
    await netlink.addresses.add('t0', cidr('fd09::1/128'), { peer: ipAddress('fd09::2'), scope: 'global' });
    const seen = ipJson<{ addr_info: IpAddr[] }>('addr show t0')[0]?.addr_info ?? [];
    expect(seen).toMatchObject([
      { local: '10.0.0.1', prefixlen: 24, broadcast: '10.0.0.255', label: 't0:x', scope: 'global' },
      { local: '10.5.0.1', address: '10.5.0.2', prefixlen: 32 },
      { local: 'fd09::1', address: 'fd09::2', prefixlen: 128 },
      { local: 'fd00::1', prefixlen: 64, nodad: true },
    ]);
    expect(seen[3]?.valid_life_time).toBeGreaterThan(890);
    expect(seen[3]?.preferred_life_time).toBeLessThanOrEqual(300);
    await netlink.addresses.remove('t0', cidr('10.0.0.1/24'));
    await netlink.addresses.remove('t0', cidr('10.5.0.1/32'), { peer: ipAddress('10.5.0.2') });
    await netlink.addresses.remove('t0', cidr('fd00::1/64'));
    await netlink.addresses.remove('t0', cidr('fd09::1/128'));
    expect(ipJson<{ addr_info: IpAddr[] }>('addr show t0')[0]?.addr_info).toEqual([]);
  });

  it('are listed by link and family, and flushed with their secondaries', async () => {
    ip('tuntap add t0 mode tun');
    ip('tuntap add t1 mode tun');
    for (const address of ['10.0.0.1/24', '10.0.0.2/24', '10.0.0.3/24', 'fd00::1/64']) ip(`addr add ${address} dev t0`);
    ip('addr add 10.9.0.1/24 dev t1');
    const texts = (list: AddressInfo[]): string[] => list.map((info) => info.cidr.toString());
    expect(texts(await netlink.addresses.list({ link: 't1' }))).toEqual(['10.9.0.1/24']);
    expect(texts(await netlink.addresses.list({ link: 't0', family: 6 }))).toEqual(['fd00::1/64']);
    expect((await netlink.addresses.list({ family: 4, link: 't0' })).map(({ flags }) => flags)).toEqual([
      ['permanent'],
      ['secondary', 'permanent'],
      ['secondary', 'permanent'],
    ]);
    expect(await netlink.addresses.flush('t0', { family: 4 })).toBe(3);
    expect(texts(await netlink.addresses.list({ link: 't0' }))).toEqual(['fd00::1/64']);
    expect(await netlink.addresses.flush('t0')).toBe(1);
    expect(texts(await netlink.addresses.list({ link: 't0' }))).toEqual([]);
    expect(texts(await netlink.addresses.list({ link: 't1' }))).toEqual(['10.9.0.1/24']);
  });

  it('are replaced when asked for', async () => {
    ip('tuntap add t0 mode tun');
    await netlink.addresses.add('t0', cidr('fd00::1/64'), { noDad: true });
    await netlink.addresses.add('t0', cidr('fd00::1/64'), { validLftSec: 50, replace: true });
    expect((await netlink.addresses.list({ link: 't0' }))[0]?.validLft).toBeLessThanOrEqual(50);
  });

  it('get the scope host on IPv4 loopback, as iproute2 chooses', async () => {
    await netlink.addresses.add('lo', cidr('127.9.9.9/32'));
    const [found] = (await netlink.addresses.list({ link: 'lo' })).filter((info) => `${info.cidr}` === '127.9.9.9/32');
    await netlink.addresses.remove('lo', cidr('127.9.9.9/32'));
    expect(found?.scope).toBe('host');
  });
});

describe('routes', () => {
  it('agree with `ip -d -j route` of all tables in every field', async () => {
    makeZoo();
    ip('addr add 10.1.0.1/24 dev v0');
    ip('addr add fd01::1/64 nodad dev v0');
    ip('route add default via 10.1.0.254 metric 100 mtu 1300');
    ip('route add 10.50.0.0/16 dev v0 src 10.1.0.1 proto static');
    ip('route add 10.51.0.0/16 via 192.0.2.1 dev v0 onlink');
    ip('route add 10.52.0.0/16 via inet6 fd01::2 dev v0');
    ip('route add 10.53.0.1 nexthop via 10.1.0.2 weight 3 nexthop via 10.1.0.3 weight 1');
    ip('route add blackhole 10.54.0.0/16');
    ip('route add prohibit 10.55.0.0/16 table 1000');
    ip('-6 route add default via fd01::2 metric 7 mtu 1400');
    ip('-6 route add fd50::/64 dev v0 src fd01::1');
    ip('-6 route add unreachable fd54::/64');
    ip('-6 route add fd55::/64 via fd01::2 table 2000');
    const names = new Map(ipJson<IpLink>('link').map(({ ifindex, ifname }) => [ifindex, ifname]));
    // Once more when the kernel has added a route in between: that of an address which had to wait for its turn.
    const routes = await vi.waitFor(async () => {
      const listed = await netlink.routes.list({ table: 'all' });
      const witnessed = [
        ...ipJson<IpRoute>('-d -4 route show table all'),
        ...ipJson<IpRoute>('-d -6 route show table all'),
      ];
      expect(sorted(listed.map((route) => asIpRoute(route, names)))).toEqual(sorted(witnessed.map(pickIpRoute)));
      return listed;
    });
    expect(routes.length).toBeGreaterThan(20);
    expect((await netlink.routes.list({ family: 4, table: 1000 })).map(({ type }) => type)).toEqual(['prohibit']);
    expect(await netlink.routes.list({ table: 4242 })).toEqual([]);
    expect((await netlink.routes.list({ link: 'v0', family: 6 })).length).toBe(
      ipJson<IpRoute>('-6 route show dev v0').length,
    );
  });

  it('are added, replaced and removed as `ip` then sees', async () => {
    ip('link add v0 type veth peer name v1');
    ip('link set v0 up');
    ip('link set v1 up');
    ip('addr add 10.1.0.1/24 dev v0');
    ip('addr add fd01::1/64 nodad dev v0');
    const { routes } = netlink;
    await routes.add({ destination: 'default', via: ipAddress('10.1.0.254'), metric: 9, mtu: 1280 });
    await routes.add({ destination: cidr('10.60.0.0/16'), link: 'v0', source: ipAddress('10.1.0.1') });
    await routes.add({ destination: cidr('10.61.0.0/16'), via: ipAddress('192.0.2.9'), link: 'v0', onlink: true });
    await routes.add({ destination: cidr('10.62.0.0/16'), via: ipAddress('fd01::9'), link: 'v0' });
    await routes.add({ destination: cidr('10.63.0.0/16'), type: 'blackhole', protocol: 'static' });
    await routes.add({ destination: cidr('10.64.0.0/16'), link: 'v0', table: 3000 });
    await routes.add({ destination: 'default', family: 6, link: 'v0' });
    await routes.add({ destination: cidr('fd60::/64'), via: ipAddress('fd01::2'), metric: 5 });
    await routes.add({ destination: cidr('fd63::/64'), type: 'prohibit' });
    expect(ipJson<IpRoute>('-d -4 route show table all proto boot')).toMatchObject([
      { dst: '10.64.0.0/16', dev: 'v0', table: '3000', scope: 'link' },
      { dst: 'default', gateway: '10.1.0.254', metric: 9, metrics: [{ mtu: 1280 }], scope: 'global' },
      { dst: '10.60.0.0/16', dev: 'v0', prefsrc: '10.1.0.1', scope: 'link' },
      { dst: '10.61.0.0/16', gateway: '192.0.2.9', flags: ['onlink'] },
      { dst: '10.62.0.0/16', via: { family: 'inet6', host: 'fd01::9' } },
    ]);
    expect(ipJson<IpRoute>('-d -4 route show proto static')).toMatchObject([
      { type: 'blackhole', dst: '10.63.0.0/16' },
    ]);
    expect(ipJson<IpRoute>('-d -6 route show proto boot')).toMatchObject([
      { dst: 'fd60::/64', gateway: 'fd01::2', metric: 5 },
      { type: 'prohibit', dst: 'fd63::/64' },
      { dst: 'default', dev: 'v0' },
    ]);
    await routes.replace({ destination: 'default', via: ipAddress('10.1.0.253'), metric: 9 });
    expect(ipJson<IpRoute>('route show default')).toMatchObject([{ gateway: '10.1.0.253', metric: 9 }]);
    await routes.remove({ destination: 'default', family: 4 });
    await routes.remove({ destination: cidr('10.60.0.0/16') });
    await routes.remove({ destination: cidr('10.61.0.0/16'), via: ipAddress('192.0.2.9') });
    await routes.remove({ destination: cidr('10.62.0.0/16') });
    await routes.remove({ destination: cidr('10.63.0.0/16'), type: 'blackhole' });
    await routes.remove({ destination: cidr('10.64.0.0/16'), table: 3000 });
    await routes.remove({ destination: 'default', family: 6 });
    await routes.remove({ destination: cidr('fd60::/64'), link: 'v0' });
    await routes.remove({ destination: cidr('fd63::/64') });
    expect(ipJson<IpRoute>('route show table all proto boot')).toEqual([]);
    expect(ipJson<IpRoute>('-6 route show table all proto boot')).toEqual([]);
  });

  it('are listed whole by the thousand, without holding up the event loop', async () => {
    ip('tuntap add t0 mode tun');
    ip('link set t0 up');
    const count = 4000;
    const prefix = (i: number): string => `10.${100 + (i >> 8)}.${i & 255}.0/24`;
    const lines = Array.from({ length: count }, (_, i) => `route add ${prefix(i)} dev t0`);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    let turns = 0;
    const ticker = setInterval(() => turns++, 0);
    const routes = await netlink.routes.list({ family: 4 });
    clearInterval(ticker);
    expect(new Set(routes.map(({ destination }) => destination.toString()))).toEqual(
      new Set(lines.map((_, i) => prefix(i))),
    );
    expect(turns).toBeGreaterThan(0);
  });
});

describe('neighbours', () => {
  it('agree with `ip -j neigh`', async () => {
    ip('link add v0 type veth peer name v1');
    ip('link set v0 up');
    ip('link set v1 up');
    ip('addr add 10.1.0.1/24 dev v0');
    ip('neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev v0');
    ip('neigh add fd01::2 lladdr 02:00:00:00:00:03 nud stale router dev v0');
    const neighbours = await netlink.neighbours.list({ link: 'v0' });
    const mine = neighbours.filter((entry) => !entry.address.isMulticast);
    const seen = ipJson<{ dst: string; lladdr?: string; state: string[]; router?: null }>('neigh show dev v0');
    expect(
      sorted(mine.map((entry) => [`${entry.address}`, `${entry.mac}`, entry.state, entry.flags.includes('router')])),
    ).toEqual(sorted(seen.map((entry) => [entry.dst, entry.lladdr, entry.state[0], 'router' in entry])));
    expect(mine.length).toBe(2);
    expect((await netlink.neighbours.list({ family: 4 })).every(({ family }) => family === 4)).toBe(true);
  });
});

describe('refusals', () => {
  it.each<[string, VnicErrorCode, string | undefined, () => Promise<unknown>]>([
    ['a link of no such name', 'VNIC_NO_SUCH_INTERFACE', 'ENODEV', () => netlink.links.get('nope')],
    ['a link of no such index', 'VNIC_NO_SUCH_INTERFACE', 'ENODEV', () => netlink.links.set(7777, { up: true })],
    ['deleting what is not there', 'VNIC_NO_SUCH_INTERFACE', 'ENODEV', () => netlink.links.delete('nope')],
    ['deleting the loopback', 'VNIC_UNSUPPORTED', 'EOPNOTSUPP', () => netlink.links.delete('lo')],
    [
      'an address on no link',
      'VNIC_NO_SUCH_INTERFACE',
      'ENODEV',
      () => netlink.addresses.add('nope', cidr('10.0.0.1/24')),
    ],
    [
      'a MAC on a TUN',
      'VNIC_UNSUPPORTED',
      'EOPNOTSUPP',
      () => netlink.links.set('t0', { mac: MacAddress.parse('02:00:00:00:00:01') }),
    ],
    [
      'a multicast MAC',
      'VNIC_INVALID_ARGUMENT',
      'EADDRNOTAVAIL',
      () => netlink.links.set('v0', { mac: MacAddress.parse('03:00:00:00:00:01') }),
    ],
    ['a name that is taken', 'VNIC_DEVICE_EXISTS', 'EEXIST', () => netlink.links.set('t0', { name: 'v0' })],
    [
      'a name of 16 bytes',
      'VNIC_NAME_TOO_LONG',
      undefined,
      () => netlink.links.set('t0', { name: 'a123456789012345' }),
    ],
    ['a name with a slash', 'VNIC_INVALID_NAME', undefined, () => netlink.links.get('a/b')],
    ['no change at all', 'VNIC_INVALID_ARGUMENT', undefined, () => netlink.links.set('t0', {})],
    ['an MTU of 1.5', 'VNIC_INVALID_ARGUMENT', undefined, () => netlink.links.set('t0', { mtu: 1.5 })],
    ['an IPv4 address twice', 'VNIC_ADDRESS_EXISTS', 'EEXIST', () => netlink.addresses.add('t0', cidr('10.0.0.1/24'))],
    ['an IPv6 address twice', 'VNIC_ADDRESS_EXISTS', 'EEXIST', () => netlink.addresses.add('t0', cidr('fd00::1/64'))],
    [
      'removing no IPv4 address',
      'VNIC_NO_SUCH_ADDRESS',
      'EADDRNOTAVAIL',
      () => netlink.addresses.remove('t0', cidr('10.9.0.1/24')),
    ],
    [
      'removing no IPv6 address',
      'VNIC_NO_SUCH_ADDRESS',
      'EADDRNOTAVAIL',
      () => netlink.addresses.remove('t0', cidr('fd99::1/64')),
    ],
    [
      'a route twice',
      'VNIC_ROUTE_EXISTS',
      'EEXIST',
      () => netlink.routes.add({ destination: cidr('10.0.0.0/24'), link: 't0' }),
    ],
    [
      'removing no IPv4 route',
      'VNIC_NO_SUCH_ROUTE',
      'ESRCH',
      () => netlink.routes.remove({ destination: cidr('10.77.0.0/24') }),
    ],
    [
      'removing no IPv6 route',
      'VNIC_NO_SUCH_ROUTE',
      'ESRCH',
      () => netlink.routes.remove({ destination: cidr('fd77::/64') }),
    ],
    [
      'a route on a link that is down',
      'VNIC_LINK_DOWN',
      'ENETDOWN',
      () => netlink.routes.add({ destination: cidr('10.77.0.0/24'), link: 'v0' }),
    ],
    [
      'a gateway out of reach',
      'VNIC_INVALID_ARGUMENT',
      'ENETUNREACH',
      () => netlink.routes.add({ destination: 'default', via: ipAddress('192.0.2.1') }),
    ],
    [
      'an IPv6 gateway out of reach',
      'VNIC_INVALID_ARGUMENT',
      'EHOSTUNREACH',
      () => netlink.routes.add({ destination: 'default', via: ipAddress('fd77::1') }),
    ],
    [
      'a default route of no family',
      'VNIC_INVALID_ARGUMENT',
      undefined,
      () => netlink.routes.add({ destination: 'default', link: 't0' }),
    ],
  ])('name %s', async (_title, code, errno, request) => {
    ip('tuntap add t0 mode tun');
    ip('link add v0 type veth peer name v1');
    ip('link set t0 up');
    ip('addr add 10.0.0.1/24 dev t0');
    ip('addr add fd00::1/64 nodad dev t0');
    const error = await failure(request());
    expect([error.code, error.errno]).toEqual([code, errno]);
    expect(error.hint).not.toBe('');
  });

  it.each<[string, string, () => Promise<unknown>]>([
    ['mtu less than device minimum', 'EINVAL', () => netlink.links.set('t0', { mtu: 67 })],
    ['mtu greater than device maximum', 'EINVAL', () => netlink.links.set('t0', { mtu: 65536 })],
    [
      'Invalid prefix for given prefix length',
      'EINVAL',
      () => netlink.routes.add({ destination: cidr('10.7.0.1/24'), link: 't0' }),
    ],
    ['ipv4: Address not found', 'EADDRNOTAVAIL', () => netlink.addresses.remove('t0', cidr('10.7.0.1/24'))],
  ])('carry the words of the kernel: %s', async (words, errno, request) => {
    ip('tuntap add t0 mode tun');
    ip('link set t0 up');
    const error = await failure(request());
    expect([error.reason, error.errno]).toEqual([words, errno]);
    expect(error.message).toContain(words);
  });

  it('say that IPv6 is switched off, not that a privilege is missing', async () => {
    ip('tuntap add t0 mode tun');
    ip('link set t0 up');
    // A fresh /proc/sys view follows the namespace of the process that opens it.
    writeFileSync('/proc/sys/net/ipv6/conf/t0/disable_ipv6', '1');
    const error = await failure(netlink.addresses.add('t0', cidr('fd00::1/64')));
    expect([error.code, error.errno]).toEqual(['VNIC_UNSUPPORTED', 'EACCES']);
    expect(error.hint).toContain('disable_ipv6');
  });

  it('name the missing privilege, to a process without capabilities', () => {
    const results = runUnprivileged(`
      const results = {};
      const attempt = async (name, run) => {
        try { await run(); results[name] = 'done'; } catch (error) { results[name] = [error.code, error.errno, error.exitStatus]; }
      };
      const netlink = await openNetlink();
      results.links = (await netlink.links.list()).map(({ name }) => name);
      results.sync = getLinkSync('lo').name;
      await attempt('up', () => netlink.links.set('lo', { up: false }));
      await attempt('address', () => netlink.addresses.add('lo', Cidr.parse('10.0.0.1/24')));
      await attempt('route', () => netlink.routes.add({ destination: Cidr.parse('10.0.0.0/24'), link: 'lo' }));
      await attempt('delete', () => netlink.links.delete('t0'));
      const events = openLinkEvents({ groups: ['link', 'address', 'route', 'neighbour'] });
      await events.close();
      await netlink.close();
      console.log(JSON.stringify(results));
    `);
    const refused = ['VNIC_NO_PRIVILEGE', 'EPERM', 77];
    expect(results).toEqual({
      links: ['lo', 't0'],
      sync: 'lo',
      up: refused,
      address: refused,
      route: refused,
      delete: refused,
    });
  });

  it('of names agree with the kernel, character by character', () => {
    ip('link add br0 type bridge');
    const { index } = getLinkSync('br0') as LinkInfo;
    for (let code = 1; code < 0x800; code++) {
      const name = `a${String.fromCodePoint(code)}b`;
      const accepted = succeeds(() => checkInterfaceName(name, 'check a name'));
      // Past the check of the library, straight to the kernel.
      const message = putLinkChange(requestMessage(Rtm.SETLINK), index, { name });
      const renamed = succeeds(() =>
        requestSync({ subject: 'link', attempted: 'rename', call: 'RTM_SETLINK', message }),
      );
      // vnic is stricter in control characters, Unicode white space and the pattern character.
      const stricter = code < 0x20 || (code >= 0x7f && code < 0xa0) || /[\s%]/.test(name);
      if (!stricter || accepted) expect([code, accepted]).toEqual([code, renamed]);
    }
    ip(`link set ${getLinkSync(index)?.name} name br1`);
  });
});

describe('the request socket', () => {
  it('answers requests made at once in their order', async () => {
    makeZoo();
    const order: number[] = [];
    const requests = Array.from({ length: 60 }, async (_, i) => {
      if (i % 3 === 0) expect((await netlink.links.list()).length).toBe(9);
      else if (i % 3 === 1) expect((await netlink.links.get('t0')).name).toBe('t0');
      else expect((await failure(netlink.links.get('nope'))).code).toBe('VNIC_NO_SUCH_INTERFACE');
      order.push(i);
    });
    await Promise.all(requests);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it('ends what waits when it is closed, and refuses what comes later', async () => {
    const waiting = Array.from({ length: 5 }, () => failure(netlink.links.list()));
    await netlink.close();
    await netlink.close();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(Array(5).fill('VNIC_LINK_CLOSED'));
    expect((await failure(netlink.routes.list())).code).toBe('VNIC_LINK_CLOSED');
  });

  it('lets a caller go when its signal fires, and goes on for the others', async () => {
    const controller = new AbortController();
    const first = netlink.links.list();
    const given = failure(netlink.links.list({ signal: controller.signal }));
    const last = netlink.links.list();
    controller.abort(new Error('enough'));
    const error = await given;
    expect([error.code, (error.cause as Error).message]).toEqual(['VNIC_ABORTED', 'enough']);
    expect(await last).toEqual(await first);
    expect((await failure(netlink.links.get('lo', { signal: AbortSignal.abort() }))).code).toBe('VNIC_ABORTED');
  });

  it('lets timers run between requests that are awaited one after the other', async () => {
    let isTimerRun = false;
    setTimeout(() => {
      isTimerRun = true;
    }, 0);
    let requests = 0;
    for (; !isTimerRun && requests < 50_000; requests++) await netlink.links.get('lo');
    expect(requests).toBeLessThan(50_000);
  });

  it('leaves no descriptor behind', async () => {
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 500; i++) {
      const one = await openNetlink();
      const events = openLinkEvents();
      getLinkSync('lo');
      await one.close();
      await events.close();
    }
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
  });
});

describe('events', () => {
  it('follow what `ip` does to links, addresses and routes, in order', async () => {
    await using events = openLinkEvents({ groups: ['link', 'address', 'route'] });
    ip('tuntap add t0 mode tun');
    ip('link set t0 mtu 1400');
    ip('addr add 10.0.0.1/24 dev t0');
    ip('link set t0 up');
    ip('route add 10.9.0.0/24 dev t0');
    ip('addr delete 10.0.0.1/24 dev t0');
    ip('link set t0 down');
    ip('link set t0 name t9');
    ip('link delete t9');
    const seen = await takeUntil(events, (event) => event.type === 'link' && event.action === 'delete');
    const steps = seen.map(summarise);
    expect(
      inOrder(steps, [
        'link new t0 1500 down',
        'link new t0 1400 down',
        'address new 10.0.0.1/24',
        'link new t0 1400 up',
        'route new 10.0.0.0/24',
        'route new 10.9.0.0/24',
        'address delete 10.0.0.1/24',
        'link new t0 1400 down',
        'link new t9 1400 down',
        'link delete t9 1400 down',
      ]),
    ).toEqual([]);
    expect(events.malformed).toBe(0);
  });

  it('follow what vnic does, through the push form', async () => {
    const events = openLinkEvents({ groups: ['link', 'neighbour'] });
    const steps: string[] = [];
    const done = new Promise<void>((resolve) => {
      events.onEvent((event) => {
        steps.push(summarise(event));
        if (event.type === 'link' && event.action === 'delete') resolve();
      });
    });
    expect((await failure(takeUntil(events, () => true))).code).toBe('VNIC_READER_BUSY');
    ip('link add v0 type veth peer name v1');
    await netlink.links.set('v1', { up: true });
    await netlink.links.set('v0', { up: true });
    ip('neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev v0');
    await netlink.links.delete('v0');
    await done;
    await events.close();
    expect(
      inOrder(steps, ['link new v0 1500 up', 'neighbour new 10.1.0.2 02:00:00:00:00:02', 'link delete v']),
    ).toEqual([]);
  });

  it('do not take a port that leaves a bridge for a link that is gone', async () => {
    ip('link add br0 type bridge');
    ip('link add v0 type veth peer name v1');
    ip('link set v0 master br0');
    await using events = openLinkEvents();
    ip('link set v0 nomaster');
    ip('link delete br0');
    const seen = await takeUntil(events, (event) => event.type === 'link' && event.action === 'delete');
    expect(seen.filter((event) => event.type === 'link' && event.action === 'delete').map(summarise)).toEqual([
      'link delete br0 1500 down',
    ]);
  });

  it('say where a link went that moved to another namespace', async () => {
    ip('link add v0 type veth peer name v1');
    await using events = openLinkEvents();
    execFileSync(
      'unshare',
      ['--net', '--', 'sh', '-c', 'nsenter --net=/proc/$PPID/ns/net ip link set v1 netns $$ && ip link show v1'],
      { stdio: 'pipe' },
    );
    const seen = await takeUntil(events, (event) => event.type === 'link' && event.action === 'delete');
    const last = seen.at(-1);
    expect(last?.type === 'link' && last.link.movedTo !== undefined).toBe(true);
  });

  it('tell that some were lost, behind those from before, and go on', async () => {
    ip('tuntap add t0 mode tun');
    await using events = openLinkEvents({ receiveBufferBytes: 4096 });
    const lines = Array.from({ length: 200 }, (_, i) => `link set t0 mtu ${1000 + i}`);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    const seen = await takeUntil(events, (event) => event.type === 'lost');
    expect(seen.length).toBeLessThan(200);
    expect(seen.length).toBeGreaterThan(1);
    const last = seen.at(-1);
    expect(last?.type === 'lost' && isVnicError(last.error, 'VNIC_EVENTS_LOST')).toBe(true);
    ip('link set t0 mtu 1500');
    const next = await takeUntil(events, () => true);
    expect(next.map(summarise)).toEqual(['link new t0 1500 down']);
  });

  it('tell of a loss through the push form too', async () => {
    ip('tuntap add t0 mode tun');
    const events = openLinkEvents({ receiveBufferBytes: 4096 });
    const lines = Array.from({ length: 200 }, (_, i) => `link set t0 mtu ${1000 + i}`);
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    const types: string[] = [];
    await new Promise<void>((resolve) => {
      events.onEvent((event) => {
        types.push(event.type);
        if (event.type === 'lost') ip('link set t0 mtu 1500');
        if (event.type === 'link' && event.link.mtu === 1500) resolve();
      });
    });
    await events.close();
    expect(types.filter((type) => type === 'lost').length).toBe(1);
  });

  it('end with close, and with VNIC_ABORTED by a signal', async () => {
    const closing = openLinkEvents();
    const closed = takeUntil(closing, () => false);
    setImmediate(() => void closing.close());
    expect(await closed).toEqual([]);
    await closing.close();
    const controller = new AbortController();
    await using aborting = openLinkEvents({ signal: controller.signal });
    const ended = failure(takeUntil(aborting, () => false));
    setImmediate(() => controller.abort());
    expect((await ended).code).toBe('VNIC_ABORTED');
  });

  it('can be read again after a break, by one reader at a time', async () => {
    await using events = openLinkEvents();
    ip('tuntap add t0 mode tun');
    await takeUntil(events, () => true);
    const iterator = events[Symbol.asyncIterator]();
    const waiting = iterator.next();
    expect((await failure(takeUntil(events, () => true))).code).toBe('VNIC_READER_BUSY');
    expect(() => events.onEvent(() => undefined)).toThrow(VnicError);
    ip('link set t0 mtu 1300');
    expect((await waiting).done).toBe(false);
  });
});

async function failure(promise: Promise<unknown>): Promise<VnicError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VnicError);
  return error as VnicError;
}

function succeeds(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(VnicError);
    return false;
  }
}

/** Sends one UDP datagram of 100 bytes, so that a counter is not 0. */
async function sendDatagram(address: string): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise((resolve) => socket.send(new Uint8Array(100), 9, address, resolve));
  socket.close();
}

/** Both views of a moment at which the witness says the same before and after: IPv6 sends when it likes. */
async function atRest<W, T>(witness: () => W, read: () => Promise<T>): Promise<{ witnessed: W; own: T }> {
  for (let round = 0; round < 100; round++) {
    const witnessed = witness();
    const own = await read();
    if (textOf(witness()) === textOf(witnessed)) return { witnessed, own };
  }
  throw new Error('the namespace did not come to rest');
}

/** The timers of a bridge never rest. */
function textOf(witnessed: unknown): string {
  return JSON.stringify(witnessed, (key, value: unknown) => (key.endsWith('_timer') ? undefined : value));
}

/** Events up to and with the first that the predicate accepts. */
async function takeUntil(
  events: AsyncIterable<NetlinkEvent>,
  isLast: (event: NetlinkEvent) => boolean,
): Promise<NetlinkEvent[]> {
  const seen: NetlinkEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (isLast(event)) break;
  }
  return seen;
}

function summarise(event: NetlinkEvent): string {
  switch (event.type) {
    case 'link':
      return `link ${event.action} ${event.link.name} ${event.link.mtu} ${event.link.isUp ? 'up' : 'down'}`;
    case 'address':
      return `address ${event.action} ${event.address.cidr}`;
    case 'route':
      return `route ${event.action} ${event.route.destination}`;
    case 'neighbour':
      return `neighbour ${event.action} ${event.neighbour.address} ${event.neighbour.mac}`;
    case 'fdb':
      return `fdb ${event.action} ${event.entry.mac} ${event.entry.type}`;
    case 'rule':
      return `rule ${event.action} ${event.rule.priority}`;
    case 'netns':
      return `netns ${event.action} ${event.netnsId}`;
    case 'lost':
      return 'lost';
  }
}

/** What of `expected` (by prefix) does not follow in that order in `steps`; [] when all does. */
function inOrder(steps: readonly string[], expected: readonly string[]): string[] {
  let at = 0;
  for (const [i, step] of expected.entries()) {
    const found = steps.findIndex((actual, j) => j >= at && actual.startsWith(step));
    if (found < 0) return [...expected.slice(i), 'among', ...steps];
    at = found + 1;
  }
  return [];
}

/** Runs a module as a user without capabilities over this namespace; gives the JSON it prints. */
function runUnprivileged(body: string): unknown {
  ip('tuntap add t0 mode tun');
  const directory = mkdtempSync(join(tmpdir(), 'vnic-netlink-'));
  try {
    for (const folder of ['base', 'native', 'netns', 'netlink']) transpile(folder, directory);
    writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
    const imports = `import { Cidr } from './src/base/index.js';
      import { getLinkSync, openLinkEvents, openNetlink } from './src/netlink/index.js';`;
    writeFileSync(join(directory, 'main.js'), imports + body);
    const native = nativeCandidates()[0] as string;
    // A user namespace below this one has no rights over the network namespace of this one.
    const command = ['--user', '--', process.execPath, join(directory, 'main.js')];
    const result = spawnSync('unshare', command, { encoding: 'utf8', env: { ...process.env, VNIC_NATIVE: native } });
    expect(result.stderr).toBe('');
    return JSON.parse(result.stdout) as unknown;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function transpile(folder: string, into: string): void {
  const source = join(root, 'src', folder);
  for (const file of readdirSync(source).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))) {
    const { outputText } = ts.transpileModule(readFileSync(join(source, file), 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    const out = join(into, 'src', folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(out, outputText);
  }
}
