/**
 * Bridges, veth pairs, forwarding tables and alternative names by src/netlink, with `ip` and `bridge` as witnesses.
 *
 *   private network namespace        red (ip netns)
 *   ┌───────────────────────────┐   ┌──────────────┐
 *   │ br0 ── p0 ═══ p1          │   │              │
 *   │     └─ v0 ════════════════╪═══╪═ v1          │
 *   └───────────────────────────┘   └──────────────┘
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';

import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { MacAddress } from '../../src/base/index.ts';
import { type BridgePortSettings, type Netlink, openNetlink } from '../../src/netlink/index.ts';
import { openNetworkNamespace, writeInterfaceSettings } from '../../src/netns/index.ts';
import { codeOf, ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

const mac = (text: string): MacAddress => MacAddress.parse(text);
const bridgeJson = (command: string): Record<string, unknown>[] =>
  JSON.parse(execFileSync('bridge', ['-d', '-j', ...command.split(' ')], { encoding: 'utf8' }) || '[]') as [];
const infoData = (name: string): Record<string, unknown> =>
  ipJson<{ linkinfo: { info_data: Record<string, unknown> } }>(`-d link show ${name}`)[0]?.linkinfo.info_data ?? {};
const portData = (name: string): Record<string, unknown> =>
  ipJson<{ linkinfo: { info_slave_data?: Record<string, unknown> } }>(`-d link show ${name}`)[0]?.linkinfo
    .info_slave_data ?? {};

let netlink: Netlink;

/** Whether this kernel has CONFIG_BRIDGE_VLAN_FILTERING, by the word of `ip`. */
function vlanFiltering(): boolean {
  const made = spawnSync('ip', 'link add probe0 type bridge vlan_filtering 1'.split(' ')).status === 0;
  if (made) ip('link delete probe0');
  return made;
}

beforeAll(() => requirePrivateNetns());

beforeEach(async () => {
  netlink = await openNetlink();
});

afterEach(async () => {
  await netlink.close();
  for (const { name } of ipJson<{ name: string }>('netns list')) ip(`netns delete ${name}`);
  // A veth goes with its peer, so some are gone already.
  for (const name of ipNames()) if (name !== 'lo') spawnSync('ip', ['link', 'delete', name]);
});

