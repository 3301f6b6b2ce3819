import { expect, it } from 'vitest';

import { RateMeter } from './rate-meter.ts';

it('a rate meter says what came in the last second, and nothing of long ago', () => {
  const meter = new RateMeter([0, 100], 0);
  expect(meter.rates(0)).toEqual([0, 0]);
  meter.sample([10, 300], 1000);
  expect(meter.rates(1000)).toEqual([10, 200]);
  // Too soon to say anything.
  meter.sample([1000, 3000], 1100);
  expect(meter.rates(1100)).toEqual([10, 200]);
  meter.sample([1010, 300], 3000);
  expect(meter.rates(3000)).toEqual([500, 0]);
  expect(meter.rates(8001)).toEqual([0, 0]);
});
