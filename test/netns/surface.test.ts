/**
 * The settings of `linux/if_tun.h`, one by one, against the real kernel: each with its effect as somebody else sees it, and with
 * each of its refusals.
 *
 *   this process <- fd -> tunX / tapX <- kernel of a private namespace -> ip, ethtool, bridge
 */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { isVnicError, MacAddress, type VnicError } from '../../src/base/index.ts';
import { nativeCore } from '../../src/native/index.ts';
import { getLinkSync } from '../../src/netlink/index.ts';
import { loadSteeringProgram } from '../../src/queues/index.ts';
import {
  type DeviceOptions,
  TapDevice,
  type TapDeviceOptions,
  TunDevice,
  type TunTapDevice,
} from '../../src/tun/index.ts';
import { ip, ipJson, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => {
  requirePrivateNetns();
  // Nothing but what a test sends.
  spawnSync('sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=1']);
});
afterAll(() => {
  spawnSync('sysctl', ['-qw', 'net.ipv6.conf.default.disable_ipv6=0']);
});

const opened: TunTapDevice[] = [];

const openTun = async (options: DeviceOptions = {}): Promise<TunDevice> => {
  const device = await TunDevice.open({ name: 's0', ...options });
  opened.push(device);
  return device;
};

const openTap = async (options: TapDeviceOptions = {}): Promise<TapDevice> => {
  const device = await TapDevice.open({ name: 's0', ...options });
  opened.push(device);
  return device;
};

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close();
  for (const name of ipNames().filter((name) => name !== 'lo')) ip(`link delete ${name}`);
});

const errorOf = async (run: () => unknown): Promise<VnicError> => {
  try {
    await run();
  } catch (error) {
    if (isVnicError(error)) return error;
    throw error;
  }
  throw new RangeError('expected an error, got none');
};

interface ShownLink {
  readonly flags: string[];
  readonly operstate: string;
  readonly link_type: string;
  readonly address?: string;
  readonly ifindex: number;
  readonly stats64: { readonly tx: { readonly dropped: number } };
}

const shown = (name = 's0'): ShownLink => ipJson<ShownLink>(`-d -s link show dev ${name}`)[0] as ShownLink;
const mac = (text: string): MacAddress => MacAddress.parse(text);

const AF_PACKET = 17;
const SOCK_RAW = 3;

/** Sends frames out of the interface, each given as its destination and, after a slash, the length of its payload. */
const send = (...frames: string[]): void => {
  const core = nativeCore();
  const fd = core.socket(AF_PACKET, SOCK_RAW, 0);
  const address = new Uint8Array(20);
  new DataView(address.buffer).setUint16(0, AF_PACKET, true);
  new DataView(address.buffer).setInt32(4, shown().ifindex, true);
  try {
    expect(core.bind(fd, address)).toBe(0);
    for (const text of frames) {
      const [destination = '', length = '46'] = text.split('/');
      const frame = new Uint8Array(14 + Number(length));
      frame.set(mac(destination).bytes);
      frame.set([2, 0, 0, 0, 0xff, 0xff, 0x88, 0xb5], 6);
      expect(core.send(fd, frame, 0)).toBeGreaterThan(-200);
    }
  } finally {
    core.close(fd);
  }
};

/** What the device's reader is given of what was sent: destination and length of each frame. */
const received = async (device: TunTapDevice): Promise<string[]> => {
  const batch = await device.read({ signal: AbortSignal.timeout(5000) });
  return [...(batch ?? [])].map((frame) => `${MacAddress.fromBytes(frame.subarray(0, 6))}/${frame.length}`);
};

/** Instructions of classic BPF, as `tcpdump -ddd` writes them: code, jump true, jump false, k. */
const classic = (...instructions: (readonly [number, number, number, number])[]): Uint8Array => {
  const view = new DataView(new ArrayBuffer(instructions.length * 8));
  for (const [i, [code, jt, jf, k]] of instructions.entries()) {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, jt);
    view.setUint8(i * 8 + 3, jf);
    view.setUint32(i * 8 + 4, k, true);
  }
  return new Uint8Array(view.buffer);
};

/** Keeps `length` bytes of frames whose destination ends in 2, nothing of others. */
const onlyTwo = (length = 0x4_0000): Uint8Array =>
  classic([0x30, 0, 0, 5], [0x15, 0, 1, 2], [0x06, 0, 0, length], [0x06, 0, 0, 0]);

