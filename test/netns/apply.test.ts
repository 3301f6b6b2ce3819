/** Desired state against the real kernel: what is applied is read back by `ip`, `bridge` and `nft`, and the other way round. */

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { formatConfig, inNamespace } from '../../src/config/index.ts';
import { listJournals, openJournal } from '../../src/journal/index.ts';
import { addMasquerade, type NetlinkEvent, openLinkEvents } from '../../src/netlink/index.ts';
import { applyConfig, exportConfig, isInForce, planChanges, takeDown } from '../../src/state/index.ts';
import { configOf, dump, freshFolder, wipe } from './desired-state.ts';
import { codeOf, ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());
beforeEach(() => wipe());
afterEach(() => wipe());

const everything = `
devices:
  br0:
    kind: bridge
    mtu: 1400
    bridgeSettings: { stp: true, ageingTimeSec: 60, forwardDelaySec: 4, priority: 4096, multicastSnooping: false }
  tap0:
    kind: tap
    owner: 0
    group: root
    multiQueue: true
    mac: 02:00:00:00:00:01
    mtu: 1400
    txQueueLen: 77
    bridge: br0
    portSettings: { isolated: true, hairpin: true, learning: false, cost: 77 }
    altNames: [a-name-longer-than-fifteen-bytes]
  tun0:
    kind: tun
    promisc: true
    addresses: [10.0.0.1/24, fd00::1/64]
    routes:
      - 10.1.0.0/16
      - { to: 10.2.0.0/16, via: 10.0.0.9, metric: 50, table: 7, mtu: 1300, source: 10.0.0.1 }
      - { to: default, via: fd00::9 }
      - { to: 10.3.0.0/16, via: 192.0.2.1, onlink: true }
    sysctls: { ipv4.forwarding: 1 }
  v0: { kind: veth, peer: v1, peerNamespace: lab, neighbours: [{ address: 10.8.0.9, mac: 02:00:00:00:00:09 }] }
  v1: { namespace: lab, addresses: [10.8.0.1/24], up: true }
  tun1: { kind: tun, namespace: lab, addresses: [10.9.0.1/24], routes: [10.10.0.0/16] }
  tun2: { kind: tun, up: false }
sysctls: { net.ipv4.ip_default_ttl: 65 }
rules:
  - { priority: 100, table: 7, from: 10.0.0.0/24, mark: 5 }
  - { priority: 101, table: 8, in: tun0 }
masquerade: [{ from: 10.0.0.0/24, out: tun0 }]
namespaces:
  lab: { sysctls: { net.ipv4.ip_forward: 1 }, rules: [{ priority: 9, table: 9, to: 10.9.0.0/16 }] }
`;

const linkByIp = (name: string, netns = ''): Record<string, unknown> =>
  ipJson<Record<string, unknown>>(`${netns} -d link show ${name}`.trim())[0] ?? {};
const addressesByIp = (name: string, netns = ''): string[] =>
  ipJson<{ addr_info: { local: string; prefixlen: number; scope: string }[] }>(`${netns} addr show ${name}`.trim())
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ scope }) => scope === 'global')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);

