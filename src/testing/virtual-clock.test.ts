import { describe, expect, it } from 'vitest';

import { createVirtualClock } from './index.ts';

describe('createVirtualClock', () => {
  it('stands still until it is advanced', () => {
    const clock = createVirtualClock(100);
    expect(clock.nowMs()).toBe(100);
    clock.advance(5);
    expect(clock.nowMs()).toBe(105);
  });

  it('runs timers in the order of their due times, each with the clock on its own', () => {
    const clock = createVirtualClock();
    const log: string[] = [];
    for (const delay of [30, 10, 20, 10]) clock.setTimer(delay, () => log.push(`${delay}@${clock.nowMs()}`));
    clock.advance(25);
    expect(log).toEqual(['10@10', '10@10', '20@20']);
    expect(clock.pendingTimers).toBe(1);
    clock.advance(5);
    expect(log.at(-1)).toBe('30@30');
  });

  it('runs a timer that a timer sets, if it is due in the same advance', () => {
    const clock = createVirtualClock();
    const log: number[] = [];
    clock.setTimer(10, () => clock.setTimer(10, () => log.push(clock.nowMs())));
    clock.advance(20);
    expect(log).toEqual([20]);
  });

  it('does not run a timer that was cancelled', () => {
    const clock = createVirtualClock();
    const cancel = clock.setTimer(1, () => expect.unreachable());
    cancel();
    cancel();
    clock.advance(10);
    expect(clock.pendingTimers).toBe(0);
  });

  it('jumps to the next timer, and says when there is none', () => {
    const clock = createVirtualClock();
    clock.setTimer(3_600_000, () => undefined);
    expect(clock.advanceToNextTimer()).toBe(true);
    expect(clock.nowMs()).toBe(3_600_000);
    expect(clock.advanceToNextTimer()).toBe(false);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to advance by %d', (ms) => {
    expect(() => createVirtualClock().advance(ms)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});
