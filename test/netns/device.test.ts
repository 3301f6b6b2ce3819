/**
 * TUN and TAP devices against the real kernel.
 *
 *   this process <- fd -> tunX / tapX <- kernel of a private namespace -> ip, ping
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { isVnicError, type VnicError } from '../../src/base/index.ts';
import type { PacketBatch } from '../../src/link/index.ts';
import { type DeviceOptions, TapDevice, TunDevice, type TunTapDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const exists = (name: string): boolean =>
  readdirSync('/sys/class/net').includes(name) || ip('-o', 'link').includes(` ${name}:`);

const opened: TunTapDevice[] = [];
const kept: string[] = [];

const openTun = async (options: DeviceOptions = {}): Promise<TunDevice> => {
  const device = await TunDevice.open(options);
  opened.push(device);
  return device;
};

const openTap = async (options: DeviceOptions = {}): Promise<TapDevice> => {
  const device = await TapDevice.open(options);
  opened.push(device);
  return device;
};

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close();
  for (const name of kept.splice(0)) {
    try {
      execFileSync('ip', ['link', 'delete', name], { stdio: 'ignore' });
    } catch {
      // The test deleted it itself.
    }
  }
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

/** Sends IPv4 UDP datagrams into the device from the kernel's side. */
const kernelSends = (target: string, count: number): void => {
  const script = `const s=require('dgram').createSocket('udp4');let n=0;
    const next=()=>n<${count}?s.send('m'+(n++),9,'${target}',next):s.close();next();`;
  execFileSync(process.execPath, ['-e', script]);
};

const udpPayloads = (batch: PacketBatch): string[] =>
  [...batch].filter((p) => p[0] === 0x45 && p[9] === 17).map((p) => Buffer.from(p.subarray(28)).toString());

