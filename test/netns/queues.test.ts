/**
 * Multi-queue devices: real devices, real flows, real threads.
 *
 *   UDP sockets (a flow each) -> kernel -> device -> queue 0..N-1 -> links in this thread, or one a worker
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { isVnicError, seededRandom } from '../../src/base/index.ts';
import type { PacketBatch } from '../../src/link/index.ts';
import { getLinkSync } from '../../src/netlink/index.ts';
import {
  type DeviceQueues,
  loadSteeringProgram,
  openQueueInWorker,
  openQueues,
  type QueuesOptions,
  type QueueWorkers,
  type RunInWorkersOptions,
  runInWorkers,
  steerByDestinationPort,
  steerToQueue,
} from '../../src/queues/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases, markPacket } from '../../src/testing/index.ts';
import { openInterface } from '../../src/transport/index.ts';
import { TunDevice } from '../../src/tun/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

beforeAll(() => requirePrivateNetns());

const built = (entry: string): string => new URL(`../../dist/${entry}/index.js`, import.meta.url).href;
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const exists = (name: string): boolean => existsSync(`/sys/class/net/${name}`) || getLinkSync(name) !== undefined;
/** Descriptors of this process on the tun node: what every queue is. */
const openQueuesOfProcess = (): number =>
  readdirSync('/proc/self/fdinfo').filter((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').includes('iff:');
    } catch {
      return false;
    }
  }).length;

/** Waits for a condition that another thread or the kernel brings about. */
const until = (condition: () => void): Promise<void> => vi.waitFor(condition, { timeout: 10_000, interval: 5 });

const opened: (DeviceQueues | QueueWorkers)[] = [];
const sockets: Socket[] = [];
const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const socket of sockets.splice(0)) socket.close();
  await Promise.all(opened.splice(0).map((each) => each.close()));
});

async function open(options: QueuesOptions): Promise<DeviceQueues> {
  const queues = await openQueues(options);
  opened.push(queues);
  return queues;
}

async function runWorkers(options: RunInWorkersOptions): Promise<QueueWorkers> {
  const workers = await runInWorkers(options);
  opened.push(workers);
  return workers;
}

/** Without IPv6, whose neighbour discovery would count, unless it is asked for. */
function bringUp(name: string, options: { readonly ipv6: boolean } = { ipv6: false }): void {
  writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, options.ipv6 ? '0' : '1');
  ip('link', 'set', name, 'txqueuelen', '10000', 'up');
  ip('address', 'add', '10.77.0.1/24', 'dev', name);
}

const UDP_PORT = 7000;
const UDP = 17;

/** A socket is a flow: it has a source port of its own. */
async function openFlows(count: number): Promise<Socket[]> {
  const flows = Array.from({ length: count }, () => createSocket('udp4'));
  sockets.push(...flows);
  await Promise.all(
    flows.map((flow) => new Promise<void>((resolve) => flow.connect(UDP_PORT, '10.77.0.2', () => resolve()))),
  );
  return flows;
}

/** Sends `count` datagrams on each flow, numbered from `first`. Resolves when the kernel has them all. */
async function send(flows: readonly Socket[], count: number, first = 0): Promise<void> {
  for (let number = first; number < first + count; number++) {
    await Promise.all(
      flows.map((flow) => {
        const datagram = Buffer.alloc(8);
        datagram.writeUInt32BE(number);
        return new Promise<void>((resolve, reject) => {
          flow.send(datagram, (error) => (error ? reject(error) : resolve()));
        });
      }),
    );
  }
}

interface FlowReport {
  readonly index: number;
  readonly packets: number;
  readonly backwards: number;
  readonly ports: readonly number[];
}

/** Notes for each flow whether its numbers ever go back. The same code runs in workers, as text. */
function watchFlows(index: number): { onBatch(batch: PacketBatch): void; report(): FlowReport } {
  const last = new Map<number, number>();
  let packets = 0;
  let backwards = 0;
  return {
    onBatch(batch): void {
      for (const packet of batch) {
        if (packet[0] !== 0x45 || packet[9] !== 17) continue;
        const view = new DataView(packet.buffer, packet.byteOffset);
        const port = view.getUint16(20);
        const number = view.getUint32(28);
        if (number <= (last.get(port) ?? -1)) backwards++;
        last.set(port, number);
        packets++;
      }
    },
    report: () => ({ index, packets, backwards, ports: [...last.keys()] }),
  };
}

