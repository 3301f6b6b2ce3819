/**
 * `vnic echo` against the programs of the field.
 *
 *   ping, arping, ndisc6 -> kernel -> tunX / tapX -> vnic echo
 *                                        |
 *                                     dumpcap -> tshark: is every checksum right?
 */

import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { getLinkSync, openLinkEvents } from '../../src/netlink/index.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { BAD_PACKETS, capturing } from './capture.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import {
  deleteTestDevices,
  interfaceNames,
  ipJson,
  type RunResult,
  run,
  runVnic,
  terminalEnv,
  VNIC,
} from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
afterEach(async () => {
  await endLive();
  deleteTestDevices();
});

const READY = /Ctrl-C ends this/;

async function startEcho(...args: string[]): Promise<LiveVnic> {
  const live = startVnic(['echo', ...args]);
  await live.until(READY);
  return live;
}

async function ping(...args: string[]): Promise<{ transmitted: number; received: number; text: string }> {
  const { stdout, stderr } = await run(['ping', ...args]);
  const [, transmitted, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  return { transmitted: Number(transmitted), received: Number(received), text: stdout + stderr };
}

function addressesOf(name: string): string[] {
  const found = (ipJson('addr', 'show', 'dev', name)[0]?.['addr_info'] ?? []) as Record<string, unknown>[];
  return found.filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

function isUp(name: string): boolean {
  const { flags = [] } = (ipJson('link', 'show', 'dev', name)[0] ?? {}) as { flags?: string[] };
  return flags.includes('UP');
}

/** For commands that do not say when they are ready. */
async function untilUp(name: string): Promise<void> {
  await using events = openLinkEvents();
  if (getLinkSync(name)?.isUp) return;
  for await (const event of events) {
    if (event.type === 'link' && event.link.name === name && event.link.isUp) return;
  }
}

describe.each(['tun', 'tap'])('vnic echo --%s', (kind) => {
  it('answers every ping, long ones too, with no bad checksum', async () => {
    const echo = await startEcho(`--${kind}`);
    const pingAll = async (): Promise<void> => {
      for (const [target, ...family] of [['10.0.0.2'], ['fd00::2', '-6']] as const) {
        const many = await ping(...family, '-q', '-c', '100', '-i', '0.01', target);
        expect(many, many.text).toMatchObject({ transmitted: 100, received: 100 });
        const long = await ping(...family, '-q', '-s', '65000', '-c', '5', '-i', '0.05', target);
        expect(long, long.text).toMatchObject({ transmitted: 5, received: 5 });
      }
    };
    await capturing(`${kind}0`, pingAll, ({ tshark }) => {
      expect(tshark('-Y', BAD_PACKETS)).toBe('');
      // 2 families of 100 requests and replies, and 5 of about 44 fragments each way.
      const numbers = tshark('-T', 'fields', '-e', 'frame.number').trim().split('\n');
      expect(numbers.length).toBeGreaterThan(2 * (200 + 5 * 2 * 40));
    });
    const { status, stdout } = await echo.end('SIGINT');
    expect(status).toBe(130);
    expect(stdout).toMatch(/echo replies {2}105 IPv4, 105 IPv6/);
    expect(interfaceNames()).not.toContain(`${kind}0`);
  });

  it('keeps up with a flood', async () => {
    await startEcho(`--${kind}`);
    for (const [target, ...family] of [['10.0.0.9'], ['fd00::9', '-6']] as const) {
      const flood = await ping(...family, '-q', '-f', '-c', '10000', '-w', '20', target);
      expect(flood, flood.text).toMatchObject({ transmitted: 10_000, received: 10_000 });
    }
  });
});

describe('vnic echo on TAP', () => {
  it('answers ARP and neighbour discovery, for every address but the own one', async () => {
    await startEcho('--tap');
    const arping = await run(['arping', '-I', 'tap0', '-c', '3', '10.0.0.7']);
    expect(arping.stdout).toMatch(/Received 3 response/);
    expect((await run(['arping', '-D', '-I', 'tap0', '-c', '2', '10.0.0.7'])).status).toBe(1);
    expect((await run(['arping', '-D', '-I', 'tap0', '-c', '1', '10.0.0.1'])).status).toBe(0);
    const ndisc = await run(['ndisc6', '-1', '-q', 'fd00::7', 'tap0']);
    expect(ndisc.stdout.trim()).toBe('02:76:6E:69:63:01');
  });

  it('gives the device the MAC address and MTU asked for', async () => {
    await startEcho('--tap', '--mac', '02:00:00:00:00:42', '--mtu', '9000');
    expect(ipJson('link', 'show', 'dev', 'tap0')[0]).toMatchObject({ address: '02:00:00:00:00:42', mtu: 9000 });
    expect(await ping('-q', '-c', '2', '-i', '0.05', '-s', '8900', '-M', 'do', '10.0.0.2')).toMatchObject({
      received: 2,
    });
  });
});

describe('a host far away', () => {
  it('is later by the delay and lower by the hops', async () => {
    await startEcho('--delay', '60', '--ttl', '52');
    const { text, received } = await ping('-c', '3', '-i', '0.05', '10.0.0.2');
    expect(received).toBe(3);
    for (const [, ttl, time] of text.matchAll(/ttl=(\d+) time=([\d.]+) ms/g)) {
      expect(Number(ttl)).toBe(52);
      expect(Number(time)).toBeGreaterThanOrEqual(60);
    }
    expect(await ping('-6', '-c', '1', 'fd00::2')).toMatchObject({
      received: 1,
      text: expect.stringMatching(/ttl=52 /),
    });
  });

  it('loses everything with --loss 100, and says how much', async () => {
    const echo = await startEcho('--loss', '100');
    expect(await ping('-q', '-c', '5', '-i', '0.05', '-W', '0.2', '10.0.0.2')).toMatchObject({
      transmitted: 5,
      received: 0,
    });
    expect((await echo.end('SIGINT')).stdout).toMatch(/simulated-loss 5/);
  });

  it('loses the same again with the same seed', async () => {
    const losses: string[] = [];
    for (let i = 0; i < 2; i++) {
      const echo = await startEcho('--loss', '50', '--seed', '7', '--address', '10.5.0.1/24');
      const { text } = await ping('-c', '20', '-i', '0.01', '-W', '0.2', '10.5.0.2');
      losses.push([...text.matchAll(/icmp_seq=(\d+)/g)].map(([, seq]) => seq).join());
      await echo.end('SIGINT');
    }
    expect(losses[0]).toBe(losses[1]);
    expect(losses[0]?.split(',').length).toBeGreaterThan(2);
    expect(losses[0]?.split(',').length).toBeLessThan(18);
  });
});

describe('which addresses', () => {
  it('answers for what --answer names and nothing else', async () => {
    await startEcho('--address', '10.3.0.1/24', '--answer', '10.3.0.7', '--answer', '10.3.0.64/28');
    const answered = async (target: string): Promise<number> =>
      (await ping('-q', '-c', '1', '-W', '0.3', target)).received;
    expect(await answered('10.3.0.7')).toBe(1);
    expect(await answered('10.3.0.70')).toBe(1);
    expect(await answered('10.3.0.8')).toBe(0);
  });

  it('is routed what --answer names elsewhere, but never everything', async () => {
    const echo = await startEcho('--address', '10.3.0.1/24', '--answer', '192.0.2.7', '--answer', '0.0.0.0/0');
    expect(echo.output.stdout).toContain('routed to it: 192.0.2.7/32\n');
    expect(await ping('-q', '-c', '1', '192.0.2.7')).toMatchObject({ received: 1 });
    expect(ipJson('route', 'show', 'default')).toEqual([]);
  });

  it('chooses others where the machine uses 10.0.0.0/24 already', async () => {
    execFileSync('ip', ['tuntap', 'add', 'busy0', 'mode', 'tun']);
    execFileSync('ip', ['addr', 'add', '10.0.0.77/16', 'dev', 'busy0']);
    const echo = await startEcho();
    expect(addressesOf('tun0')).toEqual(['10.77.0.1/24', 'fd00::1/64']);
    expect(echo.output.stdout).toContain('10.77.0.2');
  });

  it('prints a command that reaches it from another network namespace', async () => {
    const echo = await startEcho();
    const [printed = ''] = /nsenter .*/.exec(echo.output.stdout) ?? [];
    // Nobody can enter the user namespace that he is in; who reads the line sits outside of it.
    const command = printed.replace(' --user', '').replace(' --preserve-credentials', '');
    const { status, stdout } = await run(['unshare', '--net', 'sh', '-c', `exec ${command} -c 1`]);
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('1 received') });
  });
});

