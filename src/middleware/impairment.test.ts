/** The core of the impairment: its statistics within bounds, the same run for the same seed, and no packet unaccounted for. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import { Impairment } from './impairment.ts';
import type { ImpairmentSettings } from './impairment-settings.ts';

const PACKET_LEN = 100;
const MAX_LEN = 1500;

interface Arrival {
  readonly number: number;
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

interface Run {
  readonly core: Impairment;
  readonly arrivals: readonly Arrival[];
}

/** A packet of the given number, at its own fixed length. */
function numbered(number: number, length = PACKET_LEN): Uint8Array {
  const packet = new Uint8Array(length);
  new DataView(packet.buffer).setUint32(0, number);
  return packet;
}

/** Sends numbered packets at an interval, and fetches each at the time when it is due. */
function run(settings: ImpairmentSettings, count: number, intervalMs: number, seed = 1): Run {
  const core = new Impairment(settings, seededRandom(seed), MAX_LEN);
  const arrivals: Arrival[] = [];
  const ready = new PacketBatch({ capacity: 16 });
  const fetch = (atMs: number): void => {
    for (const packet of ready) {
      arrivals.push({
        number: new DataView(packet.buffer, packet.byteOffset).getUint32(0),
        atMs,
        bytes: packet.slice(),
      });
    }
    ready.clear();
  };
  const fetchUntil = (untilMs: number): void => {
    for (let dueMs = core.nextDueMs; dueMs !== undefined && dueMs <= untilMs; dueMs = core.nextDueMs) {
      core.shift(dueMs, ready);
      fetch(dueMs);
    }
  };
  for (let i = 0; i < count; i++) {
    const nowMs = i * intervalMs;
    fetchUntil(nowMs);
    if (!core.push(numbered(i), 0, PACKET_LEN, nowMs, ready)) expect.fail(`packet ${i} was not taken`);
    fetch(nowMs);
  }
  fetchUntil(Number.POSITIVE_INFINITY);
  return { core, arrivals };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

function within(value: number, middle: number, share: number): void {
  expect(value).toBeGreaterThan(middle * (1 - share));
  expect(value).toBeLessThan(middle * (1 + share));
}

/** Delays when packets are so far apart that none meets another. */
function delays(settings: ImpairmentSettings, count = 20_000): number[] {
  return run(settings, count, 10_000).arrivals.map(({ number, atMs }) => atMs - number * 10_000);
}

describe('nothing set', () => {
  it('passes every packet on at once, as it is', () => {
    const { arrivals, core } = run({}, 1000, 1);
    expect(arrivals.map(({ number, atMs }) => [number, atMs])).toEqual(Array.from({ length: 1000 }, (_, i) => [i, i]));
    expect(arrivals.every(({ number, bytes }) => Buffer.compare(bytes, numbered(number)) === 0)).toBe(true);
    expect(core.queued).toBe(0);
  });
});

describe('loss', () => {
  it.each([0.001, 0.01, 0.25, 0.9])('of %d loses that share', (loss) => {
    const { core } = run({ loss }, 100_000, 1);
    within(core.counters.dropped.loss / 100_000, loss, 0.2);
  });

  it('of 1 loses all, of 0 none', () => {
    expect(run({ loss: 1 }, 1000, 1).arrivals).toEqual([]);
    expect(run({ loss: 0 }, 1000, 1).arrivals.length).toBe(1000);
  });

  it('is independent from packet to packet', () => {
    const { arrivals } = run({ loss: 0.1 }, 100_000, 1);
    const { runs } = lossRuns(arrivals, 100_000);
    // Of single losses a run has 1 / (1 - loss) packets.
    within(mean(runs), 1 / 0.9, 0.05);
  });
});

describe('burst loss', () => {
  it.each([
    { p: 0.01, r: 0.25 },
    { p: 0.005, r: 0.1 },
    { p: 0.02, r: 0.5 },
  ])('of p $p and r $r loses p / (p + r), in bursts of 1 / r', ({ p, r }) => {
    const { arrivals, core } = run({ burstLoss: { p, r } }, 120_000, 1);
    within(core.counters.dropped['burst-loss'] / 120_000, p / (p + r), 0.15);
    within(mean(lossRuns(arrivals, 120_000).runs), 1 / r, 0.15);
  });

  it('with h and k loses in both states what the model says', () => {
    const [p, r, h, k] = [0.02, 0.1, 0.3, 0.99];
    const { core } = run({ burstLoss: { p, r, h, k } }, 120_000, 1);
    within(core.counters.dropped['burst-loss'] / 120_000, ((1 - k) * r + (1 - h) * p) / (p + r), 0.15);
  });
});

describe('delay', () => {
  it('is exact without jitter, and keeps the order', () => {
    const { arrivals } = run({ delayMs: 50 }, 500, 3);
    expect(arrivals.map(({ number, atMs }) => [number, atMs])).toEqual(
      Array.from({ length: 500 }, (_, i) => [i, i * 3 + 50]),
    );
  });

  it('varies uniformly by the jitter, within its bounds', () => {
    const seen = delays({ delayMs: 100, jitterMs: 20 });
    within(mean(seen), 100, 0.01);
    within(deviation(seen), 20 / Math.sqrt(3), 0.03);
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(80);
    expect(Math.max(...seen)).toBeLessThanOrEqual(120);
  });

  it('varies normally', () => {
    const seen = delays({ delayMs: 100, jitterMs: 20, distribution: 'normal' });
    within(mean(seen), 100, 0.01);
    within(deviation(seen), 20, 0.03);
    const share = (factor: number): number =>
      seen.filter((ms) => Math.abs(ms - 100) < 20 * factor).length / seen.length;
    within(share(1), 0.6827, 0.03);
    within(share(2), 0.9545, 0.02);
  });

  it('varies as Pareto says: late ones are later than early ones are early', () => {
    const seen = delays({ delayMs: 100, jitterMs: 20, distribution: 'pareto' });
    within(mean(seen), 100, 0.02);
    // The least of the distribution is 1, which is (1 - 1.5) / sqrt(0.75) deviations from its mean.
    within(Math.min(...seen), 100 - (20 * 0.5) / Math.sqrt(0.75), 0.001);
    expect(Math.max(...seen)).toBe(180);
    // The median is 2^(1/3).
    const median = seen.toSorted((a, b) => a - b)[seen.length / 2] as number;
    within(median, 100 + (20 * (2 ** (1 / 3) - 1.5)) / Math.sqrt(0.75), 0.01);
  });

  it('is never below 0', () => {
    expect(Math.min(...delays({ jitterMs: 50, distribution: 'normal' }))).toBe(0);
  });
});

describe('reorder', () => {
  it('lets that share overtake those under way', () => {
    const { arrivals, core } = run({ delayMs: 50, reorder: 0.05 }, 20_000, 1);
    within(core.counters.reordered / 20_000, 0.05, 0.1);
    let highest = -1;
    let overtaken = 0;
    for (const { number } of arrivals) {
      if (number < highest) overtaken++;
      highest = Math.max(highest, number);
    }
    expect(arrivals.length).toBe(20_000);
    expect(overtaken).toBeGreaterThan(10_000);
    expect(arrivals.filter(({ number, atMs }) => atMs === number).length).toBe(core.counters.reordered);
  });
});

describe('duplicate', () => {
  it('gives that share twice, unchanged', () => {
    const { arrivals, core } = run({ duplicate: 0.02 }, 50_000, 1);
    within(core.counters.duplicated / 50_000, 0.02, 0.1);
    expect(arrivals.length).toBe(50_000 + core.counters.duplicated);
    expect(new Set(arrivals.map(({ number }) => number)).size).toBe(50_000);
  });
});

describe('corrupt', () => {
  it('flips one bit, anywhere, in that share', () => {
    const { arrivals, core } = run({ corrupt: 0.1 }, 6000, 1);
    within(core.counters.corrupted / 6000, 0.1, 0.15);
    const places = new Set<number>();
    let wrong = 0;
    for (const [i, { bytes }] of arrivals.entries()) {
      const sent = numbered(i);
      const flipped = [...bytes].flatMap((byte, at) => {
        const difference = byte ^ (sent[at] as number);
        return Array.from({ length: 8 }, (_, bit) => bit)
          .filter((bit) => (difference >> bit) & 1)
          .map((bit) => at * 8 + bit);
      });
      expect(flipped.length).toBeLessThanOrEqual(1);
      for (const place of flipped) places.add(place);
      wrong += flipped.length;
    }
    expect(wrong).toBe(core.counters.corrupted);
    // Of 800 bits half are hit at least once by some 600 flips.
    expect(places.size).toBeGreaterThan(380);
  });
});

describe('rate', () => {
  it('lets packets out one after the other, each when its last bit is on the wire', () => {
    // 100 bytes at 80 kbit/s are 10 ms.
    const { arrivals } = run({ rateBitsPerSecond: 80_000 }, 50, 1);
    expect(arrivals.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 50 }, (_, i) => (i + 1) * 10));
  });

  it('and delay add up', () => {
    const { arrivals } = run({ rateBitsPerSecond: 80_000, delayMs: 25 }, 10, 100);
    expect(arrivals.map(({ atMs, number }) => atMs - number * 100)).toEqual(Array.from({ length: 10 }, () => 35));
  });

  it('loses what finds the queue full', () => {
    const { arrivals, core } = run({ rateBitsPerSecond: 80_000, queuePackets: 20 }, 1000, 1);
    expect(core.counters.dropped['queue-full']).toBeGreaterThan(850);
    expect(arrivals.length + core.counters.dropped['queue-full']).toBe(1000);
    // What was taken leaves at the rate.
    expect(arrivals.map(({ atMs }) => atMs)).toEqual(arrivals.map((_, i) => (i + 1) * 10));
  });
});

