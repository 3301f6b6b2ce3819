/**
 * IPv6 header (RFC 8200 section 3).
 *
 * ```
 * octet 0                                         4                  6           7         8
 *       +------+------------------+---------------+------------------+-----------+---------+
 *       | ver 6| traffic class 8b | flow label 20b| payload length(2)| next (1)  | hop (1) |
 *       +------+------------------+---------------+------------------+-----------+---------+
 *       8                                    24                                 40
 *       +------------------------------------+----------------------------------+--------- -
 *       | source (16)                        | destination (16)                 | payload
 *       +------------------------------------+----------------------------------+--------- -
 * ```
 * Not supported: jumbograms (RFC 2675). Extension headers: `ipv6-extension.ts`.
 */

import type { IpAddress } from '../base/index.ts';
import { noBytes, putU16, putU32, swapRanges, u8, u16, u32 } from './bytes.ts';
import { pseudoHeaderSumAt } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireRoom, requireUint } from './emit-check.ts';
import { ipAt } from './ip-address.ts';

const payloadLengthAt = 4;
const nextHeaderAt = 6;
const hopLimitAt = 7;
const sourceAt = 8;
const destinationAt = 24;

/** Octets of the header without extension headers. */
export const ipv6HeaderLen = 40;

/** A checked IPv6 packet; reusable, see `wrap`. */
export class Ipv6View {
  bytes: Uint8Array = noBytes;
  offset = 0;
  /** Exclusive end by the payload length, so that link-layer padding is cut. */
  end = 0;

  /** A view of the packet at the start of `bytes`. */
  static from(bytes: Uint8Array): Ipv6View | DropReason {
    const view = new Ipv6View();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a packet within `length` octets; undefined when no getter can fail. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    const reason = this.wrapQuoted(bytes, offset, length);
    if (reason !== undefined) return reason;
    if (ipv6HeaderLen + this.payloadLength > length) return 'truncated';
    return undefined;
  }

  /**
   * Like `wrap`, for a packet quoted in an ICMP error: its payload may be cut off, `end` is then where the
   * quote ends.
   */
  wrapQuoted(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < 1 || offset + length > bytes.length) return 'truncated';
    if (u8(bytes, offset) >> 4 !== 6) return 'bad-version';
    if (length < ipv6HeaderLen) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + Math.min(length, ipv6HeaderLen + u16(bytes, offset + payloadLengthAt));
    return undefined;
  }

  get headerLen(): number {
    return ipv6HeaderLen;
  }

  /** Where the first extension header or the upper layer begins. */
  get payloadOffset(): number {
    return this.offset + ipv6HeaderLen;
  }

  /** Octets behind the header that are there; less than `payloadLength` only in a quote. */
  get payloadLen(): number {
    return this.end - this.offset - ipv6HeaderLen;
  }

  get trafficClass(): number {
    return (u16(this.bytes, this.offset) >> 4) & 0xff;
  }

  /** 0 to 0xfffff. */
  get flowLabel(): number {
    return u32(this.bytes, this.offset) & 0xfffff;
  }

  /** The field as it stands in the header. */
  get payloadLength(): number {
    return u16(this.bytes, this.offset + payloadLengthAt);
  }

  /** Protocol of the first extension header or of the upper layer. */
  get nextHeader(): number {
    return u8(this.bytes, this.offset + nextHeaderAt);
  }

  get hopLimit(): number {
    return u8(this.bytes, this.offset + hopLimitAt);
  }

  set hopLimit(value: number) {
    this.bytes[this.offset + hopLimitAt] = value;
  }

  get sourceOffset(): number {
    return this.offset + sourceAt;
  }

  get destinationOffset(): number {
    return this.offset + destinationAt;
  }

  /** Allocates; compare at `sourceOffset` on hot paths. */
  get source(): IpAddress {
    return ipAt(this.bytes, this.sourceOffset, 16);
  }

  /** Allocates; compare at `destinationOffset` on hot paths. */
  get destination(): IpAddress {
    return ipAt(this.bytes, this.destinationOffset, 16);
  }

  /** Exchanges source and destination; no checksum changes by that. */
  swapAddresses(): void {
    swapRanges(this.bytes, this.sourceOffset, this.destinationOffset, 16);
  }

  /**
   * Hot: the sum of the pseudo header for `length` octets of `protocol`. Right only while no routing header
   * has segments left, since the final destination counts (RFC 8200 section 8.1).
   */
  pseudoHeaderSum(protocol: number, length: number): number {
    return pseudoHeaderSumAt(this.bytes, this.sourceOffset, 16, protocol, length);
  }
}

/** The header as plain data. */
export interface Ipv6Fields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly nextHeader: number;
  /** Octets behind the header, extension headers included. */
  readonly payloadLen: number;
  /** 0 to 255. */
  readonly hopLimit: number;
  /** 0 to 255; 0 if left out. */
  readonly trafficClass?: number;
  /** 0 to 0xfffff; 0 if left out. */
  readonly flowLabel?: number;
}

/** Reads the header at the start of `bytes`; every optional field is present in the result. */
export function parseIpv6(bytes: Uint8Array): Required<Ipv6Fields> | DropReason {
  const view = Ipv6View.from(bytes);
  if (typeof view === 'string') return view;
  const { source, destination, nextHeader, payloadLen, hopLimit, trafficClass, flowLabel } = view;
  return { source, destination, nextHeader, payloadLen, hopLimit, trafficClass, flowLabel };
}

/**
 * Writes the header at `offset`. The payload, which must fit behind it, may be written before or after.
 * @returns octets of the header (40), so where the payload begins
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIpv6(fields: Ipv6Fields, out: Uint8Array, offset: number): number {
  const { trafficClass = 0, flowLabel = 0 } = fields;
  requireFamily('IPv6', 'source', fields.source, 6);
  requireFamily('IPv6', 'destination', fields.destination, 6);
  requireUint('IPv6', 'nextHeader', fields.nextHeader, 0xff);
  requireUint('IPv6', 'hopLimit', fields.hopLimit, 0xff);
  requireUint('IPv6', 'trafficClass', trafficClass, 0xff);
  requireUint('IPv6', 'flowLabel', flowLabel, 0xfffff);
  requireUint('IPv6', 'payloadLen', fields.payloadLen, 0xffff);
  requireRoom('IPv6', out, offset, ipv6HeaderLen + fields.payloadLen);
  putU32(out, offset, 0x6000_0000 | (trafficClass << 20) | flowLabel);
  putU16(out, offset + payloadLengthAt, fields.payloadLen);
  out[offset + nextHeaderAt] = fields.nextHeader;
  out[offset + hopLimitAt] = fields.hopLimit;
  out.set(fields.source.bytes, offset + sourceAt);
  out.set(fields.destination.bytes, offset + destinationAt);
  return ipv6HeaderLen;
}
