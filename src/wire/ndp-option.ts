/**
 * Options of neighbour discovery messages (RFC 4861 section 4.6; RDNSS RFC 8106; nonce RFC 3971).
 *
 * ```
 * octet 0          1            2
 *       +----------+------------+------------------------
 *       | type (1) | length (1) | data (length * 8 - 2)         length counts units of 8 octets
 *       +----------+------------+------------------------
 * link-layer address  MAC (6)
 * prefix information  prefix length(1) L A flags(1) valid s(4) preferred s(4) reserved(4) prefix(16)
 * redirected header   reserved(6) start of the packet
 * MTU                 reserved(2) MTU(4)
 * RDNSS               reserved(2) lifetime s(4) addresses (16 each)
 * ```
 * A length of 0 is a drop reason: skipped, it would never end. Unknown options are kept as octets.
 */

import type { IpAddress, MacAddress } from '../base/index.ts';
import { putU32, u8, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireLen, requireRoom, requireUint } from './emit-check.ts';
import { macAt } from './ethernet.ts';
import { ipAt } from './ip-address.ts';
import { NdpOptionType } from './protocol-numbers.ts';

/** One option; octets of a parsed option are views. */
export type NdpOption =
  | { readonly kind: 'sourceLinkLayerAddress' | 'targetLinkLayerAddress'; readonly address: MacAddress }
  | {
      readonly kind: 'prefixInformation';
      /** 0 to 128. */
      readonly prefixLen: number;
      readonly onLink: boolean;
      readonly autonomous: boolean;
      /** Seconds; 0xffffffff is for ever. */
      readonly validLifetimeSeconds: number;
      readonly preferredLifetimeSeconds: number;
      readonly prefix: IpAddress;
    }
  | { readonly kind: 'redirectedHeader'; readonly original: Uint8Array }
  | { readonly kind: 'mtu'; readonly mtu: number }
  | { readonly kind: 'rdnss'; readonly lifetimeSeconds: number; readonly servers: readonly IpAddress[] }
  | {
      readonly kind: 'other';
      readonly type: number;
      /** Without type and length: 2 less than a multiple of 8. */
      readonly data: Uint8Array;
    };

/** Hot: true when the options from `offset` to `end` fill that area exactly and none has length 0. */
export function ndpOptionsOk(bytes: Uint8Array, offset: number, end: number): boolean {
  let at = offset;
  while (at + 1 < end) {
    const length = u8(bytes, at + 1) * 8;
    if (length === 0) return false;
    at += length;
  }
  return at === end;
}

/** Hot: the offset of the first option of `type` in an area that `ndpOptionsOk` has passed; -1 without one. */
export function findNdpOption(bytes: Uint8Array, offset: number, end: number, type: number): number {
  for (let at = offset; at < end; at += u8(bytes, at + 1) * 8) if (bytes[at] === type) return at;
  return -1;
}

/** Reads an option area. An option of known type and too small a length is `bad-option`. */
export function parseNdpOptions(area: Uint8Array): NdpOption[] | DropReason {
  if (!ndpOptionsOk(area, 0, area.length)) return 'bad-option';
  const options: NdpOption[] = [];
  let at = 0;
  while (at < area.length) {
    const end = at + u8(area, at + 1) * 8;
    const option = parseOption(area.subarray(at, end));
    if (option === undefined) return 'bad-option';
    options.push(option);
    at = end;
  }
  return options;
}

/** The option in exactly these octets; undefined when they are too few for its type. */
function parseOption(bytes: Uint8Array): NdpOption | undefined {
  const type = u8(bytes, 0);
  switch (type) {
    case NdpOptionType.sourceLinkLayerAddress:
      return { kind: 'sourceLinkLayerAddress', address: macAt(bytes, 2) };
    case NdpOptionType.targetLinkLayerAddress:
      return { kind: 'targetLinkLayerAddress', address: macAt(bytes, 2) };
    case NdpOptionType.prefixInformation:
      return bytes.length === 32 && u8(bytes, 2) <= 128 ? parsePrefix(bytes) : undefined;
    case NdpOptionType.redirectedHeader:
      return { kind: 'redirectedHeader', original: bytes.subarray(8) };
    case NdpOptionType.mtu:
      return bytes.length === 8 ? { kind: 'mtu', mtu: u32(bytes, 4) } : undefined;
    case NdpOptionType.rdnss:
      return bytes.length >= 24 && bytes.length % 16 === 8 ? parseRdnss(bytes) : undefined;
    default:
      return { kind: 'other', type, data: bytes.subarray(2) };
  }
}

