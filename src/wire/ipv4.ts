/**
 * IPv4 header (RFC 791; DSCP and ECN RFC 2474, RFC 3168).
 *
 * ```
 * octet 0           1           2                   4                   6            8
 *       +-----+-----+-----------+-------------------+-------------------+---+--------+
 *       |ver 4| IHL |DSCP 6|ECN2| total length (2)  | identification(2) |flg| offset |
 *       +-----+-----+-----------+-------------------+-------------------+---+--------+
 *       8     9          10            12           16               20
 *       +-----+----------+-------------+------------+----------------+-------------- -
 *       | TTL | protocol | checksum (2)| source (4) | destination (4)| options (0-40)
 *       +-----+----------+-------------+------------+----------------+-------------- -
 * ```
 * Not supported: a total length of 0 (the super-packets of a device with offloads have it).
 * Options: `ipv4-option.ts`.
 */

import type { IpAddress } from '../base/index.ts';
import { noBytes, putU16, swapRanges, u8, u16 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSumAt, sumBytes } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireLen, requireRoom, requireUint } from './emit-check.ts';
import { ipAt } from './ip-address.ts';

const versionIhlAt = 0;
const trafficClassAt = 1;
const totalLengthAt = 2;
const identificationAt = 4;
const flagsAt = 6;
const ttlAt = 8;
const protocolAt = 9;
const checksumAt = 10;
const sourceAt = 12;
const destinationAt = 16;
const optionsAt = 20;

const dontFragmentBit = 0x4000;
const moreFragmentsBit = 0x2000;
const fragmentOffsetMask = 0x1fff;

/** Octets of the header without options. */
export const ipv4MinHeaderLen = 20;
/** The largest value of the total length field. */
export const ipv4MaxTotalLen = 65_535;

/** A checked IPv4 packet; reusable, see `wrap`. */
export class Ipv4View {
  bytes: Uint8Array = noBytes;
  offset = 0;
  /** Exclusive end by the total length, so that link-layer padding is cut. */
  end = 0;

  /** A view of the packet at the start of `bytes`. */
  static from(bytes: Uint8Array): Ipv4View | DropReason {
    const view = new Ipv4View();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /**
   * Hot: points this view at a packet within `length` octets; undefined when no getter can fail.
   * The checksum is apart: `checksumOk`.
   */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    const reason = this.wrapQuoted(bytes, offset, length);
    if (reason !== undefined) return reason;
    if (this.totalLength > length) return 'truncated';
    return undefined;
  }

  /**
   * Like `wrap`, for a packet quoted in an ICMP error: its payload may be cut off, `end` is then where the
   * quote ends.
   */
  wrapQuoted(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < 1 || offset + length > bytes.length) return 'truncated';
    if (u8(bytes, offset) >> 4 !== 4) return 'bad-version';
    if (length < ipv4MinHeaderLen) return 'truncated';
    const headerLen = (u8(bytes, offset) & 0x0f) * 4;
    if (headerLen < ipv4MinHeaderLen) return 'bad-header-length';
    const totalLength = u16(bytes, offset + totalLengthAt);
    if (totalLength < headerLen) return 'bad-length';
    if (headerLen > length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + Math.min(length, totalLength);
    return undefined;
  }

  /** Octets of the header with options, 20 to 60. */
  get headerLen(): number {
    return (u8(this.bytes, this.offset + versionIhlAt) & 0x0f) * 4;
  }

  get payloadOffset(): number {
    return this.offset + this.headerLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - this.headerLen;
  }

  /** Differentiated services code point, 0 to 63. */
  get dscp(): number {
    return u8(this.bytes, this.offset + trafficClassAt) >> 2;
  }

  /** Explicit congestion notification, 0 to 3. */
  get ecn(): number {
    return u8(this.bytes, this.offset + trafficClassAt) & 3;
  }

  get totalLength(): number {
    return u16(this.bytes, this.offset + totalLengthAt);
  }

  get identification(): number {
    return u16(this.bytes, this.offset + identificationAt);
  }

  get dontFragment(): boolean {
    return (u16(this.bytes, this.offset + flagsAt) & dontFragmentBit) !== 0;
  }

  get moreFragments(): boolean {
    return (u16(this.bytes, this.offset + flagsAt) & moreFragmentsBit) !== 0;
  }

  /** In octets (the field counts units of 8), 0 to 65,528. */
  get fragmentOffset(): number {
    return (u16(this.bytes, this.offset + flagsAt) & fragmentOffsetMask) * 8;
  }

  /** True when the packet is not whole: more fragments follow, or it is not the first. */
  get isFragment(): boolean {
    return (u16(this.bytes, this.offset + flagsAt) & (moreFragmentsBit | fragmentOffsetMask)) !== 0;
  }

  get ttl(): number {
    return u8(this.bytes, this.offset + ttlAt);
  }

  /** Does not touch the checksum: follow with `updateChecksum`, or `updateChecksum16` over octets 8 and 9. */
  set ttl(value: number) {
    this.bytes[this.offset + ttlAt] = value;
  }

