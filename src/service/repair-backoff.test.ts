import { describe, expect, it } from 'vitest';

import { RepairBackoff } from './repair-backoff.ts';

/** Repairs as soon as it may, for as long as `durationMs`. */
function fight(backoff: RepairBackoff, durationMs: number): number[] {
  const times: number[] = [];
  for (let nowMs = 0; nowMs <= durationMs; ) {
    times.push(nowMs);
    nowMs += Math.max(10, backoff.note('device  tap0', nowMs));
  }
  return times;
}

describe('RepairBackoff', () => {
  it('mends three times at once, then waits twice as long each time', () => {
    const backoff = new RepairBackoff();
    expect([0, 10, 20, 30].map((nowMs) => backoff.note('a', nowMs))).toEqual([0, 0, 0, 1000]);
    expect(backoff.note('a', 1030)).toBe(2000);
    expect(backoff.held(1031)).toEqual(new Set(['a']));
    expect(backoff.nextMs(1031)).toBe(3030);
    expect(backoff.held(3030)).toEqual(new Set());
  });

  it('makes a fight of an hour a repair a minute', () => {
    const times = fight(new RepairBackoff(), 3_600_000);
    expect(times.length).toBeLessThan(75);
    expect(times.at(-1)).toBe((times.at(-2) ?? 0) + 60_000);
  });

  it('forgets a fight after a minute of peace', () => {
    const backoff = new RepairBackoff();
    const [last = 0] = fight(backoff, 10_000).slice(-1);
    const untilMs = backoff.nextMs(last) ?? 0;
    expect(backoff.note('device  tap0', untilMs + 60_000)).toBe(0);
  });

  it('holds nothing back that has no part in it', () => {
    const backoff = new RepairBackoff();
    fight(backoff, 1000);
    expect(backoff.note('device  tap1', 1000)).toBe(0);
    expect(backoff.held(1000).has('device  tap1')).toBe(false);
  });

  it('holds nothing back after a reset', () => {
    const backoff = new RepairBackoff();
    fight(backoff, 10_000);
    backoff.reset();
    expect(backoff.held(10_000).size).toBe(0);
    expect(backoff.nextMs(10_000)).toBeUndefined();
  });
});
