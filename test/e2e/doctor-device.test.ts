/** `vnic doctor NAME`: each cause is brought about, found, mended by the line that is printed, and not found again. */

import { execFileSync } from 'node:child_process';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { addMasquerade } from '../../src/netlink/index.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startVnic } from './live-vnic.ts';
import { deleteTestDevices, interfaceNames, run, runShell, runVnic } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

interface Check {
  readonly id: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  readonly fix?: string;
}

interface Diagnosis {
  readonly ok: boolean;
  readonly cause: string | null;
  readonly checks: readonly Check[];
}

const ORDER = [
  'exists',
  'kind',
  'up',
  'attached',
  'queue',
  'ipv6',
  'address',
  'route',
  'neighbour',
  'firewall',
  'rp-filter',
  'forwarding',
  'mtu',
];

let echo: LiveVnic;

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: 'pipe' });
}

async function ask(...args: readonly string[]): Promise<Diagnosis> {
  const { stdout, stderr, status } = await runVnic(['doctor', ...args, '--json']);
  expect(stderr).toBe('');
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  expect(status).toBe(diagnosis.ok ? 0 : 1);
  return diagnosis;
}

function checkOf({ checks }: Diagnosis, id: string): Check {
  return checks.find((check) => check.id === id) as Check;
}

/** Runs the printed line as a person would. */
async function mend({ fix = '' }: Check): Promise<void> {
  const { status, stderr } = await runShell(fix.replaceAll('sudo ', ''));
  expect({ fix, status, stderr }).toEqual({ fix, status: 0, stderr: '' });
}

/** A device on which everything is well: with an address, up, and a program that answers. */
beforeEach(async () => {
  sh('ip link set lo up; ip tuntap add tap0 mode tap; ip address add 10.0.0.1/24 dev tap0; ip link set tap0 up');
  sh('ip -6 address add fd00::1/64 dev tap0 nodad');
  echo = startVnic(['echo', 'tap0', '--tap']);
  await echo.until(/ping/);
});

afterEach(async () => {
  await endLive();
  deleteTestDevices();
  sh('ip netns delete lab 2> /dev/null || true; ip netns delete far 2> /dev/null || true');
  sh('ip route delete blackhole 192.0.2.0/24 2> /dev/null || true');
  sh('nft flush ruleset; ip link delete br0 2> /dev/null || true; ip link delete v0 2> /dev/null || true');
  sh('echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter');
});

describe('vnic doctor NAME', () => {
  it('finds nothing where packets flow, in the order of their way', async () => {
    expect((await run(['ping', '-c1', '-W5', '10.0.0.2'])).status).toBe(0);
    const diagnosis = await ask('tap0', '--to', '10.0.0.2');
    expect(diagnosis).toMatchObject({ ok: true, cause: null });
    expect(diagnosis.checks.map(({ id }) => id)).toEqual(ORDER);
    expect(checkOf(diagnosis, 'attached').detail).toContain(`(pid ${echo.child.pid})`);
    expect((await ask('tap0', '--to', 'fd00::2')).ok).toBe(true);
    expect((await ask('tap0')).ok).toBe(true);
  });

  it('says what to mend first, in words', async () => {
    sh('ip link set tap0 down');
    const { stdout, status } = await runVnic(['doctor', 'tap0']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/✗ Up +it is down\n +→ sudo vnic up tap0\n/);
    expect(stdout).toMatch(/\nMend first: it is down\.\n$/);
  });

  it('changes nothing', async () => {
    const state = (): string =>
      ['link', 'address', 'route', '-6 route', 'rule']
        .map((what) => String(execFileSync('ip', what.split(' '))))
        .join();
    const before = state();
    await ask('tap0', '--to', '10.0.0.9');
    expect(state()).toBe(before);
  });

  it('refuses questions about a device without its name', async () => {
    expect((await runVnic(['doctor', '--to', '10.0.0.2'])).status).toBe(2);
  });
});