describe('applying a configuration', () => {
  it('makes everything that it names, as other tools see it', async () => {
    const where = freshFolder();
    await applyConfig(configOf(everything), where);
    expect(linkByIp('tap0')).toMatchObject({
      address: '02:00:00:00:00:01',
      mtu: 1400,
      txqlen: 77,
      master: 'br0',
      altnames: ['a-name-longer-than-fifteen-bytes'],
      flags: expect.arrayContaining(['UP']),
      linkinfo: {
        info_kind: 'tun',
        info_data: { type: 'tap', persist: true, multi_queue: true, user: 'root', group: 'root' },
      },
    });
    expect(linkByIp('br0')).toMatchObject({
      linkinfo: {
        info_kind: 'bridge',
        // In hundredths of a second.
        info_data: { stp_state: 1, ageing_time: 6000, forward_delay: 400, priority: 4096, mcast_snooping: 0 },
      },
      flags: expect.arrayContaining(['UP']),
    });
    expect(linkByIp('tap0')).toMatchObject({
      linkinfo: { info_slave_data: { isolated: true, hairpin: true, learning: false, cost: 77 } },
    });
    expect(linkByIp('tun0')).toMatchObject({ flags: expect.arrayContaining(['UP', 'PROMISC']) });
    expect(linkByIp('tun2')).not.toMatchObject({ flags: expect.arrayContaining(['UP']) });
    expect(addressesByIp('tun0')).toEqual(['10.0.0.1/24', 'fd00::1/64']);
    expect(ipJson('route show 10.1.0.0/16')).toMatchObject([{ dev: 'tun0', protocol: '86' }]);
    expect(ipJson('route show table 7')).toMatchObject([
      { dst: '10.2.0.0/16', gateway: '10.0.0.9', metric: 50, prefsrc: '10.0.0.1', metrics: [{ mtu: 1300 }] },
    ]);
    expect(ipJson('-6 route show default')).toMatchObject([{ gateway: 'fd00::9', dev: 'tun0' }]);
    expect(ipJson('route show 10.3.0.0/16')).toMatchObject([
      { gateway: '192.0.2.1', flags: expect.arrayContaining(['onlink']) },
    ]);
    expect(ipJson('neigh show dev v0 nud permanent')).toMatchObject([{ dst: '10.8.0.9', lladdr: '02:00:00:00:00:09' }]);
    expect(ipJson('rule show priority 100')).toMatchObject([
      { src: '10.0.0.0', srclen: 24, table: '7', fwmark: '0x5' },
    ]);
    for (const family of ['', '-6 ']) {
      expect(ipJson(`${family}rule show priority 101`)).toMatchObject([{ iif: 'tun0', table: '8' }]);
    }
    expect(readFileSync('/proc/sys/net/ipv4/conf/tun0/forwarding', 'utf8')).toBe('1\n');
    expect(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8')).toBe('65\n');
    expect(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })).toMatch(/10\.0\.0\.0\/24.*masquerade/);
  });

  it('makes namespaces and what is in them', async () => {
    await applyConfig(configOf(everything), freshFolder());
    expect(addressesByIp('v1', '-n lab')).toEqual(['10.8.0.1/24']);
    expect(addressesByIp('tun1', '-n lab')).toEqual(['10.9.0.1/24']);
    expect(ipJson('-n lab route show 10.10.0.0/16')).toMatchObject([{ dev: 'tun1' }]);
    expect(ipJson('-n lab rule show priority 9')).toMatchObject([{ dst: '10.9.0.0', dstlen: 16 }]);
    expect(ip('netns exec lab cat /proc/sys/net/ipv4/ip_forward')).toBe('1\n');
  });

  it('changes nothing when it is applied again, and writes nothing down', async () => {
    const where = freshFolder();
    await applyConfig(configOf(everything), where);
    const before = dump();
    const [journal = ''] = readdirSync(where.folder);
    const { size } = statSync(join(where.folder, journal));
    const { changes } = await applyConfig(configOf(everything), where);
    expect(changes).toEqual([]);
    expect(dump()).toBe(before);
    // One line says who looked.
    expect(statSync(join(where.folder, journal)).size - size).toBeLessThan(200);
    expect((await planChanges(configOf(everything), where)).changes).toEqual([]);
  });

  it('finds out by a digest that nothing has changed, and by nothing else', async () => {
    const where = freshFolder();
    const text =
      'devices: { tun0: { kind: tun, addresses: [10.0.0.1/24], routes: [10.1.0.0/16] }, tun1: { kind: tun } }';
    const [config, digest] = [configOf(text), 'of the file'];
    const apply = (): Promise<{ readonly changes: readonly unknown[] }> => applyConfig(config, { ...where, digest });
    await apply();
    expect(await isInForce(digest, where)).toBe(false);
    // IPv6 takes its time with addresses of its own, and the carrier is told later.
    await vi.waitFor(async () => {
      expect((await apply()).changes).toEqual([]);
      expect(await isInForce(digest, where)).toBe(true);
    }, 20_000);
    const [journal = ''] = readdirSync(where.folder);
    const { size } = statSync(join(where.folder, journal));
    expect((await apply()).changes).toEqual([]);
    expect(statSync(join(where.folder, journal)).size).toBe(size);
    expect(await isInForce('of another', where)).toBe(false);
    for (const change of [
      'link set tun1 mtu 1400',
      'addr add 10.0.7.1/24 dev tun1',
      'route del 10.1.0.0/16',
      'link set tun0 down',
      'link delete tun1',
    ]) {
      ip(change);
      expect({ change, found: await isInForce(digest, where) }).toEqual({ change, found: false });
      await apply();
      await vi.waitFor(async () => {
        await apply();
        expect(await isInForce(digest, where)).toBe(true);
      }, 20_000);
    }
    // What the tables do not tell is compared each time.
    const more = configOf(`${text}\nsysctls: { net.ipv4.ip_default_ttl: 65 }`);
    for (let i = 0; i < 3; i++) await applyConfig(more, { ...where, digest: 'of more' });
    expect(await isInForce('of more', where)).toBe(false);
    await takeDown(where);
    expect(await isInForce(digest, where)).toBe(false);
  });

  it('finds what `ip` has made as it should be, and leaves it to whoever made it', async () => {
    ip('tuntap add tap5 mode tap');
    ip('addr add 10.5.0.1/24 dev tap5');
    ip('link set tap5 up mtu 1300');
    ip('route add 10.6.0.0/16 via 10.5.0.9 metric 4');
    const before = dump();
    const where = freshFolder();
    const config = configOf(`
devices:
  tap5:
    kind: tap
    mtu: 1300
    addresses: [10.5.0.1/24]
    routes: [{ to: 10.6.0.0/16, via: 10.5.0.9, metric: 4 }]
`);
    expect((await applyConfig(config, where)).changes).toEqual([]);
    await takeDown(where);
    expect(dump()).toBe(before);
  });

  it('does not touch a device that is as asked for while it changes another', async () => {
    const where = freshFolder();
    const text = (mtu: number): string =>
      `devices: { tun0: { kind: tun, mtu: ${mtu}, addresses: [10.0.0.1/24] }, tun1: { kind: tun, addresses: [10.1.0.1/24] } }`;
    await applyConfig(configOf(text(1400)), where);
    const indexOf = (name: string): number => Number(linkByIp(name)['ifindex']);
    const [changed, other] = [indexOf('tun0'), indexOf('tun1')];
    // The kernel tells a moment later that nobody holds them.
    await vi.waitFor(() => {
      for (const name of ['tun0', 'tun1']) expect(linkByIp(name)).toMatchObject({ operstate: 'DOWN' });
    }, 10_000);
    await using events = openLinkEvents({ groups: ['link', 'address', 'route'] });
    const { changes } = await applyConfig(configOf(text(1401)), where);
    expect(changes).toHaveLength(1);
    ip('link add marker type bridge');
    const touched = new Set<number | undefined>();
    for await (const event of events) {
      if (event.type === 'link' && event.link.name === 'marker') break;
      touched.add(touchedBy(event));
    }
    expect(touched).toContain(changed);
    expect(touched).not.toContain(other);
  });

  it('replaces a device of its own that is of another kind, with what is on it', async () => {
    const where = freshFolder();
    await applyConfig(configOf('devices: { x0: { kind: tun, addresses: [10.0.0.1/24] } }'), where);
    await applyConfig(
      configOf('devices: { x0: { kind: tap, addresses: [10.0.0.1/24], routes: [10.1.0.0/16] } }'),
      where,
    );
    expect(linkByIp('x0')).toMatchObject({ linkinfo: { info_data: { type: 'tap' } } });
    expect(addressesByIp('x0')).toEqual(['10.0.0.1/24']);
    await takeDown(where);
    expect(ipNames()).toEqual(['lo']);
  });

  it('moves a route of its own to another gateway', async () => {
    const where = freshFolder();
    const text = (via: string): string =>
      `devices: { tun0: { kind: tun, addresses: [10.0.0.1/24], routes: [{ to: 10.1.0.0/16, via: ${via} }] } }`;
    await applyConfig(configOf(text('10.0.0.2')), where);
    await applyConfig(configOf(text('10.0.0.3')), where);
    expect(ipJson('route show 10.1.0.0/16')).toMatchObject([{ gateway: '10.0.0.3' }]);
    expect((await planChanges(configOf(text('10.0.0.3')), where)).changes).toEqual([]);
  });

  it('keeps the routes of a device whose address is replaced by another of its subnet', async () => {
    const where = freshFolder();
    const text = (host: number): string => `
devices:
  tun0:
    kind: tun
    addresses: [10.0.0.${host}/24, fd00::${host}/64]
    routes: [{ to: 10.1.0.0/16, via: 10.0.0.9 }, { to: 10.2.0.0/16 }, { to: fd01::/64, via: fd00::9 }]
`;
    await applyConfig(configOf(text(1)), where);
    await applyConfig(configOf(text(2)), { ...where, prune: true });
    expect(addressesByIp('tun0')).toEqual(['10.0.0.2/24', 'fd00::2/64']);
    expect((await planChanges(configOf(text(2)), where)).changes).toEqual([]);
    expect(ipJson('route show 10.1.0.0/16')).toMatchObject([{ gateway: '10.0.0.9' }]);
    expect(ipJson('route show 10.2.0.0/16')).toMatchObject([{ dev: 'tun0' }]);
    expect(ipJson('-6 route show fd01::/64')).toMatchObject([{ gateway: 'fd00::9' }]);
    // Taken back, they are as they were.
    const before = dump();
    const failing = `${text(3)}  tun1: { kind: tun, routes: [{ to: 10.9.0.0/16, via: 192.0.2.1 }] }\n`;
    await expect(applyConfig(configOf(failing), { ...where, prune: true })).rejects.toMatchObject({
      attempted: 'add route 10.9.0.0/16 via 192.0.2.1 to tun1',
    });
    expect(dump()).toBe(before);
    await takeDown(where);
    expect(ipNames()).toEqual(['lo']);
  });

  it('removes what is no longer named only when it is asked to', async () => {
    const where = freshFolder();
    await applyConfig(
      configOf('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24, 10.0.1.1/24] }, tun1: { kind: tun } }'),
      where,
    );
    ip('addr add 10.0.2.1/24 dev tun0');
    const less = configOf('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24] } }');
    expect((await applyConfig(less, where)).plan.unnamed).toHaveLength(2);
    expect(ipNames()).toContain('tun1');
    const { changes } = await applyConfig(less, { ...where, prune: true });
    expect(changes).toHaveLength(2);
    expect(ipNames()).not.toContain('tun1');
    // The last one was added by somebody else.
    expect(addressesByIp('tun0')).toEqual(['10.0.0.1/24', '10.0.2.1/24']);
  });
});