/** A worker module; `body` has `link`, `index`, `data` and `parentPort`. */
const workerModule = (body: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads';
      import { openQueueInWorker } from '${built('queues')}';
      const watchFlows = ${watchFlows.toString()};
      const { link, index, data } = await openQueueInWorker();
      ${body}`)}`,
  );

const watchingWorker = workerModule(`const flows = watchFlows(index);
  link.onBatch((batch) => flows.onBatch(batch), () => parentPort.postMessage(flows.report()));`);

function reports(workers: QueueWorkers): FlowReport[] {
  const all: FlowReport[] = [];
  workers.on('message', ({ message }) => all.push(message as FlowReport));
  return all;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('openQueues', () => {
  it('opens one device with several queues, which vanishes with the last of them', async () => {
    const queues = await open({ kind: 'tap', name: 'mq%d', queues: 3 });
    expect(queues.name).toBe('mq0');
    expect(getLinkSync('mq0')?.tun).toMatchObject({ kind: 'tap', multiQueue: true });
    expect(queues.indexes).toEqual([0, 1, 2]);
    expect(new Set([...queues].map((link) => link.fd)).size).toBe(3);
    await queues.remove(0);
    await queues.remove(2);
    expect(exists('mq0')).toBe(true);
    await queues.close();
    expect(exists('mq0')).toBe(false);
  });

  it('refuses the 257th queue with VNIC_TOO_MANY_QUEUES and leaves nothing open', async () => {
    const batch = { capacity: 1, bytesLen: 70_000 };
    const full = await open({ kind: 'tun', name: 'mq0', queues: 256, batch });
    await expect(full.add()).rejects.toMatchObject({ code: 'VNIC_TOO_MANY_QUEUES', errno: 'E2BIG' });
    // A detached queue keeps its place.
    full.detach(7);
    await expect(full.add()).rejects.toMatchObject({ code: 'VNIC_TOO_MANY_QUEUES' });
    await full.remove(7);
    expect(await full.add()).toBe(7);
    await full.close();
    await expect(openQueues({ kind: 'tun', name: 'mq0', queues: 257, batch })).rejects.toMatchObject({
      code: 'VNIC_TOO_MANY_QUEUES',
    });
    expect(exists('mq0')).toBe(false);
    expect(openQueuesOfProcess()).toBe(0);
  });

  it('refuses a single-queue device, a number of queues that is none, and queues of a device that was deleted', async () => {
    await using single = await TunDevice.open({ name: 'sq0' });
    await expect(openQueues({ kind: 'tun', name: 'sq0', queues: 2 })).rejects.toMatchObject({
      code: 'VNIC_QUEUE_MODE',
    });
    expect(() => single.detachQueue()).toThrow(expect.objectContaining({ code: 'VNIC_QUEUE_MODE' }));
    for (const queues of [0, 1.5, Number.NaN]) {
      await expect(openQueues({ kind: 'tun', queues })).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
    }
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 1 });
    ip('link', 'delete', 'mq0');
    await expect(queues.add()).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    expect(exists('mq0')).toBe(false);
    await queues.close();
    await expect(queues.add()).rejects.toMatchObject({ code: 'VNIC_LINK_CLOSED' });
  });

  it('persists last, keeps the device then, and attaches to it again', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 2, persist: true });
    await queues.close();
    expect(getLinkSync('mq0')?.tun).toMatchObject({ persist: true, multiQueue: true });
    const again = await open({ kind: 'tun', name: 'mq0', queues: 2, mustExist: true, persist: false });
    await again.close();
    expect(exists('mq0')).toBe(false);
  });

  it.each(['off', 'auto'] as const)(
    'keeps each flow on one queue and in order, offload %s, and counts as the kernel',
    async (offload) => {
      const queues = await open({ kind: 'tun', name: 'mq0', queues: 4, offload });
      bringUp('mq0');
      const watches = [...queues].map((link, index) => {
        const flows = watchFlows(index);
        link.onBatch((batch) => flows.onBatch(batch));
        return flows;
      });
      await send(await openFlows(16), 500);
      await until(() => expect(sum(watches.map((watch) => watch.report().packets))).toBe(16 * 500));
      const all = watches.map((watch) => watch.report());
      expect(sum(all.map(({ backwards }) => backwards))).toBe(0);
      expect(all.flatMap(({ ports }) => ports)).toHaveLength(16);
      expect(all.filter(({ packets }) => packets > 0).length).toBeGreaterThan(1);
      const { packetsRead, bytesRead } = queues.counters;
      const statistics = getLinkSync('mq0')?.statistics;
      expect([packetsRead, bytesRead]).toEqual([statistics?.txPackets, statistics?.txBytes]);
      await queues.remove(1);
      expect(queues.counters.packetsRead).toBe(packetsRead);
    },
  );

  it('gets the next packets of a flow on the queue that answered it', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 4 });
    bringUp('mq0');
    const seen: number[] = [];
    let answerOn: number | undefined;
    for (const index of queues.indexes) {
      queues.link(index).onBatch((batch) => {
        for (const packet of batch) {
          seen.push(index);
          if (answerOn !== undefined) queues.link(answerOn).write(answerTo(packet));
        }
      });
    }
    const flows = await openFlows(1);
    for (const teacher of [2, 0, 3, 1]) {
      answerOn = teacher;
      await send(flows, 1);
      await until(() => expect(seen).toHaveLength(1));
      answerOn = undefined;
      seen.length = 0;
      await send(flows, 10);
      await until(() => expect(seen).toHaveLength(10));
      expect(new Set(seen)).toEqual(new Set([teacher]));
      seen.length = 0;
    }
  });
});

