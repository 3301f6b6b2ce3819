import { describe, expect, it } from 'vitest';

import {
  countingBytes,
  createTestNetwork,
  echoRequest,
  type TestNetworkOptions,
  type TraceEntry,
  udpPacket,
} from './index.ts';

const bad = 'delay=40ms,jitter=15ms,distribution=normal,loss=5%,burst-loss=1%/20%,duplicate=2%,reorder=3%,corrupt=1%';

/** Three hosts in a line with two bad links, pings both ways for a minute. */
async function line(options: TestNetworkOptions): Promise<readonly TraceEntry[]> {
  await using network = createTestNetwork(options);
  const a = network.host('a', ['10.0.0.1', 'fd00::1']);
  const router = network.host('router', ['10.0.0.254']);
  const b = network.host('b', ['10.0.0.2', 'fd00::2']);
  network.connect(a, router, { impair: bad });
  network.connect(router, b, {
    aToB: 'delay=5ms,rate=100kbit,queue=20',
    schedule: '20s out loss=100%\n25s out loss=0',
  });
  a.ping('10.0.0.2', { count: 200, intervalMs: 150 });
  a.ping('fd00::2', { count: 200, intervalMs: 130 });
  b.ping('10.0.0.1', { count: 100, intervalMs: 500 });
  await network.run(60_000);
  return [...network.trace];
}