describe('a cause that the printed line mends', () => {
  it.each<[string, { break: string; id: string; args?: string[]; detail: RegExp }]>([
    ['down', { break: 'ip link set tap0 down', id: 'up', detail: /down/ }],
    [
      'IPv6 switched off',
      {
        break: 'echo 1 > /proc/sys/net/ipv6/conf/tap0/disable_ipv6',
        id: 'ipv6',
        args: ['--to', 'fd00::2'],
        detail: /disable_ipv6/,
      },
    ],
    [
      'no address',
      { break: 'ip address flush dev tap0', id: 'address', args: ['--to', '10.0.0.2'], detail: /no IPv4 address/ },
    ],
    [
      'no IPv6 address',
      { break: 'ip -6 address flush dev tap0', id: 'address', args: ['--to', 'fd00::2'], detail: /no IPv6 address/ },
    ],
    ['no route', { break: 'true', id: 'route', args: ['--to', '192.0.2.9'], detail: /no route/ }],
    ['no IPv6 route', { break: 'true', id: 'route', args: ['--to', '2001:db8::9'], detail: /no route/ }],
    [
      'a route elsewhere',
      {
        break: 'ip link add v0 type veth peer name v1; ip link set v0 up; ip route add 10.0.0.2/32 dev v0',
        id: 'route',
        args: ['--to', '10.0.0.2'],
        detail: /goes out by v0/,
      },
    ],
    [
      'a route to nowhere',
      {
        break: 'ip route add blackhole 192.0.2.0/24',
        id: 'route',
        args: ['--to', '192.0.2.9'],
        detail: /blackhole|no route/,
      },
    ],
    [
      'a rule that drops',
      {
        break:
          'nft add table inet f; nft add chain inet f o "{ type filter hook output priority 0; }"; nft add rule inet f o oifname tap0 counter drop',
        id: 'firewall',
        detail: /inet f o drops packets of the device/,
      },
    ],
    [
      'a policy that drops',
      {
        break: 'nft add table inet f; nft add chain inet f i "{ type filter hook input priority 0; policy drop; }"',
        id: 'firewall',
        detail: /policy/,
      },
    ],
    ['an MTU too small for IPv6', { break: 'true', id: 'mtu', detail: /IPv6 needs 1280/ }],
  ])('is %s', async (what, { break: script, id, args = [], detail }) => {
    sh(script);
    // The kernel takes IPv6 away from a device with a small MTU, and gives it back: the address is set without it.
    if (what.startsWith('an MTU')) {
      sh('ip link set tap0 mtu 1000');
      args.push('--to', 'fd00::2');
    }
    const before = await ask('tap0', ...args);
    const check = checkOf(before, id);
    expect(check).toMatchObject({ status: 'fail', detail: expect.stringMatching(detail) });
    if (!what.startsWith('an MTU')) expect(before.cause).toBe(id);
    await mend(check);
    expect(checkOf(await ask('tap0', ...args), id).status).toBe('ok');
  });

  it('is a device that does not exist', async () => {
    const before = await ask('tun7');
    expect(before.checks).toEqual([expect.objectContaining({ id: 'exists', status: 'fail' })]);
    await mend(checkOf(before, 'exists'));
    expect(interfaceNames()).toContain('tun7');
    expect(checkOf(await ask('tun7'), 'exists').status).toBe('ok');
  });

  it('is the other kind', async () => {
    await echo.end('SIGTERM');
    const before = await ask('tap0', '--tun');
    expect(before.cause).toBe('kind');
    await mend(checkOf(before, 'kind'));
    expect((await ask('tap0', '--tun')).cause).not.toBe('kind');
  });

  it('is forwarding that is off where masquerading wants it', async () => {
    await addMasquerade({ source: Cidr.parse('10.0.0.0/24') });
    const before = await ask('tap0');
    expect(before.cause).toBe('forwarding');
    await mend(checkOf(before, 'forwarding'));
    expect((await ask('tap0')).ok).toBe(true);
  });

  it('is nobody attached', async () => {
    await echo.end('SIGTERM');
    const before = await ask('tap0', '--to', '10.0.0.2');
    expect(before.cause).toBe('attached');
    const fix = checkOf(before, 'attached').fix ?? '';
    expect(fix).toBe('sudo vnic echo tap0 --tap');
    const again = startVnic(fix.split(' ').slice(2));
    await again.until(/ping/);
    expect((await ask('tap0', '--to', '10.0.0.2')).ok).toBe(true);
  });

  it('is a reader that is stopped', async () => {
    echo.child.kill('SIGSTOP');
    const before = await ask('tap0');
    expect(before.cause).toBe('queue');
    await mend(checkOf(before, 'queue'));
    expect((await ask('tap0')).ok).toBe(true);
  });

  it('is a neighbour that nobody answers for', async () => {
    await echo.end('SIGTERM');
    // Attached, and silent.
    const silent = startVnic(['echo', 'tap0', '--tap', '--answer', '10.0.0.99']);
    await silent.until(/ping/);
    await run(['ping', '-c1', '-W1', '10.0.0.2']);
    const before = await ask('tap0', '--to', '10.0.0.2');
    expect(before.cause).toBe('neighbour');
    const line = /sudo (ip neighbour replace .*)$/.exec(checkOf(before, 'neighbour').fix ?? '')?.[1] ?? '';
    await mend({ ...checkOf(before, 'neighbour'), fix: line.replace('MAC', '02:00:00:00:00:02') });
    expect((await ask('tap0', '--to', '10.0.0.2')).ok).toBe(true);
  });

  it('is an MTU that differs from the other end of a pair', async () => {
    sh('ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up; ip link set v1 mtu 1400');
    const before = checkOf(await ask('v0'), 'mtu');
    expect(before).toMatchObject({ status: 'warn', detail: expect.stringMatching(/v0 has 1500 bytes and v1 1400/) });
    await mend(before);
    expect(checkOf(await ask('v0'), 'mtu').status).toBe('ok');
  });

  it('is strict reverse path filtering', async () => {
    sh('ip netns add far; ip link add v0 address 02:00:00:00:00:07 type veth peer name v1 netns far');
    sh('ip address add 10.7.0.1/24 dev v0');
    sh('ip link set v0 up; ip -n far link set v1 up; ip -n far link set lo up');
    sh('ip -n far address add 10.7.0.2/24 dev v1; ip -n far address add 192.0.2.1/32 dev lo');
    // The question for its MAC address would be dropped for the same cause, and not be counted.
    sh('ip -n far neigh replace 10.7.0.1 lladdr 02:00:00:00:00:07 dev v1');
    sh('echo 1 > /proc/sys/net/ipv4/conf/v0/rp_filter');
    const ping = 'ip netns exec far ping -c1 -W1 -I 192.0.2.1 10.7.0.1';
    await runShell(ping);
    const before = checkOf(await ask('v0'), 'rp-filter');
    expect(before).toMatchObject({ status: 'warn', detail: expect.stringMatching(/^\d+ packets were dropped/) });
    await mend(before);
    expect(checkOf(await ask('v0'), 'rp-filter').status).toBe('ok');
  });

  it('is an address that somebody else has', async () => {
    sh(
      'ip netns add far; ip link add v0 type veth peer name v1 netns far; ip link set v0 up; ip -n far link set v1 up',
    );
    sh('ip -n far address add fd07::7/64 dev v1 nodad; ip address add fd07::7/64 dev v0');
    await vi.waitFor(
      () => expect(String(execFileSync('ip', ['address', 'show', 'v0']))).toContain('dadfailed'),
      20_000,
    );
    const before = await ask('v0', '--to', 'fd07::8');
    expect(checkOf(before, 'address')).toMatchObject({ status: 'fail', detail: expect.stringContaining('fd07::7') });
    await mend(checkOf(before, 'address'));
    expect(checkOf(await ask('v0', '--to', 'fd07::8'), 'address').status).toBe('ok');
  });
});