/** eBPF: `r0 = value; exit`. */
const always = (value: number): Uint8Array => {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint8(0, 0xb7);
  view.setInt32(4, value, true);
  view.setUint8(8, 0x95);
  return new Uint8Array(view.buffer);
};

const A = '02:00:00:00:00:01';
const B = '02:00:00:00:00:02';
const MULTICAST = '01:00:5e:00:00:01';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

describe('TUNSETIFINDEX', () => {
  it('gives the device the index that was asked for', async () => {
    const device = await openTun({ ifindex: 4711 });
    expect([device.ifindex, shown().ifindex]).toEqual([4711, 4711]);
  });

  it('says who has an index that is taken', async () => {
    await openTun({ ifindex: 4711 });
    const error = await errorOf(() => TunDevice.open({ name: 's1', ifindex: 4711 }));
    expect([error.code, error.reason]).toEqual(['VNIC_DEVICE_EXISTS', 'the index 4711 belongs to s0']);
    expect(ipNames()).not.toContain('s1');
  });

  it('does not pass over the index of a device that exists', async () => {
    const { ifindex } = await openTun({ persist: true });
    await opened.pop()?.close();
    const error = await errorOf(() => TunDevice.open({ name: 's0', ifindex: ifindex + 1 }));
    expect([error.code, error.reason]).toEqual([
      'VNIC_DEVICE_EXISTS',
      `s0 exists already, with the index ${ifindex} instead of ${ifindex + 1}`,
    ]);
    expect((await openTun({ ifindex })).ifindex).toBe(ifindex);
  });

  it.each([0, -1, 1.5, 0x8000_0000, Number.NaN])('refuses the index %d', async (ifindex) => {
    expect((await errorOf(() => TunDevice.open({ ifindex }))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('IFF_NAPI, IFF_NAPI_FRAGS, IFF_NO_CARRIER', () => {
  const flagsOfSysfs = (): number => Number(readFileSync('/sys/class/net/s0/tun_flags', 'utf8'));

  it('has what is written received by NAPI', async () => {
    const device = await openTap({ napi: true });
    expect([device.flags.napi, device.flags.napiFrags]).toEqual([true, false]);
    expect(flagsOfSysfs() & 0x30).toBe(0x10);
  });

  it('forgets NAPI with the descriptor', async () => {
    await openTap({ napi: true, persist: true });
    await opened.pop()?.close();
    expect((await openTap()).flags.napi).toBe(false);
  });

  it('takes fragments on a TAP device with NAPI, where the capability is in the first user namespace', async () => {
    const inFirst = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2] === '4294967295';
    if (inFirst) {
      expect((await openTap({ napi: true, napiFrags: true })).flags.napiFrags).toBe(true);
      return;
    }
    const error = await errorOf(() => TapDevice.open({ name: 's0', napi: true, napiFrags: true }));
    expect([error.code, error.errno]).toEqual(['VNIC_NO_PRIVILEGE', 'EPERM']);
    expect(error.reason).toContain('first user namespace');
  });

  it('refuses fragments without NAPI', async () => {
    expect((await errorOf(() => TapDevice.open({ napiFrags: true }))).code).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('opens a device that is not plugged in', async () => {
    const device = await openTap({ carrier: false });
    ip('link set s0 up');
    expect(shown().flags).toContain('NO-CARRIER');
    device.setCarrier(true);
    expect(shown().flags).toContain('LOWER_UP');
  });
});

describe('TUNSETCARRIER', () => {
  it('plugs the device out and in, as a bridge sees it', async () => {
    ip('link add br0 type bridge');
    ip('link set br0 up');
    const device = await openTap();
    ip('link set s0 master br0');
    ip('link set s0 up');
    expect(shown('br0').operstate).toBe('UP');
    device.setCarrier(false);
    expect([shown().operstate, shown('br0').operstate]).toEqual(['DOWN', 'DOWN']);
    device.setCarrier(true);
    expect([shown().operstate, shown('br0').operstate]).toEqual(['UP', 'UP']);
  });

  it('tells the listeners of the device', async () => {
    const device = await openTun();
    ip('link set s0 up');
    const states: string[] = [];
    const down = new Promise<void>((resolve) => {
      device.on('down', () => {
        states.push('down');
        resolve();
      });
    });
    device.setCarrier(false);
    await down;
    expect(states).toEqual(['down']);
  });

  it('does not survive the descriptor', async () => {
    const device = await openTun({ persist: true });
    ip('link set s0 up');
    device.setCarrier(false);
    await opened.pop()?.close();
    expect(shown().flags).toContain('NO-CARRIER');
    await openTun();
    expect(shown().flags).toContain('LOWER_UP');
  });

  it('needs an attached queue', async () => {
    const device = await openTun({ multiQueue: true });
    device.detachQueue();
    const error = await errorOf(() => device.setCarrier(true));
    expect([error.code, error.errno]).toEqual(['VNIC_QUEUE_MODE', 'EPERM']);
    device.attachQueue();
    device.setCarrier(true);
  });
});

describe('TUNSETLINK', () => {
  it.each([
    ['ether', 1, 'ether'],
    ['ppp', 512, 'ppp'],
    ['ieee802.15.4', 804, 'ieee802.15.4'],
    ['6lowpan', 825, '6lowpan'],
    ['none', 65_534, 'none'],
    [778, 778, 'gre'],
    [4464, 4464, '[4464]'],
  ])('makes the link type %s', async (type, number, name) => {
    (await openTun()).setLinkType(type);
    expect([shown().link_type, getLinkSync('s0')?.linkTypeNumber]).toEqual([name, number]);
  });

  it('survives the descriptor', async () => {
    (await openTun({ persist: true })).setLinkType('ppp');
    await opened.pop()?.close();
    expect(shown().link_type).toBe('ppp');
  });

  it('refuses while the device is up', async () => {
    const device = await openTun();
    ip('link set s0 up');
    const error = await errorOf(() => device.setLinkType('ether'));
    expect([error.code, error.errno]).toEqual(['VNIC_LINK_UP', 'EBUSY']);
    expect(shown().link_type).toBe('none');
  });

  it('refuses on a port of a bridge', async () => {
    ip('link add br0 type bridge');
    const device = await openTap();
    ip('link set s0 master br0');
    const error = await errorOf(() => device.setLinkType('none'));
    expect([error.code, error.errno]).toEqual(['VNIC_LINK_IN_USE', 'EPERM']);
    expect(shown().link_type).toBe('ether');
  });

  it.each(['nonsense', 65_536, -1, 0.5])('refuses the type %s', async (type) => {
    const device = await openTun();
    expect((await errorOf(() => device.setLinkType(type))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNGETSNDBUF and TUNSETSNDBUF', () => {
  it('limits what is on its way, and has no limit at first and for a new descriptor', async () => {
    const device = await openTun({ persist: true });
    expect(device.sendBuffer).toBe(0x7fff_ffff);
    device.setSendBuffer(5000);
    expect(device.sendBuffer).toBe(5000);
    device.setSendBuffer(undefined);
    expect(device.sendBuffer).toBe(0x7fff_ffff);
    device.setSendBuffer(1);
    await opened.pop()?.close();
    expect((await openTun()).sendBuffer).toBe(0x7fff_ffff);
  });

  it('is that of every queue', async () => {
    const first = await openTun({ multiQueue: true });
    const second = await openTun({ multiQueue: true });
    first.setSendBuffer(9000);
    expect(second.sendBuffer).toBe(9000);
  });

  it('keeps writers back while another interface holds what they wrote', async () => {
    const device = await openTap();
    await openTap({ name: 's1' });
    ip('link add br0 type bridge');
    for (const name of ['br0', 's0', 's1']) ip(`link set ${name} up`);
    for (const name of ['s0', 's1']) ip(`link set ${name} master br0`);
    // The first packet passes, the others wait.
    execFileSync('tc', 'qdisc add dev s1 root tbf rate 8kbit burst 1600 latency 1000s'.split(' '));
    device.setSendBuffer(4000);
    const frame = new Uint8Array(1500);
    frame.set([2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    const writeOne = (): number => {
      const status = new Uint32Array(3);
      nativeCore().writeBatch(device.fd, frame, Uint32Array.of(0, frame.length, 0, 0), 0, 1, status, 0);
      return status[0] as number;
    };
    const results = Array.from({ length: 20 }, writeOne);
    expect(results[0]).toBe(0);
    expect(results.at(-1)).toBe(constants.errno.EAGAIN);
    execFileSync('tc', ['qdisc', 'delete', 'dev', 's1', 'root']);
    expect(writeOne()).toBe(0);
  });

  it.each([0, -1, 1.5, 0x8000_0000])('refuses %d bytes', async (bytes) => {
    const device = await openTun();
    expect((await errorOf(() => device.setSendBuffer(bytes))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('SIOCGIFHWADDR and SIOCSIFHWADDR on the descriptor', () => {
  it('reads and sets the MAC address, also of a device that is up', async () => {
    const device = await openTap();
    expect(device.mac.toString()).toBe(shown().address);
    ip('link set s0 up');
    device.setMac(mac('02:00:00:00:00:77'));
    expect([shown().address, device.mac.toString()]).toEqual(['02:00:00:00:00:77', '02:00:00:00:00:77']);
  });

  it.each([MULTICAST, BROADCAST, '00:00:00:00:00:00'])('refuses %s', async (address) => {
    const device = await openTap();
    expect((await errorOf(() => device.setMac(mac(address)))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNSETTXFILTER', () => {
  it('gives the reader the chosen destinations and counts the others as dropped', async () => {
    const device = await openTap();
    ip('link set s0 up');
    const before = shown().stats64.tx.dropped;
    expect(device.setTxFilter({ addresses: [mac(A), mac(MULTICAST)] })).toBe(2);
    send(B, BROADCAST, A, MULTICAST, '01:00:5e:00:00:02');
    expect(await received(device)).toEqual([`${A}/60`, `${MULTICAST}/60`]);
    expect(shown().stats64.tx.dropped - before).toBe(3);
  });

  it('lets all multicast and broadcast pass where asked for', async () => {
    const device = await openTap();
    ip('link set s0 up');
    device.setTxFilter({ addresses: [mac(A)], allMulticast: true });
    send(B, BROADCAST, MULTICAST, A);
    expect(await received(device)).toEqual([`${BROADCAST}/60`, `${MULTICAST}/60`, `${A}/60`]);
  });

  it('takes eight unicast addresses and any number of multicast ones, in any order', async () => {
    const device = await openTap();
    ip('link set s0 up');
    const eight = Array.from({ length: 8 }, (_, i) => mac(`02:00:00:00:01:0${i}`));
    const multicast = Array.from({ length: 9 }, (_, i) => mac(`33:33:00:00:00:0${i}`));
    expect(device.setTxFilter({ addresses: [...multicast, ...eight] })).toBe(8);
    send(A, '33:33:00:00:00:08', '02:00:00:00:01:07');
    expect(await received(device)).toEqual(['33:33:00:00:00:08/60', '02:00:00:00:01:07/60']);
  });

  it('stays on a device that persists, until it is taken away', async () => {
    (await openTap({ persist: true })).setTxFilter({ addresses: [mac(A)] });
    await opened.pop()?.close();
    const device = await openTap();
    ip('link set s0 up');
    send(B, A);
    expect(await received(device)).toEqual([`${A}/60`]);
    expect(device.setTxFilter(undefined)).toBe(0);
    send(B);
    expect(await received(device)).toEqual([`${B}/60`]);
  });

  it.each([
    ['no address', []],
    ['nine unicast addresses', Array.from({ length: 9 }, (_, i) => mac(`02:00:00:00:01:0${i}`))],
    ['171 addresses', Array.from({ length: 171 }, () => mac(MULTICAST))],
  ])('refuses %s, with which the kernel would filter nothing', async (_, addresses) => {
    const device = await openTap();
    expect((await errorOf(() => device.setTxFilter({ addresses }))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNATTACHFILTER and TUNDETACHFILTER', () => {
  it('drops frames by a classic program, and cuts those that it keeps', async () => {
    const device = await openTap();
    ip('link set s0 up');
    const before = shown().stats64.tx.dropped;
    device.setFilter(onlyTwo());
    send(A, `${B}/400`, A);
    expect(await received(device)).toEqual([`${B}/414`]);
    device.setFilter(onlyTwo(20));
    send(A, `${B}/400`);
    expect(await received(device)).toEqual([`${B}/20`]);
    expect(shown().stats64.tx.dropped - before).toBe(3);
    device.setFilter(undefined);
    send(A);
    expect(await received(device)).toEqual([`${A}/60`]);
    device.setFilter(undefined);
  });

  it('takes what tcpdump compiles', async () => {
    const text = execFileSync('tcpdump', ['-y', 'EN10MB', '-ddd', 'ether dst 02:00:00:00:00:02'], { encoding: 'utf8' });
    const rows = text
      .trim()
      .split('\n')
      .slice(1)
      .map((row) => row.split(' ').map(Number));
    const device = await openTap();
    ip('link set s0 up');
    device.setFilter(classic(...rows.map(([code = 0, jt = 0, jf = 0, k = 0]) => [code, jt, jf, k] as const)));
    send(A, B);
    expect(await received(device)).toEqual([`${B}/60`]);
  });

  it('is in force for every queue that is attached, and for one that its object attaches again', async () => {
    const first = await openTap({ multiQueue: true });
    const second = await openTap({ multiQueue: true });
    const program = onlyTwo();
    second.setFilter(program);
    program.fill(0xff);
    ip('link set s0 up');
    second.detachQueue();
    send(A, B);
    expect(await received(first)).toEqual([`${B}/60`]);
    second.attachQueue();
    first.detachQueue();
    send(A, B);
    expect(await received(second)).toEqual([`${B}/60`]);
  });

  it('keeps the filter that is set when another is refused', async () => {
    const device = await openTap({ multiQueue: true });
    device.setFilter(onlyTwo());
    for (const bad of [
      classic([0x30, 0, 0, 5]),
      classic([0xffff, 0, 0, 0]),
      classic([0x15, 9, 9, 0], [0x06, 0, 0, 0]),
    ]) {
      const error = await errorOf(() => device.setFilter(bad));
      expect([error.code, error.errno]).toEqual(['VNIC_INVALID_ARGUMENT', 'EINVAL']);
    }
    device.detachQueue();
    device.attachQueue();
    ip('link set s0 up');
    send(A, B);
    expect(await received(device)).toEqual([`${B}/60`]);
  });

  it('ends with the object that set it, so that others can attach with packet info', async () => {
    (await openTap({ persist: true, packetInfo: true })).setFilter(onlyTwo());
    await opened.pop()?.close();
    const device = await openTap({ packetInfo: true });
    ip('link set s0 up');
    send(A);
    expect(await received(device)).toEqual([`${A}/60`]);
  });

  it('does not hinder who attaches after the program that set it was killed', async () => {
    const child = `import { TapDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
      const device = await TapDevice.open({ name: 's0', persist: true, packetInfo: true });
      device.setFilter(Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0));
      process.kill(process.pid, 'SIGKILL');`;
    expect(spawnSync(process.execPath, ['--input-type=module', '-e', child]).signal).toBe('SIGKILL');
    const device = await openTap({ packetInfo: true });
    ip('link set s0 up');
    send(A);
    expect(await received(device)).toEqual([`${A}/60`]);
  });

  it.each([
    ['nothing', new Uint8Array(0)],
    ['half an instruction', new Uint8Array(12)],
    ['4097 instructions', new Uint8Array(4097 * 8)],
  ])('refuses %s', async (_, program) => {
    const device = await openTap();
    expect((await errorOf(() => device.setFilter(program))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNSETFILTEREBPF and TUNSETSTEERINGEBPF', () => {
  const mayLoad = (): boolean => {
    try {
      loadSteeringProgram(always(0)).close();
      return true;
    } catch (error) {
      if (isVnicError(error, 'VNIC_NO_PRIVILEGE')) return false;
      throw error;
    }
  };

  it('filters by instructions or by a descriptor, or says that this takes CAP_BPF', async () => {
    const device = await openTap();
    ip('link set s0 up');
    if (!mayLoad()) {
      expect((await errorOf(() => device.setPacketFilter(always(0)))).code).toBe('VNIC_NO_PRIVILEGE');
      return;
    }
    device.setPacketFilter(always(30));
    send(`${A}/400`);
    expect(await received(device)).toEqual([`${A}/30`]);
    const before = shown().stats64.tx.dropped;
    const program = loadSteeringProgram(always(0));
    device.setPacketFilter(program.fd);
    program.close();
    send(A, B);
    expect(shown().stats64.tx.dropped - before).toBe(2);
    device.setPacketFilter(undefined);
    send(B);
    expect(await received(device)).toEqual([`${B}/60`]);
  });

  it('stays on a device that persists', async () => {
    if (!mayLoad()) return;
    (await openTap({ persist: true })).setPacketFilter(always(25));
    await opened.pop()?.close();
    const device = await openTap();
    ip('link set s0 up');
    send(A);
    expect(await received(device)).toEqual([`${A}/25`]);
  });

  it('steers by instructions', async () => {
    if (!mayLoad()) return;
    const first = await openTap({ multiQueue: true });
    const second = await openTap({ multiQueue: true });
    ip('link set s0 up');
    first.setSteering(always(1));
    send(A);
    expect(await received(second)).toEqual([`${A}/60`]);
    first.setSteering(always(0));
    send(B);
    expect(await received(first)).toEqual([`${B}/60`]);
    first.setSteering(undefined);
  });

  it.each(['setPacketFilter', 'setSteering'] as const)('%s refuses what is no program', async (method) => {
    const device = await openTap();
    // A descriptor of another kind, one that nobody has, and no descriptor.
    for (const wrong of [device.fd, 999_999, -1, 1.5, new Uint8Array(7), new Uint8Array(0)]) {
      expect((await errorOf(() => device[method](wrong))).code).toBe('VNIC_INVALID_ARGUMENT');
    }
    device[method](undefined);
  });
});

describe('TUNGETVNETHDRSZ, TUNSETVNETHDRSZ, TUNSETVNETLE, TUNSETVNETBE', () => {
  it.each([10, 12, 20, 24, 32])('has a header of %d bytes before each packet', async (vnetHeaderLen) => {
    const device = await openTap({ vnetHeaderLen });
    ip('link set s0 up');
    expect(device.vnetHeaderLen).toBe(vnetHeaderLen);
    const bytes = new Uint8Array(4096);
    const descriptors = new Uint32Array(4);
    send(A);
    nativeCore().readBatch(device.fd, bytes, descriptors, 1, 4096, 0, new Uint32Array(3), 0);
    expect(descriptors[1]).toBe(vnetHeaderLen + 60);
  });

  it('reads and writes packets whatever the length', async () => {
    const device = await openTap({ vnetHeaderLen: 24 });
    ip('link set s0 up');
    send(A);
    expect(await received(device)).toEqual([`${A}/60`]);
  });

  it('stays on a device that persists', async () => {
    await openTap({ persist: true, vnetHeaderLen: 12 });
    await opened.pop()?.close();
    expect((await openTap({ vnetHeader: true })).vnetHeaderLen).toBe(12);
  });

  it('has none without the header', async () => {
    expect((await openTap()).vnetHeaderLen).toBeUndefined();
  });

  it('is the same for all queues', async () => {
    await openTap({ multiQueue: true, vnetHeaderLen: 12 });
    await openTap({ multiQueue: true, vnetHeaderLen: 12 });
    const error = await errorOf(() => TapDevice.open({ name: 's0', multiQueue: true, vnetHeaderLen: 20 }));
    expect([error.code, error.reason]).toEqual([
      'VNIC_QUEUE_MODE',
      'its other queues have a virtio-net header of 12 bytes, this one would have 20',
    ]);
    expect(opened[0]?.vnetHeaderLen).toBe(12);
  });

  it.each<[string, TapDeviceOptions]>([
    ['9 bytes', { vnetHeaderLen: 9 }],
    ['33 bytes', { vnetHeaderLen: 33 }],
    ['half a byte', { vnetHeaderLen: 12.5 }],
    ['a length without a header', { vnetHeaderLen: 12, vnetHeader: false }],
    ['another length than that of offload', { vnetHeaderLen: 12, offload: 'auto' }],
    ['another length than that of super-packets', { vnetHeaderLen: 12, superPackets: true }],
  ])('refuses %s', async (_, options) => {
    expect((await errorOf(() => TapDevice.open(options))).code).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('is little endian where asked for, also for those who attach later', async () => {
    const device = await openTap({ persist: true, vnetHeader: true });
    expect(device.vnetByteOrder).toBe('native');
    device.setVnetByteOrder('little');
    expect(device.vnetByteOrder).toBe('little');
    await opened.pop()?.close();
    const again = await openTap({ vnetHeader: true });
    expect(again.vnetByteOrder).toBe('little');
    again.setVnetByteOrder('native');
    expect(again.vnetByteOrder).toBe('native');
  });

  it('is big endian only on a kernel that can be', async () => {
    const device = await openTap({ vnetHeader: true });
    try {
      device.setVnetByteOrder('big');
      expect(device.vnetByteOrder).toBe('big');
    } catch (error) {
      expect(isVnicError(error, 'VNIC_UNSUPPORTED') && error.errno).toBe('EINVAL');
      expect(device.vnetByteOrder).toBe('native');
    }
    expect((await errorOf(() => device.setVnetByteOrder('middle' as 'big'))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNSETDEBUG', () => {
  it('sets the message level as ethtool shows it, which stays', async () => {
    const device = await openTun({ persist: true });
    device.setMessageLevel(0x6);
    await opened.pop()?.close();
    expect(execFileSync('ethtool', ['s0'], { encoding: 'utf8' })).toContain('Current message level: 0x00000006');
  });

  it.each([-1, 0x8000, 0.5])('refuses %d', async (mask) => {
    const device = await openTun();
    expect((await errorOf(() => device.setMessageLevel(mask))).code).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('TUNGETDEVNETNS', () => {
  const inodeOf = (device: TunTapDevice): number => {
    const namespace = device.openNamespace();
    namespace.closeSync();
    return namespace.inode;
  };

  it('tells the namespace of the device, also after the device has moved', async () => {
    const device = await openTun();
    const own = statSync('/proc/self/ns/net').ino;
    expect(inodeOf(device)).toBe(own);
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      const other = statSync(`/proc/${holder.pid}/ns/net`).ino;
      expect(other).not.toBe(own);
      ip(`link set s0 netns ${holder.pid}`);
      expect(inodeOf(device)).toBe(other);
    } finally {
      holder.stdin.end();
      await once(holder, 'exit');
    }
  });
});

/** A child with these ids and no capability, in front of a node that everybody may open. */
describe('a device with an owner and a group', () => {
  const program = `import { TapDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
    import { MacAddress } from '${new URL('../../dist/base/index.js', import.meta.url).href}';
    try {
      const device = await TapDevice.open({ name: 's0', mustExist: true });
      device.setMac(MacAddress.parse('02:00:00:00:00:55'));
      device.setSendBuffer(10_000);
      device.setCarrier(false);
      device.setTxFilter(undefined);
      device.setFilter(Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0));
      device.setLinkType('ether');
      let namespace = 'told';
      try {
        device.openNamespace().closeSync();
      } catch (error) {
        namespace = error.code;
      }
      await device.close();
      console.log(JSON.stringify({ code: 'none', namespace }));
    } catch (error) {
      console.log(JSON.stringify(error));
    }`;
  const openAs = (uid: number, gid: number): { code: string; reason?: string; hint?: string; namespace?: string } => {
    const node = 'mount -t tmpfs tmpfs /dev/net && mknod -m 0666 /dev/net/tun c 10 200 && exec "$@"';
    const user = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--inh-caps=-all'];
    const shell = ['--mount', 'sh', '-c', node, 'sh'];
    const argv = [...shell, ...user, process.execPath, '--input-type=module', '-e', program];
    return JSON.parse(execFileSync('unshare', argv, { encoding: 'utf8' })) as ReturnType<typeof openAs>;
  };
  /** Ids other than root, and a node, can only be had as root of the machine. */
  const isRealRoot = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2] === '4294967295';

  const make = async (options: TapDeviceOptions): Promise<void> => {
    await openTap({ persist: true, ...options });
    await opened.pop()?.close();
  };

  it('is attached to and set up by its owner without privilege, and refused to others', async () => {
    if (!isRealRoot) return;
    await make({ owner: 4242 });
    expect(openAs(4242, 4243)).toEqual({ code: 'none', namespace: 'VNIC_NO_PRIVILEGE' });
    expect(shown().address).toBe('02:00:00:00:00:55');
    const other = openAs(4244, 4243);
    expect(other.code).toBe('VNIC_DEVICE_OWNED');
    expect(other.reason).toBe('s0 belongs to user 4242; this process runs as uid 4244, gid 4243');
    expect(other.hint).toContain('vnic set s0 --owner 4244');
  });

  it('is attached to by its group, and refused to others', async () => {
    if (!isRealRoot) return;
    await make({ group: 4243 });
    expect(openAs(4242, 4243).code).toBe('none');
    expect(openAs(4242, 4244)).toMatchObject({
      code: 'VNIC_DEVICE_OWNED',
      reason: 's0 belongs to group 4243; this process runs as uid 4242, gid 4244',
    });
  });

  it('that has both is attached to by who is both', async () => {
    if (!isRealRoot) return;
    await make({ owner: 4242, group: 4243 });
    const [both, ownerOnly, groupOnly, neither] = [openAs(4242, 4243), openAs(4242, 1), openAs(1, 4243), openAs(1, 1)];
    expect([both?.code, neither?.code]).toEqual(['none', 'VNIC_DEVICE_OWNED']);
    // Some kernels take either, most want both.
    expect(ownerOnly?.code).toBe(groupOnly?.code);
  });

  it('is open to everybody while it has neither', async () => {
    if (!isRealRoot) return;
    await make({});
    expect(openAs(4242, 4243).code).toBe('none');
  });
});

const settings: [string, (device: TapDevice) => unknown][] = [
  ['sendBuffer', (device) => device.sendBuffer],
  ['setSendBuffer', (device) => device.setSendBuffer(1000)],
  ['setCarrier', (device) => device.setCarrier(true)],
  ['setLinkType', (device) => device.setLinkType('ether')],
  ['mac', (device) => device.mac],
  ['setMac', (device) => device.setMac(mac(A))],
  ['setTxFilter', (device) => device.setTxFilter(undefined)],
  ['setFilter', (device) => device.setFilter(onlyTwo())],
  ['taking the filter away', (device) => device.setFilter(undefined)],
  ['setPacketFilter', (device) => device.setPacketFilter(undefined)],
  ['setSteering', (device) => device.setSteering(undefined)],
  ['vnetHeaderLen', (device) => device.vnetHeaderLen],
  ['vnetByteOrder', (device) => device.vnetByteOrder],
  ['setVnetByteOrder', (device) => device.setVnetByteOrder('little')],
  ['setMessageLevel', (device) => device.setMessageLevel(1)],
  ['openNamespace', (device) => device.openNamespace()],
  ['flags', (device) => device.flags],
  ['setPersist', (device) => device.setPersist(false)],
  ['setOwner', (device) => device.setOwner(0)],
  ['setGroup', (device) => device.setGroup(0)],
  ['detachQueue', (device) => device.detachQueue()],
  ['attachQueue', (device) => device.attachQueue()],
];

describe.each(settings)('%s', (_, use) => {
  it('says that the device was deleted', async () => {
    const device = await openTap({ multiQueue: true, vnetHeader: true });
    ip('link delete s0');
    expect((await errorOf(() => use(device))).code).toBe('VNIC_DEVICE_GONE');
  });

  it('says that the device was closed', async () => {
    const device = await openTap({ multiQueue: true, vnetHeader: true });
    await device.close();
    expect((await errorOf(() => use(device))).code).toBe('VNIC_LINK_CLOSED');
  });
});

describe('a device of two queues', () => {
  const first = (): TunTapDevice => opened[0] as TunTapDevice;
  const steps: Record<string, () => unknown> = {
    detach: () => first().detachQueue(),
    reattach: () => {
      first().detachQueue();
      first().attachQueue();
    },
    close: () => first().close(),
    delete: () => ip('link delete s0'),
  };

  it.each([
    ['detach', 'delete', 'close'],
    ['detach', 'close', 'delete'],
    ['reattach', 'delete', 'close'],
    ['reattach', 'close', 'delete'],
    ['delete', 'close', 'close'],
  ])('goes in the order %s, %s, %s', async (...order) => {
    await openTap({ multiQueue: true, napi: true });
    const second = await openTap({ multiQueue: true, napi: true });
    for (const step of order) await steps[step]?.();
    expect(ipNames()).not.toContain('s0');
    expect((await errorOf(() => second.flags)).code).toMatch(/VNIC_DEVICE_GONE|VNIC_LINK_CLOSED/);
  });
});
