/**
 * TCP header (RFC 9293 section 3.1; ECE and CWR RFC 3168).
 *
 * ```
 * octet 0              2                    4                   8
 *       +--------------+--------------------+-------------------+----------------------------+
 *       | source port  | destination port   | sequence (4)      | acknowledgment (4)         |
 *       +--------------+--------------------+-------------------+----------------------------+
 *       12                    13            14                  16             18            20
 *       +---------------------+-------------+-------------------+--------------+-------------+--------- -
 *       | data offset 4b, 0 4b| CWR … FIN   | window (2)        | checksum (2) | urgent (2)  | options
 *       +---------------------+-------------+-------------------+--------------+-------------+--------- -
 * ```
 * Not supported: the reserved bits (AccECN among them) are neither read nor set.
 */

import { noBytes, putU16, putU32, u8, u16, u32 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';
import type { AddressPair } from './ip-address.ts';
import { IpProtocol } from './protocol-numbers.ts';
import { emitTcpOptions, parseTcpOptions, type TcpOption } from './tcp-option.ts';

const sourcePortAt = 0;
const destinationPortAt = 2;
const sequenceNumberAt = 4;
const acknowledgmentNumberAt = 8;
const dataOffsetAt = 12;
const flagsAt = 13;
const windowAt = 14;
const checksumAt = 16;
const urgentPointerAt = 18;
const optionsAt = 20;

/** Octets of the header without options. */
export const tcpMinHeaderLen = 20;

/** Bits of the flags octet. */
export const TcpFlag: {
  readonly fin: 0x01;
  readonly syn: 0x02;
  readonly rst: 0x04;
  readonly psh: 0x08;
  readonly ack: 0x10;
  readonly urg: 0x20;
  readonly ece: 0x40;
  readonly cwr: 0x80;
} = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20, ece: 0x40, cwr: 0x80 };

/** A checked TCP segment; reusable, see `wrap`. */
export class TcpView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  end = 0;

  /** A view of a whole segment. */
  static from(bytes: Uint8Array): TcpView | DropReason {
    const view = new TcpView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a segment of `length` octets; the checksum is apart: `checksumOk`. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < tcpMinHeaderLen || offset + length > bytes.length) return 'truncated';
    const headerLen = (u8(bytes, offset + dataOffsetAt) >> 4) * 4;
    if (headerLen < tcpMinHeaderLen) return 'bad-header-length';
    if (headerLen > length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    return undefined;
  }

  /** Octets of the header with options, 20 to 60. */
  get headerLen(): number {
    return (u8(this.bytes, this.offset + dataOffsetAt) >> 4) * 4;
  }

  get payloadOffset(): number {
    return this.offset + this.headerLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - this.headerLen;
  }

  get sourcePort(): number {
    return u16(this.bytes, this.offset + sourcePortAt);
  }

  set sourcePort(value: number) {
    putU16(this.bytes, this.offset + sourcePortAt, value);
  }

  get destinationPort(): number {
    return u16(this.bytes, this.offset + destinationPortAt);
  }

  set destinationPort(value: number) {
    putU16(this.bytes, this.offset + destinationPortAt, value);
  }

  get sequenceNumber(): number {
    return u32(this.bytes, this.offset + sequenceNumberAt);
  }

  get acknowledgmentNumber(): number {
    return u32(this.bytes, this.offset + acknowledgmentNumberAt);
  }

  /** Bits of `TcpFlag`. */
  get flags(): number {
    return u8(this.bytes, this.offset + flagsAt);
  }

  /** Not scaled. */
  get window(): number {
    return u16(this.bytes, this.offset + windowAt);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + checksumAt);
  }

  set checksum(value: number) {
    putU16(this.bytes, this.offset + checksumAt, value);
  }

  get urgentPointer(): number {
    return u16(this.bytes, this.offset + urgentPointerAt);
  }

  get optionsOffset(): number {
    return this.offset + optionsAt;
  }

  get optionsLen(): number {
    return this.headerLen - tcpMinHeaderLen;
  }

  /**
   * Hot: true when the checksum is right.
   * @param pseudoSum sum of the pseudo header for `IpProtocol.tcp` and the length of the segment
   */
  checksumOk(pseudoSum: number): boolean {
    return internetChecksum(this.bytes, this.offset, this.end - this.offset, pseudoSum) === 0;
  }
}

