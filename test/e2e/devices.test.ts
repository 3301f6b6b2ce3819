/** `create`, `delete`, `up`, `down`, `set`, `list` and `show` against the kernel, `ip` and `tunctl`. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { openDevice } from '../../src/netdev/index.ts';
import { getLinkSync } from '../../src/netlink/index.ts';
import { TapDevice, TunDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { deleteTestDevices, interfaceNames, ipJson, type RunResult, run, runVnic, start, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
afterEach(() => deleteTestDevices());

async function vnic(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runVnic(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

interface ListedInterface {
  readonly name: string;
  readonly mtu: number;
  readonly flags: string[];
  readonly addresses: { readonly cidr: string }[];
  readonly tun: { readonly holders: { readonly pid: number; readonly command: string }[] };
}

async function listed(...args: string[]): Promise<ListedInterface[]> {
  return JSON.parse(await vnic('list', '--json', ...args)) as ListedInterface[];
}

async function shown(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await vnic('show', name, '--json')) as Record<string, unknown>;
}

/** Without `-d`, which adds processes of any namespace and, where there are some, is not valid JSON (iproute2 6.1). */
function ipTuntap(name: string): Record<string, unknown> | undefined {
  return ipJson('tuntap').find(({ ifname }) => ifname === name);
}

function ipLink(name: string): Record<string, unknown> {
  return ipJson('-d', '-s', 'link', 'show', 'dev', name)[0] ?? {};
}

