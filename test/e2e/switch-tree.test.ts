/**
 * Spanning tree between `vnic switch` and kernel bridges, in a loop of three.
 *
 *     br1 ---- veth ---- br2
 *       \                /
 *        t1            t2
 *          \          /
 *           vnic switch --- e3 in h3
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startVnic } from './live-vnic.ts';
import { run, runVnic } from './run-vnic.ts';

interface TreePort {
  readonly port: number;
  readonly spanningTree: { readonly role: string; readonly state: string; readonly isLegacy: boolean };
}

const CONVERGED_MS = 40_000;
let folder: string;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  folder = mkdtempSync(join(tmpdir(), 'vnic-switch-'));
  for (const number of [1, 2]) {
    ip(`link add br${number} type bridge stp_state 1 forward_delay 400 hello_time 100 max_age 600`);
    ip(`link set br${number} up`);
    ip(`address add 10.5.0.${number}/24 dev br${number}`);
  }
  ip('link add v1 type veth peer name v2');
  for (const number of [1, 2]) ip(`link set v${number} master br${number} up`);
  ip('netns add h3');
});
afterEach(async () => {
  await endLive();
  wipe();
  rmSync(folder, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({ ...process.env, VNIC_RUNTIME_DIRECTORY: folder });

async function startSwitch(...args: string[]): Promise<void> {
  const ends = ['tap:t1,bridge=br1', 'tap:t2,bridge=br2', 'tap:e3,netns=h3,address=10.5.0.3/24'];
  await startVnic(['switch', ...ends, ...args], { env: env() }).until(/switching/);
}

async function ports(): Promise<TreePort[]> {
  const { stdout } = await runVnic(['switch', 'show', '--json'], { env: env() });
  return (JSON.parse(stdout) as { ports: TreePort[] }).ports;
}

const kernelState = (port: string): string => readFileSync(`/sys/class/net/${port}/brport/state`, 'utf8').trim();
const FORWARDING = '3';
const BLOCKING = '4';

async function reachesAll(): Promise<boolean> {
  for (const number of [1, 2]) {
    const ping = ['ip', 'netns', 'exec', 'h3', 'ping', '-c1', '-W1', `10.5.0.${number}`];
    if ((await run(ping)).status !== 0) return false;
  }
  return true;
}

/** Frames at the host while nobody says anything: a storm would be thousands. */
async function expectCalm(): Promise<void> {
  const received = (): number => Number(/RX:.*\n\s*\d+\s+(\d+)/.exec(ip('-n h3 -s link show e3'))?.[1] ?? Number.NaN);
  const before = received();
  await run(['ip', 'netns', 'exec', 'h3', 'ping', '-b', '-c3', '-i0.3', '-W1', '10.5.0.255']);
  expect(received() - before).toBeLessThan(100);
}

describe('in a loop with two kernel bridges', () => {
  it('takes the kernel for root, blocks what is too many, and goes the other way when a link is cut', async () => {
    ip('link set br1 type bridge priority 4096');
    await startSwitch('--stp', '61440');
    await vi.waitFor(
      async () => {
        expect((await ports()).map(({ spanningTree: { role, state } }) => `${role} ${state}`)).toEqual([
          'root forwarding',
          'alternate discarding',
          'designated forwarding',
        ]);
        expect(await reachesAll()).toBe(true);
      },
      { timeout: CONVERGED_MS, interval: 500 },
    );
    expect((await ports())[0]?.spanningTree.isLegacy).toBe(true);
    await expectCalm();
    ip('link set t1 down');
    await vi.waitFor(
      async () => {
        expect((await ports())[1]?.spanningTree).toMatchObject({ role: 'root', state: 'forwarding' });
        expect(await reachesAll()).toBe(true);
      },
      { timeout: CONVERGED_MS, interval: 500 },
    );
    ip('link set t1 up');
    await vi.waitFor(
      async () => {
        expect((await ports())[0]?.spanningTree).toMatchObject({ role: 'root', state: 'forwarding' });
        expect((await ports())[1]?.spanningTree.state).toBe('discarding');
        expect(await reachesAll()).toBe(true);
      },
      { timeout: CONVERGED_MS, interval: 500 },
    );
    await expectCalm();
  });

  it('is root of the kernel, which blocks what is too many', async () => {
    await startSwitch('--stp', '0', '--hello-time', '1', '--forward-delay', '4', '--max-age', '6');
    await vi.waitFor(
      async () => {
        const between = [kernelState('v1'), kernelState('v2')];
        expect(between).toContain(BLOCKING);
        expect([kernelState('t1'), kernelState('t2')]).toEqual([FORWARDING, FORWARDING]);
        expect(await reachesAll()).toBe(true);
      },
      { timeout: CONVERGED_MS, interval: 500 },
    );
    expect((await ports()).every(({ spanningTree }) => spanningTree.role === 'designated')).toBe(true);
    await expectCalm();
    ip('link set t2 down');
    await vi.waitFor(
      async () => {
        expect([kernelState('v1'), kernelState('v2')]).toEqual([FORWARDING, FORWARDING]);
        expect(await reachesAll()).toBe(true);
      },
      { timeout: CONVERGED_MS, interval: 500 },
    );
  });
});
