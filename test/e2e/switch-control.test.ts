/** `vnic switch` asked and changed while it runs, between namespaces. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startVnic } from './live-vnic.ts';
import { interfaceNames, type RunResult, run, runVnic } from './run-vnic.ts';

let folder: string;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  folder = mkdtempSync(join(tmpdir(), 'vnic-switch-'));
  for (const name of ['h1', 'h2', 'h3']) {
    ip(`netns add ${name}`);
    ip(`-n ${name} link set lo up`);
  }
});
afterEach(async () => {
  await endLive();
  wipe();
  rmSync(folder, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({ ...process.env, VNIC_RUNTIME_DIRECTORY: folder });
const control = (...args: string[]): Promise<RunResult> => runVnic(['switch', ...args], { env: env() });

async function startSwitch(...args: string[]): Promise<LiveVnic> {
  const live = startVnic(['switch', ...args], { env: env() });
  await live.until(/switching/);
  return live;
}

const host = (number: number): string =>
  `tap:e${number},netns=h${number},address=10.5.0.${number}/24,address=fd05::${number}/64`;

async function pings(from: number, address: string): Promise<boolean> {
  return (await run(['ip', 'netns', 'exec', `h${from}`, 'ping', '-c2', '-i0.2', '-W2', address])).status === 0;
}

async function shown(...args: string[]): Promise<{ name: string; ports: { port: number; settings: object }[] }> {
  const { status, stdout, stderr } = await control('show', '--json', ...args);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as { name: string; ports: { port: number; settings: object }[] };
}

describe('a switch that runs', () => {
  it('takes ports in, changes them and lets them go, and the others notice nothing', async () => {
    const live = await startSwitch(host(1), host(2), '--vlan-protocol', '802.1Q');
    const steady = run(['ip', 'netns', 'exec', 'h1', 'ping', '-i0.1', '-w5', '-q', '10.5.0.2']);
    expect(await control('add', host(3))).toMatchObject({ status: 0, stdout: 'port 3\n' });
    expect(await pings(3, '10.5.0.1')).toBe(true);
    expect(await pings(3, 'fd05::2')).toBe(true);
    expect(await control('set', '3', '--access', '10')).toMatchObject({ status: 0, stdout: '' });
    expect(await pings(3, '10.5.0.1')).toBe(false);
    expect((await shown()).ports[2]).toMatchObject({ port: 3, settings: { pvid: 10 } });
    expect(await control('set', '3', '--access', '1', '--isolated', 'on')).toMatchObject({ status: 0 });
    expect(await pings(3, '10.5.0.1')).toBe(true);
    expect(await control('remove', '3')).toMatchObject({ status: 0 });
    expect(ip('-n h3 -br link')).not.toContain('e3');
    expect((await steady).stdout).toMatch(/ 0% packet loss/);
    expect((await shown()).ports.map(({ port }) => port)).toEqual([1, 2]);
    const { stderr } = await live.end('SIGINT');
    expect(stderr).toContain('removed port 3');
    expect(readdirSync(join(folder, 'switch'))).toEqual([]);
  });

  it('says where stations are, forgets them, and what has happened', async () => {
    await startSwitch(host(1), host(2), '--name', 'lab');
    expect(await pings(1, '10.5.0.2')).toBe(true);
    const known = JSON.parse((await control('fdb', '--json')).stdout) as { mac: string; port: number }[];
    const mac = (number: number): string | undefined =>
      /([0-9a-f]{2}(:[0-9a-f]{2}){5})/.exec(ip(`-n h${number} -o link show e${number}`))?.[1];
    expect(known.find(({ port }) => port === 1)?.mac).toBe(mac(1));
    expect(known.find(({ port }) => port === 2)?.mac).toBe(mac(2));
    expect((await control('fdb')).stdout).toContain(mac(2));
    expect(await control('fdb', '--flush')).toMatchObject({ status: 0, stdout: '' });
    expect((await control('counters')).stdout).toMatch(/frames in/);
    expect(JSON.parse((await control('list', '--json')).stdout)).toMatchObject([{ name: 'lab', ports: 2 }]);
    const events = startVnic(['switch', 'events', '--json'], { env: env() });
    await events.until(/"event":"port-added","port":2/);
    ip('-n h2 link delete e2');
    await events.until(/"event":"port-gone","port":2/);
    expect((await events.end('SIGINT')).status).toBe(130);
  });

  it('shows at a third port what two say to each other', async () => {
    await startSwitch(host(1), host(2), 'tap:probe0', '--mirror', '1:3');
    const before = Number(readFileSync('/sys/class/net/probe0/statistics/rx_packets', 'utf8'));
    expect(await pings(1, '10.5.0.2')).toBe(true);
    const after = Number(readFileSync('/sys/class/net/probe0/statistics/rx_packets', 'utf8'));
    expect(after - before).toBeGreaterThanOrEqual(4);
    expect((await shown()).ports[2]).toMatchObject({ mirrors: [{ port: 1, direction: 'both' }] });
  });

  it('is one of several, told apart by name', async () => {
    await startSwitch('tap:a0', '--name', 'one');
    await startSwitch('tap:b0', '--name', 'two');
    const { status, stderr } = await control('show');
    expect(status).toBe(2);
    expect(stderr).toMatch(/these run: one, two[\s\S]*--name NAME/);
    expect((await shown('--name', 'two')).name).toBe('two');
    const again = await startVnic(['switch', 'tap:c0', '--name', 'two'], { env: env() }).end();
    expect(again.status).toBe(2);
    expect(again.stderr).toMatch(/no running switch has/);
    expect(interfaceNames()).not.toContain('c0');
  });

  it('leaves nothing in the way of the next when it is killed', async () => {
    const first = await startSwitch(host(1), '--name', 'lab');
    await first.end('SIGKILL');
    expect(await control('show', '--name', 'lab')).toMatchObject({ status: 71 });
    expect(JSON.parse((await control('list', '--json')).stdout)).toEqual([]);
    await startSwitch(host(1), '--name', 'lab');
    expect((await shown()).ports).toHaveLength(1);
  });

  it('is for its user alone, and takes no harm from garbage', async () => {
    await startSwitch(host(1), host(2), '--name', 'lab');
    const path = join(folder, 'switch', 'lab.sock');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'switch')).mode & 0o777).toBe(0o700);
    for (const text of [
      '\0\xff\n',
      '{"ask":"add"}\n',
      '{"ask":"set","port":1,"settings":{"pvid":"x"}}\n',
      'x'.repeat(1e5),
    ]) {
      const answer = await new Promise<string>((resolve) => {
        const socket = createConnection(path, () => socket.end(text));
        let all = '';
        socket.setEncoding('utf8').on('data', (chunk: string) => {
          all += chunk;
        });
        socket.on('error', () => undefined).on('close', () => resolve(all));
      });
      expect(answer === '' || answer.includes('VNIC_INVALID_ARGUMENT')).toBe(true);
    }
    expect(await pings(1, '10.5.0.2')).toBe(true);
  });

  it.each([
    [['set', '1'], /nothing is to be set/],
    [['set', '9', '--isolated', 'on'], /one of 1/],
    [['set', '1', '--access', '10'], /does not look at VLAN tags/],
    [['set', '1', '--impair', 'loss=1%'], /when it is added/],
    [['remove'], /vnic switch remove PORT/],
    [['remove', 'x'], /whole number/],
    [['add', 'tepid:x'], /no kind of end/],
    [['add', 'tun:t5'], /Ethernet|IP packets/],
    [['show', '--hub'], /--hub is of a switch that starts/],
    [['show', 'lab'], /vnic switch show/],
  ])('%j is refused, and nothing has changed', async (args, text) => {
    await startSwitch('tap:a0');
    const { status, stderr } = await control(...args);
    expect(stderr).toMatch(text);
    expect(status).toBe(2);
    expect((await shown()).ports).toMatchObject([{ port: 1, settings: {} }]);
    expect(interfaceNames()).not.toContain('t5');
  });
});