describe('opening a device', () => {
  it('takes an exact name, a pattern, or lets the kernel choose', async () => {
    const exact = await openTun({ name: 'office0' });
    const pattern = await openTun({ name: 'lab%d' });
    const chosen = await openTun();
    const tap = await openTap();
    expect([exact.name, pattern.name, chosen.name, tap.name]).toEqual(['office0', 'lab0', 'tun0', 'tap0']);
    expect([exact.medium, tap.medium, exact.mtu]).toEqual(['ip', 'ethernet', 1500]);
    expect(exists('office0')).toBe(true);
  });

  it('takes a name of 15 bytes and refuses one of 16, which the kernel would truncate', async () => {
    expect((await openTun({ name: 'a23456789012345' })).name).toBe('a23456789012345');
    const error = await errorOf(() => TunDevice.open({ name: 'a234567890123456' }));
    expect(error.code).toBe('VNIC_NAME_TOO_LONG');
  });

  it.each(['', '.', '..', 'a/b', 'a b', 'a:b', 'x%s', 'x%d%d', '\u0000', 'tab\tbed'])(
    'refuses the name %j',
    async (name) => {
      expect((await errorOf(() => TunDevice.open({ name }))).code).toBe('VNIC_INVALID_NAME');
    },
  );

  it('removes the device on close, and keeps it when it is persistent', async () => {
    await (await openTun({ name: 'gone0' })).close();
    expect(exists('gone0')).toBe(false);
    kept.push('kept0');
    await (await openTun({ name: 'kept0', persist: true })).close();
    expect(exists('kept0')).toBe(true);
    const again = await openTun({ name: 'kept0', mustExist: true });
    expect(again.flags).toEqual({
      kind: 'tun',
      packetInfo: false,
      vnetHeader: false,
      multiQueue: false,
      detached: false,
      persist: true,
      napi: false,
      napiFrags: false,
    });
    again.setPersist(false);
    await again.close();
    expect(exists('kept0')).toBe(false);
  });

  it('sets owner and group as ip shows them', async () => {
    await openTap({ name: 'mine0', owner: 0, group: 0 });
    const [shown] = JSON.parse(ip('-d', '-j', 'link', 'show', 'mine0')) as { linkinfo: { info_data: object } }[];
    expect(shown?.linkinfo.info_data).toMatchObject({ type: 'tap', user: 'root', group: 'root' });
  });

  it('says who holds a busy device', async () => {
    await openTun({ name: 'busy0' });
    const error = await errorOf(() => TunDevice.open({ name: 'busy0' }));
    expect(error.code).toBe('VNIC_DEVICE_BUSY');
    expect(error.reason).toContain(`(pid ${process.pid})`);
    expect(error.errno).toBe('EBUSY');
  });

  it('fails with exclusive on a device that exists, and with mustExist on one that does not', async () => {
    await openTun({ name: 'here0' });
    expect((await errorOf(() => TunDevice.open({ name: 'here0', exclusive: true }))).code).toBe('VNIC_DEVICE_EXISTS');
    expect((await errorOf(() => TunDevice.open({ name: 'no0', mustExist: true }))).code).toBe('VNIC_NO_SUCH_INTERFACE');
    expect(exists('no0')).toBe(false);
    const both = await errorOf(() => TunDevice.open({ name: 'x0', exclusive: true, mustExist: true }));
    expect(both.code).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('tells a wrong kind, a foreign interface and a queue mismatch apart', async () => {
    kept.push('kind0', 'veth0');
    await (await openTap({ name: 'kind0', persist: true })).close();
    expect((await errorOf(() => TunDevice.open({ name: 'kind0' }))).code).toBe('VNIC_WRONG_KIND');
    const mismatch = await errorOf(() => TapDevice.open({ name: 'kind0', multiQueue: true }));
    expect([mismatch.code, mismatch.reason.includes('single-queue')]).toEqual(['VNIC_QUEUE_MODE', true]);
    ip('link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    expect((await errorOf(() => TunDevice.open({ name: 'veth0' }))).code).toBe('VNIC_NOT_TUNTAP');
  });

  it('opens several queues of a multi-queue device', async () => {
    const first = await openTun({ name: 'mq0', multiQueue: true });
    const second = await openTun({ name: 'mq0', multiQueue: true });
    expect([first.flags.multiQueue, second.ifindex]).toEqual([true, first.ifindex]);
    expect((await errorOf(() => TunDevice.open({ name: 'mq0' }))).code).toBe('VNIC_QUEUE_MODE');
  });

  it('leaves nothing open when it fails', async () => {
    const before = readdirSync('/proc/self/fd').length;
    await openTap({ name: 'full0' });
    for (let i = 0; i < 50; i++) await errorOf(() => TapDevice.open({ name: 'full0' }));
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 4);
  });
});

describe('adopting a descriptor', () => {
  it('takes over one that is attached, and closes it', async () => {
    const original = await openTun({ name: 'give0' });
    const fd = original.fd;
    const adopted = await TunDevice.adopt(fd);
    expect([adopted.name, adopted.fd, adopted.medium]).toEqual(['give0', fd, 'ip']);
    await adopted.close();
    expect(readdirSync('/proc/self/fd').some((entry) => Number(entry) === fd && linkOf(entry).endsWith('/tun'))).toBe(
      false,
    );
  });

  it('refuses other descriptors and says what they are', async () => {
    const tap = await openTap({ name: 'tapfd0' });
    expect((await errorOf(() => TunDevice.adopt(tap.fd))).code).toBe('VNIC_WRONG_KIND');
    expect((await errorOf(() => TunDevice.adopt(0))).code).toBe('VNIC_INVALID_ARGUMENT');
    expect((await errorOf(() => TunDevice.adopt(999))).code).toBe('VNIC_INVALID_ARGUMENT');
    expect((await errorOf(() => TunDevice.adopt(-1))).code).toBe('VNIC_INVALID_ARGUMENT');
    // The refused descriptor still works.
    expect(tap.flags.kind).toBe('tap');
  });
});

const linkOf = (entry: string): string => {
  try {
    return readlinkSync(`/proc/self/fd/${entry}`);
  } catch {
    return '';
  }
};

describe('reading and writing', () => {
  it('reads what the kernel sends, packet by packet and in order', async () => {
    const tun = await openTun({ name: 'rd0' });
    ip('addr', 'add', '10.1.0.1/24', 'dev', 'rd0');
    ip('link', 'set', 'rd0', 'up');
    kernelSends('10.1.0.9', 200);
    const seen: string[] = [];
    for await (const batch of tun) {
      seen.push(...udpPayloads(batch));
      if (seen.length >= 200) break;
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => `m${i}`));
    expect(tun.counters.packetsRead).toBeGreaterThanOrEqual(200);
  });

  it.each([
    ['packet info', { packetInfo: true }],
    ['a virtio-net header', { vnetHeader: true }],
    ['both', { packetInfo: true, vnetHeader: true }],
  ])('hands over bare packets in both directions with %s', async (_, options) => {
    const tun = await openTun({ name: 'pi0', ...options });
    ip('addr', 'add', '10.2.0.1/24', 'dev', 'pi0');
    ip('link', 'set', 'pi0', 'up');
    const stop = answerPings(tun);
    // Not execFileSync: it would keep this process from answering.
    const { stdout } = await promisify(execFile)('ping', ['-c', '20', '-i', '0.01', '-W', '2', '10.2.0.2']);
    stop();
    expect(stdout).toContain(' 0% packet loss');
  });

  it('counts packets refused because the device is down, and works again once it is up', async () => {
    const tun = await openTun({ name: 'dn0' });
    const errors: string[] = [];
    tun.on('writeDropped', (event) => errors.push(event.error.code));
    expect(tun.write(udpPacket())).toBe(1);
    expect([tun.counters.writeDropped['link-down'], tun.counters.packetsWritten, errors]).toEqual([
      1,
      0,
      ['VNIC_LINK_DOWN'],
    ]);
    ip('link', 'set', 'dn0', 'up');
    expect(tun.write(udpPacket())).toBe(1);
    expect(tun.counters.packetsWritten).toBe(1);
  });

  it('counts packets that the kernel refuses and shows how they start', async () => {
    const tun = await openTun({ name: 'bad0' });
    ip('link', 'set', 'bad0', 'up');
    const reasons: string[] = [];
    tun.on('writeDropped', (event) => reasons.push(event.error.reason));
    expect(tun.write(Uint8Array.of(0xff, 0xee))).toBe(1);
    expect(tun.counters.writeDropped.refused).toBe(1);
    expect(reasons[0]).toContain('ff ee');
    expect(tun.write(new Uint8Array(70_000).fill(0x45))).toBe(1);
    expect(tun.counters.writeDropped['too-long']).toBe(1);
  });

  it('tells about up, down and MTU changes made by others', async () => {
    const tun = await openTun({ name: 'ev0' });
    const seen: (string | number)[] = [];
    const done = new Promise<void>((resolve) => {
      tun.on('up', () => seen.push('up'));
      tun.on('mtu', (mtu) => seen.push(mtu));
      tun.on('down', () => {
        seen.push('down');
        resolve();
      });
    });
    ip('link', 'set', 'ev0', 'up');
    ip('link', 'set', 'ev0', 'mtu', '1300');
    ip('link', 'set', 'ev0', 'down');
    await done;
    expect([seen, tun.mtu]).toEqual([['up', 1300, 'down'], 1300]);
  });
});

describe('a device deleted underneath', () => {
  it.each([
    [
      'an iterator',
      async (tun: TunDevice) => {
        for await (const _ of tun);
      },
    ],
    [
      'read()',
      async (tun: TunDevice) => {
        while ((await tun.read()) !== undefined);
      },
    ],
    ['a batch handler', (tun: TunDevice) => new Promise((_, reject) => tun.onBatch(() => {}, reject))],
    [
      'a web stream',
      async (tun: TunDevice) => {
        await tun.toWeb().readable.pipeTo(new WritableStream());
      },
    ],
  ])('ends %s with VNIC_DEVICE_GONE', async (_, consume) => {
    const tun = await openTun({ name: 'del0' });
    ip('link', 'set', 'del0', 'up');
    const ended = errorOf(() => consume(tun));
    const gone = new Promise((resolve) => tun.on('gone', resolve));
    setImmediate(() => ip('link', 'delete', 'del0'));
    expect((await ended).code).toBe('VNIC_DEVICE_GONE');
    await gone;
    expect(tun.closed).toBe(true);
    expect((await errorOf(() => tun.write(udpPacket()))).code).toBe('VNIC_DEVICE_GONE');
  });

  it('is noticed by a writer', async () => {
    const tun = await openTun({ name: 'delw0' });
    ip('link', 'delete', 'delw0');
    expect((await errorOf(() => tun.write(udpPacket()))).code).toBe('VNIC_DEVICE_GONE');
  });
});

describe('the process', () => {
  const run = (code: string): Promise<number | null> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
      child.on('exit', resolve);
    });
  const entry = new URL('../../dist/tun/index.js', import.meta.url).href;

  it('ends by itself once every device is closed', async () => {
    expect(
      await run(`import { TunDevice } from '${entry}';
        const tun = await TunDevice.open({ name: 'end0' });
        const reading = (async () => { for await (const _ of tun); })();
        setTimeout(() => tun.close(), 20);
        await reading;`),
    ).toBe(0);
  });

  it('reads in a worker thread, and nothing stays when the worker is terminated', async () => {
    const worker = `import { TunDevice } from '${entry}';
      import { parentPort } from 'node:worker_threads';
      const tun = await TunDevice.open({ name: 'wrk0' });
      tun.onBatch(() => {});
      parentPort.postMessage('open');`;
    expect(
      await run(`import { Worker } from 'node:worker_threads';
        import { existsSync, readdirSync, readlinkSync } from 'node:fs';
        const held = () => readdirSync('/proc/self/fd').filter((fd) => {
          try { return readlinkSync('/proc/self/fd/' + fd).endsWith('/tun'); } catch { return false; }
        }).length;
        for (let i = 0; i < 20; i++) {
          const worker = new Worker(${JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`)} && new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`)}));
          await new Promise((resolve, reject) => { worker.on('message', resolve); worker.on('error', reject); });
          if (held() !== 1) process.exit(2);
          await worker.terminate();
          if (held() !== 0) process.exit(3);
        }`),
    ).toBe(0);
  });

  it('does not pass its devices on to children', async () => {
    const tun = await openTun({ name: 'exec0' });
    const listing = execFileSync('sh', ['-c', 'ls -l /proc/self/fd'], { encoding: 'utf8' });
    expect(tun.closed).toBe(false);
    expect(listing).not.toContain('/net/tun');
  });
});

/** An IPv4 UDP packet to the discard port; the kernel takes it and drops it. */
const udpPacket = (): Uint8Array =>
  Uint8Array.of(0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 9, 2, 10, 9, 9, 1, 0, 9, 0, 9, 0, 8, 0, 0);

/** The program of every tutorial: swap the addresses, set the type, mend the checksum. */
function answerPings(tun: TunDevice): () => void {
  return tun.onBatch((batch) => {
    for (const packet of batch) {
      if (packet[0] !== 0x45 || packet[9] !== 1 || packet[20] !== 8) continue;
      const source = packet.slice(12, 16);
      packet.copyWithin(12, 16, 20);
      packet.set(source, 16);
      packet[20] = 0;
      const sum = ((packet[22] as number) << 8) + (packet[23] as number) + 0x0800;
      packet[22] = ((sum & 0xffff) + (sum >> 16)) >> 8;
      packet[23] = (sum & 0xffff) + (sum >> 16);
      tun.write(packet);
    }
  });
}
