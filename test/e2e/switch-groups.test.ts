/** Multicast groups through `vnic switch`: hosts of the kernel join, hear, and leave; who has not joined hears nothing. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startLive, startVnic } from './live-vnic.ts';
import { type RunResult, run, runVnic } from './run-vnic.ts';

let folder: string;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  folder = mkdtempSync(join(tmpdir(), 'vnic-switch-'));
  for (const name of ['h1', 'h2', 'h3']) ip(`netns add ${name}`);
});
afterEach(async () => {
  await endLive();
  wipe();
  rmSync(folder, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({ ...process.env, VNIC_RUNTIME_DIRECTORY: folder });
const control = (...args: string[]): Promise<RunResult> => runVnic(['switch', ...args], { env: env() });
const host = (number: number): string =>
  `tap:e${number},netns=h${number},address=10.5.0.${number}/24,address=fd05::${number}/64`;
const at = (number: number, ...command: string[]): string[] => ['ip', 'netns', 'exec', `h${number}`, ...command];

interface Group {
  readonly mac: string;
  readonly ports: readonly number[];
}

async function portsOf(mac: string): Promise<readonly number[] | undefined> {
  const groups = JSON.parse((await control('groups', '--json')).stdout) as Group[];
  return groups.find((group) => group.mac === mac)?.ports;
}

const received = (number: number): number =>
  Number(/RX:.*\n\s*\d+\s+(\d+)/.exec(ip(`-n h${number} -s link show e${number}`))?.[1] ?? Number.NaN);

/** Thirty datagrams; how many frames the third host has got meanwhile. */
async function heardByThird(to: string): Promise<number> {
  const before = received(3);
  const line = `for i in $(seq 30); do echo number $i; sleep 0.01; done | socat -u - ${to}`;
  expect((await run(at(1, 'sh', '-c', line))).status).toBe(0);
  return received(3) - before;
}

describe('multicast', () => {
  it.each([
    [
      'IPv4',
      '01:00:5e:01:02:03',
      'UDP4-RECV:5000,ip-add-membership=239.1.2.3:10.5.0.2',
      'UDP4-SENDTO:239.1.2.3:5000,ip-multicast-if=10.5.0.1',
    ],
    [
      'IPv6',
      '33:33:00:01:ab:cd',
      'UDP6-RECV:5000,ipv6-join-group=[ff1e::1:abcd]:e2',
      'UDP6-SENDTO:[ff1e::1:abcd]:5000',
    ],
  ])('of %s goes where it is wanted', async (_family, mac, from, to) => {
    const live = startVnic(['switch', host(1), host(2), host(3), '--querier', '10.5.0.100'], { env: env() });
    await live.until(/switching/);
    for (const number of [1, 2, 3]) ip(`-n h${number} route add multicast 224.0.0.0/4 dev e${number}`);
    const member = startLive(at(2, 'socat', '-u', from, '-'));
    await vi.waitFor(async () => expect(await portsOf(mac)).toEqual([2]), { timeout: 10_000, interval: 200 });
    expect(await heardByThird(to)).toBeLessThan(15);
    await member.until(/number 30/);
    const second = startLive(at(3, 'socat', '-u', from.replace('10.5.0.2', '10.5.0.3').replace(':e2', ':e3'), '-'));
    await vi.waitFor(async () => expect(await portsOf(mac)).toEqual([2, 3]), { timeout: 10_000, interval: 200 });
    expect(await heardByThird(to)).toBeGreaterThanOrEqual(30);
    await second.until(/number 30/);
    // It has left, was asked, and nobody there has said anything.
    await second.end('SIGTERM');
    await vi.waitFor(async () => expect(await portsOf(mac)).toEqual([2]), { timeout: 15_000, interval: 200 });
    expect((await control('groups')).stdout).toContain(mac);
  });

  it('is not looked at unless it is asked for', async () => {
    const live = startVnic(['switch', host(1), host(2)], { env: env() });
    await live.until(/switching/);
    const { status, stderr } = await control('groups');
    expect(status).toBe(2);
    expect(stderr).toMatch(/--snooping/);
  });
});