describe('settings that change', () => {
  it('leave what is under way, and what they do not name', () => {
    const core = new Impairment({ delayMs: 50, loss: 0 }, seededRandom(1), MAX_LEN);
    const ready = new PacketBatch();
    core.push(numbered(1), 0, PACKET_LEN, 0, ready);
    core.set({ loss: 1 });
    core.push(numbered(2), 0, PACKET_LEN, 10, ready);
    core.set({ loss: 0 });
    core.push(numbered(3), 0, PACKET_LEN, 20, ready);
    core.shift(69, ready);
    expect(ready.count).toBe(1);
    core.shift(70, ready);
    expect([...ready].map((packet) => packet[3])).toEqual([1, 3]);
    expect(core.counters.dropped.loss).toBe(1);
  });

  it('make room for more packets and longer ones without losing any', () => {
    const core = new Impairment({ delayMs: 50, queuePackets: 2 }, seededRandom(1), 100);
    const ready = new PacketBatch();
    for (let i = 0; i < 3; i++) core.push(numbered(i), 0, PACKET_LEN, i, ready);
    expect(core.counters.dropped['queue-full']).toBe(1);
    core.set({ queuePackets: 4 });
    core.setMaxLen(9000);
    for (let i = 3; i < 6; i++) core.push(numbered(i, 9000), 0, 9000, i, ready);
    expect(core.counters.dropped['queue-full']).toBe(2);
    core.shift(100, ready);
    expect([...ready].map((packet) => [packet[3], packet.length])).toEqual([
      [0, 100],
      [1, 100],
      [3, 9000],
      [4, 9000],
    ]);
  });

  it('never take more memory than 256 MiB, whatever the queue and the packets', () => {
    const slots = 2 ** 28 / 65_536;
    const core = new Impairment({ delayMs: 50, queuePackets: 1_000_000 }, seededRandom(1), 65_536);
    const ready = new PacketBatch();
    for (let i = 0; i < slots + 10; i++) core.push(numbered(i), 0, PACKET_LEN, 0, ready);
    expect(core.queued).toBe(slots);
    expect(core.counters.dropped['queue-full']).toBe(10);
    const small = new Impairment({ delayMs: 50, queuePackets: 1_000_000 }, seededRandom(1), 1500);
    for (let i = 0; i < slots + 10; i++) small.push(numbered(i), 0, PACKET_LEN, 0, ready);
    // With so many waiting there is no room to make each of them longer.
    small.push(new Uint8Array(65_536), 0, 65_536, 0, ready);
    expect(small.queued).toBe(slots + 10);
    expect(small.counters.dropped['too-long']).toBe(1);
  });

  it.each<[ImpairmentSettings, RegExp]>([
    [{ loss: 1.5 }, /loss/],
    [{ delayMs: -1 }, /delayMs/],
    [{ jitterMs: Number.NaN }, /jitterMs/],
    [{ burstLoss: { p: 2, r: 0 } }, /burstLoss\.p/],
    [{ rateBitsPerSecond: 0.5 }, /rateBitsPerSecond/],
    [{ queuePackets: 0 }, /queuePackets/],
    [{ queuePackets: 1.5 }, /queuePackets/],
    [{ distribution: 'gauss' as 'normal' }, /distribution/],
  ])('are refused when they are wrong: %o', (settings, message) => {
    const core = new Impairment({ loss: 0.5 }, seededRandom(1), MAX_LEN);
    expect(() => core.set(settings)).toThrow(message);
    expect(core.config.loss).toBe(0.5);
  });
});

