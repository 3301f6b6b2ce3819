/** `vnic switch` between namespaces: hosts on TAP devices, a kernel bridge and another switch as neighbours. */

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, run } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  for (const name of ['h1', 'h2', 'h3']) {
    ip(`netns add ${name}`);
    ip(`-n ${name} link set lo up`);
  }
});
afterEach(async () => {
  await endLive();
  wipe();
});

async function startSwitch(...args: string[]): Promise<LiveVnic> {
  const live = startVnic(['switch', ...args]);
  await live.until(/switching/);
  return live;
}

const host = (number: number): string =>
  `tap:e${number},netns=h${number},address=10.5.0.${number}/24,address=fd05::${number}/64`;

async function pings(from: number, address: string): Promise<boolean> {
  return (await run(['ip', 'netns', 'exec', `h${from}`, 'ping', '-c2', '-i0.2', '-W3', address])).status === 0;
}

describe('vnic switch', () => {
  it('joins hosts, IPv4 and IPv6, and tells what it has carried', async () => {
    const live = await startSwitch(host(1), host(2), host(3), '--json');
    for (const [from, to] of [
      [1, 2],
      [2, 3],
      [3, 1],
    ] as const) {
      expect(await pings(from, `10.5.0.${to}`)).toBe(true);
      expect(await pings(from, `fd05::${to}`)).toBe(true);
    }
    const server = startLive(['ip', 'netns', 'exec', 'h2', 'iperf3', '-s', '-1', '--forceflush']);
    await server.until(/Server listening/);
    const { stdout } = await run(['ip', 'netns', 'exec', 'h1', 'iperf3', '-c', '10.5.0.2', '-t', '1', '-J']);
    expect((JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes).toBeGreaterThan(
      1e6,
    );
    const { status, stderr } = await live.end('SIGINT');
    expect(status).toBe(130);
    const ended = JSON.parse(stderr.trim().split('\n').at(-1) ?? '') as {
      ports: { port: number; framesIn: number; framesOut: number }[];
      stations: { mac: string; port: number }[];
    };
    expect(ended.ports.map(({ port }) => port)).toEqual([1, 2, 3]);
    // What two say to each other is not heard by the third.
    expect(ended.ports[2]?.framesOut).toBeLessThan(200);
    expect(new Set(ended.stations.map(({ port }) => port))).toEqual(new Set([1, 2, 3]));
    for (const name of ['h1', 'h2', 'h3']) expect(ip(`-n ${name} -br link`)).not.toContain('e1');
  });

  it('keeps VLANs apart', async () => {
    await startSwitch(host(1), host(2), host(3), '--access', '1:10', '--access', '2:10', '--access', '3:20');
    expect(await pings(1, '10.5.0.2')).toBe(true);
    expect(await pings(1, '10.5.0.3')).toBe(false);
  });

  it('keeps isolated ports apart', async () => {
    await startSwitch(host(1), host(2), host(3), '--isolated', '1', '--isolated', '2');
    expect(await pings(1, '10.5.0.2')).toBe(false);
    expect(await pings(1, '10.5.0.3')).toBe(true);
  });

  it('has a kernel bridge and another switch for neighbours', async () => {
    ip('link add br0 type bridge');
    ip('link set br0 up');
    ip('addr add 10.5.0.9/24 dev br0');
    await startSwitch(host(1), 'tap:up0,bridge=br0', 'udp-listen:7100,medium=ethernet');
    await startSwitch(host(2), host(3), 'udp:127.0.0.1:7100,medium=ethernet');
    // The listening side knows its neighbour once it has heard of it.
    expect(await pings(2, '10.5.0.1')).toBe(true);
    expect(await pings(1, '10.5.0.3')).toBe(true);
    expect(await pings(3, '10.5.0.9')).toBe(true);
    expect((await run(['ping', '-c2', '-i0.2', '-W3', '10.5.0.2'])).status).toBe(0);
  });

  it('goes on without a port whose device was deleted, and ends with the last', async () => {
    const live = await startSwitch(host(1), host(2));
    expect(await pings(1, '10.5.0.2')).toBe(true);
    ip('-n h1 link delete e1');
    await live.until(/gone +port 1/);
    ip('-n h2 link delete e2');
    expect((await live.end()).status).toBe(74);
  });

  it.each([
    [[], /missing required argument/],
    [['tun:t0'], /IP packets|Ethernet/],
    [['tap:e1', '--access', '2:10'], /no port 2/],
    [['tap:e1', '--access', '1:4095'], /--access/],
    [['tap:e1', '--access', '10'], /of which port/],
    [['tap:e1', 'tepid:x'], /no kind of end/],
  ])('%j is refused, and nothing is left', async (args, text) => {
    const { status, stderr } = await startVnic(['switch', ...args]).end();
    expect(status).toBe(2);
    expect(stderr).toMatch(text);
    expect(interfaceNames()).not.toContain('e1');
  });
});
