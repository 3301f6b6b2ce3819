/** Devices, interfaces and their holders in another network namespace, from one process, with `ip -n` as the witness. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import type { PacketLink } from '../../src/link/index.ts';
import { nativeCore } from '../../src/native/index.ts';
import { deleteDevices, describeInterface, describeInterfaces, openDevice } from '../../src/netdev/index.ts';
import { openNetlink } from '../../src/netlink/index.ts';
import { openNetworkNamespace } from '../../src/netns/index.ts';
import { openInterface } from '../../src/transport/index.ts';
import { TapDevice, TunDevice } from '../../src/tun/index.ts';
import { codeOf, ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

beforeEach(() => {
  ip('netns add red');
});

afterEach(() => {
  for (const { name } of ipJson<{ name: string }>('netns list')) ip(`netns delete ${name}`);
  for (const name of ipNames()) if (name !== 'lo') ip(`link delete ${name}`);
});

const namesIn = (netns: string): string[] => ipJson<{ ifname: string }>(`-n ${netns} link`).map(({ ifname }) => ifname);
const inRed = (...argv: string[]): string =>
  execFileSync('ip', ['netns', 'exec', 'red', ...argv], { encoding: 'utf8' });

/** The first packet that `matches` accepts. */
async function firstPacket(link: PacketLink, matches: (packet: Uint8Array) => boolean): Promise<Uint8Array> {
  for await (const batch of link) for (const packet of batch) if (matches(packet)) return packet.slice();
  throw new Error('the link ended');
}

