import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress } from './address.ts';
import { PrefixTable } from './prefix-table.ts';

const cidr = (text: string): Cidr => Cidr.parse(text);
const lookup = (table: PrefixTable, text: string): number => {
  const { family, bytes } = IpAddress.parse(text);
  return table.lookup(family, bytes, 0);
};

describe('PrefixTable', () => {
  it('finds the most specific prefix', () => {
    const table = new PrefixTable();
    table.set(cidr('0.0.0.0/0'), 1);
    table.set(cidr('10.0.0.0/8'), 2);
    table.set(cidr('10.1.0.0/16'), 3);
    table.set(cidr('10.1.2.3/32'), 4);
    expect(['192.0.2.1', '10.9.0.1', '10.1.0.1', '10.1.2.3'].map((text) => lookup(table, text))).toEqual([1, 2, 3, 4]);
    expect(lookup(table, 'fd00::1')).toBe(-1);
  });

  it('keeps the families apart, and takes prefixes out again', () => {
    const table = new PrefixTable();
    table.set(cidr('fd00::/8'), 5);
    table.set(cidr('fd00::1/128'), 6);
    expect(lookup(table, 'fd00::1')).toBe(6);
    expect(table.delete(cidr('fd00::1/128'))).toBe(6);
    expect(table.delete(cidr('fd00::1/128'))).toBe(-1);
    expect(lookup(table, 'fd00::1')).toBe(5);
    expect(lookup(table, '253.0.0.1')).toBe(-1);
    expect(table.size).toBe(1);
  });

  it('tells the value that was there before', () => {
    const table = new PrefixTable();
    expect(table.set(cidr('10.0.0.0/8'), 1)).toBe(-1);
    expect(table.set(cidr('10.0.0.0/8'), 2)).toBe(1);
    expect(table.get(cidr('10.0.0.0/8'))).toBe(2);
    expect(table.get(cidr('10.0.0.0/9'))).toBe(-1);
  });

  it('agrees with a linear search, whatever is set and deleted', () => {
    // Few bits, so that prefixes nest and meet.
    const bytes = fc.tuple(
      fc.constantFrom(0, 128, 192),
      fc.constantFrom(0, 1),
      fc.constant(0),
      fc.constantFrom(0, 7, 255),
    );
    const prefix = fc
      .tuple(bytes, fc.integer({ min: 0, max: 32 }))
      .map(([four, prefixLen]) => new Cidr(IpAddress.fromBytes(Uint8Array.from(four)), prefixLen).network);
    const step = fc.record({ prefix, value: fc.integer({ min: 0, max: 9 }), isDelete: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(bytes, { minLength: 1 }), (steps, addresses) => {
        const table = new PrefixTable();
        const twin = new Map<string, { prefix: Cidr; value: number }>();
        for (const { prefix: one, value, isDelete } of steps) {
          if (isDelete) {
            expect(table.delete(one)).toBe(twin.get(one.toString())?.value ?? -1);
            twin.delete(one.toString());
          } else {
            table.set(one, value);
            twin.set(one.toString(), { prefix: one, value });
          }
        }
        expect(table.size).toBe(twin.size);
        for (const four of addresses) {
          const address = IpAddress.fromBytes(Uint8Array.from(four));
          const best = [...twin.values()]
            .filter((entry) => entry.prefix.contains(address))
            .toSorted((x, y) => y.prefix.prefixLen - x.prefix.prefixLen)[0];
          expect(table.lookup(4, address.bytes, 0)).toBe(best?.value ?? -1);
        }
      }),
    );
  });

  it('uses the memory of what was deleted again', () => {
    const table = new PrefixTable();
    const address = (i: number): Cidr => cidr(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}/32`);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 2000; i++) table.set(address(i), i);
      for (let i = 0; i < 2000; i++) expect(table.delete(address(i))).toBe(i);
    }
    expect(table.size).toBe(0);
    expect(lookup(table, '10.0.0.1')).toBe(-1);
  });
});
