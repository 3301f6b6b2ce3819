/** Queueing disciplines and route look-ups against what tc(8) and ip(8) say. */

import { execFileSync } from 'node:child_process';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { IpAddress } from '../../src/base/index.ts';
import { type Netlink, openNetlink } from '../../src/netlink/index.ts';
import { ip, ipJson } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

let netlink: Netlink;

beforeAll(async () => {
  requirePrivateNetns();
  netlink = await openNetlink();
});

afterAll(() => netlink.close());

beforeEach(() => {
  ip('link add q0 type veth peer name q1');
  for (const name of ['q0', 'q1']) ip(`link set ${name} up`);
  ip('address add 10.7.0.1/24 dev q0');
  ip('-6 address add fd07::1/64 dev q0 nodad');
});

afterEach(() => {
  ip('link delete q0');
});

describe('qdiscs.list', () => {
  it('tells what tc tells, with what waits', async () => {
    execFileSync('tc', 'qdisc add dev q0 root handle 1: tbf rate 8kbit burst 1600 limit 100000'.split(' '));
    ip('neighbour replace 10.7.0.2 lladdr 02:00:00:00:00:02 dev q0');
    execFileSync('sh', ['-c', 'ping -q -c 20 -s 1000 -i 0.002 -W 1 10.7.0.2 || true'], { stdio: 'pipe' });
    const index = (await netlink.links.get('q0')).index;
    const [root] = (await netlink.qdiscs.list()).filter(({ linkIndex, isRoot }) => linkIndex === index && isRoot);
    const told = execFileSync('tc', ['-j', '-s', 'qdisc', 'show', 'dev', 'q0'], { encoding: 'utf8' });
    const [tc] = JSON.parse(told) as [{ kind: string; drops: number; qlen: number; backlog: number }];
    expect(root).toMatchObject({ kind: tc.kind, drops: tc.drops });
    expect(root?.packets).toBeGreaterThan(0);
    // A packet a second leaves meanwhile.
    expect(Math.abs((root?.packets ?? 0) - tc.qlen)).toBeLessThanOrEqual(2);
    expect(Math.abs((root?.backlogBytes ?? 0) - tc.backlog)).toBeLessThanOrEqual(2 * 1100);
  });
});

describe('routes.lookup', () => {
  it.each(['10.7.0.9', '192.0.2.1', 'fd07::9', '2001:db8::1', '10.8.1.1'])(
    'finds the route to %s that ip finds',
    async (to) => {
      ip('route add 10.8.0.0/16 via 10.7.0.2');
      ip('route add blackhole 192.0.2.0/24');
      let told: Record<string, unknown> | undefined;
      try {
        [told] = ipJson<Record<string, unknown>>(`route get fibmatch ${to}`);
      } catch {
        told = undefined;
      }
      const found = await netlink.routes.lookup(IpAddress.parse(to));
      const destination = found === undefined || found.type !== 'unicast' ? undefined : found.destination.toString();
      const expected = told === undefined || told['type'] === 'blackhole' ? undefined : told['dst'];
      expect(destination).toBe(expected);
      expect(found?.via?.toString()).toBe(told?.['gateway']);
      ip('route delete blackhole 192.0.2.0/24');
    },
  );
});
