/**
 * `kill -9` at random points of `vnic apply`, and a start again: the kernel is as the file asks for, nothing of others
 * was touched, and nothing is left after `vnic down`.
 *
 * The seed is printed when a point fails; VNIC_KILL_SEED runs it again, VNIC_KILL_POINTS runs more of them
 * (`node scripts/kill-apply.mjs --points 500`).
 */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../src/base/index.ts';
import { dump, wipe } from '../netns/desired-state.ts';
import { ip, ipJson } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { type RunResult, runVnic, start, VNIC } from './run-vnic.ts';

const points = Number(process.env['VNIC_KILL_POINTS'] ?? 24);
const seed = Number(process.env['VNIC_KILL_SEED'] ?? Date.now() % 1_000_000);
const folder = mkdtempSync(join(tmpdir(), 'vnic-kill-'));
const file = join(folder, 'vnic.yaml');
const journals = join(folder, 'journals');
const env = { ...process.env, VNIC_RUNTIME_DIRECTORY: journals };

const devices = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => `  our${i}: ${text(i)}\n`).join('');

/** From one to the other devices come, go, and are made anew as another kind; foreign ones get other values. */
const configs: readonly string[] = [
  `devices:
${devices(20, (i) => `{ kind: tun, mtu: 1400, addresses: [10.1.${i}.1/24, "fd00:${i}::1/64"], routes: [10.2.${i}.0/24] }`)}
  ourbr: { kind: bridge }
  oura: { kind: veth, peer: ourb, bridge: ourbr }
  ourlab: { kind: tun, namespace: lab, addresses: [10.9.0.1/24] }
  foreign0: { mtu: 1300, addresses: [10.5.0.1/24], up: true }
sysctls: { net.ipv4.ip_default_ttl: 70 }
rules: [{ priority: 100, table: 7, from: 10.1.0.0/16 }]
`,
  `devices:
${devices(12, (i) => `{ kind: ${i % 3 === 0 ? 'tap' : 'tun'}, mtu: 1401, addresses: [10.1.${i}.2/24], routes: [{ to: 10.2.${i}.0/24, via: 10.1.${i}.9 }] }`)}
  foreign0: { mtu: 1301, addresses: [10.5.0.2/24], routes: [10.6.0.0/16], up: true }
  foreign1: { promisc: true }
rules: [{ priority: 101, table: 8, from: 10.1.0.0/16 }]
masquerade: [{ from: 10.1.0.0/16 }]
`,
];

/** What differs between two runs of the same: numbers and chance. */
const volatile: readonly string[] = [
  ...['ifindex', 'link_index', 'address', 'bridge_id', 'root_id', 'designated_bridge', 'designated_root', 'nodad'],
];

const foreign = (): string => dump('foreign', ['qdisc']);

const vnic = (...args: string[]): Promise<RunResult> => runVnic([...args, '-f', file], { env });

async function mustRun(...args: string[]): Promise<void> {
  const { status, stderr } = await vnic(...args);
  expect(stderr).toBe('');
  expect(status).toBe(0);
}

/** Kills an apply after some time; a shell sees 137, or 0 when it was through. */
function killedApply(delayMs: number): Promise<void> {
  const child = start([process.execPath, VNIC, 'apply', '-q', '--prune', '-f', file], { env, stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), delayMs);
  return new Promise((resolve) => {
    child.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

beforeAll(() => {
  requirePrivateNetns();
  wipe();
});
afterEach(() => wipe());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('vnic apply', () => {
  it(`ends as the file asks for after ${points} kills at random points (seed ${seed})`, {
    timeout: 3_600_000,
  }, async () => {
    const random = seededRandom(seed);
    ip('tuntap add foreign0 mode tap');
    ip('tuntap add foreign1 mode tun user 0');
    ip('addr add 10.5.0.7/24 dev foreign0');
    ip('link add foreign2 type bridge');
    ip('link set foreign2 up');
    const untouched = foreign();
    const references: string[] = [];
    let longestMs = 0;
    for (const config of configs) {
      writeFileSync(file, config);
      const startedMs = performance.now();
      await mustRun('apply', '-q');
      longestMs = Math.max(longestMs, performance.now() - startedMs);
      references.push(dump('', volatile));
      await mustRun('down');
      expect(foreign()).toBe(untouched);
    }
    for (let point = 0; point < points; point++) {
      const which = Math.floor(random() * configs.length);
      const delayMs = longestMs * (0.2 + random());
      const label = `point ${point} of seed ${seed}: configuration ${which}, killed after ${delayMs.toFixed(1)} ms`;
      writeFileSync(file, configs[which] ?? '');
      await killedApply(delayMs);
      await mustRun('apply', '-q', '--prune');
      expect(dump('', volatile), label).toBe(references[which]);
      expect((await vnic('plan', '--prune', '--exit-code')).status, label).toBe(0);
      if (random() < 0.5) continue;
      if (random() < 0.5) await killedApply(delayMs);
      await mustRun('down');
      expect(foreign(), label).toBe(untouched);
      expect(
        ipJson<{ ifname: string }>('link').map(({ ifname }) => ifname),
        label,
      ).toEqual([...['lo', 'foreign0', 'foreign1', 'foreign2']]);
      expect(ipJson('netns list'), label).toEqual([]);
      expect(readdirSync(journals), label).toEqual([]);
    }
  });
});