/** The same UDP packet on its way back. */
function answerTo(packet: Uint8Array): Uint8Array {
  const answer = packet.slice();
  answer.set(packet.subarray(12, 16), 16);
  answer.set(packet.subarray(16, 20), 12);
  answer.set(packet.subarray(20, 22), 22);
  answer.set(packet.subarray(22, 24), 20);
  answer.fill(0, 26, 28);
  return answer;
}

describe('a detached queue', () => {
  it('reads nothing, still writes, and reads again once it is attached', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 2 });
    bringUp('mq0');
    const counts = [0, 0];
    for (const index of [0, 1]) {
      queues.link(index).onBatch((batch) => {
        counts[index] = (counts[index] as number) + batch.count;
      });
    }
    const flows = await openFlows(16);
    queues.detach(0);
    queues.detach(0);
    expect(queues.link(0).flags.detached).toBe(true);
    await send(flows, 20);
    await until(() => expect(counts).toEqual([0, 320]));
    expect(queues.link(0).write(udpPacket())).toBe(1);
    expect(queues.link(0).counters.packetsWritten).toBe(1);
    queues.attach(0);
    queues.attach(0);
    expect(queues.link(0).flags.detached).toBe(false);
    await send(flows, 20);
    await until(() => expect(sum(counts)).toBe(640));
    expect(counts[0]).toBeGreaterThan(0);
  });

  it('is given to its handler what was queued before it is detached, also from inside the handler', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 2 });
    bringUp('mq0');
    queues.detach(1);
    await send(await openFlows(4), 50);
    // Nobody has read so far.
    let read = 0;
    const stop = queues.link(0).onBatch((batch) => {
      read += batch.count;
    });
    queues.detach(0);
    expect(read).toBe(200);
    stop();
    queues.attach(0);
    await send(await openFlows(4), 50);
    const seen: number[] = [];
    queues.link(0).onBatch((batch) => {
      const { count } = batch;
      if (seen.length === 0) queues.detach(0);
      seen.push(count, batch.count);
    });
    await until(() => expect(seen.length).toBeGreaterThan(0));
    expect(seen[0]).toBe(seen[1]);
  });

  it('ends with VNIC_DEVICE_GONE when the device is deleted', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 2 });
    const codes: string[] = [];
    for (const link of queues) {
      link.on('gone', ({ code }) => codes.push(code));
      link.onBatch(() => undefined);
    }
    queues.detach(1);
    ip('link', 'delete', 'mq0');
    await until(() => expect(codes).toEqual(['VNIC_DEVICE_GONE', 'VNIC_DEVICE_GONE']));
    expect(() => queues.attach(1)).toThrow(expect.objectContaining({ code: 'VNIC_LINK_CLOSED' }));
  });

  it('is numbered as the kernel numbers queues', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 4 });
    queues.detach(1);
    expect(queues.indexes.map((index) => queues.kernelIndex(index))).toEqual([0, undefined, 2, 1]);
    queues.attach(1);
    await queues.remove(0);
    expect(queues.indexes.map((index) => queues.kernelIndex(index))).toEqual([3, 2, 1].map((_, i) => [0, 2, 1][i]));
    expect(await queues.add()).toBe(0);
    expect(queues.kernelIndex(0)).toBe(3);
  });

  it('is added, removed, detached and attached under traffic without losing the device', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 2 });
    bringUp('mq0');
    let read = 0;
    const readAll = (index: number): void => {
      queues.link(index).onBatch((batch) => {
        read += batch.count;
      });
    };
    for (const index of queues.indexes) readAll(index);
    const flows = await openFlows(8);
    const random = seededRandom(20_261_121);
    const detached = new Set<number>();
    const changes = [
      async (): Promise<void> => {
        if (queues.indexes.length < 8) readAll(await queues.add());
      },
      async (index: number): Promise<void> => {
        if (queues.indexes.length <= 2) return;
        await queues.remove(index);
        detached.delete(index);
      },
      (index: number): void => {
        if (detached.size === queues.indexes.length - 1) return;
        queues.detach(index);
        detached.add(index);
      },
      (): void => {
        for (const index of detached) queues.attach(index);
        detached.clear();
      },
    ];
    for (let round = 0; round < 150; round++) {
      const index = queues.indexes[Math.floor(random() * queues.indexes.length)] as number;
      await changes[Math.floor(random() * changes.length)]?.(index);
      await send(flows, 2, round * 2);
    }
    expect(getLinkSync('mq0')?.index).toBe(queues.ifindex);
    expect([...queues].every((link) => !link.closed)).toBe(true);
    for (const index of detached) queues.attach(index);
    const before = read;
    await send(flows, 100, 1000);
    await until(() => expect(read - before).toBeGreaterThanOrEqual(800));
    // What goes with a queue is discarded without being counted, so at most all that was sent has been read.
    expect(queues.counters.packetsRead).toBe(read);
    expect(getLinkSync('mq0')?.statistics.txPackets).toBe(read);
  });
});

