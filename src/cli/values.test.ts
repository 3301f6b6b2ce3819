import { Command } from 'commander';
import { describe, expect, it } from 'vitest';

import { isVnicError, type VnicError } from '../base/index.ts';
import {
  decimalNumber,
  oneOf,
  option,
  parseInterfaceMac,
  parseMtu,
  parseOnOff,
  parseText,
  repeatableOption,
  wholeNumber,
} from './values.ts';

function refusal(parse: () => unknown): VnicError {
  try {
    parse();
  } catch (error) {
    if (isVnicError(error)) return error;
  }
  expect.fail('expected a VnicError');
}

describe('value parsers', () => {
  it.each(['-1', '+1', '1.5', '1e3', '0x5dc', ' 1', '1 ', '', '01', 'NaN', '9999999999999999999'])(
    'wholeNumber refuses %j and says what it expected and got',
    (text) => {
      const { code, reason } = refusal(() => wholeNumber(0, 100_000, 'bytes')(text));
      expect(code).toBe('VNIC_INVALID_ARGUMENT');
      expect(reason).toBe(`expected a whole number from 0 to 100000 (bytes), got ${JSON.stringify(text)}`);
    },
  );

  it('wholeNumber takes both ends of its range and nothing beyond', () => {
    expect([68, 65_535].map((mtu) => parseMtu(String(mtu)))).toEqual([68, 65_535]);
    for (const text of ['67', '65536']) expect(refusal(() => parseMtu(text)).exitStatus).toBe(2);
  });

  it('decimalNumber takes fractions, without sign or exponent', () => {
    expect(['0', '0.25', '1', '1.0'].map(decimalNumber(0, 1))).toEqual([0, 0.25, 1, 1]);
    for (const text of ['.5', '1.', '-0.1', '1.1', '1e-1', '']) refusal(() => decimalNumber(0, 1)(text));
  });

  it('oneOf and parseOnOff take their words only', () => {
    expect(oneOf('a', 'b')('b')).toBe('b');
    expect([parseOnOff('on'), parseOnOff('off')]).toEqual([true, false]);
    expect(refusal(() => parseOnOff('On')).reason).toBe('expected on or off, got "On"');
  });

  it('parseInterfaceMac refuses what no interface can have', () => {
    expect(String(parseInterfaceMac('02:00:00:00:00:01'))).toBe('02:00:00:00:00:01');
    for (const mac of ['01:00:5e:00:00:01', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'])
      refusal(() => parseInterfaceMac(mac));
  });
});

describe('options', () => {
  const command = (): Command =>
    new Command()
      .addOption(option('--mtu <bytes>', '', parseMtu))
      .addOption(repeatableOption('--word <text>', '', parseText))
      .exitOverride();

  it('hold the parsed value, or all of a repeatable one', () => {
    expect(command().parse(['--mtu', '1500', '--word', 'a', '--word', 'b'], { from: 'user' }).opts()).toEqual({
      mtu: 1500,
      word: ['a', 'b'],
    });
    expect(command().parse([], { from: 'user' }).opts()).toEqual({});
  });

  it('name themselves and the text in an error', () => {
    const error = refusal(() => command().parse(['--mtu', '5'], { from: 'user' }));
    expect(error.message).toBe('cannot use "5" as --mtu: expected a whole number from 68 to 65535 (bytes), got "5"');
    expect(refusal(() => command().parse(['--word', ''], { from: 'user' })).message).toContain('--word');
  });
});