describe('a network in virtual time', () => {
  it('gives the same trace for the same seed, and another for another', async () => {
    const [first, second, other] = [await line({ seed: 5 }), await line({ seed: 5 }), await line({ seed: 6 })];
    expect(first.length).toBeGreaterThan(1500);
    expect(second).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('brings pings there and back, in the time that the links take', async () => {
    await using network = createTestNetwork();
    const [a, b] = [network.host('a', ['10.0.0.1', 'fd00::1']), network.host('b', ['10.0.0.2', 'fd00::2'])];
    network.connect(a, b, { aToB: 'delay=30ms', bToA: 'delay=12ms' });
    const runs = [a.ping('10.0.0.2', { count: 3 }), b.ping('fd00::1', { count: 3 })];
    await network.run(1000);
    expect(runs.map(({ sent }) => sent)).toEqual([2, 2]);
    await network.run(5000);
    for (const { replies, missing } of runs) {
      expect(missing).toBe(0);
      expect(replies).toEqual([1, 2, 3].map((sequenceNumber) => ({ sequenceNumber, rttMs: 42, isDuplicate: false })));
    }
    expect(network.clock.nowMs()).toBe(6000);
  });

  it('loses, doubles and delays as it is told, and everything is accounted for', async () => {
    await using network = createTestNetwork({ seed: 3 });
    const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['10.0.0.2'])];
    const { impaired } = network.connect(a, b, { aToB: 'loss=20%', bToA: 'delay=10ms,duplicate=10%' });
    const pings = a.ping('10.0.0.2', { count: 2000, intervalMs: 1 });
    await network.run(10_000);
    const { toLink, fromLink } = impaired;
    expect(pings.missing).toBe(toLink.dropped.loss);
    expect(pings.missing / 2000).toBeCloseTo(0.2, 1);
    expect(pings.replies.filter(({ isDuplicate }) => isDuplicate).length).toBe(fromLink.duplicated);
    expect(b.counters.received).toBe(2000 - pings.missing);
    expect(a.counters.received).toBe(pings.replies.length);
  });

  it('passes packets on over the fewest links, and another way when one is cut', async () => {
    await using network = createTestNetwork();
    const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['fd00::2', '10.0.0.2'])];
    const [c, d] = [network.host('c', ['10.0.0.3']), network.host('d', ['10.0.0.4'])];
    for (const [one, other] of [
      [a, c],
      [c, d],
      [d, b],
    ] as const)
      network.connect(one, other, { impair: 'delay=10ms' });
    const direct = network.connect(a, b, { impair: 'delay=10ms' });
    const first = a.ping('10.0.0.2');
    await network.run(1000);
    expect(first.replies).toMatchObject([{ rttMs: 20 }]);
    await direct.close();
    const second = a.ping('10.0.0.2');
    await network.run(1000);
    expect(second.replies).toMatchObject([{ rttMs: 60 }]);
    expect([c.counters.forwarded, d.counters.forwarded]).toEqual([2, 2]);
    const hops = network.trace.filter(({ event }) => event === 'forwarded').map(({ host }) => host);
    expect(hops).toEqual(['c', 'd', 'd', 'c']);
  });

  it('keeps what is no ping for who looks at it', async () => {
    await using network = createTestNetwork();
    const [a, b] = [network.host('a', ['10.0.0.1', 'fd00::1']), network.host('b', ['10.0.0.2', 'fd00::2'])];
    network.connect(a, b, { impair: 'delay=7ms' });
    const ports = { sourcePort: 1000, destinationPort: 2000, payload: countingBytes(30) };
    const packets = [
      udpPacket({ source: '10.0.0.1', destination: '10.0.0.2', ...ports }),
      udpPacket({ source: 'fd00::1', destination: 'fd00::2', ...ports }),
    ];
    for (const packet of packets) expect(a.send(packet)).toBe(true);
    a.ping('10.0.0.2');
    await network.run(100);
    expect(b.received).toEqual(packets.map((packet) => ({ atMs: 7, packet })));
  });

  it('answers long pings, whose fragments come by themselves', async () => {
    await using network = createTestNetwork({ mtu: 1500 });
    const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['10.0.0.2'])];
    network.connect(a, b);
    const pings = a.ping('10.0.0.2', { dataLen: 1472 });
    await network.run(10);
    expect(pings.missing).toBe(0);
  });

  it('counts what has no way, no hops left, or no header', async () => {
    await using network = createTestNetwork();
    const [a, b, c] = [
      network.host('a', ['10.0.0.1']),
      network.host('b', ['10.0.0.2']),
      network.host('c', ['10.0.0.3']),
    ];
    network.connect(a, b);
    network.connect(b, c);
    const ends = { sourcePort: 1, destinationPort: 2, payload: countingBytes(3) };
    expect(a.send(udpPacket({ source: '10.0.0.1', destination: '192.0.2.1', ...ends }))).toBe(false);
    const damaged = udpPacket({ source: '10.0.0.1', destination: '10.0.0.3', ...ends });
    damaged[8] = 1;
    expect(a.send(damaged)).toBe(false);
    expect(a.send(Uint8Array.of(0x45))).toBe(false);
    expect(a.counters.dropped).toMatchObject({ 'no-route': 1, malformed: 2 });
    expect(network.trace.map(({ event }) => event)).toEqual(['sent', 'dropped', 'dropped', 'dropped']);
    for (const hopLimit of [1, 2]) a.send(echoRequest({ source: '10.0.0.1', destination: '10.0.0.3', hopLimit }));
    await network.run(10);
    expect([b.counters.dropped['hop-limit'], b.counters.forwarded, c.counters.received]).toEqual([1, 2, 1]);
  });

  it('keeps a bounded trace', async () => {
    await using network = createTestNetwork({ keepMax: 5 });
    const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['10.0.0.2'])];
    network.connect(a, b);
    a.ping('10.0.0.2', { count: 10, intervalMs: 1 });
    await network.run(100);
    expect([network.trace.length, network.traceLeftOut]).toEqual([5, 35]);
  });

  it('refuses what makes no network', async () => {
    await using network = createTestNetwork();
    await using other = createTestNetwork();
    const [a, b] = [network.host('a', ['10.0.0.1']), network.host('b', ['10.0.0.2'])];
    expect(() => network.host('a', [])).toThrow(/a name and addresses that no other has/);
    expect(() => network.host('c', ['10.0.0.1'])).toThrow(/a name and addresses that no other has/);
    expect(() => network.connect(a, a)).toThrow(/two of them/);
    expect(() => network.connect(a, other.host('b', []))).toThrow(/hosts of this network/);
    expect(() => network.connect(a, b, { impair: 'los=1%' })).toThrow(/no setting is called/);
    expect(() => a.ping('10.0.0.2', { count: 0 })).toThrow(/a count from 1/);
    await expect(network.run(-1)).rejects.toThrow(/0 or more milliseconds/);
  });
});