/** Index of the interface that an event is about. */
function touchedBy(event: NetlinkEvent): number | undefined {
  switch (event.type) {
    case 'link':
      return event.link.index;
    case 'address':
      return event.address.linkIndex;
    case 'route':
      return event.route.linkIndex;
    default:
      throw new Error(`an event of type ${event.type}`);
  }
}

describe('a device of somebody else', () => {
  it('is used, and is exactly as it was found afterwards', async () => {
    ip('tuntap add tap5 mode tap');
    ip('addr add 10.5.0.1/24 dev tap5');
    // A bridge without an address of its own takes that of its ports.
    ip('link add br5 address 02:00:00:00:00:b5 type bridge');
    // IPv6 takes its time with addresses of its own: without them the dumps can be compared byte by byte.
    execFileSync('sysctl', ['-qw', 'net.ipv6.conf.tap5.addr_gen_mode=1', 'net.ipv6.conf.br5.addr_gen_mode=1']);
    // The kernel chooses a queueing discipline when a device first comes up, and a bridge the limits of its ports.
    const shown = (): string => dump('', ['qdisc', 'tso_max_size']);
    const before = shown();
    const where = freshFolder();
    await applyConfig(
      configOf(`
devices:
  tap5:
    mtu: 1300
    txQueueLen: 5
    mac: 02:00:00:00:00:55
    promisc: true
    bridge: br5
    portSettings: { isolated: true, cost: 9 }
    up: true
    altNames: [five]
    addresses: [10.5.0.1/24, 10.55.0.1/24, fd05::1/64]
    routes: [10.56.0.0/16]
    neighbours: [{ address: 10.55.0.9, mac: 02:00:00:00:00:09 }]
    sysctls: { ipv4.forwarding: 1 }
  br5: { bridgeSettings: { stp: true, forwardDelaySec: 4 } }
`),
      where,
    );
    expect(linkByIp('tap5')).toMatchObject({ mtu: 1300, txqlen: 5, address: '02:00:00:00:00:55', master: 'br5' });
    expect(linkByIp('tap5')).toMatchObject({ linkinfo: { info_slave_data: { isolated: true, cost: 9 } } });
    expect(linkByIp('br5')).toMatchObject({ linkinfo: { info_data: { stp_state: 1, forward_delay: 400 } } });
    expect(addressesByIp('tap5')).toEqual(['10.5.0.1/24', '10.55.0.1/24', 'fd05::1/64']);
    const { left } = await takeDown(where);
    expect(left).toEqual([]);
    expect(shown()).toBe(before);
    expect(readFileSync('/proc/sys/net/ipv4/conf/tap5/forwarding', 'utf8')).toBe('0\n');
  });

  it('in the way of one that is to be made is a conflict, and nothing is changed', async () => {
    ip('link add x0 type bridge');
    ip('tuntap add x1 mode tap user 0');
    ip('tuntap add x4 mode tap');
    const before = dump();
    const where = freshFolder();
    const config = configOf(
      'devices: { x0: { kind: tap }, x1: { kind: tap, multiQueue: true }, x2: { mtu: 1400 }, x3: { kind: tap, bridge: x9 }, ' +
        'x4: { bridgeSettings: { stp: true }, portSettings: { isolated: true } } }',
    );
    const { conflicts } = await planChanges(config, where);
    expect(conflicts.map(({ path }) => path)).toEqual([
      'devices.x0.kind',
      'devices.x1.multiQueue',
      'devices.x2',
      'devices.x3.bridge',
      'devices.x4.bridgeSettings',
      'devices.x4.portSettings',
    ]);
    expect(await codeOf(() => applyConfig(config, where))).toBe('VNIC_CONFIG_CONFLICT');
    expect(dump()).toBe(before);
    expect(readdirSync(where.folder)).toEqual([]);
  });

  it('that took the name of one of ours is not deleted', async () => {
    const where = freshFolder();
    await applyConfig(configOf('devices: { tun0: { kind: tun, addresses: [10.0.0.1/24] } }'), where);
    ip('link delete tun0');
    ip('tuntap add tun0 mode tun');
    ip('addr add 10.0.0.1/24 dev tun0');
    const before = dump();
    await takeDown(where);
    expect(dump()).toBe(before);
  });

  it('keeps values that were changed after ours, and what was added anew', async () => {
    ip('tuntap add tap5 mode tap');
    const where = freshFolder();
    await applyConfig(configOf('devices: { tap5: { mtu: 1300, addresses: [10.5.0.1/24] } }'), where);
    ip('link set tap5 mtu 1200');
    ip('addr del 10.5.0.1/24 dev tap5');
    ip('addr add 10.5.0.1/24 dev tap5');
    const { left } = await takeDown(where);
    expect(left).toHaveLength(1);
    expect(linkByIp('tap5')).toMatchObject({ mtu: 1200 });
    expect(addressesByIp('tap5')).toEqual(['10.5.0.1/24']);
  });
});

