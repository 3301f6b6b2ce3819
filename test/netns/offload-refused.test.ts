/** Offload on a kernel that refuses super-packets although it takes the mask: nothing is lost. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildPacket, payloadOf } from '../offload/packets.ts';
import { coalescePackets } from '../offload/twin.ts';
import { requirePrivateNetns } from './private-netns.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-refused-'));
const shim = join(folder, 'refuse.so');

beforeAll(() => {
  requirePrivateNetns();
  execFileSync('cc', [
    '-shared',
    '-fPIC',
    '-O2',
    '-o',
    shim,
    join(import.meta.dirname, '../offload/refuse-super-packets.c'),
  ]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const packets = Array.from({ length: 30 }, (_, i) =>
  buildPacket(
    {
      medium: 'ip',
      vlanTags: 0,
      version: 4,
      protocol: 'udp',
      number: 9,
      trafficClass: 0,
      hopLimit: 64,
      dontFragment: true,
      extensions: [],
      optionWords: 0,
    },
    { id: i, sequence: 0, acknowledgment: 0, window: 0, flags: 0, payload: payloadOf(1000, i) },
  ),
);

interface Outcome {
  readonly before: unknown;
  readonly after: unknown;
  readonly counters: unknown;
  readonly received: number;
}

/** Writes the packets twice to a device, in a process whose super-packets are refused; up before it is opened or not. */
function writeRefused(options: string, frames: readonly Uint8Array[], up: boolean): Outcome {
  const code = `
    import { execFileSync } from 'node:child_process';
    import { createSocket } from 'node:dgram';
    import { TunDevice } from '${new URL('../../dist/tun/index.js', import.meta.url).href}';
    import { PacketBatch } from '${new URL('../../dist/link/index.js', import.meta.url).href}';
    const { LD_PRELOAD, ...env } = process.env;
    const ip = (...args) => execFileSync('ip', args, { env });
    const configure = (name) => {
      ip('link', 'set', name, 'up');
      ip('addr', 'add', '10.0.1.9/24', 'dev', name);
      ip('route', 'add', '10.0.0.0/24', 'dev', name);
    };
    if (${up}) {
      const first = await TunDevice.open({ name: 'refused0', persist: true });
      configure('refused0');
      await first.close();
    }
    const device = await TunDevice.open({ name: 'refused0', persist: false, ...${options} });
    const before = device.offloadInfo.write;
    if (!${up}) configure('refused0');
    let received = 0;
    const socket = createSocket('udp4').on('message', () => received++);
    await new Promise((resolve) => socket.bind(53, '10.0.1.9', resolve));
    socket.setRecvBufferSize(1 << 20);
    const batch = new PacketBatch({ capacity: 64 });
    for (const frame of ${JSON.stringify(frames.map((frame) => Buffer.from(frame).toString('base64')))}) {
      batch.append(Buffer.from(frame, 'base64'));
    }
    for (let i = 0; i < 2; i++) device.write(batch);
    await new Promise((resolve) => {
      socket.on('message', () => received >= 60 && resolve());
      setTimeout(resolve, 1000);
    });
    const { offloadInfo, counters } = device;
    console.log(JSON.stringify({ before, after: offloadInfo, counters, received }));
    socket.close();
    await device.close();`;
  const preload = [process.env['LD_PRELOAD'], shim].filter((one) => one !== undefined).join(':');
  const argv = ['--input-type=module', '-e', code];
  return JSON.parse(
    execFileSync(process.execPath, argv, { env: { ...process.env, LD_PRELOAD: preload } }).toString(),
  ) as Outcome;
}

const noDrops = { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 };

describe('a kernel that refuses super-packets', () => {
  it('is found out by the probe at open, while the device is down', () => {
    const outcome = writeRefused(`{ offload: 'auto' }`, packets, false);
    expect(outcome.before).toEqual({ tso4: 'refused', tso6: 'refused', uso4: 'refused', uso6: 'refused' });
    expect(outcome).toMatchObject({ received: 60, counters: { packetsWritten: 60, writeDropped: noDrops } });
  });

  it('is found out by the first write when the device is up, and no packet is lost', () => {
    const outcome = writeRefused(`{ offload: 'auto' }`, packets, true);
    expect(outcome.before).toMatchObject({ uso4: 'untried' });
    expect(outcome.after).toMatchObject({ write: { uso4: 'refused', tso4: 'untried' }, superPacketsWritten: 0 });
    expect(outcome).toMatchObject({ received: 60, counters: { packetsWritten: 60, writeDropped: noDrops } });
  });

  it('gets super-packets that pass through packet by packet', () => {
    const outcome = writeRefused('{ superPackets: true }', coalescePackets(packets, 'ip'), true);
    expect(outcome).toMatchObject({ received: 60, counters: { packetsWritten: 60, writeDropped: noDrops } });
  });
});
