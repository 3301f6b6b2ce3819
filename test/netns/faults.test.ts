/** What must hold when things break: leaks, kill -9, a link that goes down, a descriptor limit, garbage. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../src/base/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const entry = new URL('../../dist/tun/index.js', import.meta.url).href;
const linkEntry = new URL('../../dist/link/index.js', import.meta.url).href;
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const devices = (): string[] => readdirSync('/sys/class/net').filter((name) => name !== 'lo');

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const name of devices()) ip('link', 'delete', name);
});

/** Runs a program against the built library; its standard output is one line of JSON. */
const run = (code: string, ...nodeArgs: string[]): Record<string, number> =>
  JSON.parse(
    execFileSync(process.execPath, [...nodeArgs, '--input-type=module', '-e', code], { encoding: 'utf8' }),
  ) as Record<string, number>;

const start = (code: string): ChildProcess => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
};

const firstOutput = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString()));
    child.once('exit', () => reject(new RangeError('ended before it said anything')));
  });

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });

describe('leaks', () => {
  it('has no descriptor and no memory left of 10,000 open/close cycles', () => {
    const result = run(
      `import { readdirSync } from 'node:fs';
      import { TunDevice } from '${entry}';
      const batch = { capacity: 4, bytesLen: 70_000 };
      await (await TunDevice.open({ name: 'cyc0', persist: true })).close();
      const cycles = async (count) => {
        for (let i = 0; i < count; i++) {
          const tun = await TunDevice.open({ name: 'cyc0', batch });
          if (i % 3 === 0) tun.onBatch(() => {});
          if (i % 3 === 1) tun.read().catch(() => {});
          await tun.close();
        }
        gc(); gc();
      };
      const fds = () => readdirSync('/proc/self/fd').length;
      await cycles(2000);
      const before = { fds: fds(), rss: process.memoryUsage().rss };
      await cycles(8000);
      console.log(JSON.stringify({ fds: fds() - before.fds, grownMib: (process.memoryUsage().rss - before.rss) / 2 ** 20 }));`,
      '--expose-gc',
    );
    expect(result['fds']).toBe(0);
    // 8,000 leaked poll handles alone would be 2 MiB, leaked batches 600 MiB; the heap itself moves by some.
    expect(result['grownMib']).toBeLessThan(16);
  });

  it('has no device left of 300 that were created and closed', () => {
    const result = run(
      `import { readdirSync } from 'node:fs';
      import { TapDevice } from '${entry}';
      const before = readdirSync('/proc/self/fd').length;
      for (let i = 0; i < 100; i++) {
        const taps = await Promise.all([0, 1, 2].map(() => TapDevice.open({ name: 'many%d' })));
        await Promise.all(taps.map((tap) => tap.close()));
      }
      console.log(JSON.stringify({ fds: readdirSync('/proc/self/fd').length - before }));`,
    );
    // The event loop opens a descriptor of its own with the first device.
    expect(result['fds']).toBeLessThanOrEqual(3);
    expect(devices()).toEqual([]);
  });
});

describe('kill -9', () => {
  it('leaves nothing behind at 200 random moments, and a next run works', async () => {
    const seed = 20_261_120;
    const random = seededRandom(seed);
    const program = (name: string): string => `import { TapDevice, TunDevice } from '${entry}';
      console.log('started');
      for (;;) {
        try {
          const tun = await TunDevice.open({ name: '${name}-tun' });
          tun.onBatch(() => {});
          const tap = await TapDevice.open({ name: '${name}-tap', owner: 0 });
          tap.write(new Uint8Array(60));
          await tap.close();
          await tun.close();
        } catch (error) {
          if (error.code !== 'VNIC_DEVICE_BUSY') throw error;
        }
      }`;
    for (let round = 0; round < 50; round++) {
      // Four at once, now and then with the same name, so that they are in each other's way as well.
      const group = [0, 1, 2, 3].map(() => start(program(`kill${Math.floor(random() * 4)}`)));
      await Promise.all(group.map(firstOutput));
      await Promise.all(
        group.map(async (child) => {
          await new Promise((resolve) => setTimeout(resolve, random() * 40));
          child.kill('SIGKILL');
          await exited(child);
        }),
      );
      expect(devices(), `round ${round}, seed ${seed}`).toEqual([]);
    }
  }, 120_000);
});