describe('a bridge', () => {
  it('is made with its settings as `ip -d link` sees them', async () => {
    await netlink.links.create({
      kind: 'bridge',
      name: 'br0',
      mtu: 1400,
      mac: mac('02:00:00:00:00:01'),
      up: true,
      bridge: {
        stp: true,
        ageingTimeSec: 60.5,
        forwardDelaySec: 4,
        helloTimeSec: 1,
        maxAgeSec: 8,
        priority: 4096,
        multicastSnooping: false,
        groupForwardMask: 8,
      },
    });
    expect(ipJson('link show br0')).toMatchObject([{ mtu: 1400, address: '02:00:00:00:00:01' }]);
    expect(infoData('br0')).toMatchObject({
      stp_state: 1,
      ageing_time: 6050,
      forward_delay: 400,
      hello_time: 100,
      max_age: 800,
      priority: 4096,
      mcast_snooping: 0,
      group_fwd_mask: '0x8',
      bridge_id: '1000.2:0:0:0:0:1',
    });
    ip('link add p0 mtu 1500 type veth peer name p1');
    ip('link set p0 master br0');
    expect(ipJson('link show br0')).toMatchObject([{ mtu: 1400 }]);
    await netlink.links.delete('br0');
    await netlink.links.delete('p0');
    expect(ipNames()).toEqual(['lo']);
  });

  it('that `ip` made is read in every setting, and changed one at a time', async () => {
    ip('link add br0 address 02:00:00:00:00:09 type bridge');
    const made = (await netlink.links.get('br0')).bridge;
    expect(made).toEqual({
      stp: false,
      ageingTimeSec: 300,
      forwardDelaySec: 15,
      helloTimeSec: 2,
      maxAgeSec: 20,
      priority: 32768,
      vlanFiltering: false,
      vlanDefaultPvid: vlanFiltering() ? 1 : 0,
      multicastSnooping: true,
      groupForwardMask: 0,
      bridgeId: '8000.02:00:00:00:00:09',
      rootId: '8000.02:00:00:00:00:09',
      rootPort: 0,
      rootPathCost: 0,
    });
    await netlink.links.set('br0', { bridge: { ageingTimeSec: 10 }, mtu: 1300 });
    ip('link set br0 type bridge max_age 900');
    const { bridge, mtu } = await netlink.links.get('br0');
    expect([bridge, mtu]).toEqual([{ ...made, ageingTimeSec: 10, maxAgeSec: 9 }, 1300]);
  });

  it('gets and loses ports, whose settings `bridge link` and `ip -d link` see', async () => {
    ip('link add br0 type bridge');
    ip('link add p0 type veth peer name p1');
    ip('link set p0 up');
    const { index: master } = await netlink.links.get('br0');
    const settings: Required<Omit<BridgePortSettings, 'state'>> = {
      priority: 9,
      cost: 77,
      hairpin: true,
      guard: true,
      rootBlock: true,
      fastLeave: true,
      learning: false,
      flood: false,
      multicastFlood: false,
      broadcastFlood: false,
      neighbourSuppress: true,
      isolated: true,
      locked: true,
    };
    await netlink.links.set('p0', { master, bridgePort: settings });
    expect(portData('p0')).toMatchObject({
      priority: 9,
      cost: 77,
      hairpin: true,
      guard: true,
      root_block: true,
      fastleave: true,
      learning: false,
      flood: false,
      mcast_flood: false,
      bcast_flood: false,
      neigh_suppress: true,
      isolated: true,
      locked: true,
    });
    expect(bridgeJson('link show dev p0')).toMatchObject([
      { master: 'br0', cost: 77, isolated: true, learning: false },
    ]);
    expect((await netlink.links.get('p0')).bridgePort).toEqual({ ...settings, state: 'disabled', number: 1 });
    execFileSync('bridge', 'link set dev p0 isolated off learning on cost 5'.split(' '));
    expect((await netlink.links.get('p0')).bridgePort).toMatchObject({ isolated: false, learning: true, cost: 5 });
    await netlink.links.set('p0', { master: 0 });
    expect([bridgeJson('link'), (await netlink.links.get('p0')).bridgePort]).toEqual([[], undefined]);
  });

  it('takes the state of a port that is up', async () => {
    ip('link add br0 up type bridge');
    ip('link add p0 type veth peer name p1');
    ip('link set p0 up');
    ip('link set p1 up');
    ip('link set p0 master br0');
    // The kernel enables the port once it has seen the carrier.
    await until(() => ipJson<{ operstate: string }>('link show p0')[0]?.operstate === 'UP');
    for (const state of ['disabled', 'forwarding'] as const) {
      await netlink.links.set('p0', { bridgePort: { state } });
      expect(bridgeJson('link show dev p0')).toMatchObject([{ state }]);
      expect((await netlink.links.get('p0')).bridgePort?.state).toBe(state);
    }
  });

  it.each([
    [
      'an MTU out of range',
      () => netlink.links.create({ kind: 'bridge', name: 'br1', mtu: 67 }),
      'VNIC_INVALID_ARGUMENT',
    ],
    ['a taken name', () => netlink.links.create({ kind: 'bridge', name: 'lo' }), 'VNIC_DEVICE_EXISTS'],
    ['a name that is none', () => netlink.links.create({ kind: 'bridge', name: 'a/b' }), 'VNIC_INVALID_NAME'],
    [
      'a delay that IEEE 802.1D forbids',
      async () => {
        await netlink.links.set('br0', { bridge: { stp: true } });
        await netlink.links.set('br0', { bridge: { forwardDelaySec: 31 } });
      },
      'VNIC_INVALID_ARGUMENT',
    ],
    ['a negative age', () => netlink.links.set('br0', { bridge: { ageingTimeSec: -1 } }), 'VNIC_INVALID_ARGUMENT'],
    ['port settings of no port', () => netlink.links.set('p0', { bridgePort: { cost: 1 } }), 'VNIC_UNSUPPORTED'],
    ['a cost out of range', () => netlink.links.set('p0', { bridgePort: { cost: 0 } }), 'VNIC_INVALID_ARGUMENT'],
    ['bridge settings of no bridge', () => netlink.links.set('p0', { bridge: { stp: true } }), 'VNIC_UNSUPPORTED'],
    [
      'another namespace',
      () => {
        ip('netns add red');
        return netlink.links.set('br0', { netns: 'red' });
      },
      'VNIC_INVALID_ARGUMENT',
    ],
    ['itself as port', async () => netlink.links.set('br0', { master: await indexOf('br0') }), 'VNIC_INVALID_ARGUMENT'],
  ])('with %s is refused and leaves nothing', async (_what, run, code) => {
    ip('link add br0 type bridge');
    ip('link add p0 type veth peer name p1');
    expect(await codeOf(run)).toBe(code);
    expect(ipNames().toSorted()).toEqual(['br0', 'lo', 'p0', 'p1']);
  });
});

