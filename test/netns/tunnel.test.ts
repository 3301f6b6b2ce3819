/**
 * Tunnels of src/tunnel between devices of the kernel, over links in memory:
 *
 *     hub: srv0 10.9.0.1/24 ── server ══ pair ══ client ── cli0 in left
 *                                     ══ pair ══ client ── cli0 in right
 */

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { createLinkPair, type PacketLink } from '../../src/link/index.ts';
import { systemClock } from '../../src/netdev/index.ts';
import {
  openTunnelClient,
  openTunnelServer,
  type TunnelClient,
  type TunnelClientEvent,
  type TunnelClientOptions,
  type TunnelServer,
  type TunnelServerEvent,
  type TunnelServerOptions,
} from '../../src/tunnel/index.ts';
import { run } from '../e2e/run-vnic.ts';
import { wipe } from './desired-state.ts';
import { codeOf, ip, ipJson } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

const cidrs = (...texts: string[]): Cidr[] => texts.map((text) => Cidr.parse(text));
const WAIT = { timeout: 20_000, interval: 50 };

const open: AsyncDisposable[] = [];
beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  ip('link set lo up');
  for (const name of ['left', 'right']) {
    ip(`netns add ${name}`);
    ip(`-n ${name} link set lo up`);
  }
});
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
  wipe();
});

interface Hub {
  readonly server: TunnelServer;
  readonly events: TunnelServerEvent[];
}

async function openHub(options: Partial<TunnelServerOptions> = {}): Promise<Hub> {
  const events: TunnelServerEvent[] = [];
  const server = await openTunnelServer({
    device: { kind: 'tun', name: 'srv0' },
    addresses: cidrs('10.9.0.1/24', 'fd09::1/64'),
    clock: systemClock,
    onEvent: (event) => events.push(event),
    ...options,
  });
  open.push(server);
  return { server, events };
}

interface Spoke {
  readonly client: TunnelClient;
  readonly events: TunnelClientEvent[];
  /** The client's side of the connection that was made last. */
  link(): PacketLink;
}

function join(
  { server }: Hub,
  netns: string,
  fingerprint: string | undefined,
  options: Partial<TunnelClientOptions> = {},
): Spoke {
  const events: TunnelClientEvent[] = [];
  let last: PacketLink | undefined;
  let connections = 0;
  const kind = options.device?.kind ?? 'tun';
  const client = openTunnelClient({
    device: { kind, name: 'cli0', netns },
    name: netns,
    clock: systemClock,
    connect: async () => {
      const [near, far] = createLinkPair({ medium: kind === 'tun' ? 'ip' : 'ethernet', mtu: 65_535 });
      last = near;
      server.serve({ link: far, peer: `${netns} ${++connections}`, ...(fingerprint !== undefined && { fingerprint }) });
      return { link: near, peer: 'hub' };
    },
    onEvent: (event) => events.push(event),
    ...options,
  });
  open.push(client);
  return { client, events, link: () => last as PacketLink };
}

const established = ({ events }: Spoke, times = 1): Promise<void> =>
  vi.waitFor(() => expect(events.filter(({ event }) => event === 'established').length).toBe(times), WAIT);

async function pings(netns: string | undefined, address: string, ...options: string[]): Promise<boolean> {
  const place = netns === undefined ? [] : ['ip', 'netns', 'exec', netns];
  return (await run([...place, 'ping', '-c2', '-i0.2', '-W3', ...options, address])).status === 0;
}

/** A million random bytes by TCP, compared by their digest. */
async function transfer(from: string, to: string, address: string): Promise<boolean> {
  const script = `
    set -e -o pipefail
    file=$(mktemp); trap 'rm -f "$file" "$file.got"' EXIT
    head -c 4000000 /dev/urandom > "$file"
    host=${address.includes(':') ? `[${address}]` : address}
    ip netns exec ${to} socat -u ${address.includes(':') ? 'TCP6' : 'TCP4'}-LISTEN:5999,reuseaddr OPEN:"$file.got",creat &
    for i in $(seq 100); do ip netns exec ${to} ss -Hltn | grep -q :5999 && break; sleep 0.05; done
    ip netns exec ${from} socat -u OPEN:"$file" TCP:$host:5999
    wait
    cmp "$file" "$file.got"`;
  return (await run(['bash', '-c', script])).status === 0;
}

const addressOf = ({ client }: Spoke, family: 4 | 6): string =>
  client.status.addresses.find((one) => one.family === family)?.address.toString() ?? '';