describe('a device that fails in use', () => {
  it('counts what it could not write while the link is down, and goes on afterwards', async () => {
    const child = start(`import { PacketBatch } from '${linkEntry}';
      import { TunDevice } from '${entry}';
      const tun = await TunDevice.open({ name: 'flap0' });
      const batch = new PacketBatch();
      const packet = new Uint8Array(100); packet[0] = 0x45;
      for (let i = 0; i < 32; i++) batch.append(packet);
      console.log('open');
      let refused = 0;
      tun.on('writeDropped', (event) => { refused += event.reason === 'link-down' ? 1 : 0; });
      const timer = setInterval(() => tun.write(batch), 1);
      process.on('SIGTERM', async () => {
        clearInterval(timer);
        const { packetsWritten, writeDropped } = tun.counters;
        await tun.close();
        console.log(JSON.stringify({ packetsWritten, linkDown: writeDropped['link-down'], told: refused }));
        process.exit(0);
      });`);
    await firstOutput(child);
    // Each change takes a new process some milliseconds, while the writer goes on.
    for (let i = 0; i < 40; i++) ip('link', 'set', 'flap0', i % 2 === 0 ? 'up' : 'down');
    const report = firstOutput(child);
    child.kill('SIGTERM');
    const { packetsWritten, linkDown, told } = JSON.parse(await report) as Record<string, number>;
    expect(packetsWritten).toBeGreaterThan(0);
    expect(linkDown).toBeGreaterThan(0);
    // At most one event a second and reason, however many packets.
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThan(5);
  });

  it('uses no processor time after the device was deleted and while nothing happens', () => {
    const result = run(
      `import { execFileSync } from 'node:child_process';
      import { TunDevice } from '${entry}';
      const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };
      const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const idle = await TunDevice.open({ name: 'idl0' });
      idle.onBatch(() => {});
      const gone = await TunDevice.open({ name: 'idl1' });
      let ended;
      gone.onBatch(() => {}, (error) => { ended = error; });
      await wait(50);
      execFileSync('ip', ['link', 'delete', 'idl1']);
      await wait(50);
      const before = used();
      await wait(1000);
      const after = used();
      await idle.close();
      console.log(JSON.stringify({ cpuMs: after - before, gone: ended?.code === 'VNIC_DEVICE_GONE' ? 1 : 0 }));`,
    );
    expect(result['gone']).toBe(1);
    // A loop on a dead descriptor would use the whole second.
    expect(result['cpuMs']).toBeLessThan(300);
  });

  it('says so when the process has no descriptor left, and goes on with what is open', () => {
    const result = run(
      `import { execFileSync } from 'node:child_process';
      import { TunDevice } from '${entry}';
      const open = [];
      let code;
      execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=64:64']);
      for (let i = 0; i < 100 && code === undefined; i++) {
        try { open.push(await TunDevice.open({ name: 'lim%d' })); } catch (error) { code = error.code; }
      }
      const flags = open[0].flags.kind;
      await Promise.all(open.map((tun) => tun.close()));
      console.log(JSON.stringify({ limited: code === 'VNIC_TOO_MANY_FILES' ? 1 : 0, alive: flags === 'tun' ? 1 : 0, code }));`,
    );
    expect(result).toMatchObject({ limited: 1, alive: 1 });
  });

  it('takes garbage of all lengths without failing', () => {
    const result = run(
      `import { PacketBatch } from '${linkEntry}';
      import { TapDevice, TunDevice } from '${entry}';
      import { execFileSync } from 'node:child_process';
      let written = 0;
      for (const device of [await TunDevice.open({ name: 'gar0' }), await TapDevice.open({ name: 'gar1' }), await TunDevice.open({ name: 'gar2', packetInfo: true, vnetHeader: true })]) {
        execFileSync('ip', ['link', 'set', device.name, 'up']);
        device.onBatch(() => {});
        const batch = new PacketBatch();
        let state = 1;
        const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
        for (let round = 0; round < 300; round++) {
          batch.clear();
          for (;;) {
            const packet = Uint8Array.from({ length: Math.floor(random() * 200) }, () => random() * 256);
            if (random() < 0.5 && packet.length > 0) packet[0] = random() < 0.5 ? 0x45 : 0x60;
            if (!batch.append(packet)) break;
          }
          if (device.write(batch) !== batch.count) throw new RangeError('not all taken');
        }
        written += device.counters.packetsWritten + Object.values(device.counters.writeDropped).reduce((a, b) => a + b);
        await device.close();
      }
      console.log(JSON.stringify({ written }));`,
    );
    expect(result['written']).toBeGreaterThan(50_000);
  });
});
