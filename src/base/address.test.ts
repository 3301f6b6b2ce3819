import { isIPv4, isIPv6 } from 'node:net';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress } from './address.ts';
import { VnicError } from './errors.ts';

const refusal = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    if (error instanceof VnicError) return error.code;
    throw error;
  }
  return undefined;
};

const ipv6Bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });

describe('IpAddress', () => {
  it.each([
    '1.2.3',
    '256.1.1.1',
    '010.1.1.1',
    '1.2.3.4 ',
    '0x7f.1.1.1',
    '',
    '::1%lo',
    'fe80::1%eth0',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    `${'0'.repeat(300)}::1`,
  ])('refuses %j', (text) => {
    expect(refusal(() => IpAddress.parse(text))).toBe('VNIC_INVALID_ADDRESS');
  });

  it('agrees with the operating system about which text is an address', () => {
    const piece = fc.constantFrom('0', '1', '255', '256', '01', 'ffff', 'fe80', ':', '::', '.', 'g', ' ');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 17 }), (pieces) => {
        const text = pieces.join('');
        const accepted = refusal(() => IpAddress.parse(text)) === undefined;
        expect(accepted).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: 5000 },
    );
  });

  // RFC 5952 section 4 and the examples of RFC 4291 section 2.2.
  it.each([
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0DB8::ABCD', '2001:db8::abcd'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('writes %s as %s', (text, canonical) => {
    expect(IpAddress.parse(text).toString()).toBe(canonical);
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4Bytes, ipv6Bytes), (bytes) => {
        const address = IpAddress.fromBytes(bytes);
        expect(IpAddress.parse(address.toString()).equals(address)).toBe(true);
      }),
    );
  });

  it('knows multicast, link-local, loopback and unspecified addresses of both families', () => {
    const of = (text: string): IpAddress => IpAddress.parse(text);
    expect([of('224.0.0.1').isMulticast, of('ff02::1').isMulticast, of('10.0.0.1').isMulticast]).toEqual([
      true,
      true,
      false,
    ]);
    expect([of('169.254.1.1').isLinkLocal, of('febf::1').isLinkLocal, of('fec0::1').isLinkLocal]).toEqual([
      true,
      true,
      false,
    ]);
    expect([of('127.9.9.9').isLoopback, of('::1').isLoopback, of('::2').isLoopback]).toEqual([true, true, false]);
    expect([of('0.0.0.0').isUnspecified, of('::').isUnspecified, of('::1').isUnspecified]).toEqual([true, true, false]);
  });

  it('keeps its bytes when the array it came from changes', () => {
    const bytes = Uint8Array.of(10, 0, 0, 1);
    const address = IpAddress.fromBytes(bytes);
    bytes[3] = 9;
    expect(address.toString()).toBe('10.0.0.1');
  });
});

describe('Cidr', () => {
  it.each([
    '10.0.0.1/33',
    'fd00::1/129',
    '10.0.0.1/',
    '10.0.0.1/ 8',
    '10.0.0.1/08',
    '10.0.0.1/-1',
    '10.0.0.1/8/8',
    '/8',
  ])('refuses %j', (text) => {
    expect(refusal(() => Cidr.parse(text))).toBe('VNIC_INVALID_ADDRESS');
  });

  it('keeps host bits and gives the network and the broadcast address', () => {
    const cidr = Cidr.parse('10.1.2.3/20');
    expect(`${cidr} ${cidr.network} ${cidr.broadcast}`).toBe('10.1.2.3/20 10.1.0.0/20 10.1.15.255');
    expect(Cidr.parse('10.0.0.0/31').broadcast).toBeUndefined();
    expect(Cidr.parse('fd00::1/64').broadcast).toBeUndefined();
    expect(`${Cidr.parse('fd00:1:2:3:4::1/60').network}`).toBe('fd00:1:2::/60');
  });

  it('takes a lone address for a single host', () => {
    expect([`${Cidr.parse('10.0.0.1')}`, `${Cidr.parse('::1')}`]).toEqual(['10.0.0.1/32', '::1/128']);
  });

  it('contains exactly the addresses whose leading bits are equal', () => {
    const bits = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
    fc.assert(
      fc.property(ipv6Bytes, ipv6Bytes, fc.integer({ min: 0, max: 128 }), fc.boolean(), (a, b, prefixLen, near) => {
        const other = near ? Uint8Array.from(a, (byte, i) => (i === prefixLen >> 3 ? byte ^ 1 : byte)) : b;
        const cidr = new Cidr(IpAddress.fromBytes(a), prefixLen);
        const expected = bits(a).slice(0, prefixLen) === bits(other).slice(0, prefixLen);
        expect(cidr.contains(IpAddress.fromBytes(other))).toBe(expected);
      }),
    );
    expect(Cidr.parse('0.0.0.0/0').contains(IpAddress.parse('::1'))).toBe(false);
  });
});

describe('MacAddress', () => {
  it.each(['', '02:00:00:00:00', '02:00:00:00:00:01:02', '02-00:00:00:00:01', '0g:00:00:00:00:01', '020000000001'])(
    'refuses %j',
    (text) => {
      expect(refusal(() => MacAddress.parse(text))).toBe('VNIC_INVALID_ADDRESS');
    },
  );

  it('reads both separators and writes colons in lower case', () => {
    expect(`${MacAddress.parse('02-AB-cd-00-11-FF')} ${MacAddress.parse('02:ab:CD:00:11:ff')}`).toBe(
      '02:ab:cd:00:11:ff 02:ab:cd:00:11:ff',
    );
  });

  it('tells group addresses from individual ones', () => {
    expect([
      MacAddress.parse('ff:ff:ff:ff:ff:ff').isMulticast,
      MacAddress.parse('02:00:00:00:00:01').isMulticast,
    ]).toEqual([true, false]);
  });
});