/** The segment as plain data. */
export interface TcpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 32 bits. */
  readonly sequenceNumber: number;
  /** 32 bits; meaningful with the ACK flag. */
  readonly acknowledgmentNumber: number;
  /** Bits of `TcpFlag`. */
  readonly flags: number;
  /** Not scaled, 16 bits. */
  readonly window: number;
  readonly urgentPointer: number;
  /** No operation is kept where it stands; what follows the end of the list is not. */
  readonly options: readonly TcpOption[];
  /** Of a parsed segment a view into its bytes. */
  readonly payload: Uint8Array;
}

/**
 * Reads a whole segment, its checksum included.
 * @param addresses those of the IP header, which the checksum covers
 */
export function parseTcp(bytes: Uint8Array, addresses: AddressPair): TcpFields | DropReason {
  const view = TcpView.from(bytes);
  if (typeof view === 'string') return view;
  if (!view.checksumOk(pseudoSumOf(addresses, bytes.length))) return 'bad-checksum';
  return tcpFields(view);
}

/** The fields of a wrapped segment, whatever its checksum. */
export function tcpFields(view: TcpView): TcpFields | DropReason {
  const options = parseTcpOptions(view.bytes.subarray(view.optionsOffset, view.payloadOffset));
  if (typeof options === 'string') return options;
  return {
    sourcePort: view.sourcePort,
    destinationPort: view.destinationPort,
    sequenceNumber: view.sequenceNumber,
    acknowledgmentNumber: view.acknowledgmentNumber,
    flags: view.flags,
    window: view.window,
    urgentPointer: view.urgentPointer,
    options,
    payload: view.bytes.subarray(view.payloadOffset, view.end),
  };
}

/**
 * Writes header, options and payload at `offset`, with the checksum.
 * @param addresses those of the IP header, which the checksum covers
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitTcp(fields: TcpFields, out: Uint8Array, offset: number, addresses: AddressPair): number {
  const options = emitTcpOptions(fields.options);
  const headerLen = tcpMinHeaderLen + options.length;
  const length = headerLen + fields.payload.length;
  checkFields(fields);
  requireRoom('TCP', out, offset, length);
  // The payload first: it may be a view into `out`, behind the header it is written under.
  out.set(fields.payload, offset + headerLen);
  out.set(options, offset + optionsAt);
  putU16(out, offset + sourcePortAt, fields.sourcePort);
  putU16(out, offset + destinationPortAt, fields.destinationPort);
  putU32(out, offset + sequenceNumberAt, fields.sequenceNumber);
  putU32(out, offset + acknowledgmentNumberAt, fields.acknowledgmentNumber);
  out[offset + dataOffsetAt] = (headerLen / 4) << 4;
  out[offset + flagsAt] = fields.flags;
  putU16(out, offset + windowAt, fields.window);
  putU16(out, offset + urgentPointerAt, fields.urgentPointer);
  putU16(out, offset + checksumAt, 0);
  putU16(out, offset + checksumAt, internetChecksum(out, offset, length, pseudoSumOf(addresses, length)));
  return length;
}

function checkFields(fields: TcpFields): void {
  requireUint('TCP', 'sourcePort', fields.sourcePort, 0xffff);
  requireUint('TCP', 'destinationPort', fields.destinationPort, 0xffff);
  requireUint('TCP', 'sequenceNumber', fields.sequenceNumber, 0xffff_ffff);
  requireUint('TCP', 'acknowledgmentNumber', fields.acknowledgmentNumber, 0xffff_ffff);
  requireUint('TCP', 'flags', fields.flags, 0xff);
  requireUint('TCP', 'window', fields.window, 0xffff);
  requireUint('TCP', 'urgentPointer', fields.urgentPointer, 0xffff);
}

function pseudoSumOf(addresses: AddressPair, length: number): number {
  return pseudoHeaderSum(addresses.source, addresses.destination, IpProtocol.tcp, length);
}