describe('a failure half-way', () => {
  it('takes back what was made, gives back what was removed, and tells the cause', async () => {
    ip('tuntap add tap5 mode tap');
    const where = freshFolder();
    await applyConfig(
      configOf(`
devices:
  tun0: { kind: tun, addresses: [10.0.0.1/24, fd00::1/64], routes: [10.1.0.0/16] }
  old0: { kind: tap, mac: 02:00:00:00:00:07, mtu: 1300, addresses: [10.7.0.1/24], routes: [10.8.0.0/16] }
`),
      where,
    );
    const shown = (): string => dump('', ['ifindex']);
    const before = shown();
    const failing = configOf(`
devices:
  tun0: { kind: tun, mtu: 1400, addresses: [10.0.0.1/24, 10.0.9.1/24] }
  tap5: { mtu: 1300, addresses: [10.5.0.1/24] }
  new0: { kind: tap, addresses: [10.6.0.1/24], routes: [{ to: 10.9.0.0/16, via: 192.0.2.1 }] }
`);
    const events: string[] = [];
    const onProgress = ({ event }: { event: string }): void => void events.push(event);
    await expect(applyConfig(failing, { ...where, prune: true, onProgress })).rejects.toMatchObject({
      code: 'VNIC_INVALID_ARGUMENT',
      attempted: 'add route 10.9.0.0/16 via 192.0.2.1 to new0',
    });
    expect(events.at(-1)).toBe('rollback');
    expect(shown()).toBe(before);
    await takeDown(where);
    expect(ipNames()).toEqual(['lo', 'tap5']);
  });

  it('an abort counts as one', async () => {
    const where = freshFolder();
    const abort = new AbortController();
    const applied = applyConfig(configOf('devices: { tun0: { kind: tun }, tun1: { kind: tun, namespace: lab } }'), {
      ...where,
      signal: abort.signal,
      onProgress: ({ event }) => void (event === 'done' && abort.abort()),
    });
    expect(await codeOf(() => applied)).toBe('VNIC_ABORTED');
    expect(ipNames()).toEqual(['lo']);
    expect(ipJson('netns list')).toEqual([]);
    expect(readdirSync(where.folder)).toEqual([]);
  });
});