describe('a device that exists', () => {
  it('stays, with its own addresses, and loses only what was added', async () => {
    execFileSync('ip', ['tuntap', 'add', 'keep0', 'mode', 'tap']);
    execFileSync('ip', ['addr', 'add', '10.4.0.1/24', 'dev', 'keep0']);
    const echo = await startEcho('keep0', '--address', '10.4.0.1/24', '--address', '10.5.0.1/24');
    expect(addressesOf('keep0')).toEqual(['10.4.0.1/24', '10.5.0.1/24']);
    expect(isUp('keep0')).toBe(true);
    for (const target of ['10.4.0.2', '10.5.0.2']) {
      expect(await ping('-q', '-c', '1', target)).toMatchObject({ received: 1 });
    }
    expect((await echo.end('SIGTERM')).status).toBe(143);
    expect(addressesOf('keep0')).toEqual(['10.4.0.1/24']);
    expect(isUp('keep0')).toBe(false);
  });

  it('is answered for by its own subnets, and keeps its flags', async () => {
    execFileSync('ip', ['tuntap', 'add', 'keep1', 'mode', 'tun', 'pi', 'vnet_hdr', 'multi_queue']);
    execFileSync('ip', ['addr', 'add', '10.6.0.1/24', 'dev', 'keep1']);
    const before = ipJson('-d', 'link', 'show', 'keep1')[0]?.['linkinfo'];
    const echo = await startEcho('keep1');
    expect(await ping('-q', '-c', '1', '10.6.0.2')).toMatchObject({ received: 1 });
    await echo.end('SIGINT');
    expect(ipJson('-d', 'link', 'show', 'keep1')[0]?.['linkinfo']).toMatchObject(before as object);
    expect(addressesOf('keep1')).toEqual(['10.6.0.1/24']);
  });

  it.each([
    [['lo'], 2, /not TUN\/TAP/],
    [['keep2', '--tap'], 2, /TUN device, not TAP/],
    [['keep2', '--mtu', '1400'], 2, /exists already/],
  ])('%j is refused', async (args, status, message) => {
    execFileSync('ip', ['tuntap', 'add', 'keep2', 'mode', 'tun']);
    const result = await runVnic(['echo', ...args]);
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^error: .+\nhint: .+\n$/);
  });
});

