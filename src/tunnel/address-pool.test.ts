import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress } from '../base/index.ts';
import { AddressPool } from './address-pool.ts';

const cidrs = (...texts: string[]): Cidr[] => texts.map((text) => Cidr.parse(text));
const text = (addresses: readonly Cidr[] | undefined): string[] | undefined => addresses?.map(String);

describe('AddressPool', () => {
  it('gives one address of each subnet, with its prefix length, and never its own', () => {
    const pool = new AddressPool(cidrs('10.9.0.1/24', 'fd09::1/64'));
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const [v4, v6] = pool.lease(`client ${i}`) as [Cidr, Cidr];
      expect(Cidr.parse('10.9.0.0/24').contains(v4.address)).toBe(true);
      expect(Cidr.parse('fd09::/64').contains(v6.address)).toBe(true);
      expect([v4.prefixLen, v6.prefixLen]).toEqual([24, 64]);
      for (const one of [v4, v6]) {
        expect(['10.9.0.0', '10.9.0.1', '10.9.0.255', 'fd09::', 'fd09::1']).not.toContain(one.address.toString());
        expect(seen.has(one.address.toString())).toBe(false);
        seen.add(one.address.toString());
      }
    }
  });

  it('gives a client the same again, also when it was made anew', () => {
    const pool = new AddressPool(cidrs('10.9.0.1/24'));
    const first = text(pool.lease('a'));
    pool.lease('b');
    pool.release('a');
    expect(text(pool.lease('a'))).toEqual(first);
    expect(text(new AddressPool(cidrs('10.9.0.1/24')).lease('a'))).toEqual(first);
  });

  it('gives away all of a small subnet, then those of who has been gone longest', () => {
    const pool = new AddressPool(cidrs('10.9.0.1/29'));
    const given = ['a', 'b', 'c', 'd', 'e'].map((key) => text(pool.lease(key))?.[0]);
    expect(new Set(given).size).toBe(5);
    expect(pool.lease('f')).toBeUndefined();
    pool.release('c');
    pool.release('a');
    expect(text(pool.lease('f'))?.[0]).toBe(given[2]);
    expect(text(pool.lease('a'))?.[0]).toBe(given[0]);
    expect(pool.lease('c')).toBeUndefined();
  });

  it('keeps what was given back when one subnet of two is full', () => {
    const pool = new AddressPool(cidrs('10.9.0.1/24', '10.8.0.1/30'));
    expect(pool.lease('a')).toBeDefined();
    expect(pool.lease('b')).toBeUndefined();
    pool.release('a');
    expect(pool.lease('b')).toBeDefined();
  });

  it('leaves reserved addresses to those whose they are', () => {
    const pool = new AddressPool(cidrs('10.9.0.1/30'));
    pool.reserve(IpAddress.parse('10.9.0.2'));
    expect(pool.lease('a')).toBeUndefined();
    expect(text(new AddressPool(cidrs('10.9.0.0/31')).lease('a'))).toEqual(['10.9.0.1/31']);
    expect(new AddressPool(cidrs('10.9.0.1/32')).lease('a')).toEqual([]);
  });
});
