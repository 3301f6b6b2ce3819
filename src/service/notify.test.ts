/** sd_notify against a datagram server that is not ours. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { startDatagramServer } from '../../test/e2e/datagram-server.ts';
import { endLive } from '../../test/e2e/live-vnic.ts';
import { codeOf } from '../../test/netns/iproute2.ts';
import { monotonicUsec, openNotifier } from './notify.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-notify-'));
});

afterEach(async () => {
  await endLive();
  rmSync(folder, { recursive: true });
});

describe('openNotifier', () => {
  it.each([
    ['a path', () => join(folder, 'notify')],
    ['an abstract name', () => `@vnic-test-${process.pid}`],
  ])('sends datagrams of lines to %s', async (_what, pathOf) => {
    const path = pathOf();
    const server = await startDatagramServer(path);
    using notifier = openNotifier({ NOTIFY_SOCKET: path });
    expect(notifier.enabled).toBe(true);
    expect(await notifier.send({ READY: 1, STATUS: 'two\ndevices' })).toBe(true);
    expect(await notifier.send({ RELOADING: 1, MONOTONIC_USEC: '12' })).toBe(true);
    await notifier.send({ END: 1 });
    expect(await server.end()).toEqual(['READY=1\nSTATUS=two devices', 'RELOADING=1\nMONOTONIC_USEC=12', 'END=1']);
  });

  it('loses nothing while the queue of the manager is full', async () => {
    const path = join(folder, 'notify');
    const server = await startDatagramServer(path);
    using notifier = openNotifier({ NOTIFY_SOCKET: path });
    const sent = Array.from({ length: 500 }, (_, i) => `STATUS=${i}`);
    for (let i = 0; i < sent.length; i++) expect(await notifier.send({ STATUS: i })).toBe(true);
    await notifier.send({ END: 1 });
    expect(await server.end()).toEqual([...sent, 'END=1']);
  });

  it('says nothing where there is no manager, or it has gone', async () => {
    using none = openNotifier({});
    expect(none.enabled).toBe(false);
    expect(await none.send({ READY: 1 })).toBe(false);
    using gone = openNotifier({ NOTIFY_SOCKET: join(folder, 'nobody') });
    expect(await gone.send({ READY: 1 })).toBe(false);
  });

  it('refuses an address that is no path', async () => {
    expect(await codeOf(() => openNotifier({ NOTIFY_SOCKET: 'vsock:2:1' }))).toBe('VNIC_INVALID_ARGUMENT');
    expect(await codeOf(() => openNotifier({ NOTIFY_SOCKET: `/${'x'.repeat(108)}` }))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('takes the watchdog for its own process only', () => {
    const path = join(folder, 'notify');
    const with_ = (env: NodeJS.ProcessEnv): number | undefined => {
      using notifier = openNotifier({ NOTIFY_SOCKET: path, ...env });
      return notifier.watchdogMs;
    };
    expect(with_({ WATCHDOG_USEC: '3000000' })).toBe(3000);
    expect(with_({ WATCHDOG_USEC: '3000000', WATCHDOG_PID: String(process.pid) })).toBe(3000);
    expect(with_({ WATCHDOG_USEC: '3000000', WATCHDOG_PID: '1' })).toBeUndefined();
    expect(with_({})).toBeUndefined();
  });
});

describe('monotonicUsec', () => {
  it('is the clock of the kernel that counts from boot', async () => {
    const before = monotonicUsec();
    const child = spawn('perl', [
      '-MTime::HiRes=clock_gettime,CLOCK_MONOTONIC',
      '-e',
      'printf "%d", clock_gettime(CLOCK_MONOTONIC) * 1e6',
    ]);
    const text = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data: Buffer) => resolve(data.toString())),
    );
    expect(BigInt(text)).toBeGreaterThanOrEqual(BigInt(before));
    expect(BigInt(text)).toBeLessThanOrEqual(BigInt(monotonicUsec()));
  });
});
