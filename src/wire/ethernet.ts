/**
 * Ethernet II and IEEE 802.3 frame header (IEEE 802.3 clause 3, RFC 894).
 *
 * ```
 * octet 0                   6                   12          14
 *       +-------------------+-------------------+-----------+---------
 *       | destination (6)   | source (6)        | type (2)  | payload
 *       +-------------------+-------------------+-----------+---------
 * ```
 * A last field of 1500 or less is the length of the payload (802.3); from 0x0600 on it is the EtherType.
 * The least frame is 60 octets; shorter payloads are padded, and only the payload's own length tells how far.
 *
 * Not supported: preamble and frame check sequence (a TAP device carries neither), LLC/SNAP behind a length.
 */

import { MacAddress } from '../base/index.ts';
import { equalRanges, noBytes, putU16, swapRanges, u8, u16 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';

const destinationAt = 0;
const sourceAt = 6;
const typeAt = 12;

/** Octets of the header. */
export const ethernetHeaderLen = 14;
/** Octets of the least frame, without the frame check sequence. */
export const ethernetMinFrameLen = 60;
/** The largest type field that is a length. */
const maxLengthField = 1500;
/** The least type field that is an EtherType. */
const minEtherType = 0x0600;

/** A checked Ethernet header; reusable, see `wrap`. */
export class EthernetView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  /** Exclusive end of the payload. With an EtherType this includes padding; with a length field it does not. */
  end = 0;

  /** A view of a whole frame. */
  static from(bytes: Uint8Array): EthernetView | DropReason {
    const view = new EthernetView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a frame of `length` octets; undefined when no getter can fail. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < ethernetHeaderLen || offset + length > bytes.length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    const field = u16(bytes, offset + typeAt);
    if (field >= minEtherType) return undefined;
    if (field > maxLengthField) return 'bad-length';
    if (field > length - ethernetHeaderLen) return 'truncated';
    this.end = offset + ethernetHeaderLen + field;
    return undefined;
  }

  get headerLen(): number {
    return ethernetHeaderLen;
  }

  get payloadOffset(): number {
    return this.offset + ethernetHeaderLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - ethernetHeaderLen;
  }

  get destinationOffset(): number {
    return this.offset + destinationAt;
  }

  get sourceOffset(): number {
    return this.offset + sourceAt;
  }

  /** Allocates; compare with `destinationOffset` on hot paths. */
  get destination(): MacAddress {
    return macAt(this.bytes, this.destinationOffset);
  }

  /** Allocates; compare with `sourceOffset` on hot paths. */
  get source(): MacAddress {
    return macAt(this.bytes, this.sourceOffset);
  }

  /** EtherType, or the 802.3 length when it is 1500 or less. */
  get etherType(): number {
    return u16(this.bytes, this.offset + typeAt);
  }

  /** True for an 802.3 length in place of an EtherType. */
  get hasLengthField(): boolean {
    return this.etherType <= maxLengthField;
  }

  get isBroadcast(): boolean {
    const at = this.offset;
    return u16(this.bytes, at) === 0xffff && u16(this.bytes, at + 2) === 0xffff && u16(this.bytes, at + 4) === 0xffff;
  }

  /** The group bit of the destination; true for broadcast too. */
  get isMulticast(): boolean {
    return (u8(this.bytes, this.offset) & 1) === 1;
  }

  /** Hot: true when the frame is addressed to `mac` (6 octets). */
  isFor(mac: Uint8Array): boolean {
    return equalRanges(this.bytes, this.offset, mac, 0, 6);
  }

  /** Writes the 6 octets of `mac` in place. */
  setDestination(mac: Uint8Array): void {
    this.bytes.set(mac, this.destinationOffset);
  }

  /** Writes the 6 octets of `mac` in place. */
  setSource(mac: Uint8Array): void {
    this.bytes.set(mac, this.sourceOffset);
  }

  /** Exchanges source and destination in place: the frame goes back to where it came from. */
  swapAddresses(): void {
    swapRanges(this.bytes, this.destinationOffset, this.sourceOffset, 6);
  }
}

/** The header as plain data. */
export interface EthernetFields {
  readonly destination: MacAddress;
  readonly source: MacAddress;
  /** EtherType from 0x0600 on, or the length of the payload up to 1500. */
  readonly etherType: number;
}

/** Reads the header at the start of `bytes`. */
export function parseEthernet(bytes: Uint8Array): EthernetFields | DropReason {
  const view = EthernetView.from(bytes);
  if (typeof view === 'string') return view;
  return { destination: view.destination, source: view.source, etherType: view.etherType };
}

/**
 * Writes the 14 octets of the header at `offset`.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitEthernet(fields: EthernetFields, out: Uint8Array, offset: number): number {
  requireUint('Ethernet', 'etherType', fields.etherType, 0xffff);
  requireRoom('Ethernet', out, offset, ethernetHeaderLen);
  out.set(fields.destination.bytes, offset + destinationAt);
  out.set(fields.source.bytes, offset + sourceAt);
  putU16(out, offset + typeAt, fields.etherType);
  return ethernetHeaderLen;
}

/**
 * Fills a frame of `length` octets at `offset` up with zeros to the 60 that Ethernet requires, so that nothing
 * left in the buffer leaks.
 * @returns the length of the padded frame
 * @throws VNIC_INVALID_ARGUMENT
 */
export function padEthernet(out: Uint8Array, offset: number, length: number): number {
  if (length >= ethernetMinFrameLen) return length;
  requireRoom('Ethernet padding', out, offset, ethernetMinFrameLen);
  out.fill(0, offset + length, offset + ethernetMinFrameLen);
  return ethernetMinFrameLen;
}

/** The MAC address at `offset`, copied. */
export function macAt(bytes: Uint8Array, offset: number): MacAddress {
  return MacAddress.fromBytes(bytes.subarray(offset, offset + 6));
}