describe('taking down', () => {
  it('leaves nothing of what was applied', async () => {
    const before = dump();
    const where = freshFolder();
    await applyConfig(configOf(everything), where);
    const { left } = await takeDown(where);
    expect(left).toEqual([]);
    expect(dump()).toBe(before);
    expect(ipJson('netns list')).toEqual([]);
    expect(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8')).toBe('64\n');
    expect(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })).toBe('');
    expect(readdirSync(where.folder)).toEqual([]);
  });

  it('of many devices deletes those of its own and no other', async () => {
    ip('link add foreign0 type bridge');
    ip('link set foreign0 group 5');
    const where = freshFolder();
    const devices = Array.from({ length: 300 }, (_, i) => `t${i}: { kind: tun }`).join(', ');
    await applyConfig(
      configOf(`devices: { ${devices}, t300: { kind: tun, namespace: lab }, v0: { kind: veth, peer: v1 } }`),
      where,
    );
    ip('link delete t7');
    expect(ipNames()).toHaveLength(303);
    await takeDown(where);
    expect(ipNames()).toEqual(['lo', 'foreign0']);
    expect(readdirSync(where.folder)).toEqual([]);
  });

  it('leaves a namespace of somebody else, without what was made in it', async () => {
    ip('netns add lab');
    const where = freshFolder();
    await applyConfig(configOf(everything), where);
    await takeDown(where);
    expect(ipJson('netns list')).toMatchObject([{ name: 'lab' }]);
    expect(ipJson<{ ifname: string }>('-n lab link').map(({ ifname }) => ifname)).toEqual(['lo']);
    expect(ip('netns exec lab cat /proc/sys/net/ipv4/ip_forward')).toBe('0\n');
  });

  it('waits for nobody: a journal that another works with is told', async () => {
    const where = freshFolder();
    using _journal = openJournal({ kind: 'config', path: where.path }, where);
    expect(await codeOf(() => takeDown(where))).toBe('VNIC_JOURNAL_BUSY');
    expect(listJournals(where)).toMatchObject([{ held: true }]);
  });
});

