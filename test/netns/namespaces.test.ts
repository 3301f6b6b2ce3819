/**
 * src/netns against the real kernel, with `ip netns` as the independent witness. `/run` is private here, so names are too.
 *
 *   this namespace ── v0 ═══ v1 ── blue (ip netns add, vnic netns add)
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { getLinkSync, type NetlinkEvent, openLinkEvents, openNetlink } from '../../src/netlink/index.ts';
import {
  createNamespace,
  currentNetworkNamespace,
  deleteNamespace,
  listNamespaces,
  NetworkNamespace,
  openNetworkNamespace,
  readForwarding,
  readInterfaceSettings,
  readSysctl,
  writeForwarding,
  writeInterfaceSettings,
  writeSysctl,
} from '../../src/netns/index.ts';
import { codeOf, ip, ipJson } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

beforeEach(() => {
  expect(namesByIp()).toEqual([]);
});

afterEach(() => {
  for (const name of namesByIp()) ip(`netns delete ${name}`);
  for (const { ifname } of ipJson<{ ifname: string }>('link')) if (ifname !== 'lo') ip(`link delete ${ifname}`);
});

const namesByIp = (): string[] => ipJson<{ name: string }>('netns list').map(({ name }) => name);
const linksIn = (name: string): string[] => ipJson<{ ifname: string }>(`-n ${name} link`).map(({ ifname }) => ifname);

/** A process in a network namespace of its own, until the test ends. */
async function processApart(...flags: string[]): Promise<ChildProcess & { pid: number }> {
  const child = spawn('unshare', [...flags, '--net', '--', 'sh', '-c', 'echo ready; exec cat'], { stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child as unknown as ChildProcess & { pid: number };
}

describe('a namespace with a name', () => {
  it('is made and deleted as `ip netns` sees it, with a loopback interface that is down', async () => {
    const blue = await createNamespace('blue');
    expect(namesByIp()).toEqual(['blue']);
    expect(ipJson('-n blue link')).toMatchObject([{ ifname: 'lo', operstate: 'DOWN' }]);
    expect(ip('netns exec blue readlink /proc/self/ns/net').trim()).toBe(`net:[${blue.inode}]`);
    await blue.close();
    expect(linksIn('blue')).toEqual(['lo']);
    deleteNamespace('blue');
    expect([namesByIp(), existsSync('/run/netns/blue')]).toEqual([[], false]);
  });

  it('that `ip netns` made is listed, opened and deleted', async () => {
    ip('netns add red');
    ip('netns add green');
    const { ino } = statSync('/run/netns/red');
    expect(listNamespaces().map(({ name }) => name)).toEqual(['green', 'red']);
    expect(listNamespaces()[1]).toEqual({ name: 'red', path: '/run/netns/red', inode: ino });
    await using red = openNetworkNamespace('red');
    expect([red.inode, red.isCurrent, red.label]).toEqual([ino, false, 'namespace "red"']);
    deleteNamespace('red');
    expect(namesByIp()).toEqual(['green']);
  });

  it('is on a shared mount, so that it goes from mount namespaces that saw it', async () => {
    await (await createNamespace('blue')).close();
    const watcher = spawn('unshare', ['--mount', '--propagation', 'unchanged', 'sh', '-c', 'echo ready; exec cat'], {
      stdio: 'pipe',
    });
    onTestFinished(() => void watcher.kill('SIGKILL'));
    await once(watcher.stdout, 'data');
    const mounts = (): number =>
      readFileSync(`/proc/${watcher.pid}/mountinfo`, 'utf8').split('/run/netns/blue').length - 1;
    expect(mounts()).toBeGreaterThan(0);
    deleteNamespace('blue');
    expect(mounts()).toBe(0);
    expect(existsSync('/run/netns/blue')).toBe(false);
  });

  it('keeps a name that was left without a namespace out of the way', async () => {
    ip('netns add red');
    writeFileSync('/run/netns/stale', '');
    expect(listNamespaces().find(({ name }) => name === 'stale')?.inode).toBeUndefined();
    expect(await codeOf(() => openNetworkNamespace('stale'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => createNamespace('stale'))).toBe('VNIC_NAMESPACE_EXISTS');
    deleteNamespace('stale');
    expect(existsSync('/run/netns/stale')).toBe(false);
  });

  it('refuses a name that is taken, is none, or is not there', async () => {
    ip('netns add red');
    expect(await codeOf(() => createNamespace('red'))).toBe('VNIC_NAMESPACE_EXISTS');
    for (const name of ['', '.', '..', 'a/b', 'a'.repeat(256)]) {
      expect(await codeOf(() => createNamespace(name)), name).toBe('VNIC_INVALID_NAME');
    }
    expect(await codeOf(() => deleteNamespace('nobody'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => openNetworkNamespace('nobody'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => openNetlink({ netns: 'nobody' }))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => openNetworkNamespace('/etc/passwd'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => openNetworkNamespace('/proc/self/ns/mnt'))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => openNetworkNamespace(0))).toBe('VNIC_INVALID_ARGUMENT');
    expect(namesByIp()).toEqual(['red']);
  });

  it('goes to one of several that want the name at once', async () => {
    const codes = await Promise.all(
      [1, 2, 3, 4].map(() => codeOf(async () => (await createNamespace('blue')).close())),
    );
    expect(codes.toSorted()).toEqual([...Array(3).fill('VNIC_NAMESPACE_EXISTS'), undefined]);
    expect(namesByIp()).toEqual(['blue']);
  });
});

describe('in another namespace', () => {
  it('a request socket, events and a single answer are about that one, while this thread stays', async () => {
    ip('netns add red');
    const before = currentNetworkNamespace();
    await using events = openLinkEvents({ netns: 'red' });
    await using inside = await openNetlink({ netns: 'red' });
    await using outside = await openNetlink();
    await inside.links.create({ kind: 'bridge', name: 'd0', mtu: 1400, up: true });
    await inside.addresses.add('d0', Cidr.parse('10.0.0.1/24'));
    await inside.addresses.add('d0', Cidr.parse('fd00::1/64'), { noDad: true });
    const addresses = ipJson<{ addr_info: { local: string }[] }>('-n red addr show d0')[0]?.addr_info ?? [];
    expect(addresses.map(({ local }) => local)).toEqual(expect.arrayContaining(['10.0.0.1', 'fd00::1']));
    expect(getLinkSync('d0', { netns: 'red' })).toMatchObject({ kind: 'bridge', mtu: 1400, isUp: true });
    expect(getLinkSync('d0')).toBeUndefined();
    expect((await outside.links.list()).map(({ name }) => name)).toEqual(['lo']);
    expect(await firstOf(events, (event) => event.type === 'link' && event.link.name === 'd0')).toMatchObject({
      action: 'new',
    });
    await using after = currentNetworkNamespace();
    expect([before.inode, before.isCurrent]).toEqual([after.inode, true]);
    await before.close();
  });

  it.each([
    ['a process', (child: { pid: number }) => child.pid],
    ['a path', (child: { pid: number }) => `/proc/${child.pid}/ns/net`],
    ['a handle', (child: { pid: number }) => openNetworkNamespace(child.pid)],
  ])('found by %s', async (_what, selectorOf) => {
    const child = await processApart();
    const netns = selectorOf(child);
    await using netlink = await openNetlink({ netns });
    await netlink.links.create({ kind: 'bridge', name: 'd0' });
    expect(readFileSync(`/proc/${child.pid}/net/dev`, 'utf8')).toContain('d0:');
    if (!(netns instanceof NetworkNamespace)) return;
    // The handle stays the caller's.
    expect(netns.closed).toBe(false);
    await netns.close();
    await netns.close();
    expect(await codeOf(() => openNetlink({ netns }))).toBe('VNIC_LINK_CLOSED');
  });

  it('of a user namespace below this one, everything works as well', async () => {
    const child = await processApart('--user', '--map-root-user');
    await using netlink = await openNetlink({ netns: child.pid });
    await netlink.links.create({ kind: 'bridge', name: 'br0' });
    expect((await netlink.links.get('br0')).kind).toBe('bridge');
    writeSysctl('net.ipv4.ip_forward', 1, { netns: child.pid });
    expect(readSysctl('net.ipv4.ip_forward', { netns: child.pid })).toBe('1');
  });

  it('that ended, a handle keeps it', async () => {
    const child = await processApart();
    await using namespace = openNetworkNamespace(child.pid);
    const ended = once(child, 'close');
    child.kill('SIGKILL');
    await ended;
    await using netlink = await openNetlink({ netns: namespace });
    expect((await netlink.links.list()).map(({ name }) => name)).toEqual(['lo']);
    expect(await codeOf(() => openNetworkNamespace(child.pid))).toBe('VNIC_NO_SUCH_NAMESPACE');
  });

  it('without privilege it is refused with a reason, except for the own one', async () => {
    ip('netns add red');
    // A user namespace below has no rights over the network namespace of this one.
    const script = `
      import { openNetlink } from '${new URL('../../dist/netlink/index.js', import.meta.url).href}';
      const own = await openNetlink({ netns: '/proc/self/ns/net' });
      const names = (await own.links.list()).map(({ name }) => name);
      const error = await openNetlink({ netns: 'red' }).catch((error) => error);
      console.log(JSON.stringify([names, error.code, error.exitStatus, error.errno]));
    `;
    const run = ['--user', '--', process.execPath, '--input-type=module', '--eval', script];
    const output = execFileSync('unshare', run, { encoding: 'utf8' });
    expect(JSON.parse(output)).toEqual([['lo'], 'VNIC_NAMESPACE_FORBIDDEN', 77, 'EPERM']);
  });

  it('many visits leak neither threads nor descriptors', async () => {
    ip('netns add red');
    const threads = (): number => Number(/^Threads:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    getLinkSync('lo', { netns: 'red' });
    const before = [threads(), descriptors()];
    for (let i = 0; i < 500; i++) getLinkSync('lo', { netns: 'red' });
    await turn();
    expect([threads(), descriptors()]).toEqual(before);
  });
});

describe('settings of the kernel', () => {
  it('are read and written in one namespace and in no other', () => {
    ip('netns add red');
    ip('-n red link add v0 type veth peer name v1');
    const before = readInterfaceSettings('lo');
    expect(readForwarding({ netns: 'red' })).toEqual({ ipv4: false, ipv6: false });
    writeForwarding({ ipv4: true, ipv6: true }, { netns: 'red' });
    writeInterfaceSettings(
      'v0',
      { ipv4: { proxyArp: true, rpFilter: 2, forwarding: false }, ipv6: { acceptRa: 2, disableIpv6: true } },
      { netns: 'red' },
    );
    expect(readForwarding({ netns: 'red' })).toEqual({ ipv4: true, ipv6: true });
    expect(readForwarding()).toEqual({ ipv4: false, ipv6: false });
    const settings = readInterfaceSettings('v0', { netns: 'red' });
    expect(settings).toMatchObject({
      ipv4: { proxyArp: true, rpFilter: 2, forwarding: false, acceptLocal: false },
      ipv6: { acceptRa: 2, disableIpv6: true, forwarding: true },
    });
    const files = ['ipv4/conf/v0/proxy_arp', 'ipv4/conf/v0/rp_filter', 'ipv6/conf/v0/accept_ra', 'ipv4/ip_forward'];
    const seen = files.map((file) => ip(`netns exec red cat /proc/sys/net/${file}`).trim());
    expect(seen).toEqual(['1', '2', '2', '1']);
    expect(readInterfaceSettings('lo')).toEqual(before);
    expect(readInterfaceSettings('v0')).toEqual({});
  });

  it('are found under names with dots, by both ways of writing them', () => {
    ip('netns add red');
    ip('-n red link add eth0.7 type bridge');
    const netns = 'red';
    writeSysctl('net.ipv4.conf.eth0/7.proxy_arp', 1, { netns });
    expect(readSysctl('net/ipv4/conf/eth0.7/proxy_arp', { netns })).toBe('1');
    writeInterfaceSettings('eth0.7', { ipv4: { proxyArp: false } }, { netns });
    expect(readSysctl('net.ipv4.conf.eth0/7.proxy_arp', { netns })).toBe('0');
  });

  it('that are not there, not below net, or not of that value are refused', async () => {
    ip('netns add red');
    const netns = 'red';
    expect(readSysctl('net.ipv4.no_such_setting', { netns })).toBeUndefined();
    expect(await codeOf(() => writeSysctl('net.ipv4.conf.none0.forwarding', 1, { netns }))).toBe('VNIC_NO_SUCH_SYSCTL');
    expect(await codeOf(() => writeSysctl('net.ipv4.ip_forward', 'yes', { netns }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => writeSysctl('kernel.hostname', 'x', { netns }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => readSysctl('net.ipv4..x', { netns }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => readSysctl('net/../../etc/passwd', { netns }))).toBe('VNIC_INVALID_ARGUMENT');
    const wrong = { ipv4: { rpFilter: 3 as 2 } };
    expect(await codeOf(() => writeInterfaceSettings('lo', wrong, { netns }))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('without CAP_NET_ADMIN are refused as a matter of privilege', () => {
    const script = `
      import { readSysctl, writeSysctl } from '${new URL('../../dist/netns/index.js', import.meta.url).href}';
      const value = readSysctl('net.ipv4.ip_forward');
      try { writeSysctl('net.ipv4.ip_forward', 1); } catch (error) { console.log(value, error.code); }
    `;
    const run = ['--user', '--', process.execPath, '--input-type=module', '--eval', script];
    expect(execFileSync('unshare', run, { encoding: 'utf8' })).toBe('0 VNIC_NO_PRIVILEGE\n');
  });
});

async function firstOf(
  events: AsyncIterable<NetlinkEvent>,
  matches: (event: NetlinkEvent) => boolean,
): Promise<NetlinkEvent | undefined> {
  for await (const event of events) if (matches(event)) return event;
  return undefined;
}
