/**
 * Options and their values: text of the command line in, checked values out.
 *
 * A parser takes the text and throws a `VnicError`; `option` and `repeatableOption` put the name of the option
 * and the text in front of what it says.
 */

import { Option } from 'commander';

import { Cidr, type IpFamily, invalidArgument, isVnicError, MacAddress, VnicError } from '../base/index.ts';

export type Parser<T> = (text: string) => T;

/** An option that takes one value and may be given once, for example `option('--mtu <bytes>', '…', parseMtu)`. */
export function option<T>(flags: string, description: string, parse: Parser<T>): Option {
  const result = new Option(flags, description);
  return result.argParser((text) => parseValue(result.long ?? flags, text, parse));
}

/** An option that takes one value and may be given several times; its values are collected in an array. */
export class RepeatableOption extends Option {}

/** Like `option`, and may be given several times: the value is an array, undefined when it was never given. */
export function repeatableOption<T>(flags: string, description: string, parse: Parser<T>): RepeatableOption {
  const result = new RepeatableOption(flags, `${description}; may be repeated`);
  result.argParser<T[] | undefined>((text, previous) => [
    ...(previous ?? []),
    parseValue(result.long ?? flags, text, parse),
  ]);
  return result;
}

/** Decimal whole numbers of a range; no sign, point, exponent or other base. */
export function wholeNumber(min: number, max: number, unit = ''): Parser<number> {
  return (text) => {
    const value = /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw badValue(text, `a whole number from ${min} to ${max}${unit === '' ? '' : ` (${unit})`}`);
  };
}

/** Decimal numbers with or without a fraction, of a range; no sign or exponent. */
export function decimalNumber(min: number, max: number, unit = ''): Parser<number> {
  return (text) => {
    const value = /^[0-9]{1,15}(\.[0-9]{1,15})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw badValue(text, `a number from ${min} to ${max}${unit === '' ? '' : ` (${unit})`}`);
  };
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Parser<Word> {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw badValue(text, words.join(' or '));
  };
}

export const parseFamily: Parser<IpFamily> = (text) => (oneOf('4', '6')(text) === '4' ? 4 : 6);

/** A table of routes, by number or by one of the names that every system has. */
export const parseTable: Parser<number | 'all'> = (text) => {
  const named = { all: 'all', main: 254, local: 255, default: 253 }[text] as number | 'all' | undefined;
  return named ?? wholeNumber(1, 0xffff_ffff)(text);
};

export const parseOnOff: Parser<boolean> = (text) => oneOf('on', 'off')(text) === 'on';

/** 68 is the smallest MTU of IPv4 (RFC 791), 65535 the largest that the kernel gives a TUN device. */
export const parseMtu: Parser<number> = wholeNumber(68, 65_535, 'bytes');

export const parseCidr: Parser<Cidr> = (text) => Cidr.parse(text);

/** The address of one interface: neither multicast nor all zero. */
export const parseInterfaceMac: Parser<MacAddress> = (text) => {
  const mac = MacAddress.parse(text);
  if (!mac.isMulticast && !mac.isUnspecified) return mac;
  throw badValue(text, 'the address of one interface, not a multicast or all-zero one; for example 02:00:00:00:00:01');
};

/** Packets in the kernel's queue; it takes any u32, and more than a million would be a memory leak. */
export const parseQueueLen: Parser<number> = wholeNumber(1, 1_000_000, 'packets');

/** Bytes of the virtio-net header: `struct virtio_net_hdr` has 10, and the kernel takes no fewer. */
export const parseVnetHeaderLen: Parser<number> = wholeNumber(10, 32, 'bytes');

/** `ifindex` is an `int` of 1 and more. */
export const parseIfindex: Parser<number> = wholeNumber(1, 0x7fff_ffff);

/** Destinations that pass to the reader: MAC addresses and the word `allmulti`, joined by commas; `off` for all. */
export const parseTxFilter: Parser<
  { readonly addresses: readonly MacAddress[]; readonly allMulticast: boolean } | 'off'
> = (text) => {
  if (text === 'off') return 'off';
  const parts = text.split(',');
  const addresses = parts.filter((part) => part !== 'allmulti').map((part) => MacAddress.parse(part));
  if (addresses.length > 0) return { addresses, allMulticast: parts.includes('allmulti') };
  throw badValue(text, 'off, or MAC addresses joined by commas, for example 02:00:00:00:00:01,allmulti');
};

/** A text that is not empty. */
export const parseText: Parser<string> = (text) => {
  if (text !== '') return text;
  throw badValue(text, 'a value, not an empty one');
};

/** What a parser throws: says what was expected and what came. */
export function badValue(text: string, expected: string): VnicError {
  return invalidArgument('read the value', expected, text);
}

/** Parses the value of the option `name` and names it in the error; for parsers that are loaded late. */
export function parseValue<T>(name: string, text: string, parse: Parser<T>): T {
  try {
    return parse(text);
  } catch (error) {
    if (!isVnicError(error)) throw error;
    const { code, reason, hint } = error;
    const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
    throw new VnicError(code, { attempted: `use ${shown} as ${name}`, reason, hint, cause: error });
  }
}