describe('vnic create', () => {
  it('makes a device as `ip` and the kernel see it', async () => {
    const out = await vnic(
      ...['create', 'tap0', '--tap', '--owner', 'root', '--group', '0', '--mtu', '9000', '--mac', '02:00:00:00:00:01'],
      ...['--address', '10.0.0.1/24', '--address', 'fd00::1/64', '--txqueuelen', '77', '--promisc', '--up'],
      ...['--route', '10.7.0.0/16,via=10.0.0.2,metric=50', '--route', 'fd07::/48'],
    );
    expect(out).toBe('tap0\n');
    expect(ipTuntap('tap0')).toMatchObject({ flags: ['tap', 'persist'], user: 0, group: 0 });
    const link = ipLink('tap0');
    expect(link).toMatchObject({ mtu: 9000, address: '02:00:00:00:00:01', txqlen: 77, promiscuity: 1 });
    expect(link['flags']).toEqual(expect.arrayContaining(['UP', 'PROMISC']));
    expect(link['linkinfo']).toMatchObject({
      info_kind: 'tun',
      info_data: {
        type: 'tap',
        persist: true,
        pi: false,
        vnet_hdr: false,
        multi_queue: false,
        user: 'root',
        group: 'root',
      },
    });
    const addresses = (ipJson('addr', 'show', 'dev', 'tap0')[0]?.['addr_info'] ?? []) as Record<string, unknown>[];
    expect(addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`)).toEqual(
      expect.arrayContaining(['10.0.0.1/24', 'fd00::1/64']),
    );
    expect(addresses.find(({ local }) => local === 'fd00::1')).not.toHaveProperty('tentative');
    expect(ipJson('route', 'show', '10.7.0.0/16')).toMatchObject([{ gateway: '10.0.0.2', dev: 'tap0', metric: 50 }]);
    expect(ipJson('-6', 'route', 'show', 'fd07::/48')).toMatchObject([{ dev: 'tap0' }]);
  });

  it('fills in a pattern and prints the name that the kernel chose', async () => {
    expect(await vnic('create', 'tun%d', '--tun')).toBe('tun0\n');
    expect(await vnic('create', 'tun%d', '--tun', '--multi-queue', '--packet-info', '--vnet-header')).toBe('tun1\n');
    expect(ipLink('tun1')['linkinfo']).toMatchObject({ info_data: { pi: true, vnet_hdr: true, multi_queue: true } });
    expect(await vnic('create', 'lab%d-x', '--tun')).toBe('lab0-x\n');
  });

  it('takes names of 15 bytes, in any script', async () => {
    for (const name of ['abcdefghijklmno', 'дом0', '-x', '(x$y)']) {
      expect(await vnic('create', '--tap', '--', name)).toBe(`${name}\n`);
    }
    expect(interfaceNames()).toEqual(expect.arrayContaining(['abcdefghijklmno', 'дом0', '-x', '(x$y)']));
    await vnic('delete', '--', 'abcdefghijklmno', 'дом0', '-x', '(x$y)');
  });

  it.each([
    ['an MTU that a TAP device cannot have', ['--mtu', '65535']],
    [
      'a gateway that no subnet reaches',
      ['--up', '--address', '10.0.0.1/24', '--route', '10.8.0.0/16,via=192.168.9.9'],
    ],
    ['an address twice', ['--address', '10.0.0.1/24', '--address', '10.0.0.1/24']],
    ['a route twice', ['--up', '--route', '10.8.0.0/16', '--route', '10.8.0.0/16']],
    ['a multicast address', ['--address', '224.0.0.1/24']],
    ['an IPv6 address with an MTU under 1280', ['--mtu', '1279', '--address', 'fd00::1/64']],
    ['an unknown owner', ['--owner', 'no-such-user']],
    ['an unknown group', ['--group', 'no-such-group']],
  ])('leaves nothing behind after %s', async (_what, args) => {
    const { status, stdout, stderr } = await runVnic(['create', 'half0', '--tap', ...args]);
    expect(status).toBeGreaterThan(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: cannot .+\nhint: .+\n$/);
    expect(interfaceNames()).not.toContain('half0');
  });

  it('refuses a name that exists, whatever its kind, and leaves that as it is', async () => {
    execFileSync('ip', ['tuntap', 'add', 'tun0', 'mode', 'tun']);
    const before = ipLink('tun0');
    for (const kind of ['--tun', '--tap']) {
      const { status, stderr } = await runVnic(['create', 'tun0', kind, '--mtu', '1400']);
      expect(status).toBe(73);
      expect(stderr).toMatch(/^error: cannot .*tun0.*\nhint: .+\n$/);
    }
    expect((await runVnic(['create', 'lo', '--tun'])).status).toBe(73);
    expect(ipLink('tun0')).toEqual(before);
  });

  it('lets exactly one of two win that make the same name at once', async () => {
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(
        [1, 2, 3].map((i) => runVnic(['create', 'race0', '--tun', '--address', `10.0.${i}.1/24`])),
      );
      expect(results.map(({ status }) => status).sort(), JSON.stringify(results)).toEqual([0, 73, 73]);
      const won = results.findIndex(({ status }) => status === 0) + 1;
      const [info] = await listed();
      expect(info?.addresses.map(({ cidr }) => cidr)).toEqual([`10.0.${won}.1/24`]);
      await vnic('delete', 'race0');
    }
  });

  it('leaves nothing or a complete device when it is killed, and the next run works', async () => {
    const args = [
      'create',
      'kill0',
      '--tap',
      '--address',
      '10.0.0.1/24',
      '--address',
      'fd00::1/64',
      '--mtu',
      '1400',
      '--up',
    ];
    let nothing = 0;
    for (let round = 0; round < 60; round++) {
      await killOnceSeen(args, 'kill0', round % 20);
      const [info] = await listed();
      if (info === undefined) {
        nothing++;
        continue;
      }
      expect(info).toMatchObject({ name: 'kill0', mtu: 1400, tun: { persist: true, holders: [] } });
      expect(info.flags).toContain('UP');
      expect(info.addresses.map(({ cidr }) => cidr)).toEqual(expect.arrayContaining(['10.0.0.1/24', 'fd00::1/64']));
      await vnic('delete', 'kill0');
    }
    // Killed in the middle at least once.
    expect(nothing).toBeGreaterThan(0);
    expect(await vnic(...args)).toBe('kill0\n');
  });

  it('gives the device to a user who may then use it without privilege, or says why it cannot', async () => {
    const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }));
    const { status, stderr } = await runVnic([
      'create',
      'owned0',
      '--tun',
      '--owner',
      'nobody',
      '--address',
      '10.0.0.1/24',
      '--up',
    ]);
    if (!isMapped(nobody)) {
      expect(status).toBe(2);
      expect(stderr).toContain(`uid ${nobody} has no mapping in this user namespace`);
      return;
    }
    expect(status).toBe(0);
    await vnic('create', 'other0', '--tun', '--owner', 'root');
    const open = (name: string): Promise<RunResult> =>
      run(['sh', '-c', asNobody, 'sh', process.execPath, openDeviceScript, name]);
    expect(await open('owned0')).toMatchObject({ status: 0, stdout: 'owned0\n' });
    expect(await open('other0')).toMatchObject({ status: 77, stdout: 'VNIC_DEVICE_OWNED\n' });
    expect(await open('fresh0')).toMatchObject({ status: 77, stdout: 'VNIC_NO_PRIVILEGE\n' });
  });
});

describe('vnic delete', () => {
  it('deletes what `ip` and `tunctl` made, and they what vnic made', async () => {
    execFileSync('ip', ['tuntap', 'add', 'tun5', 'mode', 'tun']);
    execFileSync('tunctl', ['-t', 'tap5', '-u', 'root'], { stdio: 'pipe' });
    await vnic('delete', 'tun5', 'tap5');
    expect(interfaceNames()).toEqual(['lo']);

    for (const name of ['tap6', 'tap7', 'tap8']) await vnic('create', name, '--tap');
    execFileSync('ip', ['tuntap', 'del', 'tap6', 'mode', 'tap']);
    execFileSync('ip', ['link', 'delete', 'tap7']);
    execFileSync('tunctl', ['-d', 'tap8'], { stdio: 'pipe' });
    expect(interfaceNames()).toEqual(['lo']);
  });

  it('refuses other interfaces, and deletes none when one of several is refused', async () => {
    await vnic('create', 'tap0', '--tap');
    for (const [name, status] of [
      ['lo', 2],
      ['nosuch0', 66],
    ] as const) {
      const result = await runVnic(['delete', 'tap0', name]);
      expect(result.status).toBe(status);
      expect(result.stderr).toMatch(/^error: cannot .+\nhint: .+\n$/);
    }
    expect(interfaceNames()).toContain('tap0');
    await vnic('delete', 'tap0', 'tap0');
  });

  it.each([true, false])('names who holds a device and deletes it only by force (persistent: %s)', async (persist) => {
    await using device = await TunDevice.open({ name: 'held0', persist });
    const refused = await runVnic(['delete', 'held0']);
    expect(refused.status).toBe(75);
    expect(refused.stderr).toContain(`(pid ${process.pid})`);
    expect(refused.stderr).toContain('--force');
    expect(interfaceNames()).toContain('held0');
    await vnic('delete', 'held0', '--force');
    expect(interfaceNames()).not.toContain('held0');
    await expect(device.read()).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
  });
});

describe('vnic up, down, set', () => {
  it('brings interfaces up and down, all or none', async () => {
    await vnic('create', 'tap0', '--tap');
    await vnic('up', 'tap0', 'lo');
    expect(ipLink('tap0')['flags']).toContain('UP');
    await vnic('down', 'tap0');
    expect(ipLink('tap0')['flags']).not.toContain('UP');
    expect((await runVnic(['up', 'tap0', 'nosuch0'])).status).toBe(66);
    expect(ipLink('tap0')['flags']).not.toContain('UP');
  });

  it('changes everything that can be changed', async () => {
    await vnic('create', 'tap0', '--tap', '--address', '10.0.0.1/24');
    await vnic(
      ...['set', 'tap0', '--name', 'lab0', '--mtu', '1400', '--mac', '02:00:00:00:00:02', '--promisc', 'on'],
      ...['--txqueuelen', '9', '--owner', 'root', '--group', 'root', '--remove-address', '10.0.0.1/24'],
      ...[
        '--add-address',
        '10.0.1.1/24',
        '--add-address',
        'fd00::1/64',
        '--up',
        '--add-route',
        '10.9.0.0/16,via=10.0.1.2',
      ],
    );
    expect(ipLink('lab0')).toMatchObject({ mtu: 1400, address: '02:00:00:00:00:02', txqlen: 9, promiscuity: 1 });
    expect(ipLink('lab0')['linkinfo']).toMatchObject({ info_data: { user: 'root', group: 'root', persist: true } });
    expect(ipJson('route', 'show', '10.9.0.0/16')).toMatchObject([{ gateway: '10.0.1.2', dev: 'lab0' }]);
    expect((await listed())[0]?.addresses.map(({ cidr }) => cidr)).toEqual(
      expect.arrayContaining(['10.0.1.1/24', 'fd00::1/64']),
    );
    await vnic('set', 'lab0', '--promisc', 'off', '--remove-route', '10.9.0.0/16,via=10.0.1.2', '--down');
    expect(ipLink('lab0')).toMatchObject({ promiscuity: 0 });
    expect(ipJson('route', 'show', '10.9.0.0/16')).toEqual([]);
  });

  it('keeps the framing of a device whose owner it changes', async () => {
    await vnic('create', 'tun0', '--tun', '--multi-queue', '--packet-info', '--vnet-header');
    await vnic('set', 'tun0', '--owner', '0');
    expect(ipLink('tun0')['linkinfo']).toMatchObject({
      info_data: { user: 'root', multi_queue: true, pi: true, vnet_hdr: true, persist: true },
    });
  });

  it('says that a device without persistence is gone when nobody held it', async () => {
    await vnic('create', 'tun0', '--tun');
    const { status, stderr } = await runVnic(['set', 'tun0', '--persist', 'off']);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: 'tun0 is gone: nobody held it, and it no longer persists\n',
    });
    expect(interfaceNames()).toEqual(['lo']);
  });

  it('names who holds the device that it would have to attach', async () => {
    await using _device = await TapDevice.open({ name: 'tap0' });
    const { status, stderr } = await runVnic(['set', 'tap0', '--persist', 'on', '--mtu', '1400']);
    expect(status).toBe(75);
    expect(stderr).toContain(`(pid ${process.pid})`);
    expect(ipLink('tap0')).toMatchObject({ mtu: 1500 });
  });

  it.each([
    [['lo', '--owner', 'root'], 2, 'not a TUN/TAP device'],
    [['tun0', '--mac', '02:00:00:00:00:01'], 2, 'no MAC address'],
    [['tun0', '--add-route', '10.0.0.0/8'], 2, '--up'],
    [['tun0', '--remove-address', '10.3.3.3/24'], 66, 'address'],
    [['tun0', '--remove-route', '10.3.3.0/24'], 66, 'route'],
    [['tun0', '--name', 'lo'], 73, 'exists'],
    [['tun0', '--name', 'a/b'], 2, '"/"'],
    [['tun0', '--name', 'x%d'], 2, '%'],
    [['tun0', '--mtu', '67'], 2, '68'],
    [['tun0'], 2, 'nothing to change'],
    [['tun0', '--up', '--down'], 2, '--down'],
    [['nosuch0', '--up'], 66, 'nosuch0'],
  ])('refuses `vnic set %s`', async (args, status, text) => {
    execFileSync('ip', ['tuntap', 'add', 'tun0', 'mode', 'tun']);
    const before = ipLink('tun0');
    const result = await runVnic(['set', ...args]);
    expect(result.status).toBe(status);
    expect(result.stderr).toMatch(/^error: cannot .+\nhint: .+\n$/);
    expect(result.stderr).toContain(text);
    expect(ipLink('tun0')).toEqual(before);
  });
});

describe('openDevice', () => {
  const spec = {
    kind: 'tun',
    name: 'lib0',
    up: true,
    addresses: ['10.0.0.1/24', 'fd00::1/64'],
    routes: ['10.9.0.0/16'],
  } as const;

  it('makes a device that goes with its descriptor, and again leaves what a device has as it is', async () => {
    await (await openDevice(spec)).close();
    expect(interfaceNames()).toEqual(['lo']);
    await vnic('create', 'lib0', '--tun', '--address', '10.0.0.1/24', '--up', '--route', '10.9.0.0/16');
    await using device = await openDevice(spec);
    expect(device).toBeInstanceOf(TunDevice);
    expect((await listed())[0]?.addresses.map(({ cidr }) => cidr)).toEqual(expect.arrayContaining([...spec.addresses]));
  });

  it('does not take the route of another interface for its own', async () => {
    await vnic('create', 'tun0', '--tun', '--up', '--route', '10.9.0.0/16');
    await expect(openDevice(spec)).rejects.toMatchObject({ code: 'VNIC_ROUTE_EXISTS' });
    expect(interfaceNames()).toEqual(['lo', 'tun0']);
  });

  it.each([
    [{ ...spec, up: false }, 'VNIC_INVALID_ARGUMENT'],
    [{ ...spec, mtu: 1279 }, 'VNIC_INVALID_ARGUMENT'],
    [{ ...spec, mac: '02:00:00:00:00:01' }, 'VNIC_INVALID_ARGUMENT'],
    [{ ...spec, addresses: ['10.0.0.1/33'] }, 'VNIC_INVALID_ADDRESS'],
    [{ ...spec, routes: ['10.0.0.1/8'] }, 'VNIC_INVALID_ARGUMENT'],
    [{ ...spec, owner: 'no-such-user' }, 'VNIC_NO_SUCH_USER'],
    [{ ...spec, group: 'no-such-group' }, 'VNIC_NO_SUCH_GROUP'],
    [{ ...spec, name: 'a/b' }, 'VNIC_INVALID_NAME'],
  ])('refuses %j and leaves nothing behind', async (bad, code) => {
    await expect(openDevice(bad)).rejects.toMatchObject({ code });
    expect(interfaceNames()).toEqual(['lo']);
  });
});

describe('vnic list, show', () => {
  it('agree with `ip` on every interface', async () => {
    await vnic('create', 'tap0', '--tap', '--address', '10.0.0.1/24', '--up');
    await vnic('create', 'tun0', '--tun', '--multi-queue');
    execFileSync('ip', ['link', 'add', 'br0', 'type', 'bridge']);
    execFileSync('ip', ['link', 'set', 'tap0', 'master', 'br0']);
    const own = (await listed('--all')) as unknown as Record<string, unknown>[];
    const theirs = ipJson('-d', 'link', 'show');
    expect(own.map(({ name }) => name)).toEqual(theirs.map(({ ifname }) => ifname));
    for (const [i, link] of theirs.entries()) {
      expect(own[i]).toMatchObject({
        index: link['ifindex'],
        flags: link['flags'],
        mtu: link['mtu'],
        operState: link['operstate'],
        txQueueLen: link['txqlen'] ?? 0,
        master: link['master'] ?? null,
      });
    }
    expect((await listed()).map(({ name }) => name)).toEqual(['tap0', 'tun0']);
    execFileSync('ip', ['link', 'delete', 'br0']);
  });

  it('show who holds a device, its queues, and the counters of `ip -s link`', async () => {
    await using device = await TunDevice.open({ name: 'tun0', multiQueue: true });
    await using _second = await TunDevice.open({ name: 'tun0', multiQueue: true });
    await vnic('set', 'tun0', '--add-address', '10.0.0.1/24', '--up');
    // A datagram of no protocol in particular: 20 bytes of IPv4 header.
    const packet = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0x66, 0xeb, 10, 0, 0, 2, 10, 0, 0, 1);
    for (let i = 0; i < 3; i++) expect(device.write(packet)).toBe(1);
    const info = await shown('tun0');
    expect(info).toMatchObject({ statistics: { rxPackets: 3, rxBytes: 60 }, tun: { queues: 2, multiQueue: true } });
    expect((info['tun'] as ListedInterface['tun']).holders).toMatchObject([{ pid: process.pid }]);
    const stats = ipLink('tun0')['stats64'] as { rx: Record<string, number> };
    expect(stats.rx).toMatchObject({ packets: 3, bytes: 60 });
    const text = await vnic('show', 'tun0');
    expect(text).toContain(`(pid ${process.pid})`);
    expect(text).toMatch(/RX +bytes +packets +errors +dropped +missed +mcast\n +60 +3 +/);
    expect(await vnic('list')).toMatch(/^tun0 +tun +up +1500 +- +10\.0\.0\.1\/24.* no +2 +.+\(pid \d+\)$/m);
  });

  it('say on stderr that there is nothing to list', async () => {
    const { status, stdout, stderr } = await runVnic(['list']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toContain('no TUN/TAP devices');
    expect(await vnic('list', '--json')).toBe('[]\n');
  });

  it('show an interface by its alternative name', async () => {
    await vnic('create', 'tap0', '--tap');
    execFileSync('ip', ['link', 'property', 'add', 'dev', 'tap0', 'altname', 'a-name-longer-than-fifteen-bytes']);
    expect(await shown('a-name-longer-than-fifteen-bytes')).toMatchObject({ name: 'tap0' });
  });
});

/** Runs vnic and kills it as soon as the device is there and has been looked at so many times more. */
async function killOnceSeen(args: readonly string[], name: string, looks: number): Promise<void> {
  const child = start([process.execPath, VNIC, ...args]);
  const ended = once(child, 'close');
  let seen = 0;
  while (child.exitCode === null && child.signalCode === null && seen <= looks) {
    if (getLinkSync(name) !== undefined) seen++;
    await setImmediate();
  }
  child.kill('SIGKILL');
  await ended;
}

function isMapped(uid: number): boolean {
  const rows = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  return rows.some((row) => {
    const [inside = 0, , count = 0] = row.trim().split(/\s+/).map(Number);
    return uid >= inside && uid < inside + count;
  });
}

const openDeviceScript = new URL('./open-device.mjs', import.meta.url).pathname;

/** A node of mode 0666, as udev makes it, in a mount namespace of its own; then user and group nobody. */
const asNobody =
  "exec unshare --mount sh -c 'mount -t tmpfs tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 && " +
  'exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"\' sh "$@"';