  get protocol(): number {
    return u8(this.bytes, this.offset + protocolAt);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + checksumAt);
  }

  set checksum(value: number) {
    putU16(this.bytes, this.offset + checksumAt, value);
  }

  /** True when the header checksum is right. */
  get checksumOk(): boolean {
    return internetChecksum(this.bytes, this.offset, this.headerLen) === 0;
  }

  get sourceOffset(): number {
    return this.offset + sourceAt;
  }

  get destinationOffset(): number {
    return this.offset + destinationAt;
  }

  /** Allocates; compare at `sourceOffset` on hot paths. */
  get source(): IpAddress {
    return ipAt(this.bytes, this.sourceOffset, 4);
  }

  /** Allocates; compare at `destinationOffset` on hot paths. */
  get destination(): IpAddress {
    return ipAt(this.bytes, this.destinationOffset, 4);
  }

  get optionsOffset(): number {
    return this.offset + optionsAt;
  }

  get optionsLen(): number {
    return this.headerLen - ipv4MinHeaderLen;
  }

  /** Writes the checksum that the header has now. */
  updateChecksum(): void {
    this.checksum = 0;
    this.checksum = internetChecksum(this.bytes, this.offset, this.headerLen);
  }

  /** Exchanges source and destination; no checksum changes by that, neither here nor in the payload. */
  swapAddresses(): void {
    swapRanges(this.bytes, this.sourceOffset, this.destinationOffset, 4);
  }

  /** Hot: the sum of the pseudo header for `length` octets of `protocol`. */
  pseudoHeaderSum(protocol: number, length: number): number {
    return pseudoHeaderSumAt(this.bytes, this.sourceOffset, 4, protocol, length);
  }
}

/** The header as plain data. */
export interface Ipv4Fields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  /** Octets behind the header. */
  readonly payloadLen: number;
  /** 0 to 255. */
  readonly ttl: number;
  /** 0 to 63; 0 if left out. */
  readonly dscp?: number;
  /** 0 to 3; 0 if left out. */
  readonly ecn?: number;
  /** 0 to 65,535; 0 if left out. */
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In octets, a multiple of 8; 0 if left out. */
  readonly fragmentOffset?: number;
  /** As on the wire, padded to a multiple of 4, at most 40 octets; see `parseIpv4Options`. None if left out. */
  readonly options?: Uint8Array;
}

/**
 * Reads the header at the start of `bytes`. Every optional field is present in the result, `options` as a view
 * into `bytes`.
 */
export function parseIpv4(bytes: Uint8Array): Required<Ipv4Fields> | DropReason {
  const view = Ipv4View.from(bytes);
  if (typeof view === 'string') return view;
  if (!view.checksumOk) return 'bad-checksum';
  return ipv4Fields(view);
}

/** The fields of a wrapped header, whatever its checksum. */
export function ipv4Fields(view: Ipv4View): Required<Ipv4Fields> {
  return {
    source: view.source,
    destination: view.destination,
    protocol: view.protocol,
    payloadLen: view.payloadLen,
    ttl: view.ttl,
    dscp: view.dscp,
    ecn: view.ecn,
    identification: view.identification,
    dontFragment: view.dontFragment,
    moreFragments: view.moreFragments,
    fragmentOffset: view.fragmentOffset,
    options: view.bytes.subarray(view.optionsOffset, view.payloadOffset),
  };
}

/**
 * Writes the header at `offset`, with total length and checksum. The payload, which must fit behind it, may be
 * written before or after: the header does not depend on it.
 * @returns octets of the header, so where the payload begins
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIpv4(fields: Ipv4Fields, out: Uint8Array, offset: number): number {
  const headerLen = ipv4MinHeaderLen + (fields.options?.length ?? 0);
  checkFields(fields, headerLen);
  requireRoom('IPv4', out, offset, headerLen + fields.payloadLen);
  const flags =
    (fields.dontFragment === true ? dontFragmentBit : 0) | (fields.moreFragments === true ? moreFragmentsBit : 0);
  out[offset + versionIhlAt] = 0x40 | (headerLen / 4);
  out[offset + trafficClassAt] = ((fields.dscp ?? 0) << 2) | (fields.ecn ?? 0);
  putU16(out, offset + totalLengthAt, headerLen + fields.payloadLen);
  putU16(out, offset + identificationAt, fields.identification ?? 0);
  putU16(out, offset + flagsAt, flags | ((fields.fragmentOffset ?? 0) / 8));
  out[offset + ttlAt] = fields.ttl;
  out[offset + protocolAt] = fields.protocol;
  putU16(out, offset + checksumAt, 0);
  out.set(fields.source.bytes, offset + sourceAt);
  out.set(fields.destination.bytes, offset + destinationAt);
  if (fields.options !== undefined) out.set(fields.options, offset + optionsAt);
  putU16(out, offset + checksumAt, ~sumBytes(out, offset, headerLen));
  return headerLen;
}

function checkFields(fields: Ipv4Fields, headerLen: number): void {
  requireFamily('IPv4', 'source', fields.source, 4);
  requireFamily('IPv4', 'destination', fields.destination, 4);
  requireUint('IPv4', 'protocol', fields.protocol, 0xff);
  requireUint('IPv4', 'ttl', fields.ttl, 0xff);
  requireUint('IPv4', 'dscp', fields.dscp ?? 0, 63);
  requireUint('IPv4', 'ecn', fields.ecn ?? 0, 3);
  requireUint('IPv4', 'identification', fields.identification ?? 0, 0xffff);
  requireUint('IPv4', 'fragmentOffset / 8', (fields.fragmentOffset ?? 0) / 8, fragmentOffsetMask);
  if (fields.options !== undefined) requireLen('IPv4', 'options', fields.options, 4, 40);
  requireUint('IPv4', 'payloadLen', fields.payloadLen, ipv4MaxTotalLen - headerLen);
}
