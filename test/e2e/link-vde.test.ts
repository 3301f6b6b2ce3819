/** `vnic link` against a running `vde_switch`, and other programs at the same switch. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it, vi } from 'vitest';

import { ip } from '../netns/iproute2.ts';
import { far, iperf, link, near, pings, pingsAtLast, startFar, withTwoHosts } from './carriers.ts';
import { type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { runVnic } from './run-vnic.ts';

const folder = withTwoHosts('vde');
const control = join(folder, 'switch');

/** A switch, once it takes ports; its prompt ends with its standard input. */
async function startSwitch(): Promise<LiveVnic> {
  const live = startLive(['vde_switch', '-sock', control, '-mod', '0770']);
  await vi.waitFor(() => expect(readdirSync(control)).toContain('ctl'), 10_000);
  return live;
}

async function atSwitch(device: string, end = `vde:${control}`): Promise<LiveVnic> {
  const live = startVnic(['link', device, end]);
  await live.until(/up /);
  await live.until(/joined/);
  return live;
}

const ownSockets = (): string[] => readdirSync(control).filter((name) => name.startsWith('.vnic-'));

describe('two devices at a switch', () => {
  it('reach each other: ping and iperf3, IPv4 and IPv6', async () => {
    const live = await startSwitch();
    const here = await atSwitch(`tap:t0,${near}`);
    const there = await atSwitch(`tap:t1,netns=far,${far}`, `vde:${control},port=7`);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', '1472')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
    expect(await iperf('fd09::2', true)).toBeGreaterThan(1_000_000);
    live.child.stdin?.write('port/allprint\n');
    await live.until(/Port 0*7 (?:.|\n)*vnic pid=/);
    await here.end('SIGTERM');
    await there.end('SIGINT');
    expect(ownSockets()).toEqual([]);
  });

  it('go on when the switch is started again', async () => {
    const live = await startSwitch();
    const here = await atSwitch(`tap:t0,${near}`);
    await atSwitch(`tap:t1,netns=far,${far}`);
    expect(await pings('10.9.0.2')).toBe(true);
    await live.end('SIGTERM');
    await here.until(/down .*switch has ended(?:.|\n)*waiting/);
    await startSwitch();
    expect(await pingsAtLast('10.9.0.2')).toBe(true);
  });

  it('leave no socket, also after `kill -9`', async () => {
    await startSwitch();
    const killed = await atSwitch(`tap:t0,${near}`);
    await killed.end('SIGKILL');
    const here = await atSwitch(`tap:t0,${near}`);
    expect(ownSockets()).toHaveLength(1);
    await here.end('SIGTERM');
    expect(ownSockets()).toEqual([]);
  });
});

it('a device of vde_plug2tap at the same switch is reached', async () => {
  await startSwitch();
  await atSwitch(`tap:t0,${near}`);
  ip('-n far tuntap add p0 mode tap');
  ip('-n far addr add 10.9.0.2/24 dev p0');
  ip('-n far link set p0 up');
  startFar('vde_plug2tap', '-s', control, 'p0');
  expect(await pingsAtLast('10.9.0.2')).toBe(true);
  expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
});

describe('without a switch', () => {
  it('it is waited for, but with --once', async () => {
    const missing = join(folder, 'none');
    const live = link('null', `vde:${missing}`);
    await live.until(/waiting .*ENOENT/);
    await live.end('SIGTERM');
    const { status, stderr } = await runVnic(['link', '--once', 'null', `vde:${missing}`]);
    expect(status).toBe(75);
    expect(stderr).toContain('vde_switch -sock');
  });

  it('a mistake is pointed at', async () => {
    const { status, stderr } = await runVnic(['link', 'null', 'vde:/tmp/x,port=0']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/expected a port of 1 to 16777215/);
  });
});
