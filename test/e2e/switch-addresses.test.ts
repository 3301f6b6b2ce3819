/** DHCP snooping and ARP inspection of `vnic switch`, with hosts of the kernel. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startVnic } from './live-vnic.ts';
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

async function pings(from: number, address: string): Promise<boolean> {
  return (await run(['ip', 'netns', 'exec', `h${from}`, 'ping', '-c1', '-W1', address])).status === 0;
}

/** Addresses are tried out first, and a neighbour that was not found is not looked for at once again. */
const reaches = (from: number, address: string): Promise<void> =>
  vi.waitFor(async () => expect(await pings(from, address)).toBe(true), { timeout: 10_000, interval: 200 });

async function dropped(port: number): Promise<Record<string, number>> {
  const { ports } = JSON.parse((await control('show', '--json')).stdout) as {
    ports: { port: number; dropped: Record<string, number> }[];
  };
  return ports.find((one) => one.port === port)?.dropped ?? {};
}

describe('the addresses of a switch', () => {
  it('are spoken for by trusted ports, and by others once they are bound', async () => {
    const inspect = ['--arp-inspection', '--trusted', '1', '--trusted', '2'];
    await startVnic(['switch', host(1), host(2), host(3), ...inspect], { env: env() }).until(/switching/);
    await reaches(1, '10.5.0.2');
    expect(await pings(3, '10.5.0.1')).toBe(false);
    expect((await dropped(3))['arp-inspection']).toBeGreaterThan(0);
    // IPv6 has addresses that no server knows.
    await reaches(3, 'fd05::1');
    expect(JSON.parse((await control('bindings', '--json')).stdout)).toEqual([]);
    expect(await control('set', '3', '--trusted', 'on')).toMatchObject({ status: 0 });
    await reaches(3, '10.5.0.1');
  });

  it('are not looked at unless it is asked for', async () => {
    await startVnic(['switch', host(1)], { env: env() }).until(/switching/);
    const { status, stderr } = await control('bindings');
    expect(status).toBe(2);
    expect(stderr).toMatch(/--dhcp-snooping/);
  });
});
