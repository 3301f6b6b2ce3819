import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { PacketBatch } from '../link/index.ts';
import { Shaper, type ShapeSettings } from './shaper.ts';

interface Leaving {
  readonly atMs: number;
  readonly length: number;
}

/** Sends packets, each a time after the one before and a length, and notes when each leaves. */
function leavings(settings: ShapeSettings, packets: readonly (readonly [gapMs: number, length: number])[]): Leaving[] {
  const shaper = new Shaper(settings, 1500);
  const ready = new PacketBatch();
  const left: Leaving[] = [];
  const fetch = (atMs: number): void => {
    for (const { length } of ready) left.push({ atMs, length });
    ready.clear();
  };
  const fetchUntil = (untilMs: number): void => {
    for (let dueMs = shaper.nextDueMs; dueMs !== undefined && dueMs <= untilMs; dueMs = shaper.nextDueMs) {
      shaper.shift(dueMs, ready);
      fetch(dueMs);
    }
  };
  let nowMs = 0;
  for (const [gapMs, length] of packets) {
    nowMs += gapMs;
    fetchUntil(nowMs);
    expect(shaper.push(new Uint8Array(length), 0, length, nowMs, ready)).toBe(true);
    fetch(nowMs);
  }
  fetchUntil(Number.POSITIVE_INFINITY);
  const { packetsIn, packetsOut, dropped } = shaper.counters;
  expect(packetsIn).toBe(packetsOut + dropped['queue-full']);
  expect(packetsOut).toBe(left.length);
  return left;
}

describe('shaping', () => {
  it('lets a burst out at once, then packets at the rate', () => {
    // 1000 bytes at 80 kbit/s are 100 ms.
    const left = leavings(
      { rateBitsPerSecond: 80_000, burstBytes: 3000 },
      Array.from({ length: 6 }, () => [0, 1000] as const),
    );
    expect(left.map(({ atMs }) => atMs)).toEqual([0, 0, 0, 100, 200, 300]);
  });

  it('saves up no more than a burst in a pause', () => {
    const burst = Array.from({ length: 4 }, () => [0, 1000] as const);
    const left = leavings({ rateBitsPerSecond: 80_000, burstBytes: 2000 }, [...burst, [60_000, 1000], ...burst]);
    expect(left.slice(4).map(({ atMs }) => atMs - 60_000)).toEqual([0, 0, 100, 200, 300]);
  });

  it('lets a packet through that is longer than the burst', () => {
    expect(leavings({ rateBitsPerSecond: 80_000, burstBytes: 500 }, [[0, 1500]])).toEqual([
      { atMs: 100, length: 1500 },
    ]);
  });

  it('loses what finds the queue full, and keeps what waits', () => {
    const packets = Array.from({ length: 10 }, () => [0, 1000] as const);
    const left = leavings({ rateBitsPerSecond: 80_000, burstBytes: 1000, queuePackets: 3 }, packets);
    expect(left.map(({ atMs }) => atMs)).toEqual([0, 100, 200, 300]);
  });

  it('never exceeds the rate and a burst, in any time', () => {
    const gaps = fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 40, max: 1500 })), { maxLength: 80 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1500, max: 10_000 }), (packets, burstBytes) => {
        const rateBitsPerSecond = 1_000_000;
        const left = leavings({ rateBitsPerSecond, burstBytes, queuePackets: 1000 }, packets);
        expect(left.map(({ length }) => length)).toEqual(packets.map(([, length]) => length));
        for (let from = 0; from < left.length; from++) {
          let bits = 0;
          for (let to = from; to < left.length; to++) {
            bits += (left[to] as Leaving).length * 8;
            const elapsedMs = (left[to] as Leaving).atMs - (left[from] as Leaving).atMs;
            expect(bits).toBeLessThanOrEqual((rateBitsPerSecond / 1000) * elapsedMs + burstBytes * 8 + 1e-6);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each<[ShapeSettings, RegExp]>([
    [{ rateBitsPerSecond: 0 }, /rateBitsPerSecond/],
    [{ rateBitsPerSecond: 1e6, burstBytes: -1 }, /burstBytes/],
    [{ rateBitsPerSecond: 1e6, queuePackets: 0 }, /queuePackets/],
  ])('refuses %o', (settings, message) => {
    expect(() => new Shaper(settings, 1500)).toThrow(message);
  });
});