describe('VLAN filtering', () => {
  it('is set, with the VLAN of entries, or refused, as this kernel does it for `ip`', async () => {
    const settings = { vlanFiltering: true, vlanDefaultPvid: 7 };
    const code = await codeOf(() => netlink.links.create({ kind: 'bridge', name: 'br0', bridge: settings }));
    if (!vlanFiltering()) {
      expect([code, ipNames()]).toEqual(['VNIC_UNSUPPORTED', ['lo']]);
      return;
    }
    expect(infoData('br0')).toMatchObject({ vlan_filtering: 1, vlan_default_pvid: 7 });
    expect((await netlink.links.get('br0')).bridge).toMatchObject(settings);
    await netlink.fdb.add('br0', { mac: mac('02:00:00:00:00:cc'), vlan: 7, self: true, type: 'local' });
    expect(await netlink.fdb.list({ bridge: 'br0' })).toContainEqual(
      expect.objectContaining({ mac: mac('02:00:00:00:00:cc'), vlan: 7 }),
    );
  });
});

describe('a veth pair', () => {
  it('is made with the settings of both ends', async () => {
    await netlink.links.create({
      kind: 'veth',
      name: 'p0',
      mtu: 1400,
      up: true,
      peer: { name: 'p1', mac: mac('02:00:00:00:00:11'), mtu: 1300, up: true, txQueueLen: 50 },
    });
    expect(ipJson('link show p0')).toMatchObject([{ link: 'p1', mtu: 1400, operstate: 'UP' }]);
    expect(ipJson('link show p1')).toMatchObject([{ mtu: 1300, address: '02:00:00:00:00:11', txqlen: 50 }]);
    await netlink.links.delete('p1');
    expect(ipNames()).toEqual(['lo']);
  });

  it('reaches into another namespace, by name or handle, from either side', async () => {
    ip('netns add red');
    await netlink.links.create({ kind: 'veth', name: 'v0', peer: { name: 'v1', netns: 'red', up: true } });
    expect(ipNames()).toEqual(['lo', 'v0']);
    expect(ipJson('-n red link show v1')).toMatchObject([{ flags: expect.arrayContaining(['UP']) }]);
    await using red = openNetworkNamespace('red');
    await netlink.links.create({ kind: 'veth', name: 'w1', netns: red, peer: { name: 'w0' } });
    expect(ipNames().toSorted()).toEqual(['lo', 'v0', 'w0']);
    expect(ipJson<{ ifname: string }>('-n red link').map(({ ifname }) => ifname)).toEqual(['lo', 'v1', 'w1']);
    const id = await netlink.namespaceIds.get('red');
    expect(id).toBe(
      Number(/link-netnsid (\d+)/.exec(ip('link show v0'))?.[1] ?? ipJson<{ id: number }>('netns list')[0]?.id),
    );
    expect((await netlink.links.get('v0')).netnsId).toBe(id);
    expect(await netlink.namespaceIds.list()).toEqual([id]);
  });

  it('leaves nothing when an end cannot be made', async () => {
    ip('netns add red');
    const peer = { name: 'lo', netns: 'red' };
    expect(await codeOf(() => netlink.links.create({ kind: 'veth', name: 'v0', peer }))).toBe('VNIC_DEVICE_EXISTS');
    const nowhere = { name: 'v1', netns: 'blue' };
    expect(await codeOf(() => netlink.links.create({ kind: 'veth', name: 'v0', peer: nowhere }))).toBe(
      'VNIC_NO_SUCH_NAMESPACE',
    );
    expect(ipNames()).toEqual(['lo']);
  });
});