describe('a device of another namespace', () => {
  it('is looked at there, and mended from here', async () => {
    sh('ip netns add lab; ip -n lab tuntap add tap0 mode tap; ip -n lab link set lo up');
    const here = ['tap0', '--netns', 'lab'];
    for (const id of ['up', 'address', 'ipv6', 'firewall']) {
      if (id === 'ipv6') sh('ip netns exec lab sysctl -qw net.ipv6.conf.tap0.disable_ipv6=1');
      if (id === 'firewall') {
        sh('ip netns exec lab nft add table inet f');
        sh('ip netns exec lab nft add chain inet f i "{ type filter hook input priority 0; policy drop; }"');
      }
      const check = checkOf(await ask(...here), id);
      expect(check.status).not.toBe('ok');
      expect(check.fix).toMatch(/ --netns lab\b|nsenter --net=\/run\/netns\/lab /);
      await mend(check);
      expect(checkOf(await ask(...here), id).status).toBe('ok');
    }
    // The one here, of the same name, was not meant.
    expect(checkOf(await ask('tap0'), 'up').status).toBe('ok');
    expect(checkOf(await ask(...here), 'attached')).toMatchObject({ status: 'fail' });
    expect((await runVnic(['doctor', 'tap0', '--netns', 'nowhere'])).status).not.toBe(0);
    expect((await runVnic(['doctor', '--netns', 'lab'])).status).toBe(2);
  });
});
