import { describe, expect, it } from 'vitest';

import { VnicError } from '../base/index.ts';
import { checkInterfaceName, checkLinkSelector, describeLink } from './interface-name.ts';

function codeOf(run: () => void): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    expect(error).toBeInstanceOf(VnicError);
    expect((error as VnicError).attempted).toBe('open "x"');
    return (error as VnicError).code;
  }
}

describe('checkInterfaceName', () => {
  it.each<[string, string]>([
    ['tun0', 'ok'],
    ['a', 'ok'],
    ['...', 'ok'],
    ['-x', 'ok'],
    ['a23456789012345', 'ok'],
    ['Zoë-日本', 'ok'],
    ['a234567890123456', 'VNIC_NAME_TOO_LONG'],
    ['日本語日本語', 'VNIC_NAME_TOO_LONG'],
    ['x'.repeat(300), 'VNIC_NAME_TOO_LONG'],
    ['', 'VNIC_INVALID_NAME'],
    ['.', 'VNIC_INVALID_NAME'],
    ['..', 'VNIC_INVALID_NAME'],
    ['a/b', 'VNIC_INVALID_NAME'],
    ['a:b', 'VNIC_INVALID_NAME'],
    ['a b', 'VNIC_INVALID_NAME'],
    ['a\tb', 'VNIC_INVALID_NAME'],
    ['a\u0000b', 'VNIC_INVALID_NAME'],
    ['a\u007fb', 'VNIC_INVALID_NAME'],
    ['a\u00a0b', 'VNIC_INVALID_NAME'],
    ['a\u2003b', 'VNIC_INVALID_NAME'],
    ['à', 'VNIC_INVALID_NAME'],
    ['\ud800', 'VNIC_INVALID_NAME'],
    ['tun%d', 'VNIC_INVALID_NAME'],
    ['100%', 'VNIC_INVALID_NAME'],
  ])('finds %j %s', (name, expected) => {
    expect(codeOf(() => checkInterfaceName(name, 'open "x"'))).toBe(expected);
  });

  it.each<[string, string]>([
    ['tun%d', 'ok'],
    ['%d', 'ok'],
    ['tun0', 'ok'],
    ['a%db%d', 'VNIC_INVALID_NAME'],
    ['tun%s', 'VNIC_INVALID_NAME'],
    ['tun%%d', 'VNIC_INVALID_NAME'],
    ['tun%', 'VNIC_INVALID_NAME'],
    ['a2345678901234%d', 'VNIC_NAME_TOO_LONG'],
  ])('finds the pattern %j %s', (name, expected) => {
    expect(codeOf(() => checkInterfaceName(name, 'open "x"', { pattern: true }))).toBe(expected);
  });
});

describe('checkLinkSelector', () => {
  it.each<[string | number, string]>([
    [1, 'ok'],
    [0x7fff_ffff, 'ok'],
    ['an-alternative-name-of-a-link', 'ok'],
    ['x'.repeat(128), 'VNIC_NAME_TOO_LONG'],
    ['', 'VNIC_INVALID_NAME'],
    [0, 'VNIC_INVALID_ARGUMENT'],
    [-1, 'VNIC_INVALID_ARGUMENT'],
    [1.5, 'VNIC_INVALID_ARGUMENT'],
    [Number.NaN, 'VNIC_INVALID_ARGUMENT'],
    [2 ** 31, 'VNIC_INVALID_ARGUMENT'],
  ])('finds %j %s', (link, expected) => {
    expect(codeOf(() => checkLinkSelector(link, 'open "x"'))).toBe(expected);
  });

  it('keeps messages short however long a name is', () => {
    expect(describeLink('x'.repeat(300)).length).toBeLessThan(80);
    expect(describeLink(7)).toBe('link 7');
  });
});