describe('how it ends', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('on %s it sums up, removes the device, and exits with %i', async (signal, expected) => {
    const echo = await startEcho();
    const { status, stdout, stderr } = await echo.end(signal);
    expect({ status, stderr }).toEqual({ status: expected, stderr: '' });
    expect(stdout).toMatch(/^packets +\S+ in, \S+ out/m);
    expect(interfaceNames()).not.toContain('tun0');
  });

  it('ends at once on a second signal, with the status of the first', async () => {
    // Something that never ends, as a hanging release would be: only the second signal can end the command.
    const busy = 'data:text/javascript,setInterval(() => undefined, 1000)';
    const echo = startVnic(['echo'], { env: { ...process.env, NODE_OPTIONS: `--import "${busy}"` } });
    await echo.until(READY);
    echo.child.kill('SIGINT');
    await echo.until(/^packets /m);
    expect((await echo.end('SIGTERM')).status).toBe(130);
    expect(interfaceNames()).not.toContain('tun0');
  });

  it('leaves no device after kill -9', async () => {
    const echo = await startEcho('--tap');
    expect(interfaceNames()).toContain('tap0');
    expect((await echo.end('SIGKILL')).status).toBe(137);
    expect(interfaceNames()).not.toContain('tap0');
  });

  it('with the device deleted underneath it sums up and says so', async () => {
    const echo = await startEcho();
    execFileSync('ip', ['link', 'delete', 'tun0']);
    const { status, stdout, stderr } = await echo.end();
    expect(status).toBe(74);
    expect(stdout).toMatch(/^packets /m);
    expect(stderr).toMatch(/^error: cannot use tun0: tun0 was deleted.*\nhint: .+\n$/);
  });

  it('leaves nothing behind when interrupted at any moment of its start', async () => {
    for (let delayMs = 40; delayMs <= 200; delayMs += 20) {
      const echo = startVnic(['echo', 'early0']);
      await delay(delayMs);
      const { status } = await echo.end('SIGINT');
      expect([128, 130]).toContain(status);
      expect(interfaceNames()).not.toContain('early0');
    }
  });
});