describe('super-packets', () => {
  it('pass as they are, whole transfers, between hub and clients of both kinds of device', async () => {
    for (const kind of ['tun', 'tap'] as const) {
      const hub = await openHub({ device: { kind, name: 'srv0' }, superPackets: true, forwarding: true });
      const on = (netns: string): Spoke =>
        join(hub, netns, `sha256:${netns}`, { device: { kind, name: 'cli0', netns } });
      const [left, right] = [on('left'), on('right')];
      await Promise.all([established(left), established(right)]);
      expect(hub.server.device.offload).toBe(true);
      for (const family of [4, 6] as const) {
        expect(await pings('left', addressOf(right, family))).toBe(true);
        expect(await transfer('left', 'right', addressOf(right, family))).toBe(true);
      }
      // Frames between clients are switched without the device.
      if (kind === 'tun') expect(hub.server.device.offloadInfo.superPacketsRead).toBeGreaterThan(0);
      for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
    }
  });

  it('are refused by a client that cannot, and a device is made anew when the other side has changed its mind', async () => {
    const hub = await openHub({ superPackets: true });
    const unable = join(hub, 'right', 'sha256:right', { superPackets: false });
    await expect(unable.client.done).rejects.toMatchObject({ code: 'VNIC_TUNNEL_REFUSED' });
    const hubs = [hub];
    const left = join(hub, 'left', 'sha256:left', {
      connect: async () => {
        const [near, far] = createLinkPair({ medium: 'ip', mtu: 65_535 });
        hubs[0]?.server.serve({ link: far, peer: 'left', fingerprint: 'sha256:left' });
        return { link: near, peer: 'hub' };
      },
    });
    await established(left);
    expect(await pings('left', '10.9.0.1')).toBe(true);
    await hub.server.close();
    hubs[0] = await openHub();
    await established(left, 2);
    expect(await pings('left', '10.9.0.1')).toBe(true);
  });
});

