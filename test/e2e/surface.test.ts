/** What `create`, `set` and `show` have of the settings in `linux/if_tun.h`, read back by `ip` and by who holds the device. */

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { MacAddress } from '../../src/base/index.ts';
import { TapDevice, TunDevice, type TunTapDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { deleteTestDevices, interfaceNames, ipJson, runVnic } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

const opened: TunTapDevice[] = [];
afterEach(async () => {
  for (const device of opened.splice(0)) await device.close();
  deleteTestDevices();
});

const held = <Device extends TunTapDevice>(device: Device): Device => {
  opened.push(device);
  return device;
};

async function vnic(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runVnic(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

async function refused(...args: string[]): Promise<{ readonly status: number; readonly stderr: string }> {
  const { status, stdout, stderr } = await runVnic(args);
  expect(stdout).toBe('');
  return { status, stderr };
}

const link = (name: string): Record<string, unknown> => ipJson('-d', 'link', 'show', 'dev', name)[0] ?? {};

describe('vnic create', () => {
  it('chooses the index and the length of the virtio-net header', async () => {
    await vnic('create', 'tap0', '--tap', '--ifindex', '4711', '--vnet-header-len', '12');
    expect(link('tap0')).toMatchObject({ ifindex: 4711, linkinfo: { info_data: { vnet_hdr: true, persist: true } } });
    expect(held(await TapDevice.open({ name: 'tap0', vnetHeader: true })).vnetHeaderLen).toBe(12);
  });

  it('says who has the index, and makes nothing', async () => {
    await vnic('create', 'tap0', '--tap', '--ifindex', '4711');
    const { status, stderr } = await refused('create', 'tap1', '--tap', '--ifindex', '4711');
    expect(stderr).toContain('4711 belongs to tap0');
    expect(status).toBe(73);
    expect(interfaceNames()).not.toContain('tap1');
  });

  it.each([
    ['--ifindex', '0'],
    ['--vnet-header-len', '9'],
    ['--vnet-header-len', '33'],
  ])('refuses %s %s', async (...option) => {
    expect((await refused('create', 'tap0', '--tap', ...option)).status).toBe(2);
  });
});

describe('vnic create of what is no TUN/TAP device', () => {
  it.each([
    ['--ifindex', '7'],
    ['--vnet-header-len', '12'],
  ])('refuses %s', async (...option) => {
    const { status, stderr } = await refused('create', 'br7', '--bridge', ...option);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`${option[0]} is for TUN/TAP devices`)]);
  });
});

