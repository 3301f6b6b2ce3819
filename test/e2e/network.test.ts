/** Bridges, veth pairs, namespaces and everything around devices by the command, against `ip`, `bridge`, `nft`. */

import { execFileSync, spawnSync } from 'node:child_process';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { commandList } from '../../src/cli/command-list.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, ipJson, type RunResult, runVnic, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

afterEach(async () => {
  await endLive();
  spawnSync('nft', ['flush', 'ruleset']);
  for (const { name } of ipJson('netns', 'list')) execFileSync('ip', ['netns', 'delete', String(name)]);
  for (const name of interfaceNames()) if (name !== 'lo') spawnSync('ip', ['link', 'delete', 'dev', name]);
  for (const file of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) {
    execFileSync('sh', ['-c', `echo 0 > /proc/sys/net/${file}`]);
  }
});

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

async function vnic(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runVnic(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

async function listed(...args: string[]): Promise<Record<string, unknown>[]> {
  return JSON.parse(await vnic(...args, '--json')) as Record<string, unknown>[];
}

/** Runs a command line that must fail in two lines, and gives its status. */
async function refused(...args: string[]): Promise<number> {
  const { status, stdout, stderr }: RunResult = await runVnic(args);
  expect([stdout, stderr]).toEqual(['', expect.stringMatching(/^error: cannot .+\nhint: .+\n$/)]);
  return status;
}

describe('vnic create and set', () => {
  it('make a bridge with ports as `ip` and `bridge` see them', async () => {
    await vnic(
      ...['create', 'br0', '--bridge', '--stp', 'on', '--ageing-time', '60', '--address', '10.0.0.1/24'],
      ...[
        '--address',
        'fd00::1/64',
        '--up',
        '--altname',
        'a-name-that-is-longer',
        '--alias',
        'the lab',
        '--mtu',
        '1400',
      ],
    );
    await vnic('create', 'tap0', '--tap', '--master', 'br0', '--altname', 'port-one', '--up');
    expect(ipJson('-d', 'link', 'show', 'br0')).toMatchObject([
      {
        mtu: 1400,
        ifalias: 'the lab',
        altnames: ['a-name-that-is-longer'],
        linkinfo: { info_kind: 'bridge', info_data: { stp_state: 1, ageing_time: 6000 } },
      },
    ]);
    expect(ipJson('-d', 'link', 'show', 'port-one')).toMatchObject([{ ifname: 'tap0', master: 'br0' }]);
    await vnic('set', 'tap0', '--isolated', 'on', '--port-cost', '7', '--learning', 'off');
    await vnic('set', 'br0', '--stp', 'off', '--forward-delay', '5');
    expect(JSON.parse(execFileSync('bridge', ['-d', '-j', 'link'], { encoding: 'utf8' }))).toMatchObject([
      { ifname: 'tap0', isolated: true, cost: 7, learning: false },
    ]);
    const shown = JSON.parse(await vnic('show', 'br0', '--json')) as Record<string, unknown>;
    expect(shown).toMatchObject({ kind: 'bridge', bridge: { stp: false, forwardDelaySec: 5, ageingTimeSec: 60 } });
    expect(await vnic('show', 'tap0')).toMatch(/port of\s+br0\n\s+port\s+1, .*cost 7, no learning, isolated/);
    await vnic('set', 'tap0', '--no-master', '--remove-altname', 'port-one');
    expect(ipJson('link', 'show', 'tap0')[0]).not.toHaveProperty('master');
    await vnic('delete', 'br0', 'tap0');
    expect(interfaceNames()).toEqual(['lo']);
  });

  it('make veth pairs into namespaces, and move interfaces there', async () => {
    await vnic('netns', 'add', 'blue');
    await vnic('create', 'v0', '--veth', '--peer', 'eth0@blue', '--mtu', '1400', '--up', '--address', '10.1.0.1/24');
    await vnic('create', 'tun0', '--tun');
    await vnic('set', 'tun0', '--move-to', 'blue', '--up');
    expect(interfaceNames()).toEqual(['lo', 'v0']);
    expect(ipJson('-n', 'blue', 'link')).toMatchObject([
      { ifname: 'lo', flags: expect.arrayContaining(['UP']) },
      { ifname: 'eth0', mtu: 1400, operstate: 'UP' },
      { ifname: 'tun0', flags: expect.arrayContaining(['UP']) },
    ]);
    await vnic('set', 'eth0', '--netns', 'blue', '--add-address', '10.1.0.2/24');
    execFileSync('ping', ['-c', '1', '-W', '5', '10.1.0.2']);
    await vnic('delete', 'tun0', 'eth0', '--netns', 'blue');
    expect(interfaceNames()).toEqual(['lo']);
  });

  it.each([
    ['no kind', ['create', 'x0'], 2],
    ['a veth without its other end', ['create', 'x0', '--veth'], 2],
    ['an owner of a bridge', ['create', 'x0', '--bridge', '--owner', 'root'], 2],
    ['spanning tree of a device', ['create', 'x0', '--tap', '--stp', 'on'], 2],
    ['a bridge of a TUN device', ['create', 'x0', '--tun', '--master', 'br0'], 2],
    ['a bridge that is not there', ['create', 'x0', '--tap', '--master', 'none0'], 66],
    ['a taken name', ['create', 'lo', '--bridge'], 73],
    ['a taken further name', ['create', 'x0', '--bridge', '--altname', 'lo'], 73],
    ['an address that is none of a host', ['create', 'x0', '--bridge', '--address', '224.0.0.1/4'], 2],
    ['a namespace that is not there', ['create', 'x0', '--veth', '--peer', 'x1@none'], 66],
  ])('refuse %s and leave nothing', async (_what, args, status) => {
    expect(await refused(...args)).toBe(status);
    expect(interfaceNames()).toEqual(['lo']);
  });
});

describe('--netns', () => {
  it('is taken by every command that touches the network, but where a file names the namespaces', () => {
    const without = commandList.filter(({ netns }) => !netns).map(({ name }) => name);
    const ofFiles = ['import', 'schema', 'owned', 'cleanup', 'run', 'service'];
    expect(without).toEqual(['demo', 'link', 'switch', 'tunnel', 'identity', 'mtu', ...ofFiles, 'completion', 'help']);
  });

  it.each([
    ['a name', () => 'blue'],
    ['a path', () => '/run/netns/blue'],
    ['a process id', (pid: number) => String(pid)],
  ])('takes %s', async (_what, selector) => {
    ip('netns', 'add', 'blue');
    const holder = startVnic(['monitor', '--netns', 'blue']);
    // A process that is in it.
    const inside = startVnicIn('blue');
    await Promise.all([holder.until(/watching/), inside.until(/watching/)]);
    const netns = selector(inside.child.pid as number);
    await vnic('create', 'tap7', '--tap', '--address', 'fd00::1/64', '--up', '--netns', netns);
    expect((await listed('list', '--netns', netns)).map(({ name }) => name)).toEqual(['tap7']);
    expect(ipJson('-n', 'blue', 'link').map(({ ifname }) => ifname)).toContain('tap7');
    expect(await listed('list')).toEqual([]);
    await vnic('down', 'tap7', '--netns', netns);
    await vnic('delete', 'tap7', '--netns', netns);
    await holder.until(/- link .*tap7/);
  });

  it('lets `echo` answer and `dump` listen there', async () => {
    await vnic('netns', 'add', 'blue');
    const echo = startVnic(['echo', '--tap', '--address', '10.3.0.1/24', '--netns', 'blue']);
    await echo.until(/10\.3\.0\./);
    const [{ name = '' } = {}] = await listed('list', '--netns', 'blue');
    const dump = startVnic(['dump', String(name), '-c', '2', '--netns', 'blue']);
    await dump.until(/listening/);
    ip('netns', 'exec', 'blue', 'ping', '-c', '1', '-W', '5', '10.3.0.9');
    expect((await dump.end()).status).toBe(0);
    expect(dump.output.stdout).toContain('10.3.0.9');
    expect((await echo.end('SIGINT')).status).toBe(130);
    expect(await listed('list', '--netns', 'blue')).toEqual([]);
  });
});

describe('vnic netns', () => {
  it('makes, lists and deletes what `ip netns` sees, and the other way round', async () => {
    await vnic('netns', 'add', 'blue');
    ip('netns', 'add', 'red');
    expect((await listed('netns')).map(({ name }) => name)).toEqual(['blue', 'red']);
    expect(await vnic('netns', 'list')).toMatch(/^NAME +NUMBER +ID\nblue +\d+ +-\nred +\d+ +-\n$/);
    expect(await refused('netns', 'add', 'red')).toBe(73);
    expect(await refused('netns', 'add')).toBe(2);
    expect(await refused('netns', 'delete', 'green')).toBe(66);
    await vnic('netns', 'delete', 'red');
    expect(ipJson('netns', 'list')).toEqual([{ name: 'blue' }]);
  });
});

describe('vnic route', () => {
  it('changes routes of any table as `ip route` sees, of IPv4 and IPv6', async () => {
    await vnic('create', 'br0', '--bridge', '--address', '10.0.0.1/24', '--address', 'fd00::1/64', '--up');
    await vnic(
      'route',
      'add',
      'default',
      '--via',
      '10.0.0.254',
      '--metric',
      '9',
      '--source',
      '10.0.0.1',
      '--mtu',
      '1300',
    );
    await vnic('route', 'add', 'default', '--via', 'fd00::fe', '--table', '100');
    await vnic('route', 'add', '10.9.0.0/16', '--type', 'blackhole', '--table', '100');
    expect(ipJson('route', 'show', 'default')).toMatchObject([
      { gateway: '10.0.0.254', metric: 9, prefsrc: '10.0.0.1', metrics: [{ mtu: 1300 }] },
    ]);
    expect(ipJson('-6', 'route', 'show', 'table', '100')).toMatchObject([{ dst: 'default', gateway: 'fd00::fe' }]);
    expect(ipJson('route', 'show', 'table', '100')).toMatchObject([{ type: 'blackhole', dst: '10.9.0.0/16' }]);
    await vnic('route', 'replace', 'default', '--via', '10.0.0.253', '--metric', '9');
    expect(ipJson('route', 'show', 'default')).toMatchObject([{ gateway: '10.0.0.253' }]);
    expect(await listed('route', 'list', '--table', '100', '--family', '6')).toMatchObject([
      { destination: '::/0', via: 'fd00::fe', interface: 'br0', table: 100 },
    ]);
    expect(await refused('route', 'add', 'default', '--via', '10.0.0.252', '--metric', '9')).toBe(73);
    await vnic('route', 'delete', 'default', '--via', '10.0.0.253');
    expect(await refused('route', 'delete', 'default', '--family', '4')).toBe(66);
    expect(await refused('route', 'add', '10.0.0.1/8', '--dev', 'br0')).toBe(2);
    expect(await refused('route', 'list', '--via', '10.0.0.1')).toBe(2);
    ip('route', 'flush', 'table', '100');
  });
});

describe('vnic neigh, rule and fdb', () => {
  it('change what `ip` and `bridge` see', async () => {
    await vnic('create', 'br0', '--bridge', '--address', '10.0.0.1/24', '--address', 'fd00::1/64', '--up');
    await vnic('create', 'tap0', '--tap', '--master', 'br0', '--up');
    for (const address of ['10.0.0.2', 'fd00::2']) {
      await vnic('neigh', 'add', address, '--dev', 'br0', '--mac', '02:00:00:00:00:02');
      expect(ip('neigh', 'show', address)).toContain('dev br0 lladdr 02:00:00:00:00:02 PERMANENT');
      expect(await refused('neigh', 'add', address, '--dev', 'br0', '--mac', '02:00:00:00:00:03')).toBe(73);
      await vnic('neigh', 'replace', address, '--dev', 'br0', '--mac', '02:00:00:00:00:03');
      expect((await listed('neigh', '--dev', 'br0')).find((entry) => entry['address'] === address)).toMatchObject({
        mac: '02:00:00:00:00:03',
        interface: 'br0',
        state: 'permanent',
      });
      await vnic('neigh', 'delete', address, '--dev', 'br0');
    }
    expect(await refused('neigh', 'add', '10.0.0.2', '--dev', 'br0')).toBe(2);
    await vnic('neigh', 'add', 'fd00::9', '--dev', 'br0', '--proxy');
    expect(await listed('neigh', '--proxy')).toMatchObject([{ address: 'fd00::9', flags: ['proxy'] }]);

    await vnic('rule', 'add', '--from', '10.7.0.0/24', '--table', '100', '--priority', '900');
    await vnic('rule', 'add', '--family', '6', '--fwmark', '0x10/0xff', '--action', 'prohibit', '--priority', '900');
    expect(ipJson('rule').find(({ priority }) => priority === 900)).toMatchObject({ src: '10.7.0.0', table: '100' });
    expect(ipJson('-6', 'rule').find(({ priority }) => priority === 900)).toMatchObject({ fwmark: '0x10' });
    expect((await listed('rule')).filter(({ priority }) => priority === 900)).toMatchObject([
      { family: 4, from: '10.7.0.0/24', table: 100 },
      { family: 6, fwmark: 16, fwmask: 255, action: 'prohibit' },
    ]);
    expect(await refused('rule', 'delete')).toBe(2);
    for (const family of ['4', '6']) await vnic('rule', 'delete', '--priority', '900', '--family', family);
    expect(await refused('rule', 'delete', '--priority', '900', '--family', '4')).toBe(66);

    await vnic('fdb', 'add', '02:00:00:00:00:aa', '--dev', 'tap0');
    expect(execFileSync('bridge', ['fdb', 'show', 'dev', 'tap0'], { encoding: 'utf8' })).toContain(
      '02:00:00:00:00:aa master br0 static',
    );
    expect(await listed('fdb', '--bridge', 'br0')).toContainEqual(
      expect.objectContaining({ mac: '02:00:00:00:00:aa', interface: 'tap0', bridge: 'br0', type: 'static' }),
    );
    await vnic('fdb', 'delete', '02:00:00:00:00:aa', '--dev', 'tap0');
    expect(await refused('fdb', 'delete', '02:00:00:00:00:aa', '--dev', 'tap0')).toBe(66);
    expect(await refused('fdb', 'add', '02:00:00:00:00:aa')).toBe(2);
  });
});

describe('vnic nat and sysctl', () => {
  it('masquerade as `nft` sees, and switch forwarding on', async () => {
    const { stderr } = await runVnic(['nat', 'add', '10.0.0.0/24', '--not-out', 'tap0']);
    expect(stderr).toContain('forwarding is off');
    await vnic('nat', 'add', 'fd00::/64', '--out', 'eth0', '--forwarding');
    const rules = execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
    expect(rules).toContain('ip saddr 10.0.0.0/24 oifname != "tap0" counter packets 0 bytes 0 masquerade');
    expect(rules).toContain('ip6 saddr fd00::/64 oifname "eth0" counter packets 0 bytes 0 masquerade');
    expect(await vnic('sysctl', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding')).toBe(
      'net.ipv4.ip_forward = 0\nnet.ipv6.conf.all.forwarding = 1\n',
    );
    expect(await listed('nat')).toMatchObject([
      { source: '10.0.0.0/24', notOut: 'tap0' },
      { source: 'fd00::/64', out: 'eth0' },
    ]);
    expect(await refused('nat', 'add', '10.0.0.0/24', '--not-out', 'tap0')).toBe(73);
    expect(await refused('nat', 'delete', '10.0.0.0/24')).toBe(66);
    await vnic('nat', 'delete', '10.0.0.0/24', '--not-out', 'tap0');
    await vnic('nat', 'delete', 'fd00::/64', '--out', 'eth0');
    expect(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })).toBe('');
  });

  it('change settings all or none, by keys that exist', async () => {
    expect(JSON.parse(await vnic('sysctl', 'net.ipv4.conf.lo.proxy_arp=1', 'net.ipv4.ip_forward', '--json'))).toEqual({
      'net.ipv4.conf.lo.proxy_arp': '1',
      'net.ipv4.ip_forward': '0',
    });
    expect(await refused('sysctl', 'net.ipv4.conf.lo.proxy_arp=0', 'net.ipv4.conf.none0.forwarding=1')).toBe(66);
    expect(await vnic('sysctl', 'net.ipv4.conf.lo.proxy_arp')).toBe('net.ipv4.conf.lo.proxy_arp = 1\n');
    await vnic('sysctl', 'net.ipv4.conf.lo.proxy_arp=0');
    expect(await refused('sysctl', 'net.ipv4.ip_forward=perhaps')).toBe(2);
  });
});

describe('vnic monitor', () => {
  it('prints changes as they happen, for people and as JSON', async () => {
    const text = startVnic(['monitor']);
    const json = startVnic(['monitor', 'link', 'address', 'rule', '--json']);
    await Promise.all([text.until(/watching/), json.until(/watching/)]);
    ip('link', 'add', 'br0', 'type', 'bridge');
    ip('addr', 'add', 'fd00::1/64', 'dev', 'br0', 'nodad');
    ip('link', 'set', 'br0', 'up');
    ip('rule', 'add', 'priority', '7', 'from', '10.5.0.0/16', 'table', '9');
    ip('rule', 'delete', 'priority', '7');
    ip('link', 'delete', 'br0');
    await Promise.all([text.until(/- link .*br0/), json.until(/"delete","name":"br0"/)]);
    expect(text.output.stdout).toMatch(/\+ link +br0 bridge, down/);
    expect(text.output.stdout).toMatch(/\+ address +br0 fd00::1\/64/);
    expect(text.output.stdout).toMatch(/- rule +7 IPv4 from 10.5.0.0\/16 to all table 9/);
    const events = json.output.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(new Set(events.map(({ type }) => type))).toEqual(new Set(['link', 'address', 'rule']));
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'address', action: 'new', interface: 'br0', cidr: 'fd00::1/64' }),
    );
    expect((await text.end('SIGINT')).status).toBe(130);
    expect((await json.end('SIGTERM')).status).toBe(143);
  });

  it('ends after a number of events, and refuses a group that it does not know', async () => {
    const live = startVnic(['monitor', 'link', '-c', '2', '--json']);
    await live.until(/watching/);
    ip('link', 'set', 'lo', 'mtu', '65000');
    ip('link', 'set', 'lo', 'mtu', '65536');
    const { status, stdout } = await live.end();
    expect([
      status,
      stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { mtu: number }).mtu),
    ]).toEqual([0, [65000, 65536]]);
    expect(await refused('monitor', 'weather')).toBe(2);
  });
});

/** `vnic monitor` as a process of that namespace. */
function startVnicIn(netns: string): ReturnType<typeof startLive> {
  return startLive(['ip', 'netns', 'exec', netns, process.execPath, VNIC, 'monitor']);
}
