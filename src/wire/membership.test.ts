import { describe, expect, it } from 'vitest';

import { emitIgmpQuery, igmpQueryLen, parseIgmp } from './igmp.ts';
import { emitMldQuery, mldQueryLen, parseMld } from './mld.ts';

const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (one) => Number(`0x${one}`));
const group = hex('ef010203');
const group6 = hex('ff1e000000000000000000000000abcd');

/** Of Linux joining 239.1.2.3: version 3, one record, change to exclude nothing. */
const join3 = hex('2200e7f7 00000001 04000000 ef010203');
/** And leaving it: change to include nothing. */
const leave3 = hex('2200e8f7 00000001 03000000 ef010203');

describe('IGMP', () => {
  it.each([
    ['1604f8f7 ef010203', { kind: 'report', joins: [group], leaves: [] }],
    ['1700f8fb ef010203', { kind: 'report', joins: [], leaves: [group] }],
    ['1164ee9b 00000000', { kind: 'query', group: undefined, maxResponseMs: 10_000 }],
    ['1100eeff 00000000', { kind: 'query', group: undefined, maxResponseMs: 10_000 }],
  ])('reads %s', (text, message) => {
    const bytes = hex(text);
    bytes[2] = 0;
    bytes[3] = 0;
    expect(parseIgmp(withChecksum(bytes), 0, bytes.length)).toEqual(message);
  });

  it('reads records of version 3', () => {
    expect(parseIgmp(withChecksum(join3.slice()), 0, join3.length)).toEqual({
      kind: 'report',
      joins: [group],
      leaves: [],
    });
    expect(parseIgmp(withChecksum(leave3.slice()), 0, leave3.length)).toEqual({
      kind: 'report',
      joins: [],
      leaves: [group],
    });
    // Include one source: somebody wants it. Block one: whether anybody does is not said. Auxiliary data is stepped over.
    const more = hex(
      '22000000 00000003 01000001 ef010203 0a000001 06010001 ef010204 0a000001 ffffffff 04000000 ef010205',
    );
    expect(parseIgmp(withChecksum(more), 0, more.length)).toEqual({
      kind: 'report',
      joins: [group, hex('ef010205')],
      leaves: [],
    });
  });

  it.each([
    [hex('16000000 0a000001'), 'bad-address'],
    [hex('99000000 ef010203'), 'bad-type'],
    [hex('22000000 00000002 04000000 ef010203'), 'truncated'],
    [hex('22000000 00000001 040000ff ef010203'), 'truncated'],
  ])('says what is wrong', (bytes, reason) => {
    expect(parseIgmp(withChecksum(bytes), 0, bytes.length)).toBe(reason);
  });

  it('says of every shorter message, and of one that was bent, what it is', () => {
    const whole = withChecksum(join3.slice());
    for (let length = 0; length < 8; length++) expect(parseIgmp(whole, 0, length)).toBe('truncated');
    whole[9] = 1;
    expect(parseIgmp(whole, 0, whole.length)).toBe('bad-checksum');
  });

  it('reads the query that it writes', () => {
    const out = new Uint8Array(igmpQueryLen + 2);
    emitIgmpQuery({ group, maxResponseMs: 1000 }, out, 2);
    expect(parseIgmp(out, 2, igmpQueryLen)).toEqual({ kind: 'query', group, maxResponseMs: 1000 });
    emitIgmpQuery({ group: undefined, maxResponseMs: 10_000 }, out, 2);
    expect(parseIgmp(out, 2, igmpQueryLen)).toEqual({ kind: 'query', group: undefined, maxResponseMs: 10_000 });
  });

  it('reads long response times as small floating-point numbers', () => {
    const query = hex('11ff0000 00000000 00000000');
    expect(parseIgmp(withChecksum(query), 0, query.length)).toMatchObject({ maxResponseMs: 31 * 1024 * 100 });
  });
});

describe('MLD', () => {
  const addresses = hex('fe800000000000000000000000000001 ff020000000000000000000000000001');

  it('reads the query that it writes', () => {
    const out = new Uint8Array(32 + mldQueryLen);
    out.set(addresses);
    emitMldQuery({ group: group6, maxResponseMs: 1000 }, out, 32, 0);
    expect(parseMld(out, 32, mldQueryLen, 0)).toEqual({ kind: 'query', group: group6, maxResponseMs: 1000 });
    out[31] = 2;
    expect(parseMld(out, 32, mldQueryLen, 0)).toBe('bad-checksum');
  });

  it.each([
    ['83', { kind: 'report', joins: [group6], leaves: [] }],
    ['84', { kind: 'report', joins: [], leaves: [group6] }],
    ['85', 'bad-type'],
  ])('reads type 0x%s', (type, message) => {
    const bytes = new Uint8Array([...addresses, ...hex(`${type}000000 00000000`), ...group6]);
    expect(parseMld(withMldChecksum(bytes), 32, 24, 0)).toEqual(message);
    for (let length = 0; length < 8; length++) expect(parseMld(bytes, 32, length, 0)).toBe('truncated');
  });

  it('reads records of version 2', () => {
    const records = `04000000${Buffer.from(group6).toString('hex')}03000000${Buffer.from(group6).toString('hex')}`;
    const bytes = new Uint8Array([...addresses, ...hex(`8f000000 00000002 ${records}`)]);
    expect(parseMld(withMldChecksum(bytes), 32, bytes.length - 32, 0)).toEqual({
      kind: 'report',
      joins: [group6],
      leaves: [group6],
    });
  });
});

function withChecksum(bytes: Uint8Array): Uint8Array {
  bytes[2] = 0;
  bytes[3] = 0;
  const sum = onesComplement(bytes, 0);
  bytes[2] = sum >> 8;
  bytes[3] = sum & 0xff;
  return bytes;
}

/** Of a message behind its addresses. */
function withMldChecksum(bytes: Uint8Array): Uint8Array {
  bytes[34] = 0;
  bytes[35] = 0;
  const sum = onesComplement(bytes, 58 + bytes.length - 32);
  bytes[34] = sum >> 8;
  bytes[35] = sum & 0xff;
  return bytes;
}

/** RFC 1071, slowly. */
function onesComplement(bytes: Uint8Array, initial: number): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