describe('an export', () => {
  it('describes what exists so that a plan of it is empty, whoever made it', async () => {
    ip('tuntap add tap5 mode tap user 0 multi_queue');
    ip('link add br5 type bridge');
    ip('link set tap5 master br5 up mtu 1300');
    ip('link set br5 up type bridge stp_state 1 ageing_time 1000 mcast_snooping 0');
    ip('link set tap5 type bridge_slave isolated on');
    ip('addr add 10.5.0.1/24 dev br5');
    ip('addr add fd05::1/64 dev br5 nodad');
    ip('route add 10.6.0.0/16 via 10.5.0.9 table 9');
    ip('-6 route add fd06::/64 via fd05::9 metric 7');
    ip('link add v0 type veth peer name v1');
    ip('neigh add 10.5.0.7 lladdr 02:00:00:00:00:07 dev br5');
    const { config, notes } = await exportConfig();
    expect(notes).toEqual([]);
    const text = formatConfig(config);
    expect(configOf(text)).toEqual(config);
    expect((await planChanges(configOf(text), freshFolder())).changes).toEqual([]);
    // And it is enough to make the same again.
    const before = dump('', volatile);
    wipe();
    await applyConfig(configOf(text), freshFolder());
    expect(dump('', volatile)).toBe(before);
  });

  it('describes other namespaces, with rules, masquerading and settings', async () => {
    ip('netns add lab');
    ip('netns add far');
    ip('link add v0 type veth peer name v1 netns lab');
    ip('-n lab link add w0 type veth peer name w1 netns far');
    ip('-n lab tuntap add tun0 mode tun');
    ip('tuntap add tun0 mode tun');
    ip('-n lab addr add 10.8.0.2/24 dev v1');
    ip('-n lab link set v1 up');
    ip('rule add priority 7 from 10.8.0.0/24 table 9');
    ip('rule add priority 8 iif v0 table 9');
    ip('-6 rule add priority 8 iif v0 table 9');
    ip('-n lab rule add priority 9 fwmark 5 ipproto tcp table 9');
    execFileSync('sysctl', ['-qw', 'net.ipv4.conf.v0.proxy_arp=1']);
    execFileSync('ip', ['netns', 'exec', 'lab', 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    await addMasquerade({ source: Cidr.parse('10.8.0.0/24'), out: 'v1' }, { netns: 'lab' });
    const { config, notes } = await exportConfig({ namespaces: ['far', 'lab'] });
    expect(notes.map(({ message }) => message)).toEqual([expect.stringMatching(/the IPv4 rule 9 is of a kind/)]);
    const text = formatConfig(config);
    expect(configOf(text)).toEqual(config);
    expect((await planChanges(configOf(text), freshFolder())).changes).toEqual([]);
    expect(config).toMatchObject({
      rules: [
        { priority: 7, table: 9, from: '10.8.0.0/24' },
        { priority: 8, table: 9, in: 'v0' },
      ],
      namespaces: {
        lab: { sysctls: { 'net.ipv4.ip_forward': '1' }, masquerade: [{ from: '10.8.0.0/24', out: 'v1' }] },
      },
    });
    const seen = (): unknown => [
      dump('', volatile),
      ['lab', 'far'].map((netns) =>
        ipJson<{ ifname: string }>(`-n ${netns} link`)
          .map(({ ifname }) => [ifname, addressesByIp(ifname, `-n ${netns}`)])
          .toSorted(),
      ),
    ];
    const before = seen();
    wipe();
    await applyConfig(configOf(text), freshFolder());
    expect(seen()).toEqual(before);
    expect(readFileSync('/proc/sys/net/ipv4/conf/v0/proxy_arp', 'utf8')).toBe('1\n');
  });
});

describe('a configuration for another namespace', () => {
  it('is applied there, and nothing here', async () => {
    ip('netns add lab');
    const before = dump();
    const where = freshFolder();
    const config = configOf(`
devices:
  br0: { kind: bridge }
  tap0: { kind: tap, bridge: br0 }
  v0: { kind: veth, peer: v1, addresses: [10.8.0.1/24] }
  w0: { kind: veth, peer: w1, namespace: far }
sysctls: { net.ipv4.ip_forward: 1 }
rules: [{ priority: 9, table: 9 }]
masquerade: [{ from: 10.8.0.0/24 }]
`);
    await applyConfig(inNamespace(config, 'lab'), where);
    expect(dump()).toBe(before);
    const namesIn = (netns: string): string[] =>
      ipJson<{ ifname: string }>(`-n ${netns} link`).map(({ ifname }) => ifname);
    expect(namesIn('lab').toSorted()).toEqual(['br0', 'lo', 'tap0', 'v0', 'v1']);
    expect(namesIn('far').toSorted()).toEqual(['lo', 'w0', 'w1']);
    expect(ip('netns exec lab cat /proc/sys/net/ipv4/ip_forward')).toBe('1\n');
    expect(ip('netns exec lab nft list ruleset')).toContain('masquerade');
    expect((await planChanges(inNamespace(config, 'lab'), where)).changes).toEqual([]);
    await takeDown(where);
    expect(namesIn('lab')).toEqual(['lo']);
    expect(ipJson('netns list')).toMatchObject([{ name: 'lab' }]);
    expect(dump()).toBe(before);
  });
});

/** Differs between two that are otherwise the same: numbers, chance, and who made it. */
const volatile: readonly string[] = ['ifindex', 'link_index', 'protocol', 'bridge_id', 'root_id', 'nodad'];