describe('a link', () => {
  it('moves to another namespace and back, renamed and brought up there in one request', async () => {
    ip('netns add red');
    ip('link add p0 type veth peer name p1');
    await netlink.links.set('p0', { netns: 'red', name: 'eth0', mtu: 1400, up: true });
    expect(ipNames()).toEqual(['lo', 'p1']);
    expect(ipJson('-n red link show eth0')).toMatchObject([{ mtu: 1400, flags: expect.arrayContaining(['UP']) }]);
    await using inside = await openNetlink({ netns: 'red' });
    await inside.links.set('eth0', { netns: process.pid });
    expect(ipNames().toSorted()).toEqual(['eth0', 'lo', 'p1']);
    expect(await codeOf(() => netlink.links.set('eth0', { netns: 'blue' }))).toBe('VNIC_NO_SUCH_NAMESPACE');
    expect(await codeOf(() => netlink.links.set('lo', { netns: 'red' }))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('keeps the name that is taken in the other namespace', async () => {
    ip('netns add red');
    ip('link add p0 type veth peer name p1');
    ip('-n red link add p0 type bridge');
    expect(await codeOf(() => netlink.links.set('p0', { netns: 'red' }))).toBe('VNIC_DEVICE_EXISTS');
    expect(ipNames().toSorted()).toEqual(['lo', 'p0', 'p1']);
  });

  it('gets and loses alternative names as `ip` sees', async () => {
    ip('link add br0 type bridge');
    const long = 'uplink-'.repeat(18);
    await netlink.links.addAltNames('br0', ['short', long]);
    expect(ipJson('link show br0')).toMatchObject([{ altnames: ['short', long] }]);
    ip('link property add dev br0 altname third');
    expect((await netlink.links.get('short')).altNames).toEqual(['short', long, 'third']);
    await netlink.links.removeAltNames('third', ['short', 'third']);
    expect(ipJson('link show br0')).toMatchObject([{ altnames: [long] }]);
    expect(await codeOf(() => netlink.links.addAltNames('br0', ['lo']))).toBe('VNIC_DEVICE_EXISTS');
    expect(await codeOf(() => netlink.links.addAltNames('br0', ['a'.repeat(128)]))).toBe('VNIC_NAME_TOO_LONG');
    expect(await codeOf(() => netlink.links.addAltNames('br0', ['a b']))).toBe('VNIC_INVALID_NAME');
    expect(await codeOf(() => netlink.links.removeAltNames('br0', ['none']))).toBe('VNIC_NO_SUCH_INTERFACE');
    expect(await codeOf(() => netlink.links.addAltNames('none0', ['x']))).toBe('VNIC_NO_SUCH_INTERFACE');
  });
});

describe('the forwarding table', () => {
  beforeEach(async () => {
    // IPv6 joins groups when it likes, and each is an entry.
    writeInterfaceSettings('default', { ipv6: { disableIpv6: true } });
    onTestFinished(() => writeInterfaceSettings('default', { ipv6: { disableIpv6: false } }));
    ip('link add br0 up type bridge');
    ip('link add p0 address 02:00:00:00:00:01 type veth peer name p1');
    ip('link set p0 up');
    ip('link set p1 up');
    ip('link add q0 type veth peer name q1');
    ip('link set p0 master br0');
    ip('link set q0 master br0');
    for (const name of ['q0', 'q1']) ip(`link set ${name} up`);
    await until(() => bridgeJson('link').every(({ state }) => state === 'forwarding'));
  });

  it('agrees with `bridge -j fdb` entry by entry', async () => {
    execFileSync('bridge', 'fdb add 02:00:00:00:00:aa dev p0 master static'.split(' '));
    execFileSync('bridge', 'fdb add 02:00:00:00:00:bb dev q0 master dynamic'.split(' '));
    const names = new Map((await netlink.links.list()).map(({ index, name }) => [index, name]));
    const witnessed = bridgeJson('fdb show').filter((entry) => entry['mac'] !== undefined);
    const states = { local: 'permanent', static: 'static', stale: 'stale', dynamic: '' } as const;
    const own = (await netlink.fdb.list()).map(({ mac: address, linkIndex, master, vlan, type, flags }) => ({
      mac: address.toString(),
      ifname: names.get(linkIndex),
      ...(vlan !== undefined && { vlan }),
      flags: flags.filter((flag) => flag === 'self'),
      ...(master !== undefined && { master: names.get(master) }),
      state: states[type],
    }));
    expect(own).toEqual(witnessed);
    expect(own.length).toBeGreaterThan(5);
    const ofBridge = await netlink.fdb.list({ bridge: 'br0' });
    expect(ofBridge.length).toBe(bridgeJson('fdb show br br0').length);
    expect((await netlink.fdb.list({ link: 'p0', bridge: 'br0' })).map(({ mac: address }) => `${address}`)).toContain(
      '02:00:00:00:00:aa',
    );
  });

  it('is changed as `bridge fdb` then sees', async () => {
    const entry = (): Record<string, unknown>[] =>
      bridgeJson('fdb show br br0').filter((each) => each['mac'] === '02:00:00:00:00:cc');
    const key = { mac: mac('02:00:00:00:00:cc') };
    await netlink.fdb.add('p0', key);
    expect(entry()).toMatchObject([{ ifname: 'p0', state: 'static', master: 'br0' }]);
    expect(await codeOf(() => netlink.fdb.add('p0', key))).toBe('VNIC_NEIGHBOUR_EXISTS');
    await netlink.fdb.replace('q0', { ...key, type: 'dynamic' });
    expect(entry()).toMatchObject([{ ifname: 'q0', state: '' }]);
    await netlink.fdb.replace('q0', { ...key, type: 'local' });
    expect(entry()).toMatchObject([{ ifname: 'q0', state: 'permanent' }]);
    await netlink.fdb.remove('q0', key);
    expect(entry()).toEqual([]);
    await netlink.fdb.add('br0', { ...key, self: true, type: 'local' });
    expect(entry()).toMatchObject([{ ifname: 'br0', state: 'permanent', master: 'br0' }]);
  });

  it('refuses what is not there or makes no sense', async () => {
    const key = { mac: mac('02:00:00:00:00:cc') };
    expect(await codeOf(() => netlink.fdb.remove('p0', key))).toBe('VNIC_NO_SUCH_NEIGHBOUR');
    expect(await codeOf(() => netlink.fdb.add('p1', key))).toBe('VNIC_UNSUPPORTED');
    expect(await codeOf(() => netlink.fdb.add('none0', key))).toBe('VNIC_NO_SUCH_INTERFACE');
    expect(await codeOf(() => netlink.fdb.add('p0', { ...key, vlan: 4095 }))).toBe('VNIC_INVALID_ARGUMENT');
    const wrong = { ...key, type: 'none' as 'static' };
    expect(await codeOf(() => netlink.fdb.add('p0', wrong))).toBe('VNIC_INVALID_ARGUMENT');
  });
});

async function indexOf(name: string): Promise<number> {
  return (await netlink.links.get(name)).index;
}

/** Waits for what the kernel does later on its own; the test's time limit bounds it. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}