describe('a device in another namespace', () => {
  it('is made there with addresses and routes, and carries packets of that namespace', async () => {
    await using device = await openDevice({
      kind: 'tun',
      name: 'tun%d',
      netns: 'red',
      mtu: 1400,
      addresses: ['10.0.0.1/24', 'fd00::1/64'],
      up: true,
      routes: ['10.1.0.0/16,via=10.0.0.2'],
    });
    expect([device.name, ipNames(), namesIn('red')]).toEqual(['tun0', ['lo'], ['lo', 'tun0']]);
    expect(ipJson('-n red link show tun0')).toMatchObject([{ mtu: 1400 }]);
    expect(ipJson('-n red route show 10.1.0.0/16')).toMatchObject([{ gateway: '10.0.0.2', dev: 'tun0' }]);
    const ping = spawn('ip', 'netns exec red ping -c 1 -W 10 10.1.2.3'.split(' '), { stdio: 'pipe' });
    const request = await firstPacket(device, (packet) => packet[0] === 0x45 && packet[9] === 1);
    // The reply: addresses swapped, type 0, checksum mended by 8 << 8.
    const reply = request.slice();
    reply.set(request.subarray(12, 16), 16);
    reply.set(request.subarray(16, 20), 12);
    reply[20] = 0;
    const view = new DataView(reply.buffer);
    const sum = view.getUint16(22) + 0x0800;
    view.setUint16(22, (sum & 0xffff) + (sum >> 16));
    expect(device.write(reply)).toBe(1);
    expect((await once(ping, 'exit'))[0]).toBe(0);
  });

  it('tells of its state and its MTU, and ends when it is deleted there', async () => {
    const tap = await TapDevice.open({ name: 'tap0', netns: 'red' });
    const events: string[] = [];
    const told = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const note = (text: string): void => {
          events.push(text);
          if (events.length === count) resolve();
        };
        tap.on('up', () => note('up'));
        tap.on('mtu', (mtu) => note(`mtu ${mtu}`));
      });
    const two = told(2);
    ip('-n red link set tap0 mtu 1300');
    ip('-n red link set tap0 up');
    await two;
    expect([events, tap.mtu, tap.flags.packetInfo]).toEqual([['mtu 1300', 'up'], 1300, false]);
    const ended = codeOf(() => firstPacket(tap, () => false));
    ip('-n red link delete tap0');
    expect(await ended).toBe('VNIC_DEVICE_GONE');
    await tap.close();
  });

  it('with packet info is told apart from one of the same name here', async () => {
    ip('-n red tuntap add t0 mode tun pi');
    ip('tuntap add t0 mode tun');
    await using there = await TunDevice.open({ name: 't0', netns: 'red', packetInfo: true, mustExist: true });
    await using here = await TunDevice.open({ name: 't0', mustExist: true });
    expect([there.flags.packetInfo, here.flags.packetInfo]).toEqual([true, false]);
    expect(await codeOf(() => TunDevice.open({ name: 't1', netns: 'red', mustExist: true }))).toBe(
      'VNIC_NO_SUCH_INTERFACE',
    );
    expect(await codeOf(() => TunDevice.open({ name: 't0', netns: 'red' }))).toBe('VNIC_DEVICE_BUSY');
    expect(await codeOf(() => TapDevice.open({ name: 'lo', netns: 'red' }))).toBe('VNIC_NOT_TUNTAP');
    expect(await codeOf(() => TunDevice.open({ name: 't0', netns: 'blue' }))).toBe('VNIC_NO_SUCH_NAMESPACE');
  });

  it('gets back the offload mask that it had there, and leaves the link here with the same index alone', async () => {
    // The same index in both namespaces.
    ip('-n red tuntap add t0 mode tap vnet_hdr');
    const [{ ifindex } = { ifindex: 0 }] = ipJson<{ ifindex: number }>('-n red link show t0');
    ip(`link add br0 index ${ifindex} type bridge`);
    const features = (prefix: string, name: string): string =>
      execFileSync('sh', ['-c', `${prefix} ethtool -k ${name}`], { encoding: 'utf8' });
    const before = [features('', 'br0'), features('ip netns exec red', 't0')];
    const tap = await TapDevice.open({ name: 't0', netns: 'red', offload: 'auto' });
    expect(features('ip netns exec red', 't0')).not.toBe(before[1]);
    await tap.close();
    expect([features('', 'br0'), features('ip netns exec red', 't0')]).toEqual(before);
  });

  it('is followed by its descriptor when it moves', async () => {
    await using tun = await TunDevice.open({ name: 't0' });
    await using netlink = await openNetlink();
    await netlink.links.set('t0', { netns: 'red', mtu: 1280, up: true });
    expect(namesIn('red')).toEqual(['lo', 't0']);
    expect(tun.flags.kind).toBe('tun');
    const changed = new Promise<number>((resolve) => {
      tun.on('mtu', resolve);
    });
    ip('-n red link set t0 mtu 1290');
    expect(await changed).toBe(1290);
    await tun.close();
    expect(namesIn('red')).toEqual(['lo']);
  });

  it('is held by this process, as both namespaces tell', async () => {
    ip('tuntap add t0 mode tun');
    await using there = await TunDevice.open({ name: 't0', netns: 'red' });
    const held = await describeInterface('t0', { netns: 'red' });
    expect(held.holders).toMatchObject([{ pid: process.pid, fds: [there.fd] }]);
    expect((await describeInterface('t0')).holders).toEqual([]);
    expect((await describeInterfaces({ netns: 'red' })).map(({ link }) => link.name)).toEqual(['t0']);
    expect(await codeOf(() => deleteDevices(['t0'], { netns: 'red' }))).toBe('VNIC_DEVICE_BUSY');
    await deleteDevices(['t0']);
    expect([ipNames(), namesIn('red')]).toEqual([['lo'], ['lo', 't0']]);
  });

  it('of another process is told with that process, whose own namespace it is not', async () => {
    const script = `
      import { TunDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
      await TunDevice.open({ name: 't7', netns: 'red' });
      console.log('open');
      process.stdin.resume();
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect((await describeInterface('t7', { netns: 'red' })).holders).toMatchObject([{ pid: child.pid }]);
  });

  it('handed over as a descriptor is adopted with the state that it has there', async () => {
    const opened = await TunDevice.open({ name: 't0', netns: 'red' });
    ip('-n red link set t0 mtu 1290');
    const duplicate = nativeCore().copyFrom(process.pid, opened.fd);
    nativeCore().disown(duplicate);
    await using adopted = await TunDevice.adopt(duplicate);
    expect([adopted.name, adopted.mtu]).toEqual(['t0', 1290]);
    await opened.close();
    expect(namesIn('red')).toEqual(['lo', 't0']);
  });
});

describe('deleting', () => {
  it('takes bridges and veth pairs as well, but no port from under a bridge and no other kind', async () => {
    ip('link add br0 type bridge');
    ip('link add p0 type veth peer name p1');
    ip('link set p0 master br0');
    ip('link add v0 type veth peer name v1 netns red');
    expect(await codeOf(() => deleteDevices(['br0']))).toBe('VNIC_DEVICE_BUSY');
    expect(await codeOf(() => deleteDevices(['p0', 'lo']))).toBe('VNIC_NOT_TUNTAP');
    expect(ipNames().toSorted()).toEqual(['br0', 'lo', 'p0', 'p1', 'v0']);
    await deleteDevices(['br0', 'p0', 'p1'], { force: true });
    expect(ipNames()).toEqual(['lo', 'v0']);
    await deleteDevices(['v1'], { netns: 'red' });
    expect(ipNames()).toEqual(['lo']);
  });
});

describe('an interface in another namespace', () => {
  it('is listened on and followed from here', async () => {
    ip('-n red link set lo up');
    await using netns = openNetworkNamespace('red');
    await using link = await openInterface({ name: 'lo', netns });
    const packet = firstPacket(link, (frame) => frame[12] === 8 && frame[13] === 0);
    inRed('ping', '-c', '1', '-W', '5', '127.0.0.1');
    expect((await packet).subarray(26, 30)).toEqual(Uint8Array.of(127, 0, 0, 1));
    const down = new Promise<void>((resolve) => {
      link.on('down', resolve);
    });
    ip('-n red link set lo down');
    await down;
    expect(await codeOf(() => openInterface({ name: 'eth9', netns: 'red' }))).toBe('VNIC_NO_SUCH_INTERFACE');
  });
});