describe('vnic set', () => {
  it('sets what stays with a device that nobody holds', async () => {
    await vnic('create', 'tap0', '--tap', '--vnet-header');
    await vnic('set', 'tap0', '--link-type', 'none', '--vnet-header-len', '20');
    expect(link('tap0')['link_type']).toBe('none');
    await vnic('set', 'tap0', '--link-type', '1');
    expect(link('tap0')['link_type']).toBe('ether');
    expect(held(await TapDevice.open({ name: 'tap0', vnetHeader: true })).vnetHeaderLen).toBe(20);
  });

  it('filters by destination until it is told otherwise', async () => {
    const readerGets = async (): Promise<number> => {
      const device = await TapDevice.open({ name: 'tap0' });
      await vnic('set', 'tap0', '--up');
      const before = device.counters.packetsRead;
      const reading = device.read({ signal: AbortSignal.timeout(3000) }).catch(() => undefined);
      // Asks for 10.9.0.2 by ARP, to the broadcast address.
      await runVnic(['set', 'tap0', '--add-address', '10.9.0.1/24']);
      const { createSocket } = await import('node:dgram');
      const socket = createSocket('udp4');
      await new Promise<void>((resolve) => socket.send('x', 9, '10.9.0.2', () => resolve()));
      await reading;
      socket.close();
      const count = device.counters.packetsRead - before;
      await vnic('set', 'tap0', '--down', '--remove-address', '10.9.0.1/24');
      await device.close();
      return count;
    };
    await vnic('create', 'tap0', '--tap');
    await vnic('set', 'tap0', '--tx-filter', '02:00:00:00:00:01');
    expect(await readerGets()).toBe(0);
    await vnic('set', 'tap0', '--tx-filter', 'off');
    expect(await readerGets()).toBeGreaterThan(0);
  });

  it('plugs a held device out and in', async () => {
    held(await TapDevice.open({ name: 'tap0' }));
    await vnic('set', 'tap0', '--up');
    await vnic('set', 'tap0', '--carrier', 'off');
    expect(link('tap0')['flags']).toContain('NO-CARRIER');
    await vnic('set', 'tap0', '--carrier', 'on');
    expect(link('tap0')['flags']).toContain('LOWER_UP');
  });

  it('shows nobody a carrier that comes and goes', async () => {
    await vnic('create', 'tap0', '--tap', '--up');
    const changes = (): unknown => ipJson('-d', 'link', 'show', 'dev', 'tap0')[0]?.['carrier_changes'];
    const before = changes();
    await vnic('set', 'tap0', '--owner', '0');
    expect(changes()).toBe(before);
    expect(link('tap0')['flags']).toContain('NO-CARRIER');
  });

  it('refuses what would end with the command', async () => {
    await vnic('create', 'tap0', '--tap', '--up');
    const { status, stderr } = await refused('set', 'tap0', '--carrier', 'on');
    expect([status, stderr]).toEqual([2, expect.stringContaining('nobody holds tap0')]);
  });

  it.each([
    ['a link type while it is up', ['--link-type', 'none'], 75, /is up/],
    ['a link type that does not exist', ['--link-type', 'nonsense'], 2, /a link type by name/],
    ['a header length without a header', ['--vnet-header-len', '12'], 2, /no virtio-net header/],
    ['an empty filter', ['--tx-filter', 'allmulti'], 2, /MAC addresses/],
    ['a filter that is no address', ['--tx-filter', '10.0.0.1'], 2, /MAC address/],
  ])('refuses %s', async (_, options, exit, reason) => {
    await vnic('create', 'tap0', '--tap', '--up');
    const { status, stderr } = await refused('set', 'tap0', ...options);
    expect([status, stderr]).toEqual([exit, expect.stringMatching(reason)]);
  });

  it('refuses a destination filter on a TUN device', async () => {
    await vnic('create', 'tun0', '--tun');
    const { status, stderr } = await refused('set', 'tun0', '--tx-filter', 'off');
    expect([status, stderr]).toEqual([2, expect.stringContaining('TUN device')]);
  });
});

describe('vnic show', () => {
  interface Shown {
    readonly linkType: string;
    readonly carrier: boolean;
    readonly held: Record<string, unknown> | null;
  }
  const shown = async (name: string): Promise<Shown> => JSON.parse(await vnic('show', name, '--json')) as Shown;

  it('tells what the holder has set, and leaves the device to it', async () => {
    const device = held(await TapDevice.open({ name: 'tap0', vnetHeaderLen: 12, napi: true }));
    device.setSendBuffer(5000);
    device.setVnetByteOrder('little');
    device.setTxFilter({ addresses: [MacAddress.parse('02:00:00:00:00:01')] });
    const before = link('tap0');
    expect(await shown('tap0')).toMatchObject({
      linkType: 'ether',
      held: { sendBuffer: 5000, vnetHeader: { len: 12, byteOrder: 'little' }, napi: true, napiFrags: false },
    });
    const text = await vnic('show', 'tap0');
    expect(text).toMatch(/send buffer\s+5000 bytes/);
    expect(text).toMatch(/vnet header\s+12 bytes, little endian/);
    expect(text).toMatch(/napi\s+yes/);
    expect(link('tap0')).toEqual(before);
    expect(device.flags.detached).toBe(false);
  });

  it('tells it of a single-queue and of a multi-queue device alike', async () => {
    for (const multiQueue of [false, true]) {
      held(await TunDevice.open({ name: `tun${Number(multiQueue)}`, multiQueue }));
      expect((await shown(`tun${Number(multiQueue)}`)).held).toEqual({
        sendBuffer: null,
        vnetHeader: null,
        napi: false,
        napiFrags: false,
      });
    }
    const [info] = ipJson('-d', 'link', 'show', 'dev', 'tun1') as { linkinfo: { info_data: object } }[];
    expect(info?.linkinfo.info_data).toMatchObject({ numqueues: 1, numdisabled: 0 });
  });

  it('has nothing of it for a device that nobody holds', async () => {
    await vnic('create', 'tap0', '--tap', '--up');
    expect(await shown('tap0')).toMatchObject({ carrier: false, held: null });
    expect(await vnic('show', 'tap0')).not.toContain('send buffer');
  });
});
