import { describe, expect, it } from 'vitest';

import { seededRandom } from './random.ts';

describe('seededRandom', () => {
  it('repeats itself for the same seed and differs for another', () => {
    const take = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed));
    expect(take(7)).toEqual(take(7));
    expect(take(7)).not.toEqual(take(8));
  });

  it('fills the unit interval evenly', () => {
    const random = seededRandom(1);
    const buckets = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const at = Math.floor(random() * 10);
      buckets[at] = (buckets[at] as number) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 10_000)).toBeLessThan(600);
  });
});
