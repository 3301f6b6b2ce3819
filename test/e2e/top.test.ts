/** `vnic top`: what it shows against what the kernel counts, on a terminal and in a pipe. */

import { execFileSync } from 'node:child_process';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, startLive, startVnic } from './live-vnic.ts';
import { deleteTestDevices, ipJson, run, runVnic, terminalEnv, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

interface Device {
  readonly name: string;
  readonly kind: string;
  readonly rxPps: number;
  readonly txPps: number;
  readonly txBps: number;
  readonly txDroppedPps: number;
  readonly queueLen: number;
  readonly queued?: number;
  readonly total: Readonly<Record<string, number>>;
}

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: 'pipe' });
}

/** A command on a terminal of its own, whose keys come from stdin. */
function onTerminal(args: string, env: NodeJS.ProcessEnv = terminalEnv()): ReturnType<typeof startLive> {
  const command = `stty rows 10 cols 120; exec ${process.execPath} ${VNIC} ${args}`;
  return startLive(['script', '-qec', command, '/dev/null'], { env });
}

beforeEach(() => {
  sh('ip link set lo up; ip tuntap add tap0 mode tap; ip address add 10.0.0.1/24 dev tap0; ip link set tap0 up');
  sh('ip tuntap add tun1 mode tun');
});

afterEach(async () => {
  await endLive();
  deleteTestDevices();
});

describe('vnic top', () => {
  it('tells rates that add up to what the kernel has counted', async () => {
    const echo = startVnic(['echo', 'tap0', '--tap']);
    await echo.until(/ping/);
    const statistics = (): Record<string, { packets: number }> =>
      ipJson('-s', 'link', 'show', 'dev', 'tap0')[0]?.['stats64'] as Record<string, { packets: number }>;
    const before = statistics();
    const live = startVnic(['top', 'tap0', '--json', '-i', '0.2']);
    await live.until(/\n/);
    await run(['ping', '-q', '-c', '200', '-i', '0.002', '10.0.0.2']);
    const seen = live.output.stdout.split('\n').length;
    await live.until(new RegExp(`(\\n[^\\n]*){${seen + 1}}`));
    await live.end('SIGTERM');
    const samples = live.output.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { seconds: number; devices: [Device] });
    const after = statistics();
    const counted = (after['tx']?.packets ?? 0) - (before['tx']?.packets ?? 0);
    const last = samples.at(-1)?.devices[0].total ?? {};
    expect(last['txPackets']).toBe(after['tx']?.packets);
    expect(counted).toBeGreaterThanOrEqual(200);
    const sum = (field: 'txPps' | 'txBps'): number =>
      Math.round(samples.reduce((total, { seconds, devices }) => total + devices[0][field] * seconds, 0));
    const [first] = samples;
    const unseen =
      (first?.devices[0].total['txPackets'] ?? 0) - Math.round((first?.devices[0].txPps ?? 0) * (first?.seconds ?? 0));
    expect(sum('txPps')).toBe((after['tx']?.packets ?? 0) - unseen);
    expect(sum('txBps') / 8).toBeGreaterThanOrEqual(200 * 98);
  });

  it('tells what is dropped for want of a reader', async () => {
    const live = startVnic(['top', 'tap0', '--json', '-i', '0.2']);
    await live.until(/\n/);
    sh('ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0');
    await run(['ping', '-q', '-c', '20', '-i', '0.01', '-W', '1', '10.0.0.2']);
    await live.until(/"txDroppedPps":[1-9]/);
  });

  it('tells what waits in front of a device', async () => {
    sh('ip link set tun1 up; tc qdisc replace dev tap0 root tbf rate 8kbit burst 1600 limit 100000');
    sh('ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0');
    const echo = startVnic(['echo', 'tap0', '--tap', '--answer', '10.0.0.99']);
    await echo.until(/ping/);
    await run(['ping', '-q', '-c', '30', '-s', '1000', '-i', '0.002', '-W', '1', '10.0.0.2']);
    const { stdout } = await runVnic(['top', 'tap0', '--json', '--once', '-i', '0.05']);
    const [device] = (JSON.parse(stdout) as { devices: [Device] }).devices;
    expect(device.queued).toBeGreaterThan(0);
  });

  it('shows TUN/TAP devices, or those that are named, or all', async () => {
    const names = async (...args: readonly string[]): Promise<string[]> => {
      const { stdout } = await runVnic(['top', '--once', '-i', '0.05', '--json', ...args]);
      return (JSON.parse(stdout) as { devices: Device[] }).devices.map(({ name }) => name);
    };
    expect(await names('--sort', 'name')).toEqual(['tap0', 'tun1']);
    expect(await names('lo')).toEqual(['lo']);
    expect(await names('--all', '--sort', 'name')).toEqual(expect.arrayContaining(['lo', 'tap0', 'tun1']));
  });

  it('prints plain lines in a pipe, as many samples as asked for', async () => {
    const { stdout, status } = await runVnic(['top', '-n', '3', '-i', '0.05']);
    expect(status).toBe(0);
    expect(stdout).not.toContain('\x1b');
    expect(stdout.match(/^device /gm)).toHaveLength(3);
    expect(stdout.match(/^tap0 +tap +no carrier/gm)).toHaveLength(3);
  });

  it('fails for an interface that does not exist, and ends when those it watches are gone', async () => {
    expect((await runVnic(['top', 'nope', '--once'])).status).toBe(66);
    const live = startVnic(['top', 'tun1', '-i', '0.05']);
    await live.until(/^tun1/m);
    sh('ip link delete tun1');
    expect((await live.end()).status).toBe(66);
  });
});

describe('vnic top on a terminal', () => {
  it('is redrawn in place, sorted by keys, ended by q, and leaves the screen as it was', async () => {
    const live = onTerminal('top -i 0.1');
    await live.until(/by rate[\s\S]*tap0/);
    live.child.stdin?.write('n');
    await live.until(/by name[\s\S]*tap0[\s\S]*tun1/);
    live.child.stdin?.write('q');
    const { status, stdout } = await live.end();
    expect(status).toBe(0);
    expect(stdout.startsWith('\x1b[?1049h')).toBe(true);
    expect(stdout.endsWith('\x1b[?1049l')).toBe(true);
    expect(stdout).toContain('\x1b[33mdown\x1b[39m');
  });

  it('ends by Ctrl-C with its status', async () => {
    const live = onTerminal('top -i 0.1');
    await live.until(/tap0/);
    live.child.stdin?.write('\x03');
    expect((await live.end()).status).toBe(130);
  });

  it('shows no more lines than there are rows', async () => {
    sh('for i in $(seq 2 30); do ip tuntap add tap$i mode tap; done');
    const live = onTerminal('top -i 0.1');
    await live.until(/tap0[\s\S]*by rate/);
    live.child.stdin?.write('q');
    const { stdout } = await live.end();
    const frames = stdout.split('\x1b[H').slice(1);
    for (const frame of frames) expect(frame.split('\r\n').length).toBeLessThanOrEqual(9);
  });

  it('has no colour with NO_COLOR', async () => {
    const live = onTerminal('top -n 1 -i 0.05', { ...terminalEnv(), NO_COLOR: '1' });
    const { stdout } = await live.end();
    for (const colour of ['31', '32', '33']) expect(stdout).not.toContain(`\x1b[${colour}m`);
    expect(stdout).toContain('tap0');
  });
});
