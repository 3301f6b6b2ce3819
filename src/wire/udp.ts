/**
 * UDP header (RFC 768; over IPv6 RFC 8200 section 8.1).
 *
 * ```
 * octet 0                  2                      4            6              8
 *       +------------------+----------------------+------------+--------------+---------
 *       | source port (2)  | destination port (2) | length (2) | checksum (2) | payload
 *       +------------------+----------------------+------------+--------------+---------
 * ```
 * A checksum of 0 means none over IPv4 and is an error over IPv6; a computed 0 is sent as 0xffff.
 *
 * Not supported: jumbograms (length 0), UDP-Lite, zero checksums over IPv6 (RFC 6935).
 */

import { noBytes, putU16, u16 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';
import type { AddressPair } from './ip-address.ts';
import { IpProtocol } from './protocol-numbers.ts';

const sourcePortAt = 0;
const destinationPortAt = 2;
const lengthAt = 4;
const checksumAt = 6;

/** Octets of the header. */
export const udpHeaderLen = 8;

/** A checked UDP datagram; reusable, see `wrap`. */
export class UdpView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  /** Exclusive end by the length field. */
  end = 0;

  /** A view of the datagram at the start of `bytes`. */
  static from(bytes: Uint8Array): UdpView | DropReason {
    const view = new UdpView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a datagram within `length` octets; the checksum is apart: `checksumOk`. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < udpHeaderLen || offset + length > bytes.length) return 'truncated';
    const field = u16(bytes, offset + lengthAt);
    if (field < udpHeaderLen) return 'bad-length';
    if (field > length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + field;
    return undefined;
  }

  get headerLen(): number {
    return udpHeaderLen;
  }

  get payloadOffset(): number {
    return this.offset + udpHeaderLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - udpHeaderLen;
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

  /** Header and payload, in octets. */
  get length(): number {
    return u16(this.bytes, this.offset + lengthAt);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + checksumAt);
  }

  set checksum(value: number) {
    putU16(this.bytes, this.offset + checksumAt, value);
  }

  /** True when the sender computed a checksum. */
  get hasChecksum(): boolean {
    return this.checksum !== 0;
  }

  /**
   * Hot: true when the checksum is right; a missing one is not right.
   * @param pseudoSum sum of the pseudo header for `IpProtocol.udp` and `length`
   */
  checksumOk(pseudoSum: number): boolean {
    return this.hasChecksum && internetChecksum(this.bytes, this.offset, this.end - this.offset, pseudoSum) === 0;
  }
}

/** The datagram as plain data. */
export interface UdpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of a parsed datagram a view into its bytes. */
  readonly payload: Uint8Array;
}

/**
 * Reads a datagram with its checksum, which may be missing over IPv4 only.
 * @param addresses those of the IP header, which the checksum covers
 */
export function parseUdp(bytes: Uint8Array, addresses: AddressPair): UdpFields | DropReason {
  const view = UdpView.from(bytes);
  if (typeof view === 'string') return view;
  const unprotected = !view.hasChecksum && addresses.source.family === 4;
  if (!unprotected && !view.checksumOk(pseudoSumOf(addresses, view.length))) return 'bad-checksum';
  return udpFields(view);
}

/** The fields of a wrapped datagram, whatever its checksum. */
export function udpFields(view: UdpView): UdpFields {
  const payload = view.bytes.subarray(view.payloadOffset, view.end);
  return { sourcePort: view.sourcePort, destinationPort: view.destinationPort, payload };
}

/**
 * Writes header and payload at `offset`, with the checksum.
 * @param addresses those of the IP header, which the checksum covers
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitUdp(fields: UdpFields, out: Uint8Array, offset: number, addresses: AddressPair): number {
  const length = udpHeaderLen + fields.payload.length;
  requireUint('UDP', 'sourcePort', fields.sourcePort, 0xffff);
  requireUint('UDP', 'destinationPort', fields.destinationPort, 0xffff);
  requireUint('UDP', 'length', length, 0xffff);
  requireRoom('UDP', out, offset, length);
  // The payload first: it may be a view into `out`, behind the header it is written under.
  out.set(fields.payload, offset + udpHeaderLen);
  putU16(out, offset + sourcePortAt, fields.sourcePort);
  putU16(out, offset + destinationPortAt, fields.destinationPort);
  putU16(out, offset + lengthAt, length);
  putU16(out, offset + checksumAt, 0);
  const checksum = internetChecksum(out, offset, length, pseudoSumOf(addresses, length));
  putU16(out, offset + checksumAt, checksum === 0 ? 0xffff : checksum);
  return length;
}

function pseudoSumOf(addresses: AddressPair, length: number): number {
  return pseudoHeaderSum(addresses.source, addresses.destination, IpProtocol.udp, length);
}