function udpPacket(): Uint8Array {
  const packet = new Uint8Array(28);
  packet.set([0x45, 0, 0, 28, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 77, 0, 2, 10, 77, 0, 3, 1, 1, 1, 1, 0, 8]);
  return packet;
}

/** `v4 port 7000` of a UDP packet. */
function destinationOf(packet: Uint8Array): string | undefined {
  const version = (packet[0] as number) >> 4;
  const protocol = packet[version === 4 ? 9 : 6];
  const at = version === 4 ? 22 : 42;
  return protocol === UDP
    ? `v${version} port ${((packet[at] as number) << 8) | (packet[at + 1] as number)}`
    : undefined;
}

describe.each([0, 1, 2])('queue %i of three, the others detached', (index) => {
  const openHarness = async (): Promise<LinkHarness> => {
    const queues = await open({ kind: 'tun', name: 'mqc%d', queues: 3 });
    for (const other of queues.indexes) if (other !== index) queues.detach(other);
    ip('link', 'set', queues.name, 'txqueuelen', '10000', 'up');
    const link = queues.link(index);
    const peer = await openInterface({ name: queues.name, receiveBufferLen: 16 << 20 });
    const makePacket = (size: number, seed: number): Uint8Array => {
      const packet = new Uint8Array(size);
      packet.set(udpPacket());
      packet.set([size >> 8, size & 0xff], 2);
      packet.set([(size - 20) >> 8, (size - 20) & 0xff], 24);
      return markPacket(packet, 28, seed);
    };
    const harness = joinedLinksHarness(link, peer, { makePacket, backPressure: false });
    return {
      ...harness,
      remove: async () => void ip('link', 'delete', queues.name),
      close: async () => {
        await harness.close();
        await queues.close();
      },
    };
  };
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
  it.each(cases)('$title', ({ run }) => run(openHarness));
});

