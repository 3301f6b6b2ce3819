import { describe, expect, it } from 'vitest';

import type { LinkRates } from '../netdev/index.ts';
import { shortNumber, sortRates } from './top-screen.ts';

describe('shortNumber', () => {
  it.each([
    [0, '0'],
    [0.4, '0'],
    [999.4, '999'],
    [999.5, '1.00k'],
    [1250, '1.25k'],
    [9995, '10.0k'],
    [99_950, '100k'],
    [3_400_000, '3.40M'],
    [17_200_000_000, '17.2G'],
    [5e15, '5000T'],
  ])('of %d is %s', (value, text) => expect(shortNumber(value)).toBe(text));
});

describe('sortRates', () => {
  const rates = (name: string, rxBps: number, queued?: number): LinkRates =>
    ({ name, rxBps, txBps: 0, queued }) as LinkRates;

  it('puts the most at the top, then goes by name', () => {
    const list = [rates('b', 0), rates('a', 0), rates('c', 5, 1), rates('d', 9)];
    expect(sortRates(list, 'rate').map(({ name }) => name)).toEqual(['d', 'c', 'a', 'b']);
    expect(sortRates(list, 'queue').map(({ name }) => name)).toEqual(['c', 'a', 'b', 'd']);
    expect(sortRates(list, 'name').map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd']);
  });
});
