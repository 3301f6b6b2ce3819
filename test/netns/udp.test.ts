/**
 * UDP sockets in batches, against the real kernel.
 *
 *   this process                                     children
 *   socket -- lo -- socket
 *   socket -- near0 ===veth=== hop0 [namespace hop] hop1 ===veth, MTU 1300=== far0 [namespace far]
 *     10.1.0.1, fd01::1        10.1.0.2, fd01::2    10.2.0.1, fd02::1         10.2.0.2, fd02::2
 */

import { execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { isVnicError, seededRandom, type VnicErrorCode } from '../../src/base/index.ts';
import { PacketBatch } from '../../src/link/index.ts';
import {
  openUdp,
  UdpBatch,
  type UdpCounters,
  type UdpEndpoint,
  UdpEndpointTable,
  type UdpEvents,
  type UdpOptions,
  type UdpSocket,
} from '../../src/transport/index.ts';
import { requirePrivateNetns } from './private-netns.ts';

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const entry = new URL('../../dist/transport/index.js', import.meta.url).href;

beforeAll(async () => {
  requirePrivateNetns();
  for (const name of ['hop', 'far']) {
    ip('netns', 'add', name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
  }
  ip('link', 'add', 'near0', 'type', 'veth', 'peer', 'name', 'hop0', 'netns', 'hop');
  ip('-n', 'hop', 'link', 'add', 'hop1', 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'far0', 'netns', 'far');
  ip('-n', 'far', 'link', 'set', 'far0', 'mtu', '1300');
  const add = (namespace: string[], device: string, ...addresses: string[]): void => {
    for (const address of addresses) {
      ip(...namespace, 'addr', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
    }
    ip(...namespace, 'link', 'set', device, 'up');
  };
  add([], 'near0', '10.1.0.1/24', 'fd01::1/64');
  add(['-n', 'hop'], 'hop0', '10.1.0.2/24', 'fd01::2/64');
  add(['-n', 'hop'], 'hop1', '10.2.0.1/24', 'fd02::1/64');
  add(['-n', 'far'], 'far0', '10.2.0.2/24', 'fd02::2/64');
  const forward = 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';
  execFileSync('ip', ['netns', 'exec', 'hop', 'sh', '-c', forward]);
  ip('route', 'add', '10.2.0.0/24', 'via', '10.1.0.2');
  ip('route', 'add', 'fd02::/64', 'via', 'fd01::2');
  ip('-n', 'far', 'route', 'add', '10.1.0.0/24', 'via', '10.2.0.1');
  ip('-n', 'far', 'route', 'add', 'fd01::/64', 'via', 'fd02::1');
});

const cleanups: (() => unknown)[] = [];
afterAll(() => {
  ip('link', 'delete', 'near0');
  for (const name of ['hop', 'far']) ip('netns', 'delete', name);
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function open(options: UdpOptions = {}): Promise<UdpSocket> {
  const socket = await openUdp(options);
  cleanups.push(() => socket.close());
  return socket;
}

const loopback = { 4: '127.0.0.1', 6: '::1' } as const;
const onLoopback = (options: UdpOptions = {}): Promise<UdpSocket> =>
  open({ local: { address: '127.0.0.1', port: 0 }, ...options });

async function openDgram(address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 });
  cleanups.push(() => socket.close());
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

interface Seen {
  readonly bytes: Uint8Array;
  readonly trafficClass: number;
  readonly from: string;
  readonly to: string;
  readonly ifindex: number;
}

/** Copies of the next `count` datagrams. */
async function receiveAll(socket: UdpSocket, count: number): Promise<Seen[]> {
  const seen: Seen[] = [];
  while (seen.length < count) {
    const batch = await socket.receive({ signal: AbortSignal.timeout(10_000) });
    if (batch === undefined) break;
    for (let i = 0; i < batch.count; i++) {
      const path = batch.endpoints.get(batch.endpoint(i));
      seen.push({
        bytes: batch.packet(i).slice(),
        trafficClass: batch.trafficClass(i),
        from: path === undefined ? 'peer' : `${path.remote.address} ${path.remote.port}`,
        to: `${path?.local ?? '-'}`,
        ifindex: path?.ifindex ?? 0,
      });
    }
  }
  return seen;
}

async function sendAll(socket: UdpSocket, batch: PacketBatch): Promise<void> {
  for (let at = socket.send(batch); at < batch.count; at += socket.send(batch, at)) {
    await socket.writable({ signal: AbortSignal.timeout(10_000) });
  }
}

async function codeOf(run: () => unknown): Promise<VnicErrorCode | undefined> {
  try {
    await run();
  } catch (error) {
    if (isVnicError(error)) return error.code;
    throw error;
  }
  return undefined;
}

const nextEvent = <Name extends keyof UdpEvents>(socket: UdpSocket, name: Name): Promise<UdpEvents[Name]> =>
  new Promise((resolve) => {
    const stop = socket.on(name, (event) => {
      stop();
      resolve(event);
    });
  });

/** Bytes that tell their length and position. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(seed);
  if (length >= 4) new DataView(bytes.buffer).setUint32(0, seed);
  if (length > 4) bytes[length - 1] = length & 0xff;
  return bytes;
}

/** Appends runs of datagrams to random endpoints and drops a few. @returns what each endpoint is to get */
function fillAtRandom(batch: UdpBatch, random: () => number, endpoints: number): Uint8Array[][] {
  const pick = (limit: number): number => Math.floor(random() * limit);
  const expected = Array.from({ length: endpoints }, (): Uint8Array[] => []);
  for (let run = 0; run < 40; run++) {
    const endpoint = pick(endpoints);
    const length = [0, 1, 64, 1420, 1472, 9000, pick(3000)][pick(7)] as number;
    for (let left = 1 + pick(90); left > 0; left--) {
      const datagram = pattern(left === 1 ? pick(length + 1) : length, pick(1 << 30));
      if (!batch.append(datagram, endpoint + 1)) break;
      if (pick(20) === 0) batch.drop(batch.count - 1);
      else expected[endpoint]?.push(datagram);
    }
  }
  return expected;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const modes = [
  { gso: 'auto', gro: 'auto' },
  { gso: 'auto', gro: 'off' },
  { gso: 'off', gro: 'auto' },
  { gso: 'off', gro: 'off' },
] as const;

describe.each(modes)('with gso $gso and gro $gro', (mode) => {
  it.each([4, 6] as const)('datagrams of every size arrive whole and in order over IPv%i', async (family) => {
    const receiver = await open({ ...mode, local: { address: loopback[family], port: 0 } });
    const sender = await open({ ...mode, remote: receiver.local });
    // Every size once; over IPv6 and in the mixed modes every seventh.
    const step = family === 4 && mode.gso === mode.gro ? 1 : 7;
    const batch = new UdpBatch({ capacity: 64, bytesLen: 1 << 20 });
    const wrong: string[] = [];
    for (let length = 0; length <= 65_507; ) {
      batch.clear();
      const first = length;
      for (; length <= 65_507 && batch.append(pattern(length, length)); length += step);
      await sendAll(sender, batch);
      const seen = await receiveAll(receiver, batch.count);
      for (const [i, { bytes }] of seen.entries()) {
        const expected = first + i * step;
        if (!same(bytes, pattern(expected, expected))) wrong.push(`${expected}: ${bytes.length}`);
      }
    }
    expect(wrong).toEqual([]);
    const { sendDropped: _, ...sent } = sender.counters;
    expect(sent.datagramsSent).toBe(receiver.counters.datagramsReceived);
    expect(sent.bytesSent).toBe(receiver.counters.bytesReceived);
    expect(receiver.counters.receiveDropped).toBe(0);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('random runs of sizes to random endpoints arrive alike, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const receivers: UdpSocket[] = [];
    for (let i = 0; i < 3; i++) receivers.push(await onLoopback({ ...mode, packetInfo: i === 1 }));
    const sender = await onLoopback(mode);
    const endpoints = new UdpEndpointTable(receivers.length + 1);
    for (const { local } of receivers) endpoints.add(local);
    const batch = new UdpBatch({ capacity: 1024, bytesLen: 1 << 20, endpoints });
    const expected = fillAtRandom(batch, random, receivers.length);
    await sendAll(sender, batch);
    for (const [i, receiver] of receivers.entries()) {
      const wanted = expected[i] as Uint8Array[];
      const seen = await receiveAll(receiver, wanted.length);
      expect(seen.length).toBe(wanted.length);
      expect(seen.every(({ bytes }, at) => same(bytes, wanted[at] as Uint8Array))).toBe(true);
      expect(new Set(seen.map(({ from }) => from))).toEqual(new Set([`127.0.0.1 ${sender.local.port}`]));
    }
    expect(total(sender.counters)).toBe(0);
  });

  it.each(['vnic', 'dgram'] as const)('a peer behind veth (%s) echoes what it gets', async (kind) => {
    const port = await startEcho(kind, mode);
    const socket = await open({ ...mode, remote: { address: '10.1.0.2', port } });
    const batch = new UdpBatch({ capacity: 256, bytesLen: 1 << 20 });
    // The middle does not fit the MTU of 1500, so that segments are refused and fragments sent.
    const lengths = [
      ...Array<number>(100).fill(1420),
      3,
      ...Array<number>(20).fill(3000),
      0,
      ...Array<number>(60).fill(64),
    ];
    for (const [i, length] of lengths.entries()) batch.append(pattern(length, i));
    await sendAll(socket, batch);
    const seen = await receiveAll(socket, lengths.length);
    expect(seen.map(({ bytes }) => bytes.length)).toEqual(lengths);
    expect(seen.every(({ bytes }, i) => same(bytes, pattern(lengths[i] as number, i)))).toBe(true);
    expect(total(socket.counters)).toBe(0);
    expect(socket.gso).toBe(mode.gso === 'auto');
  });
});

const total = ({ sendDropped }: UdpCounters): number => Object.values(sendDropped).reduce((a, b) => a + b, 0);

/** An echo server in the namespace `hop`. @returns its port */
async function startEcho(kind: 'vnic' | 'dgram', mode: Pick<UdpOptions, 'gso' | 'gro'>): Promise<number> {
  const code = {
    vnic: `import { openUdp } from '${entry}';
      const socket = await openUdp(${JSON.stringify(mode)});
      socket.onBatch((batch) => socket.send(batch));
      console.log(socket.local.port);`,
    dgram: `import { createSocket } from 'node:dgram';
      const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
      socket.on('message', (bytes, { port, address }) => socket.send(bytes, port, address));
      socket.bind(0, () => console.log(socket.address().port));`,
  }[kind];
  const node = ['netns', 'exec', 'hop', process.execPath, '--input-type=module', '-e', code];
  const child = spawn('ip', node, { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return Number(line.toString());
}

describe('offload', () => {
  it('joins datagrams of a run into few messages on both sides', async () => {
    const receiver = await onLoopback();
    const sender = await open({ remote: receiver.local });
    const batch = new UdpBatch({ capacity: 128 });
    for (let i = 0; i < 128; i++) batch.append(pattern(1000, i));
    await sendAll(sender, batch);
    expect((await receiveAll(receiver, 128)).length).toBe(128);
    expect({ gso: sender.gso, gro: receiver.gro }).toEqual({ gso: true, gro: true });
    expect(sender.counters.messagesSent).toBe(2);
    expect(receiver.counters.messagesReceived).toBe(2);
  });

  it('is not used when it is off', async () => {
    const receiver = await onLoopback({ gro: 'off' });
    const sender = await open({ remote: receiver.local, gso: 'off' });
    const batch = new UdpBatch({ capacity: 128 });
    for (let i = 0; i < 128; i++) batch.append(pattern(1000, i));
    await sendAll(sender, batch);
    expect((await receiveAll(receiver, 128)).length).toBe(128);
    expect({ gso: sender.gso, gro: receiver.gro }).toEqual({ gso: false, gro: false });
    expect(sender.counters.messagesSent).toBe(128);
    expect(receiver.counters.messagesReceived).toBe(128);
  });

  it('delivers the rest with the next batch when a batch is full', async () => {
    const receiver = await onLoopback({ batch: { capacity: 128, bytesLen: 67_008 } });
    const sender = await open({ remote: receiver.local });
    const batch = new UdpBatch({ capacity: 1000 });
    for (let i = 0; i < 1000; i++) batch.append(pattern(100, i));
    await sendAll(sender, batch);
    const seen = await receiveAll(receiver, 1000);
    expect(seen.map(({ bytes }) => new DataView(bytes.buffer).getUint32(0))).toEqual([...Array(1000).keys()]);
  });
});

describe('node:dgram', () => {
  it.each(['127.0.0.1', '::1'])('understands and is understood on %s', async (address) => {
    const peer = await openDgram(address);
    const socket = await open({ local: { address, port: 0 } });
    const lengths = [0, 1, 1420, 1420, 1420, 700, 65_507];
    const heard: number[] = [];
    peer.on('message', (bytes, { port }) => {
      heard.push(bytes.length);
      peer.send(bytes, port, address);
    });
    const batch = new UdpBatch({ capacity: 16 });
    const to = batch.endpoints.add({ address, port: peer.address().port });
    for (const length of lengths) batch.append(pattern(length, 7), to);
    await sendAll(socket, batch);
    const seen = await receiveAll(socket, lengths.length);
    expect(heard).toEqual(lengths);
    expect(seen.map(({ bytes }) => bytes.length)).toEqual(lengths);
    expect(seen.every(({ bytes }, i) => same(bytes, pattern(lengths[i] as number, 7)))).toBe(true);
    expect(seen[0]?.from).toBe(`${address} ${peer.address().port}`);
  });
});

describe('a dual-stack socket', () => {
  it('serves both families, and answers from the address that was asked', async () => {
    const server = await open({ receiveTrafficClass: true });
    server.onBatch((batch) => expect(server.send(batch)).toBe(batch.count));
    for (const address of ['127.0.0.1', '127.0.0.9', '::1', '10.1.0.1', 'fd01::1']) {
      // Connected: an answer from another address would not be received.
      const client = await open({ remote: { address, port: server.local.port }, receiveTrafficClass: true });
      const batch = new UdpBatch({ capacity: 4 });
      for (let i = 0; i < 3; i++) batch.append(pattern(100, i), 0, 0xb8 | 1);
      client.send(batch);
      const seen = await receiveAll(client, 3);
      expect(
        seen.map(({ bytes }) => bytes.length),
        address,
      ).toEqual([100, 100, 100]);
      expect(new Set(seen.map(({ trafficClass }) => trafficClass)), address).toEqual(new Set([0xb9]));
    }
    expect(total(server.counters)).toBe(0);
  });

  it('tells of IPv4 datagrams as such', async () => {
    const server = await open();
    const client = await onLoopback();
    client.send(pattern(9, 9), { address: '127.0.0.7', port: server.local.port });
    const [seen] = await receiveAll(server, 1);
    expect(seen).toMatchObject({ from: `127.0.0.1 ${client.local.port}`, to: '127.0.0.7', ifindex: 1 });
  });

  it('leaves IPv4 alone when it is not to be one', async () => {
    const first = await open({ local: { address: '::', port: 0 }, dualStack: false });
    const second = await open({ local: { address: '0.0.0.0', port: first.local.port } });
    expect(second.local.port).toBe(first.local.port);
  });
});

describe.each([
  ['IPv4', '127.0.0.1'],
  ['IPv6', '::1'],
])('what comes with a datagram over %s', (_, address) => {
  it.each(modes)('is its traffic class, ECN included, with gso $gso and gro $gro', async (mode) => {
    const receiver = await open({ ...mode, local: { address, port: 0 }, receiveTrafficClass: true });
    const sender = await open({ ...mode, remote: receiver.local, trafficClass: 0x20 });
    const batch = new UdpBatch({ capacity: 32 });
    const classes = [0, 0, 1, 1, 1, 2, 3, 3, 0xb8, 0xb9, 0xb9, 0];
    for (const trafficClass of classes) batch.append(pattern(50, 1), 0, trafficClass);
    await sendAll(sender, batch);
    const seen = await receiveAll(receiver, classes.length);
    expect(seen.map(({ trafficClass }) => trafficClass)).toEqual(classes.map((value) => value || 0x20));
  });

  it('is the address to which and the interface on which it came', async () => {
    const receiver = await open({ local: { address, port: 0 }, packetInfo: true });
    const sender = await open({ remote: receiver.local });
    sender.send(pattern(5, 5));
    expect(await receiveAll(receiver, 1)).toMatchObject([{ to: address, ifindex: 1 }]);
  });
});

describe('a source', () => {
  it('is chosen by the record of the endpoint', async () => {
    const receiver = await onLoopback();
    const sender = await open();
    const batch = new UdpBatch({ capacity: 8 });
    for (const from of ['127.0.0.3', '127.0.0.4']) {
      const index = batch.endpoints.add(receiver.local, { from });
      batch.append(pattern(10, 1), index);
      batch.append(pattern(10, 2), index);
    }
    expect(sender.send(batch)).toBe(4);
    const { port } = sender.local;
    const expected = ['127.0.0.3', '127.0.0.3', '127.0.0.4', '127.0.0.4'].map((from) => `${from} ${port}`);
    expect((await receiveAll(receiver, 4)).map(({ from }) => from)).toEqual(expected);
  });

  it('that this machine does not have drops the datagram and is counted', async () => {
    const receiver = await onLoopback();
    const sender = await open();
    const batch = new UdpBatch({ capacity: 8 });
    batch.append(pattern(10, 1), batch.endpoints.add(receiver.local, { from: '203.0.113.9' }));
    batch.append(pattern(10, 2), batch.endpoints.add(receiver.local));
    expect(sender.send(batch)).toBe(2);
    expect((await receiveAll(receiver, 1)).map(({ bytes }) => bytes)).toEqual([pattern(10, 2)]);
    expect(total(sender.counters)).toBe(1);
  });
});

describe('an interface', () => {
  const indexOf = (name: string): number => Number(ip('-o', 'link', 'show', name).split(':')[0]);

  it('is part of a link-local address, both ways', async () => {
    const port = await startEcho('vnic', {});
    const [, address = ''] = /inet6 (fe80[0-9a-f:]*)/.exec(ip('-n', 'hop', 'addr', 'show', 'hop0')) ?? [];
    const socket = await open();
    const scopeId = indexOf('near0');
    expect(socket.send(pattern(20, 1), { address, port, scopeId })).toBe(1);
    expect(await receiveAll(socket, 1)).toMatchObject([{ from: `${address} ${port}`, ifindex: scopeId }]);
  });

  it('is chosen by route, or by the record of the endpoint if the socket asks for that', async () => {
    for (const stickyInterface of [false, true]) {
      const socket = await open({ local: { address: '0.0.0.0', port: 0 }, stickyInterface });
      const batch = new UdpBatch({ capacity: 1 });
      // There is no such interface, which only shows if it is to be used.
      batch.append(pattern(9, 1), batch.endpoints.add({ address: '10.1.0.2', port: 9 }, { ifindex: 99_999 }));
      expect(socket.send(batch)).toBe(1);
      expect(socket.counters.datagramsSent).toBe(stickyInterface ? 0 : 1);
    }
  });
});

describe('a path with a smaller MTU', () => {
  it.each([
    ['10.2.0.2', '10.1.0.2'],
    ['fd02::2', 'fd01::2'],
  ])('to %s becomes known, and no datagram is fragmented', async (address, router) => {
    const socket = await open({ remote: { address, port: 9 }, pathMtuDiscovery: 'do' });
    socket.onBatch(() => undefined);
    const told = nextEvent(socket, 'pathMtu');
    expect(socket.pathMtu()).toBe(1500);
    expect(socket.send(pattern(1400, 1))).toBe(1);
    const event = await told;
    expect({
      ...event,
      reporter: `${event.reporter}`,
      remote: `${event.remote?.address} ${event.remote?.port}`,
    }).toEqual({
      mtu: 1300,
      reporter: router,
      remote: `${address} 9`,
    });
    expect(socket.pathMtu()).toBe(1300);

    // From now on the own kernel knows.
    const other = await open({ remote: { address, port: 9 }, pathMtuDiscovery: 'do' });
    const again = nextEvent(other, 'pathMtu');
    const batch = new UdpBatch({ capacity: 8 });
    for (const length of [1400, 1400, 1400, 100]) batch.append(pattern(length, 1));
    expect(other.send(batch)).toBe(4);
    expect(other.counters).toMatchObject({ datagramsSent: 1, sendDropped: { 'too-long': 3 } });
    expect(await again).toMatchObject({ mtu: 1300, reporter: undefined });
  });

  it('does not refuse longer datagrams to who asks for fragments', async () => {
    const socket = await open({ remote: { address: '10.2.0.2', port: 9 }, pathMtuDiscovery: 'off' });
    for (let i = 0; i < 10; i++) expect(socket.send(pattern(1400, 1))).toBe(1);
    expect(socket.counters.sendDropped['too-long']).toBe(0);
  });

  it('does not come in between two datagrams that are sent', async () => {
    // Nobody reads, so that the error of the first waits for the next call.
    const socket = await open({ remote: { address: '10.2.0.2', port: 9 }, pathMtuDiscovery: 'probe' });
    for (let i = 0; i < 20; i++) expect(socket.send(pattern(1400, i))).toBe(1);
    expect(socket.counters).toMatchObject({ datagramsSent: 20 });
    expect(total(socket.counters)).toBe(0);
  });
});

describe('a port without listener', () => {
  const closedPort = async (address: string): Promise<UdpEndpoint> => {
    const socket = await openUdp({ local: { address, port: 0 } });
    await socket.close();
    return { address, port: socket.local.port };
  };

  it.each([
    ['connected', '127.0.0.1', {}],
    ['connected', '::1', {}],
    ['unconnected', '127.0.0.1', { local: { address: '127.0.0.1', port: 0 } }],
    ['unconnected', '::1', { local: { address: '::1', port: 0 } }],
    ['dual-stack', '127.0.0.1', { local: { address: '::', port: 0 } }],
  ] as const)('is an event, never thrown: %s socket, %s', async (kind, address, options) => {
    const remote = await closedPort(address);
    const socket = await open({ ...options, ...(kind === 'connected' ? { remote } : {}) });
    const reading = socket.receive();
    const told = nextEvent(socket, 'unreachable');
    expect(socket.send(pattern(10, 1), kind === 'connected' ? undefined : remote)).toBe(1);
    expect(await told).toMatchObject({ reason: 'port', errno: 'ECONNREFUSED', remote: { port: remote.port } });
    expect(`${(await told).remote?.address}`).toBe(address);
    // The socket goes on.
    const peer = await open({ local: remote });
    expect(socket.send(pattern(10, 2), kind === 'connected' ? undefined : remote)).toBe(1);
    const [got] = await receiveAll(peer, 1);
    expect(got?.bytes).toEqual(pattern(10, 2));
    peer.send(pattern(3, 3), socket.remote === undefined ? { address, port: socket.local.port } : socket.local);
    expect((await reading)?.count).toBe(1);
  });

  it('loses none of the datagrams to others', async () => {
    const remote = await closedPort('127.0.0.1');
    const receiver = await onLoopback();
    const socket = await onLoopback();
    const batch = new UdpBatch({ capacity: 64 });
    const bad = batch.endpoints.add(remote);
    const good = batch.endpoints.add(receiver.local);
    for (let i = 0; i < 64; i++) batch.append(pattern(20, i), i % 2 === 0 ? bad : good);
    for (let round = 0; round < 5; round++) expect(socket.send(batch)).toBe(64);
    expect((await receiveAll(receiver, 160)).length).toBe(160);
    expect(socket.counters.errorsReceived).toBeGreaterThan(0);
  });
});

describe('a destination', () => {
  it('without route is counted', async () => {
    const socket = await open({ local: { address: '0.0.0.0', port: 0 } });
    expect(socket.send(pattern(9, 1), { address: '198.51.100.1', port: 9 })).toBe(1);
    expect(socket.counters.sendDropped['network-unreachable']).toBe(1);
  });

  it('of the other family, a broadcast, port 0 or none at all is counted', async () => {
    const socket = await open({ local: { address: '0.0.0.0', port: 0 } });
    socket.send(pattern(9, 1), { address: '::1', port: 9 });
    socket.send(pattern(9, 1), { address: '10.1.0.255', port: 9 });
    socket.send(pattern(9, 1), { address: '127.0.0.1', port: 0 });
    const batch = new UdpBatch({ capacity: 2 });
    batch.append(pattern(9, 1));
    socket.send(batch);
    expect(socket.counters.sendDropped).toMatchObject({ invalid: 2, forbidden: 1, 'no-destination': 1 });
    expect(socket.counters.datagramsSent).toBe(0);
  });

  it('is asked for', async () => {
    const socket = await onLoopback();
    expect(await codeOf(() => socket.send(pattern(9, 1)))).toBe('VNIC_INVALID_ARGUMENT');
    const batch = new PacketBatch();
    batch.append(pattern(9, 1));
    expect(await codeOf(() => socket.send(batch))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('of a packet read from elsewhere is the connected peer, whatever its descriptors say', async () => {
    const receiver = await onLoopback();
    const sender = await open({ remote: receiver.local });
    const batch = new PacketBatch();
    batch.append(pattern(30, 1));
    batch.append(pattern(0, 1));
    batch.append(pattern(30, 2));
    batch.descriptors.fill(0xffff_ffff, 2, 4);
    expect(sender.send(batch)).toBe(3);
    expect((await receiveAll(receiver, 2)).map(({ bytes }) => bytes)).toEqual([pattern(30, 1), pattern(30, 2)]);
  });
});

describe('pressure', () => {
  it('stops sending, wakes the writer, and nothing taken is lost without being counted', async () => {
    // Nobody answers for this address: datagrams wait in the neighbour's queue until the kernel gives it up.
    const socket = await open({ remote: { address: '10.1.0.77', port: 9 }, sendBufferLen: 4096 });
    const told = nextEvent(socket, 'unreachable');
    const batch = new UdpBatch({ capacity: 64 });
    while (batch.reserve(1400) >= 0);
    const taken = socket.send(batch);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(batch.count);
    expect(socket.send(batch, taken)).toBe(0);
    await socket.writable({ signal: AbortSignal.timeout(20_000) });
    expect(await told).toMatchObject({ reason: 'host', errno: 'EHOSTUNREACH' });
    expect(socket.send(batch, taken, taken + 1)).toBe(1);
    expect(await codeOf(() => socket.writable({ signal: AbortSignal.abort() }))).toBe('VNIC_ABORTED');
  });

  it('of a reader that is too slow is counted', async () => {
    const receiver = await onLoopback({ receiveBufferLen: 8192 });
    const sender = await open({ remote: receiver.local, gso: 'off' });
    const batch = new UdpBatch({ capacity: 500 });
    for (let i = 0; i < 500; i++) batch.append(pattern(500, i));
    await sendAll(sender, batch);
    const { receiveDropped } = receiver.refreshCounters();
    expect(receiveDropped).toBeGreaterThan(0);
    expect((await receiveAll(receiver, 500 - receiveDropped)).length).toBe(500 - receiveDropped);
    // With the next datagram the kernel tells by itself, and says the same.
    await sendAll(sender, batch);
    await receiveAll(receiver, 1);
    sender.send(pattern(1, 1));
    await receiveAll(receiver, 1);
    const { receiveDropped: byControl } = receiver.counters;
    expect(byControl).toBeGreaterThan(receiveDropped);
    expect(receiver.refreshCounters().receiveDropped).toBe(byControl);
  });
});

describe('several sockets on one port', () => {
  it('share the flows, each flow in order on one of them', async () => {
    const first = await onLoopback({ reusePort: true });
    const sockets = [first];
    for (let i = 1; i < 4; i++) sockets.push(await open({ reusePort: true, local: first.local }));
    const flows = 64;
    const seen = new Map<string, { socket: number; order: number[] }>();
    let count = 0;
    for (const [index, socket] of sockets.entries()) {
      socket.onBatch((batch) => {
        for (let i = 0; i < batch.count; i++, count++) {
          const key = `${batch.endpoints.port(batch.endpoint(i))}`;
          const flow = seen.get(key) ?? { socket: index, order: [] };
          seen.set(key, flow);
          expect(flow.socket).toBe(index);
          flow.order.push(batch.packet(i)[0] as number);
        }
      });
    }
    for (let flow = 0; flow < flows; flow++) {
      const client = await open({ remote: first.local });
      for (let i = 0; i < 10; i++) client.send(Uint8Array.of(i));
    }
    await until(() => count === flows * 10);
    expect([...seen.values()].every(({ order }) => order.join() === '0,1,2,3,4,5,6,7,8,9')).toBe(true);
    expect(new Set([...seen.values()].map(({ socket }) => socket)).size).toBeGreaterThan(1);
  });

  it('are refused without the option', async () => {
    const first = await onLoopback();
    expect(await codeOf(() => open({ local: first.local }))).toBe('VNIC_SYSTEM_CALL');
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100_000 && !condition(); i++) await new Promise((resolve) => setImmediate(resolve));
  expect(condition()).toBe(true);
}

describe('memory', () => {
  it('does not grow with the datagrams that pass', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const receiver = await onLoopback();
    const sender = await open({ remote: receiver.local });
    const batch = new UdpBatch({ capacity: 512 });
    for (let i = 0; i < 512; i++) batch.append(pattern(200, i));
    let received = 0;
    receiver.onBatch(({ count }) => {
      received += count;
    });
    const round = async (): Promise<void> => {
      const before = received;
      await sendAll(sender, batch);
      await until(() => received - before === 512);
    };
    for (let i = 0; i < 200; i++) await round();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    for (let i = 0; i < 2000; i++) await round();
    collect();
    const after = process.memoryUsage();
    expect(after.arrayBuffers).toBeLessThanOrEqual(arrayBuffers + 4096);
    // A million datagrams: one byte each would show.
    expect(after.heapUsed - heapUsed).toBeLessThan(500_000);
  });
});

describe('reading', () => {
  it('ends with undefined on close, which may be called twice', async () => {
    const socket = await onLoopback();
    const reading = socket.receive();
    await Promise.all([socket.close(), socket.close()]);
    expect(await reading).toBeUndefined();
    expect(socket.closed).toBe(true);
    expect(await codeOf(() => socket.send(pattern(1, 1), socket.local))).toBe('VNIC_LINK_CLOSED');
    expect(await codeOf(() => socket.pathMtu())).toBe('VNIC_LINK_CLOSED');
    // The port is free again.
    await open({ local: socket.local });
  });

  it('is aborted by a signal, and the socket stays good', async () => {
    const socket = await onLoopback();
    const controller = new AbortController();
    const reading = codeOf(() => socket.receive({ signal: controller.signal }));
    controller.abort();
    expect(await reading).toBe('VNIC_ABORTED');
    socket.send(pattern(7, 7), socket.local);
    expect((await socket.receive())?.count).toBe(1);
  });

  it('is for one reader at a time', async () => {
    const socket = await onLoopback();
    const stop = socket.onBatch(() => undefined);
    expect(await codeOf(() => socket.receive())).toBe('VNIC_READER_BUSY');
    stop();
    socket.send(pattern(7, 7), socket.local);
    expect((await socket.receive())?.length(0)).toBe(7);
  });

  it('iterates, and is disposed of', async () => {
    const lengths: number[] = [];
    {
      await using socket = await onLoopback();
      for (const length of [5, 0, 6]) socket.send(pattern(length, 1), socket.local);
      for await (const batch of socket) {
        for (const datagram of batch) lengths.push(datagram.length);
        if (lengths.length === 3) break;
      }
      expect(socket.closed).toBe(false);
    }
    expect(lengths).toEqual([5, 0, 6]);
  });

  it('works in a worker thread, and nothing stays when the worker is terminated', async () => {
    const worker = `import { openUdp } from '${entry}';
      import { parentPort } from 'node:worker_threads';
      const socket = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
      socket.onBatch((batch) => { socket.send(batch); });
      parentPort.postMessage(socket.local.port);`;
    const code = `import { Worker } from 'node:worker_threads';
      import { openUdp } from '${entry}';
      const url = new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`)});
      for (let i = 0; i < 10; i++) {
        const worker = new Worker(url);
        const port = await new Promise((resolve, reject) => { worker.on('message', resolve); worker.on('error', reject); });
        const client = await openUdp({ remote: { address: '127.0.0.1', port } });
        client.send(new Uint8Array(100));
        if ((await client.receive()).length(0) !== 100) process.exit(2);
        await worker.terminate();
        await client.close();
        const again = await openUdp({ local: { address: '127.0.0.1', port } });
        await again.close();
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
    cleanups.push(() => child.kill('SIGKILL'));
    expect((await once(child, 'exit'))[0]).toBe(0);
  });
});

describe('options', () => {
  it.each<[string, UdpOptions]>([
    ['a port out of range', { local: { port: 65_536 } }],
    ['a receive buffer of 0', { receiveBufferLen: 0 }],
    ['a traffic class of 256', { trafficClass: 256 }],
    ['a batch that GRO cannot fill', { batch: { capacity: 127 } }],
    ['memory for less than a datagram', { batch: { bytesLen: 65_536 } }],
    ['two families', { local: { address: '::1' }, remote: { address: '127.0.0.1', port: 1 } }],
  ])('of %s are refused', async (_, options) => {
    expect(await codeOf(() => open(options))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('of an address of another machine are refused with what to do', async () => {
    expect(await codeOf(() => open({ local: { address: '192.0.2.1' } }))).toBe('VNIC_SYSTEM_CALL');
  });
});