describe('steering', () => {
  /** Undefined where this process may not load programs, after the refusal was checked. */
  const load = (instructions: Uint8Array): ReturnType<typeof loadSteeringProgram> | undefined => {
    try {
      return loadSteeringProgram(instructions);
    } catch (error) {
      expect(error).toMatchObject({ code: 'VNIC_NO_PRIVILEGE', errno: 'EPERM', syscall: 'bpf(BPF_PROG_LOAD)' });
      return undefined;
    }
  };

  const countsOf = (queues: DeviceQueues): number[] => [...queues].map((link) => link.counters.packetsRead);

  it('gives every packet to one queue, after the program was closed, until it is taken away', async () => {
    const program = load(steerToQueue(2));
    if (program === undefined) return;
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 4 });
    for (const link of queues) link.onBatch(() => undefined);
    queues.setSteering(program);
    program.close();
    bringUp('mq0');
    const flows = await openFlows(16);
    await send(flows, 10);
    await until(() => expect(countsOf(queues)).toEqual([0, 0, 160, 0]));
    queues.setSteering(undefined);
    await send(flows, 10);
    await until(() => expect(sum(countsOf(queues))).toBe(320));
    expect(countsOf(queues).filter((count) => count > 0).length).toBeGreaterThan(1);
  });

  it.each(['tun', 'tap'] as const)('chooses by destination port on a %s device, IPv4 and IPv6', async (kind) => {
    const program = load(steerByDestinationPort({ medium: kind === 'tun' ? 'ip' : 'ethernet', mask: 3 }));
    if (program === undefined) return;
    const queues = await open({ kind, name: 'mq0', queues: 4 });
    const seen: string[] = [];
    for (const index of queues.indexes) {
      queues.link(index).onBatch((batch) => {
        const ports = [...batch].map((packet) => destinationOf(kind === 'tun' ? packet : packet.subarray(14)));
        seen.push(...ports.filter((port) => port !== undefined).map((port) => `${port} queue ${index}`));
      });
    }
    queues.setSteering(program);
    bringUp('mq0', { ipv6: true });
    ip('address', 'add', 'fd77::1/64', 'dev', 'mq0', 'nodad');
    if (kind === 'tap') {
      for (const to of ['10.77.0.2', 'fd77::2'])
        ip('neighbour', 'add', to, 'lladdr', '02:00:00:00:00:02', 'dev', 'mq0');
    }
    const ports = [7000, 7001, 7002, 7003, 65_535];
    for (const family of ['udp4', 'udp6'] as const) {
      const socket = createSocket(family);
      sockets.push(socket);
      for (const port of ports) socket.send('x', port, family === 'udp4' ? '10.77.0.2' : 'fd77::2');
    }
    const expected = [4, 6].flatMap((version) => ports.map((port) => `v${version} port ${port} queue ${port & 3}`));
    await until(() => expect([...seen].sort()).toEqual([...expected].sort()));
    program.close();
  });

  it('gives all fragments of a datagram to queue 0', async () => {
    const program = load(steerByDestinationPort({ medium: 'ip' }));
    if (program === undefined) return;
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 4 });
    for (const link of queues) link.onBatch(() => undefined);
    queues.setSteering(program);
    program.close();
    bringUp('mq0');
    const socket = createSocket('udp4');
    sockets.push(socket);
    // Three fragments at MTU 1500, and one that is whole.
    socket.send(new Uint8Array(3000), 7003, '10.77.0.2');
    socket.send(new Uint8Array(100), 7003, '10.77.0.2');
    await until(() => expect(countsOf(queues)).toEqual([3, 0, 0, 1]));
  });

  it('says what the verifier found, and refuses what is no program', () => {
    for (const length of [0, 7]) {
      expect(() => loadSteeringProgram(new Uint8Array(length))).toThrow(
        expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }),
      );
    }
    if (!mayLoad()) return;
    const onlyExit = Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0);
    expect(() => loadSteeringProgram(onlyExit)).toThrow(
      expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT', reason: expect.stringContaining('R0 !read_ok') }),
    );
  });

  const mayLoad = (): boolean => {
    const program = load(steerToQueue(0));
    program?.close();
    return program !== undefined;
  };

  it('refuses a descriptor that is no program', async () => {
    const queues = await open({ kind: 'tun', name: 'mq0', queues: 1 });
    for (const fd of [0, 9999]) {
      expect(() => queues.link(0).setSteering(fd)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    }
  });

  it('is refused to root of a user namespace with VNIC_NO_PRIVILEGE, and the device still works', () => {
    const code = `import { loadSteeringProgram, openQueues, steerToQueue } from '${built('queues')}';
      const queues = await openQueues({ kind: 'tun', name: 'mq0', queues: 2 });
      try { loadSteeringProgram(steerToQueue(0)); } catch (error) { console.log(JSON.stringify(error)); }
      queues.setSteering(undefined);
      await queues.close();`;
    const command = ['--user', '--map-root-user', '--net', '--', process.execPath, '--input-type=module', '-e', code];
    const error = JSON.parse(execFileSync('unshare', command, { encoding: 'utf8' })) as Record<string, string>;
    expect(error).toMatchObject({ code: 'VNIC_NO_PRIVILEGE', errno: 'EPERM' });
    expect(error['reason']).toContain('user namespace');
    expect(error['hint']).toContain('sudo');
  });
});