function parsePrefix(bytes: Uint8Array): NdpOption {
  return {
    kind: 'prefixInformation',
    prefixLen: u8(bytes, 2),
    onLink: (u8(bytes, 3) & 0x80) !== 0,
    autonomous: (u8(bytes, 3) & 0x40) !== 0,
    validLifetimeSeconds: u32(bytes, 4),
    preferredLifetimeSeconds: u32(bytes, 8),
    prefix: ipAt(bytes, 16, 16),
  };
}

function parseRdnss(bytes: Uint8Array): NdpOption {
  const servers: IpAddress[] = [];
  for (let at = 8; at < bytes.length; at += 16) servers.push(ipAt(bytes, at, 16));
  return { kind: 'rdnss', lifetimeSeconds: u32(bytes, 4), servers };
}

/** Octets that `emitNdpOptions` writes for these options. */
export function ndpOptionsLen(options: readonly NdpOption[]): number {
  return options.reduce((sum, option) => sum + optionLen(option), 0);
}

function optionLen(option: NdpOption): number {
  switch (option.kind) {
    case 'sourceLinkLayerAddress':
    case 'targetLinkLayerAddress':
    case 'mtu':
      return 8;
    case 'prefixInformation':
      return 32;
    case 'redirectedHeader':
      return 8 + option.original.length;
    case 'rdnss':
      return 8 + option.servers.length * 16;
    case 'other':
      return 2 + option.data.length;
  }
}

/**
 * Writes the options one after the other at `offset`.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitNdpOptions(options: readonly NdpOption[], out: Uint8Array, offset: number): number {
  let at = offset;
  for (const option of options) {
    const length = optionLen(option);
    requireUint('NDP option', 'length / 8', length / 8, 0xff);
    requireRoom('NDP option', out, at, length);
    out.fill(0, at, at + length);
    out[at] = option.kind === 'other' ? option.type : NdpOptionType[option.kind];
    out[at + 1] = length / 8;
    emitOptionBody(option, out, at);
    at += length;
  }
  return at - offset;
}

function emitOptionBody(option: NdpOption, out: Uint8Array, at: number): void {
  switch (option.kind) {
    case 'sourceLinkLayerAddress':
    case 'targetLinkLayerAddress':
      out.set(option.address.bytes, at + 2);
      break;
    case 'prefixInformation':
      emitPrefix(option, out, at);
      break;
    case 'redirectedHeader':
      requireLen('NDP redirected header', 'original', option.original, 8, 2032);
      out.set(option.original, at + 8);
      break;
    case 'mtu':
      requireUint('NDP option', 'mtu', option.mtu, 0xffff_ffff);
      putU32(out, at + 4, option.mtu);
      break;
    case 'rdnss':
      requireUint('NDP option', 'servers', option.servers.length - 1, 126);
      requireUint('NDP option', 'lifetimeSeconds', option.lifetimeSeconds, 0xffff_ffff);
      putU32(out, at + 4, option.lifetimeSeconds);
      for (const [i, server] of option.servers.entries()) {
        requireFamily('NDP option', 'server', server, 6);
        out.set(server.bytes, at + 8 + i * 16);
      }
      break;
    case 'other':
      requireUint('NDP option', 'type', option.type, 0xff);
      out.set(option.data, at + 2);
      break;
  }
}

function emitPrefix(option: NdpOption & { kind: 'prefixInformation' }, out: Uint8Array, at: number): void {
  requireUint('NDP option', 'prefixLen', option.prefixLen, 128);
  requireUint('NDP option', 'validLifetimeSeconds', option.validLifetimeSeconds, 0xffff_ffff);
  requireUint('NDP option', 'preferredLifetimeSeconds', option.preferredLifetimeSeconds, 0xffff_ffff);
  requireFamily('NDP option', 'prefix', option.prefix, 6);
  out[at + 2] = option.prefixLen;
  out[at + 3] = (option.onLink ? 0x80 : 0) | (option.autonomous ? 0x40 : 0);
  putU32(out, at + 4, option.validLifetimeSeconds);
  putU32(out, at + 8, option.preferredLifetimeSeconds);
  out.set(option.prefix.bytes, at + 16);
}
