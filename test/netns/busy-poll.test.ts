/**
 * Busy polling of real devices. What it does is seen in how often the kernel is asked for packets; how fast it is, in
 * `npm run bench -- round-trip`.
 */

import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { nativeCore } from '../../src/native/index.ts';
import { getLinkSync } from '../../src/netlink/index.ts';
import { TunDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const until = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: 10_000, interval: 1 });
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** How often the kernel was asked for packets. */
let reads = 0;
const core = nativeCore();
const { readBatch } = core;

beforeEach(() => {
  reads = 0;
  core.readBatch = (...args): number => {
    reads++;
    return readBatch(...args);
  };
});

const devices: TunDevice[] = [];
let socket: Socket | undefined;

afterEach(async () => {
  core.readBatch = readBatch;
  socket?.close();
  socket = undefined;
  for (const device of devices.splice(0)) await device.close();
});

async function openBusy(busyPollUs?: number): Promise<TunDevice> {
  const device = await TunDevice.open({ name: 'busy0', ...(busyPollUs === undefined ? {} : { busyPollUs }) });
  devices.push(device);
  // Without IPv6 no packet comes that is not the test's own.
  writeFileSync('/proc/sys/net/ipv6/conf/busy0/disable_ipv6', '1');
  ip('link', 'set', 'busy0', 'up');
  ip('address', 'add', '10.78.0.1/24', 'dev', 'busy0');
  return device;
}

async function send(count: number): Promise<void> {
  socket ??= createSocket('udp4');
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => socket?.send(Uint8Array.of(i), 7000, '10.78.0.2', () => resolve()));
  }
}

/** Whether the kernel is asked once in each turn of the event loop just now. */
async function isSpinning(): Promise<boolean> {
  const before = reads;
  for (let i = 0; i < 20; i++) await nextTurn();
  return reads - before >= 10;
}

const spinEnds = (): Promise<void> => vi.waitFor(async () => expect(await isSpinning()).toBe(false), { interval: 1 });

describe('a link with busyPollUs', () => {
  it('does not spin unless it was asked for', async () => {
    let read = 0;
    const device = await openBusy();
    device.onBatch((batch) => {
      read += batch.count;
    });
    await send(1);
    await until(() => expect(read).toBe(1));
    expect(await isSpinning()).toBe(false);
    expect(reads).toBeLessThan(5);
  });

  it('asks once a turn of the event loop after a packet, and never again once the time is over', async () => {
    let read = 0;
    const device = await openBusy(100_000);
    device.onBatch((batch) => {
      read += batch.count;
    });
    expect(await isSpinning()).toBe(false);
    await send(1);
    await until(() => expect(read).toBe(1));
    expect(await isSpinning()).toBe(true);
    await spinEnds();
    const asked = reads;
    for (let i = 0; i < 1000; i++) await nextTurn();
    expect(reads).toBe(asked);
    await send(1);
    await until(() => expect(read).toBe(2));
  });

  const timer = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

  it('gives timers, other links and promises their turn while it spins', async () => {
    const device = await openBusy(1_000_000);
    device.onBatch(() => undefined);
    await send(1);
    await until(() => expect(device.counters.packetsRead).toBe(1));
    for (let i = 0; i < 20; i++) await timer();
    const other = await TunDevice.open({ name: 'busy1' });
    devices.push(other);
    const seen: number[] = [];
    other.onBatch((batch) => seen.push(batch.count));
    ip('link', 'set', 'busy1', 'up');
    ip('route', 'add', '10.79.0.0/24', 'dev', 'busy1');
    await new Promise<void>((resolve) => socket?.send('x', 7000, '10.79.0.2', () => resolve()));
    await until(() => expect(seen.length).toBeGreaterThan(0));
    expect(await isSpinning()).toBe(true);
  });

  it.each(['a handler', 'read()', 'an iteration'])('gives %s every packet once and in order', async (reader) => {
    const device = await openBusy(2000);
    const seen: (number | undefined)[] = [];
    const note = (packets: Iterable<Uint8Array>): void => {
      for (const packet of packets) seen.push(packet[28]);
    };
    if (reader === 'a handler') device.onBatch(note);
    const reading =
      reader === 'a handler'
        ? Promise.resolve()
        : (async (): Promise<void> => {
            if (reader === 'an iteration') for await (const batch of device) note(batch);
            for (let batch = await device.read(); batch !== undefined; batch = await device.read()) note(batch);
          })();
    // Some within the spin, some after it.
    for (let round = 0; round < 10; round++) {
      await send(20);
      if (round % 2 === 0) await spinEnds();
    }
    await until(() => expect(seen).toHaveLength(200));
    expect(seen).toEqual(Array.from({ length: 200 }, (_, i) => i % 20));
    await device.close();
    await reading;
  });

  it('stops with its reader, with close() and with the device', async () => {
    const device = await openBusy(1_000_000);
    const stop = device.onBatch(() => undefined);
    await send(1);
    await until(() => expect(device.counters.packetsRead).toBe(1));
    expect(await isSpinning()).toBe(true);
    stop();
    expect(await isSpinning()).toBe(false);
    const ended = new Promise<unknown>((resolve) => device.onBatch(() => undefined, resolve));
    await send(1);
    await until(() => expect(device.counters.packetsRead).toBe(2));
    expect(await isSpinning()).toBe(true);
    ip('link', 'delete', 'busy0');
    expect(await ended).toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    expect(await isSpinning()).toBe(false);
    const again = await openBusy(1_000_000);
    const reading = again.read();
    await send(1);
    await reading;
    const waiting = again.read();
    expect(await isSpinning()).toBe(true);
    await again.close();
    expect(await waiting).toBe(undefined);
    expect(await isSpinning()).toBe(false);
  });

  it('does not keep the process alive after unref(), however much comes', () => {
    const code = `import { TunDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
      import { execFileSync, spawn } from 'node:child_process';
      const device = await TunDevice.open({ name: 'busy0', busyPollUs: 1_000_000 });
      execFileSync('ip', ['link', 'set', 'busy0', 'up']);
      execFileSync('ip', ['address', 'add', '10.78.0.1/24', 'dev', 'busy0']);
      const ping = spawn('ping', ['-i', '0.01', '-c', '1000', '10.78.0.2'], { stdio: 'ignore' });
      ping.unref();
      await new Promise((resolve) => device.onBatch(() => resolve()));
      device.unref();
      process.once('exit', () => ping.kill('SIGKILL'));
      console.log('end');`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
      encoding: 'utf8',
      timeout: 8000,
    });
    expect(output).toBe('end\n');
  });

  it('refuses a time out of range, and leaves no device behind', async () => {
    for (const busyPollUs of [-1, 1_000_001, Number.NaN]) {
      await expect(TunDevice.open({ name: 'busy0', busyPollUs })).rejects.toMatchObject({
        code: 'VNIC_INVALID_ARGUMENT',
      });
      expect(getLinkSync('busy0')).toBe(undefined);
    }
  });
});
