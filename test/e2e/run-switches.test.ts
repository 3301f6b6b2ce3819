/** Switches of the file under `vnic run`: hosts in namespaces, and what happens to a port of theirs. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startVnic } from './live-vnic.ts';
import { type RunResult, run, runVnic } from './run-vnic.ts';

let folder: string;
let file: string;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  folder = mkdtempSync(join(tmpdir(), 'vnic-run-switches-'));
  file = join(folder, 'vnic.yaml');
  for (const name of ['h1', 'h2', 'h3']) ip(`netns add ${name}`);
});
afterEach(async () => {
  await endLive();
  await vnic('down', '-f', file);
  wipe();
  rmSync(folder, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({ ...process.env, VNIC_RUNTIME_DIRECTORY: folder });
const vnic = (...args: string[]): Promise<RunResult> => runVnic(args, { env: env() });
/** With an address of its own, so that neighbours know it again. */
const host = (number: number, more = ''): string =>
  `h${number}: { end: "tap:e${number},netns=h${number},mac=02:00:00:00:05:0${number},address=10.5.0.${number}/24"${more} }`;
const switchOf = (...ports: string[]): string => `switches:\n  lab:\n    ports:\n      ${ports.join('\n      ')}\n`;

async function start(text: string): Promise<LiveVnic> {
  writeFileSync(file, text);
  const live = startVnic(['run', '-f', file, '--log-format', 'json', '--resync', '0.5'], { env: env() });
  await live.until(/"event":"ready"/);
  return live;
}

async function pings(from: number, to: number): Promise<boolean> {
  const ping = ['ip', 'netns', 'exec', `h${from}`, 'ping', '-c1', '-W1', `10.5.0.${to}`];
  return (await run(ping)).status === 0;
}

const reaches = (from: number, to: number): Promise<void> =>
  vi.waitFor(async () => expect(await pings(from, to)).toBe(true), { timeout: 10_000, interval: 200 });

interface Status {
  readonly switches: readonly { readonly name: string; readonly state: string; readonly ports?: readonly unknown[] }[];
}

describe('a switch of the file', () => {
  it('joins hosts, is asked by its name, and gone at the end', async () => {
    const live = await start(switchOf(host(1), host(2), host(3, ', isolated: true')));
    await reaches(1, 2);
    const shown = JSON.parse((await vnic('switch', 'show', '--name', 'lab', '--json')).stdout) as {
      ports: { name: string; settings: object }[];
    };
    expect(shown.ports.map(({ name }) => name)).toEqual(['h1', 'h2', 'h3']);
    expect(shown.ports[2]?.settings).toEqual({ isIsolated: true });
    const status = JSON.parse((await vnic('service', 'status', '-f', file, '--json')).stdout) as Status;
    expect(status.switches).toMatchObject([{ name: 'lab', state: 'up', ports: [{}, {}, {}] }]);
    expect((await vnic('service', 'status', '-f', file)).stdout).toMatch(/lab +up .* 3 /);
    expect((await live.end('SIGTERM')).status).toBe(0);
    expect(ip('-n h1 -br link')).not.toContain('e1');
  });

  it('keeps VLANs apart, and takes a new file', async () => {
    const live = await start(switchOf(host(1, ', access: 10'), host(2, ', access: 20')));
    expect(await pings(1, 2)).toBe(false);
    writeFileSync(file, switchOf(host(1, ', access: 10'), host(2, ', access: 10')));
    live.child.kill('SIGHUP');
    await reaches(1, 2);
  });

  it('takes a port in again whose device was deleted, and the others notice nothing', async () => {
    await start(switchOf(host(1), host(2), host(3)));
    await reaches(1, 3);
    const steady = run(['ip', 'netns', 'exec', 'h1', 'ping', '-i0.1', '-w4', '-q', '10.5.0.2']);
    ip('-n h3 link delete e3');
    await reaches(1, 3);
    expect((await steady).stdout).toMatch(/ 0% packet loss/);
  });

  it('of a name that runs already waits, and says why', async () => {
    const other = startVnic(['switch', 'tap:x0', '--name', 'lab'], { env: env() });
    await other.until(/switching/);
    const live = await start(switchOf(host(1)));
    await live.until(/no running switch has/);
  });
});