describe('a tunnel', () => {
  it('hands out addresses, routes and MTU, and carries IPv4 and IPv6 both ways', async () => {
    const hub = await openHub({ routes: cidrs('10.77.0.0/16', 'fd77::/16'), mtu: 1380 });
    const left = join(hub, 'left', 'sha256:left');
    await established(left);
    for (const address of ['10.9.0.1', 'fd09::1']) expect(await pings('left', address)).toBe(true);
    for (const family of [4, 6] as const) expect(await pings(undefined, addressOf(left, family))).toBe(true);
    expect(await pings('left', '10.9.0.1', '-M', 'do', '-s', String(1380 - 28))).toBe(true);
    const device = ipJson<{ mtu: number }>('-n left link show dev cli0')[0];
    expect(device?.mtu).toBe(1380);
    expect(ip('-n left route show 10.77.0.0/16')).toContain('dev cli0');
    expect(ip('-n left -6 route show fd77::/16')).toContain('dev cli0');
    expect(hub.server.clients).toMatchObject([{ name: 'left', fingerprint: 'sha256:left', peer: 'left 1' }]);
    expect(left.client.status).toMatchObject({ state: 'established', device: 'cli0', connections: 1, mtu: 1380 });
    await left.client.close();
    expect(ip('-n left -br link')).not.toContain('cli0');
    await vi.waitFor(() => expect(hub.events.at(-1)).toMatchObject({ event: 'left', reason: 'bye' }), WAIT);
    await hub.server.close();
    expect(ip('-br link')).not.toContain('srv0');
  });

  it('serves many clients, who reach each other by the routes of the hub', async () => {
    const hub = await openHub({ forwarding: true });
    const [left, right] = [join(hub, 'left', 'sha256:left'), join(hub, 'right', 'sha256:right')];
    await Promise.all([established(left), established(right)]);
    expect(addressOf(left, 4)).not.toBe(addressOf(right, 4));
    for (const family of [4, 6] as const) expect(await pings('left', addressOf(right, family))).toBe(true);
    await hub.server.close();
    // Forwarding is again what it was.
    expect(ip('-n left link').length).toBeGreaterThan(0);
    expect((await run(['sysctl', '-n', 'net.ipv4.ip_forward'])).stdout.trim()).toBe('0');
    expect((await run(['sysctl', '-n', 'net.ipv6.conf.all.forwarding'])).stdout.trim()).toBe('0');
  });

  it('gives a client what its entry says, and keeps it to its addresses and its access list', async () => {
    const hub = await openHub({
      clients: [
        {
          name: 'branch',
          fingerprint: 'sha256:left',
          addresses: cidrs('10.9.0.50/24'),
          networks: cidrs('192.168.7.0/24'),
          access: cidrs('10.9.0.1/32'),
        },
      ],
    });
    ip('addr add 10.88.0.1/32 dev lo');
    const left = join(hub, 'left', 'sha256:left', { routes: cidrs('10.88.0.0/16') });
    await established(left);
    expect(addressOf(left, 4)).toBe('10.9.0.50');
    ip('-n left addr add 192.168.7.1/32 dev lo');
    ip('-n left addr add 172.16.0.1/32 dev lo');
    ip('route add 192.168.7.0/24 dev srv0');
    expect(await pings(undefined, '192.168.7.1')).toBe(true);
    expect(await pings('left', '10.9.0.1')).toBe(true);
    // Another's source, and what the list does not name.
    expect(await pings('left', '10.9.0.1', '-I', '172.16.0.1')).toBe(false);
    expect(await pings('left', '10.88.0.1')).toBe(false);
    const [status] = hub.server.clients;
    expect(status?.name).toBe('branch');
    expect(status?.dropped.source).toBeGreaterThanOrEqual(2);
    expect(status?.dropped.access).toBeGreaterThanOrEqual(2);
  });

  it('keeps device, addresses and inner connections when its connection dies', async () => {
    const hub = await openHub();
    const left = join(hub, 'left', 'sha256:left');
    await established(left);
    const before = addressOf(left, 4);
    const index = ipJson<{ ifindex: number }>('-n left link show dev cli0')[0]?.ifindex;
    await left.link().close();
    await established(left, 2);
    expect(addressOf(left, 4)).toBe(before);
    expect(ipJson<{ ifindex: number }>('-n left link show dev cli0')[0]?.ifindex).toBe(index);
    expect(await pings('left', '10.9.0.1')).toBe(true);
    expect(hub.server.clients.length).toBe(1);
  });

  it('gives a client its place back that comes from elsewhere before its old connection is known to be dead', async () => {
    const hub = await openHub();
    const first = join(hub, 'left', 'sha256:same');
    await established(first);
    const second = join(hub, 'right', 'sha256:same', { once: true });
    await established(second);
    expect(addressOf(second, 4)).toBe(addressOf(first, 4));
    expect(hub.events).toContainEqual(expect.objectContaining({ event: 'left', reason: 'replaced' }));
    expect(hub.server.clients.length).toBe(1);
  });

  it('changes the device when something else is handed out after a while', async () => {
    const hub = await openHub({ routes: cidrs('10.77.0.0/16') });
    const left = join(hub, 'left', 'sha256:left', {
      connect: async () => {
        const [near, far] = createLinkPair({ medium: 'ip', mtu: 65_535 });
        hubs[0]?.server.serve({ link: far, peer: 'left', fingerprint: 'sha256:left' });
        links.push(near);
        return { link: near, peer: 'hub' };
      },
    });
    const links: PacketLink[] = [];
    const hubs = [hub];
    await established(left);
    await hub.server.close();
    hubs[0] = await openHub({ addresses: cidrs('10.8.0.1/24'), routes: cidrs('10.78.0.0/16'), mtu: 1300 });
    await established(left, 2);
    await vi.waitFor(async () => expect(await pings('left', '10.8.0.1')).toBe(true), WAIT);
    const routes = ip('-n left route');
    expect(routes).toContain('10.78.0.0/16');
    expect(routes).not.toContain('10.77.0.0/16');
    expect(ip('-n left -br addr show dev cli0')).not.toContain('10.9.0.');
    expect(ipJson<{ mtu: number }>('-n left link show dev cli0')[0]?.mtu).toBe(1300);
  });

  it('refuses what does not fit, and tells both sides why', async () => {
    const hub = await openHub({ addresses: cidrs('10.9.0.1/30') });
    const tap = join(hub, 'left', 'sha256:tap', { device: { kind: 'tap', name: 'cli0', netns: 'left' } });
    expect(await codeOf(() => tap.client.done)).toBe('VNIC_TUNNEL_REFUSED');
    expect(hub.events).toMatchObject([{ event: 'refused', client: 'left', reason: 'medium' }]);
    const left = join(hub, 'left', 'sha256:left');
    await established(left);
    const right = join(hub, 'right', 'sha256:right', { once: true });
    await expect(right.client.done).rejects.toMatchObject({ code: 'VNIC_TUNNEL_ENDED', reason: /no address left/ });
    expect(ip('-n right -br link')).not.toContain('cli0');
  });

  it('switches Ethernet frames among device and clients', async () => {
    const hub = await openHub({ device: { kind: 'tap', name: 'srv0' } });
    const on = (netns: string): Spoke =>
      join(hub, netns, `sha256:${netns}`, { device: { kind: 'tap', name: 'cli0', netns } });
    const [left, right] = [on('left'), on('right')];
    await Promise.all([established(left), established(right)]);
    expect(await pings('left', '10.9.0.1')).toBe(true);
    expect(await pings('left', 'fd09::1')).toBe(true);
    for (const family of [4, 6] as const) expect(await pings('left', addressOf(right, family))).toBe(true);
  });

  it('ends with VNIC_DEVICE_GONE when its device is deleted', async () => {
    const hub = await openHub();
    const left = join(hub, 'left', 'sha256:left');
    await established(left);
    ip('-n left link delete cli0');
    expect(await codeOf(() => left.client.done)).toBe('VNIC_DEVICE_GONE');
    ip('link delete srv0');
    expect(await codeOf(() => hub.server.done)).toBe('VNIC_DEVICE_GONE');
  });

  it('ends who sends packets before it was let in', async () => {
    const hub = await openHub();
    const [near, far] = createLinkPair({ medium: 'ip' });
    hub.server.serve({ link: far, peer: 'stranger' });
    const packet = new Uint8Array(40).fill(0x45);
    for (let i = 0; i < 100 && !near.closed; i++) if (near.write(packet) === 0) await near.writable();
    await vi.waitFor(() => expect(near.closed).toBe(true), WAIT);
    expect(hub.server.clients).toEqual([]);
  });
});
