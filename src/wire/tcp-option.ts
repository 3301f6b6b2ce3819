/**
 * Options of the TCP header (RFC 9293 section 3.1; window scale and timestamps RFC 7323; SACK RFC 2018).
 *
 * ```
 * octet 0          1            2
 *       +----------+------------+------------------
 *       | kind (1) | length (1) | data (length - 2)      kinds 0 (end) and 1 (no operation) are a single octet
 *       +----------+------------+------------------
 * ```
 * Kinds that are not known, or whose length is another than their RFC says, are kept as octets.
 */

import { invalidArgument } from '../base/index.ts';
import { putU16, putU32, u8, u16, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireLen, requireUint } from './emit-check.ts';
import { TcpOptionKind } from './protocol-numbers.ts';

/** A range of sequence numbers that has arrived: from `left` on, up to but without `right`. */
export interface SackBlock {
  readonly left: number;
  readonly right: number;
}

/** One option; octets of a parsed option are views. */
export type TcpOption =
  | { readonly kind: 'noOperation' }
  | { readonly kind: 'sackPermitted' }
  | { readonly kind: 'maximumSegmentSize'; readonly size: number }
  | {
      readonly kind: 'windowScale';
      /** 0 to 14 is meaningful; 0 to 255 is carried. */
      readonly shift: number;
    }
  | { readonly kind: 'sack'; readonly blocks: readonly SackBlock[] }
  | { readonly kind: 'timestamps'; readonly value: number; readonly echoReply: number }
  | { readonly kind: 'other'; readonly type: number; readonly data: Uint8Array };

/** Reads an option area up to the end-of-list option. */
export function parseTcpOptions(area: Uint8Array): TcpOption[] | DropReason {
  const options: TcpOption[] = [];
  let at = 0;
  while (at < area.length) {
    const type = u8(area, at);
    if (type === TcpOptionKind.endOfList) break;
    if (type === TcpOptionKind.noOperation) {
      options.push({ kind: 'noOperation' });
      at += 1;
      continue;
    }
    const length = at + 1 < area.length ? u8(area, at + 1) : 0;
    if (length < 2 || at + length > area.length) return 'bad-option';
    options.push(parseOption(type, area.subarray(at + 2, at + length)));
    at += length;
  }
  return options;
}

function parseOption(type: number, data: Uint8Array): TcpOption {
  if (type === TcpOptionKind.maximumSegmentSize && data.length === 2) {
    return { kind: 'maximumSegmentSize', size: u16(data, 0) };
  }
  if (type === TcpOptionKind.windowScale && data.length === 1) return { kind: 'windowScale', shift: u8(data, 0) };
  if (type === TcpOptionKind.sackPermitted && data.length === 0) return { kind: 'sackPermitted' };
  if (type === TcpOptionKind.timestamps && data.length === 8) {
    return { kind: 'timestamps', value: u32(data, 0), echoReply: u32(data, 4) };
  }
  if (type === TcpOptionKind.sack && data.length > 0 && data.length % 8 === 0) {
    const blocks: SackBlock[] = [];
    for (let at = 0; at < data.length; at += 8) blocks.push({ left: u32(data, at), right: u32(data, at + 4) });
    return { kind: 'sack', blocks };
  }
  return { kind: 'other', type, data };
}

/**
 * The octets of an option area, padded with end-of-list to a multiple of 4.
 * @throws VNIC_INVALID_ARGUMENT when a value is out of range or the area exceeds 40 octets
 */
export function emitTcpOptions(options: readonly TcpOption[]): Uint8Array {
  const octets: number[] = [];
  for (const option of options) {
    if (option.kind === 'noOperation') {
      octets.push(TcpOptionKind.noOperation);
      continue;
    }
    const data = optionData(option);
    const type = option.kind === 'other' ? option.type : TcpOptionKind[option.kind];
    if (type < 2) throw invalidArgument(`emit a TCP option of kind ${type} with data`, 'a kind from 2 to 255', type);
    requireUint('TCP option', 'kind', type, 0xff);
    requireLen('TCP option', 'data', data, 1, 38);
    octets.push(type, data.length + 2, ...data);
  }
  while (octets.length % 4 !== 0) octets.push(TcpOptionKind.endOfList);
  requireUint('TCP options', 'total octets', octets.length, 40);
  return Uint8Array.from(octets);
}

function optionData(option: Exclude<TcpOption, { kind: 'noOperation' }>): Uint8Array {
  switch (option.kind) {
    case 'sackPermitted':
      return new Uint8Array(0);
    case 'maximumSegmentSize': {
      requireUint('TCP option', 'size', option.size, 0xffff);
      const data = new Uint8Array(2);
      putU16(data, 0, option.size);
      return data;
    }
    case 'windowScale':
      requireUint('TCP option', 'shift', option.shift, 0xff);
      return Uint8Array.of(option.shift);
    case 'sack':
      return words(option.blocks.flatMap(({ left, right }) => [left, right]));
    case 'timestamps':
      return words([option.value, option.echoReply]);
    case 'other':
      return option.data;
  }
}

function words(values: readonly number[]): Uint8Array {
  const data = new Uint8Array(values.length * 4);
  for (const [i, value] of values.entries()) {
    requireUint('TCP option', '32-bit value', value, 0xffff_ffff);
    putU32(data, i * 4, value);
  }
  return data;
}