describe('what it prints', () => {
  it('is one object with --json', async () => {
    const echo = startVnic(['echo', '--json', '--tap', 'json0']);
    await untilUp('json0');
    await ping('-q', '-c', '3', '-i', '0.05', '10.0.0.2');
    const { status, stdout } = await echo.end('SIGINT');
    expect(status).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({
      device: { name: 'json0', kind: 'tap', created: true, addresses: ['10.0.0.1/24', 'fd00::1/64'], mtu: 1500 },
      answers: ['10.0.0.0/24', 'fd00::/64'],
      link: { packetsRead: expect.any(Number), writeDropped: { 'link-down': 0 } },
      responder: { echoRepliesV4: 3, arpReplies: expect.any(Number), dropped: expect.any(Object) },
    });
  });

  it('is a decoded line for each packet with --print', async () => {
    const echo = await startEcho('--print');
    await ping('-q', '-c', '2', '-i', '0.05', '10.0.0.2');
    const { stdout } = await echo.end('SIGINT');
    const lines = (pattern: RegExp): number => [...stdout.matchAll(pattern)].length;
    expect(
      lines(/^\d\d:\d\d:\d\d\.\d{6} → 10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request, id \d+, seq \d, length 64$/gm),
    ).toBe(2);
    expect(
      lines(/^\d\d:\d\d:\d\d\.\d{6} ← 10\.0\.0\.2 > 10\.0\.0\.1: ICMP echo reply, id \d+, seq \d, length 64$/gm),
    ).toBe(2);
  });

  it('is nothing with --quiet', async () => {
    const echo = startVnic(['echo', '--quiet', 'quiet0']);
    await untilUp('quiet0');
    expect(await echo.end('SIGINT')).toMatchObject({ stdout: '', stderr: '' });
  });

  it('is a line of counters that is drawn over on a terminal', async () => {
    const command = `${process.execPath} ${VNIC} echo`;
    const live = startLive(['script', '-qfec', command, '/dev/null'], { env: terminalEnv() });
    await live.until(/\rin \d|\[2min \d/);
    expect(await ping('-q', '-c', '2', '-i', '0.05', '10.0.0.2')).toMatchObject({ received: 2 });
    await live.until(/out [2-9].*echo \d+\/s +arp \d+ +nd \d+ +dropped/);
    live.child.stdin?.write('\x03');
    const { stdout } = await live.end();
    expect(stdout).toMatch(/echo replies {2}2 IPv4, 0 IPv6/);
    expect(interfaceNames()).not.toContain('tun0');
  });
});

describe('a wrong command line', () => {
  it.each([
    [['--tun', '--tap']],
    [['--loss', '101']],
    [['--loss', '-1']],
    [['--delay', '1e9']],
    [['--ttl', '0']],
    [['--ttl', '256']],
    [['--mtu', '67']],
    [['--mtu', '1279']],
    [['--mac', '02:00:00:00:00:01']],
    [['--tap', '--mac', '01:00:00:00:00:01']],
    [['--address', '10.0.0.1/33']],
    [['--address', '10.0.0.1/32']],
    [['--address', '224.0.0.1/24']],
    [['--answer', '127.0.0.1']],
    [['--answer', '']],
    [['--jitter', '5']],
    [['--print', '--json']],
    [['']],
    [['a/b']],
    [['sixteen-bytes-16']],
    [['x%s']],
    [['one', 'two']],
    [['--nix']],
  ])('%j ends with a hint, status 2, and no device', async (args) => {
    const result: RunResult = await runVnic(['echo', ...args]);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(args.includes('--json') ? /^\{"error":/ : /^error: .+\nhint: .+\n$/);
    expect(interfaceNames()).toEqual(['lo']);
  });
});
