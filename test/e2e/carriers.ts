/** What the tests of single carriers share: two hosts that a veth pair joins, and traffic through what is under test. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { run, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

/** Options of a device at this host, and of one at the other. */
export const near = 'address=10.9.0.1/24,address=fd09::1/64';
export const far = 'address=10.9.0.2/24,address=fd09::2/64';

/** Begins each test of the file with a namespace `far` at the end of a veth pair; gives a folder for sockets. */
export function withTwoHosts(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `vnic-${name}-`));
  beforeAll(() => requirePrivateNetns());
  beforeEach(() => {
    joinTwoHosts();
  });
  afterEach(async () => {
    await endLive();
    wipe();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** `vnic link` at this host. */
export const link = (...args: string[]): LiveVnic => startVnic(['link', ...args]);
/** `vnic link` at the other. */
export const linkFar = (...args: string[]): LiveVnic => startFar(process.execPath, VNIC, 'link', ...args);
/** Any program at the other host. */
export const startFar = (...argv: string[]): LiveVnic => startLive(['ip', 'netns', 'exec', 'far', ...argv]);

/** Whether all of three pings are answered. */
export async function pings(address: string, ...options: string[]): Promise<boolean> {
  return (await run(['ping', '-c3', '-i0.2', '-W5', ...options, address])).status === 0;
}

/** Pings until one is answered: the other side may be on its way. */
export async function pingsAtLast(address: string): Promise<boolean> {
  for (let i = 0; i < 30; i++) if ((await run(['ping', '-c1', '-W1', address])).status === 0) return true;
  return false;
}

/** Sends over TCP for a second; gives how many bytes have come. `reverse`: from the other host to this. */
export async function iperf(address: string, reverse = false): Promise<number> {
  const server = startFar('iperf3', '-s', '-1', '--forceflush');
  await server.until(/Server listening/);
  const { stdout } = await run(['iperf3', '-c', address, '-t', '1', '-J', ...(reverse ? ['-R'] : [])]);
  await server.end('SIGTERM');
  return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
}
