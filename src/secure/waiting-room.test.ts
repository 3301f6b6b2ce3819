import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { Notices } from './notices.ts';
import { sourceOf } from './place.ts';
import { type Waiting, WaitingRoom } from './waiting-room.ts';

interface Named extends Waiting {
  readonly name: string;
}

const one = (name: string, source: string, isSilent = true): Named => ({ name, source, isSilent });

describe('the waiting room', () => {
  it('has an address with too many drive out its own: first the silent, then the oldest', () => {
    const room = new WaitingRoom<Named>({ total: 100, perSource: 3 });
    const speaking = one('speaking', 'a', false);
    expect([speaking, one('s1', 'a'), one('s2', 'a')].map((each) => room.enter(each))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(room.enter(one('x', 'a', false))?.name).toBe('s1');
    expect(room.enter(one('y', 'a', false))?.name).toBe('s2');
    expect(room.enter(one('z', 'a', false))?.name).toBe('speaking');
    expect(room.enter(one('other', 'b'))).toBeUndefined();
    expect(room.size).toBe(4);
  });

  it('when it is full, drives out of the largest crowd, and never the newcomer', () => {
    const room = new WaitingRoom<Named>({ total: 4, perSource: 3 });
    for (const [name, source] of [
      ['b1', 'b'],
      ['a1', 'a'],
      ['a2', 'a'],
      ['c1', 'c'],
    ] as const) {
      room.enter(one(name, source));
    }
    expect(room.enter(one('d1', 'd'))?.name).toBe('a1');
    // All alike: the one that came first.
    expect(room.enter(one('e1', 'e'))?.name).toBe('b1');
    expect([...room].map(({ name }) => name).toSorted()).toEqual(['a2', 'c1', 'd1', 'e1']);
  });

  it('never holds more than its limits, whatever comes and goes', () => {
    const seed = 20260501;
    const random = seededRandom(seed);
    const limits = { total: 20, perSource: 5 };
    const room = new WaitingRoom<Named>(limits);
    const inside = new Set<Named>();
    for (let i = 0; i < 20_000; i++) {
      const below = (n: number): number => Math.floor(random() * n);
      if (below(3) > 0 || inside.size === 0) {
        const newcomer = one(String(i), `s${below(12)}`, below(2) === 0);
        inside.add(newcomer);
        const victim = room.enter(newcomer);
        expect(victim).not.toBe(newcomer);
        if (victim !== undefined) expect(inside.delete(victim), `seed ${seed}`).toBe(true);
      } else {
        const leaving = [...inside][below(inside.size)] as Named;
        inside.delete(leaving);
        expect(room.leave(leaving)).toBe(true);
        expect(room.leave(leaving)).toBe(false);
      }
      expect(room.size, `seed ${seed}`).toBe(inside.size);
      expect(room.size).toBeLessThanOrEqual(limits.total);
    }
    const numbers = new Map<string, number>();
    for (const { source } of inside) numbers.set(source, (numbers.get(source) ?? 0) + 1);
    expect(Math.max(...numbers.values())).toBeLessThanOrEqual(limits.perSource);
    expect(new Set(room)).toEqual(inside);
  });
});

describe('what counts as one machine', () => {
  it('is an IPv4 address, mapped or not, and 64 bits of an IPv6 one', () => {
    expect(sourceOf('192.0.2.1')).toBe(sourceOf('::ffff:192.0.2.1'));
    expect(sourceOf('192.0.2.1')).not.toBe(sourceOf('192.0.2.2'));
    expect(sourceOf('2001:db8:0:1::1')).toBe(sourceOf('2001:db8:0:1:ffff::2'));
    expect(sourceOf('2001:db8:0:1::1')).not.toBe(sourceOf('2001:db8:0:2::1'));
    expect(sourceOf('fe80::1%eth0')).toBe(sourceOf('fe80::2'));
    expect(sourceOf(undefined)).toBe('');
  });
});

describe('notices', () => {
  it('are ten at once and one a second, and say how many were left out', () => {
    const notices = new Notices();
    const told = Array.from({ length: 15 }, () => notices.take(1000));
    expect(told).toEqual([...Array(10).fill(0), ...Array(5).fill(undefined)]);
    expect(notices.take(1999)).toBeUndefined();
    expect(notices.take(2000)).toBe(6);
    expect(notices.take(2001)).toBeUndefined();
    expect(notices.take(3_600_000)).toBe(1);
  });
});