describe('runInWorkers', () => {
  it.each(['off', 'auto'] as const)(
    'keeps flows in order over four workers, offload %s, and counts as the kernel',
    async (offload) => {
      const device = { kind: 'tun', name: 'mqw%d', offload } as const;
      const workers = await runWorkers({ worker: watchingWorker, queues: 4, device });
      const all = reports(workers);
      expect(workers.name).toBe('mqw0');
      expect(workers.workers.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready', 'ready']);
      bringUp(workers.name);
      await send(await openFlows(16), 500);
      await until(() => expect(workers.counters.packetsRead).toBe(16 * 500));
      const { packetsRead, bytesRead } = workers.counters;
      const statistics = getLinkSync(workers.name)?.statistics;
      expect([packetsRead, bytesRead]).toEqual([statistics?.txPackets, statistics?.txBytes]);
      await workers.close();
      expect(all.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
      expect(sum(all.map(({ packets }) => packets))).toBe(16 * 500);
      expect(sum(all.map(({ backwards }) => backwards))).toBe(0);
      expect(all.flatMap(({ ports }) => ports)).toHaveLength(16);
      for (const { index, packets } of all) expect(workers.workers[index]?.counters.packetsRead).toBe(packets);
      expect(exists('mqw0')).toBe(false);
      await workers.wait();
    },
  );

  it('hands data to its workers, passes messages both ways, detaches, attaches and adds under traffic', async () => {
    const worker = workerModule(`const flows = watchFlows(index);
      link.onBatch((batch) => flows.onBatch(batch));
      parentPort.on('message', (message) => parentPort.postMessage({ index, data, message }));
      parentPort.unref();`);
    const workers = await runWorkers({
      worker,
      queues: 2,
      device: { kind: 'tun', name: 'mqw0' },
      workerData: { my: 1 },
    });
    const heard: unknown[] = [];
    workers.on('message', ({ message }) => heard.push(message));
    workers.workers[1]?.postMessage('hello');
    await until(() => expect(heard).toEqual([{ index: 1, data: { my: 1 }, message: 'hello' }]));
    bringUp('mqw0');
    const flows = await openFlows(8);
    const counts = (): number[] => workers.workers.map(({ counters }) => counters.packetsRead);
    await workers.workers[0]?.detach();
    await send(flows, 20);
    await until(() => expect(counts()).toEqual([0, 160]));
    await workers.workers[0]?.attach();
    const added = await workers.add();
    expect([added.index, added.state]).toEqual([2, 'ready']);
    await send(flows, 20);
    await until(() => expect(sum(counts())).toBe(320));
  });

  it('lets the others go on when one worker is terminated under traffic, and leaves nothing', async () => {
    const workers = await runWorkers({ worker: watchingWorker, queues: 3, device: { kind: 'tun', name: 'mqw0' } });
    bringUp('mqw0');
    const flows = await openFlows(16);
    const sending = send(flows, 400);
    await until(() => expect(sum(workers.workers.map(({ counters }) => counters.packetsRead))).toBeGreaterThan(500));
    await workers.workers[1]?.terminate();
    await sending;
    expect(workers.workers.map(({ state }) => state)).toEqual(['ready', 'ended', 'ready']);
    expect(openQueuesOfProcess()).toBe(3);
    const [first, , third] = workers.workers.map(({ counters }) => counters.packetsRead) as [number, number, number];
    await send(flows, 100, 1000);
    await until(() => {
      const counters = workers.workers.map((worker) => worker.counters.packetsRead) as [number, number, number];
      expect(counters[0] - first + counters[2] - third).toBeGreaterThanOrEqual(1600);
    });
    for (const worker of workers.workers) await worker.terminate();
    await workers.wait();
    await until(() => expect(openQueuesOfProcess()).toBe(0));
    expect(exists('mqw0')).toBe(false);
  });

  /** Fails when it is told to, by any message. */
  const failingWorker = workerModule(`link.onBatch(() => {});
    parentPort.on('message', () => { throw new RangeError('deliberate'); });
    parentPort.unref();`);

  it('closes all when one fails, and tells why', async () => {
    const workers = await runWorkers({
      worker: failingWorker,
      queues: 3,
      device: { kind: 'tun', name: 'mqw0' },
    });
    const failed: number[] = [];
    workers.on('failed', ({ index }) => failed.push(index));
    workers.workers[1]?.postMessage('fail');
    const error = await workers.wait().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'VNIC_WORKER_FAILED', reason: 'deliberate', cause: expect.any(RangeError) });
    expect(failed).toEqual([1]);
    expect(workers.workers.map(({ state }) => state)).toEqual(['ended', 'failed', 'ended']);
    await workers.close();
    expect(exists('mqw0')).toBe(false);
    await expect(workers.wait()).rejects.toBe(error);
  });

  it('lets the others go on when one fails, if that was asked for', async () => {
    const workers = await runWorkers({
      worker: failingWorker,
      queues: 3,
      device: { kind: 'tun', name: 'mqw0' },
      onFailure: 'continue',
    });
    const failed = new Promise<void>((resolve) => void workers.on('failed', () => resolve()));
    workers.workers[1]?.postMessage('fail');
    await failed;
    expect(workers.workers.map(({ state }) => state)).toEqual(['ready', 'failed', 'ready']);
    bringUp('mqw0');
    await send(await openFlows(8), 20);
    await until(() => expect(workers.counters.packetsRead).toBe(160));
    await workers.close();
    await expect(workers.wait()).rejects.toMatchObject({ code: 'VNIC_WORKER_FAILED' });
  });

  it.each([
    ['throws before it opens its queue', 'throw new RangeError("early");', 'early'],
    ['ends before it opens its queue', '', 'before it had opened'],
    ['exits', 'process.exit(3);', 'exit status 3'],
    // Only this one waits for the time to be over.
    ['never opens its queue', 'setInterval(() => {}, 1000);', 'within 200 ms', 200],
  ])('fails to start when a worker %s, and leaves nothing', async (_, code, reason, readyTimeoutMs = 60_000) => {
    const worker = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
    const device = { kind: 'tun', name: 'mqw0' } as const;
    const error = await runInWorkers({ worker, queues: 2, device, readyTimeoutMs, closeTimeoutMs: 100 }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({ code: 'VNIC_WORKER_FAILED', reason: expect.stringContaining(reason) });
    expect(exists('mqw0')).toBe(false);
    expect(openQueuesOfProcess()).toBe(0);
  });

  it('fails to start with the reason for which a queue could not be opened', async () => {
    const worker = workerModule('link.onBatch(() => {});');
    const batch = { capacity: 1, bytesLen: 70_000 };
    const full = await open({ kind: 'tun', name: 'mqw0', queues: 254, batch });
    await expect(runInWorkers({ worker, queues: 3, device: { kind: 'tun', name: 'mqw0' } })).rejects.toMatchObject({
      code: 'VNIC_TOO_MANY_QUEUES',
    });
    expect(openQueuesOfProcess()).toBe(254);
    await full.close();
    await expect(runInWorkers({ worker, queues: 256, device: { kind: 'tun' } })).rejects.toMatchObject({
      code: 'VNIC_INVALID_ARGUMENT',
    });
    const signal = AbortSignal.abort();
    await expect(runInWorkers({ worker, queues: 2, device: { kind: 'tun' }, signal })).rejects.toMatchObject({
      code: 'VNIC_ABORTED',
    });
    await expect(openQueueInWorker()).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
  });

  it('leaves the others alone when one that is added cannot start', async () => {
    const code = `import { workerData } from 'node:worker_threads';
      if (workerData.vnicQueue.index === 2) throw new RangeError('third');
      const { openQueueInWorker } = await import('${built('queues')}');
      (await openQueueInWorker()).link.onBatch(() => {});`;
    const worker = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
    const workers = await runWorkers({ worker, queues: 2, device: { kind: 'tun', name: 'mqw0' } });
    await expect(workers.add()).rejects.toMatchObject({ code: 'VNIC_WORKER_FAILED', reason: 'third' });
    expect(workers.workers.map(({ state }) => state)).toEqual(['ready', 'ready', 'failed']);
    await workers.close();
    await workers.wait();
  });

  it('ends with VNIC_DEVICE_GONE when the device is deleted, whether or not the workers read', async () => {
    for (const body of ['link.onBatch(() => {});', 'setInterval(() => {}, 1000);']) {
      const workers = await runWorkers({
        worker: workerModule(body),
        queues: 2,
        device: { kind: 'tun', name: 'mqw0' },
        closeTimeoutMs: 200,
      });
      const gone: string[] = [];
      workers.on('gone', ({ code }) => gone.push(code));
      ip('link', 'delete', 'mqw0');
      const error = await workers.wait().catch((reason: unknown) => reason);
      expect(isVnicError(error, 'VNIC_DEVICE_GONE')).toBe(true);
      expect(gone).toEqual(['VNIC_DEVICE_GONE']);
      await workers.close();
    }
  });

  it('lets the process end by itself, after close() and after unref(), and leaves nothing on kill -9', async () => {
    const program = (rest: string): string => `import { runInWorkers } from '${built('queues')}';
      const worker = new URL(${JSON.stringify(workerModule('link.onBatch((batch) => link.write(batch));').href)});
      const workers = await runInWorkers({ worker, queues: 3, device: { kind: 'tun', name: 'mqw0' } });
      console.log('running');
      ${rest}`;
    for (const rest of ['await workers.close();', 'workers.unref();']) {
      const output = execFileSync(process.execPath, ['--input-type=module', '-e', program(rest)], {
        encoding: 'utf8',
        timeout: 20_000,
      });
      expect(output).toBe('running\n');
      expect(exists('mqw0')).toBe(false);
    }
    const child = spawn(process.execPath, ['--input-type=module', '-e', program('')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    bringUp('mqw0');
    const flows = await openFlows(8);
    const sending = send(flows, 100).catch(() => undefined);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    await sending;
    expect(exists('mqw0')).toBe(false);
  });
});
