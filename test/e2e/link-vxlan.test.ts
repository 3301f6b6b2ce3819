/** `vnic link` against the kernel's VXLAN. */

import { describe, expect, it } from 'vitest';

import { ip } from '../netns/iproute2.ts';
import { iperf, link, linkFar, near, pings, startFar, withTwoHosts } from './carriers.ts';
import { run, runVnic } from './run-vnic.ts';

withTwoHosts('vxlan');

const outer = {
  IPv4: { here: '198.51.100.1', there: '198.51.100.2', end: '198.51.100.2', mtu: 1450 },
  IPv6: { here: '2001:db8::1', there: '2001:db8::2', end: '[2001:db8::2]', mtu: 1430 },
} as const;

async function addKernelVxlan({ here, there }: { here: string; there: string }, more = 'dstport 4789'): Promise<void> {
  ip(`-n far link add vx type vxlan id 42 remote ${here} local ${there} ${more} dev v1`);
  // Over veth nobody would compute the checksums of what is inside, nor cut super-packets up: both are left to a network card.
  await startFar('ethtool', '-K', 'vx', 'tx', 'off').end();
  ip('-n far addr add 10.9.0.2/24 dev vx');
  ip('-n far addr add fd09::2/64 dev vx nodad');
  ip('-n far link set vx up');
}

describe.each(['IPv4', 'IPv6'] as const)('against the kernel`s VXLAN over %s', (family) => {
  const { end, mtu } = outer[family];

  it('ping and iperf3 both ways, IPv4 and IPv6, with the same MTU at both sides', async () => {
    await addKernelVxlan(outer[family]);
    expect(ip('-n far link show vx')).toContain(`mtu ${mtu} `);
    const here = link(`tap:t0,${near}`, `vxlan:${end},vni=42`);
    await here.until(/joined/);
    expect(here.output.stderr).toContain(`MTU ${mtu}`);
    expect(ip('link show t0')).toContain(`mtu ${mtu} `);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', String(mtu - 28))).toBe(true);
    for (const reverse of [false, true]) {
      expect(await iperf('10.9.0.2', reverse)).toBeGreaterThan(1_000_000);
      expect(await iperf('fd09::2', reverse)).toBeGreaterThan(1_000_000);
    }
    const { stderr } = await here.end('SIGINT');
    expect(stderr).toContain(`TAP device t0 → VXLAN 42 to ${end}:4789: `);
  });

  it('as the side that waits for the first frame, with a port of its own', async () => {
    await addKernelVxlan(outer[family], 'dstport 8472');
    const where = family === 'IPv4' ? '198.51.100.1:8472' : '[2001:db8::1]:8472';
    const here = link(`tap:t0,${near}`, `vxlan-listen:${where},vni=42`);
    await here.until(/joined/);
    expect(here.output.stderr).toContain(`MTU ${mtu}`);
    const there = startFar('ping', '-c3', '-i0.2', '-W5', '10.9.0.1');
    expect((await there.end()).status).toBe(0);
    expect(await pings('fd09::2')).toBe(true);
  });
});

it('two of vnic with each other, the frames of both in headroom or copied', async () => {
  const there = linkFar('tap:t1,address=10.9.0.2/24,offload=off', 'vxlan:198.51.100.1,vni=0');
  await there.until(/joined/);
  await link(`tap:t0,${near}`, 'vxlan:198.51.100.2,vni=0').until(/joined/);
  expect(await pings('10.9.0.2')).toBe(true);
  expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
});

it('does not hear another network, nor garbage', async () => {
  await addKernelVxlan(outer.IPv4);
  const here = link(`tap:t0,${near}`, 'vxlan:198.51.100.2,vni=43');
  await here.until(/joined/);
  expect((await run(['ping', '-c1', '-W1', '10.9.0.2'])).status).not.toBe(0);
  await here.end('SIGTERM');
  await link(`tap:t0,${near}`, 'vxlan:198.51.100.2,vni=42').until(/joined/);
  const garbage = 'for i in 1 2 3 4 5; do head -c 900 /dev/urandom | socat -u - UDP:198.51.100.1:4789; done';
  await startFar('sh', '-c', garbage).end();
  expect(await pings('10.9.0.2')).toBe(true);
});

describe('a mistake', () => {
  it.each([
    ['no network', 'vxlan:198.51.100.2', /vxlan needs the number of the network .*(?:.|\n)*vni=42/],
    ['a network that there is not', 'vxlan:198.51.100.2,vni=16777216', /expected a number of 0 to 16777215/],
    ['no host', 'vxlan:4789,vni=1', /vxlan needs a host/],
    ['a port that is none', 'vxlan:198.51.100.2:70000,vni=1', /expected HOST\[:PORT\]/],
    ['an IPv6 address without brackets', 'vxlan:2001:db8::1,vni=1', /Put an IPv6 address in brackets/],
  ])('%s is pointed at', async (_what, end, message) => {
    const { status, stderr } = await runVnic(['link', 'null', end]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('IP packets are not joined to frames', async () => {
    expect((await runVnic(['link', 'tun:t9', 'vxlan:198.51.100.2,vni=1'])).stderr).toMatch(/carries IP packets/);
  });
});
