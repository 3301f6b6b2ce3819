import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress } from '../base/index.ts';
import { AddressSet } from './address-set.ts';

function has(answer: string[], address: string, except: string[] = []): boolean {
  const set = new AddressSet(answer.map(Cidr.parse), except.map(IpAddress.parse));
  const { bytes, family } = IpAddress.parse(address);
  const padded = new Uint8Array(24);
  padded.set(bytes, 3);
  return family === 4 ? set.hasIpv4(padded, 3) : set.hasIpv6(padded, 3);
}

describe('AddressSet', () => {
  it.each([
    ['10.0.0.2', '10.0.0.2', true],
    ['10.0.0.2', '10.0.0.3', false],
    ['10.0.0.1/24', '10.0.0.200', true],
    ['10.0.0.0/24', '10.0.0.0', false],
    ['10.0.0.0/24', '10.0.0.255', false],
    ['10.0.0.0/16', '10.0.0.255', true],
    ['10.0.0.0/30', '10.0.0.1', true],
    ['10.0.0.0/30', '10.0.0.3', false],
    ['10.0.0.0/31', '10.0.0.0', true],
    ['10.0.0.0/31', '10.0.0.1', true],
    ['192.168.0.0/16', '192.168.200.7', true],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '200.1.2.3', true],
    ['0.0.0.0/0', '127.0.0.1', false],
    ['0.0.0.0/0', '224.0.0.1', false],
    ['0.0.0.0/0', '255.255.255.255', false],
    ['128.0.0.0/1', '127.0.0.1', false],
    ['128.0.0.0/1', '200.0.0.1', true],
    ['fd00::2', 'fd00::2', true],
    ['fd00::2', 'fd00::3', false],
    ['fd00::/64', 'fd00::ffff:1', true],
    ['fd00::/64', 'fd00::', false],
    ['fd00::/64', 'fd00:0:0:1::1', false],
    ['fd00::/61', 'fd00:0:0:7::1', true],
    ['fd00::/127', 'fd00::', true],
    ['fd00::/126', 'fd00::', false],
    ['fd00::/126', 'fd00::3', true],
    ['::/0', '2001:db8::1', true],
    ['::/0', 'fe80::1', false],
    ['::/0', 'ff02::1', false],
    ['::/0', '::1', false],
    ['fe80::/64', 'fe80::1', true],
    ['10.0.0.0/8', '::ffff:10.0.0.1', false],
  ])('of %s: %s is answered: %s', (answer, address, expected) => {
    expect(has([answer], address)).toBe(expected);
  });

  it('leaves the exceptions out, of hosts and of subnets', () => {
    expect(has(['10.0.0.0/24'], '10.0.0.1', ['10.0.0.1'])).toBe(false);
    expect(has(['10.0.0.1'], '10.0.0.1', ['10.0.0.1'])).toBe(false);
    expect(has(['fd00::/64'], 'fd00::1', ['fd00::1'])).toBe(false);
    expect(has(['fd00::/64'], 'fd00::2', ['fd00::1'])).toBe(true);
  });

  it('joins several hosts and subnets of both families', () => {
    const answer = ['10.0.0.2', '10.1.0.0/16', '192.168.1.0/24', 'fd00::2', 'fd01::/64'];
    for (const address of ['10.0.0.2', '10.1.2.3', '192.168.1.9', 'fd00::2', 'fd01::9']) {
      expect(has(answer, address), address).toBe(true);
    }
  });
});