const chance = fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true }));
const anySettings: fc.Arbitrary<ImpairmentSettings> = fc.record({
  delayMs: fc.nat(200),
  jitterMs: fc.nat(100),
  distribution: fc.constantFrom('uniform', 'normal', 'pareto'),
  loss: chance,
  burstLoss: fc.option(fc.record({ p: chance, r: chance, h: chance, k: chance }), { nil: undefined }),
  duplicate: chance,
  reorder: chance,
  corrupt: chance,
  rateBitsPerSecond: fc.constantFrom(0, 9600, 80_000, 1e9),
  queuePackets: fc.integer({ min: 1, max: 50 }),
});

describe('whatever is set', () => {
  it('the same seed and packets give the same run, and another seed another', () => {
    fc.assert(
      fc.property(anySettings, fc.nat(), (settings, seed) => {
        const [first, second] = [run(settings, 200, 2, seed), run(settings, 200, 2, seed)];
        expect(second.arrivals).toEqual(first.arrivals);
        expect(second.core.counters).toEqual(first.core.counters);
      }),
      { numRuns: 50 },
    );
    const lost = (seed: number): number[] => run({ loss: 0.5 }, 100, 1, seed).arrivals.map(({ number }) => number);
    expect(lost(1)).not.toEqual(lost(2));
  });

  it('every packet that goes in comes out or is counted', () => {
    fc.assert(
      fc.property(anySettings, fc.nat(), (settings, seed) => {
        const { core, arrivals } = run(settings, 300, 1, seed);
        const { packetsIn, packetsOut, bytesIn, bytesOut, duplicated, dropped } = core.counters;
        const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
        expect([packetsIn, bytesIn, core.queued]).toEqual([300, 300 * PACKET_LEN, 0]);
        expect([packetsOut, bytesOut]).toEqual([arrivals.length, arrivals.length * PACKET_LEN]);
        expect(packetsIn + duplicated).toBe(packetsOut + lost);
      }),
      { numRuns: 200 },
    );
  });
});

/** How many packets were lost one after the other, each time. */
function lossRuns(arrivals: readonly Arrival[], count: number): { readonly runs: readonly number[] } {
  const runs: number[] = [];
  let expected = 0;
  for (const number of [...arrivals.map((arrival) => arrival.number), count]) {
    if (number > expected) runs.push(number - expected);
    expected = number + 1;
  }
  return { runs };
}
