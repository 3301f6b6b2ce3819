/**
 * ICMPv6 messages (RFC 4443). Neighbour discovery has its own file, `ndp.ts`; MLD has `mld.ts`.
 *
 * ```
 * octet 0          1          2              4                                 8
 *       +----------+----------+--------------+---------------------------------+------------------ -
 *       | type (1) | code (1) | checksum (2) | by type:                        | echo: data
 *       |          |          | with pseudo  | echo: identifier(2) sequence(2) | error: as much of the packet
 *       |          |          | header       | too big: MTU (4)                | that caused it as fits into
 *       |          |          |              | parameter problem: pointer (4)  | 1280 octets altogether
 *       +----------+----------+--------------+---------------------------------+------------------ -
 * ```
 * Not supported: the structures of RFC 4884; node information, router renumbering and other types as fields
 * (they are kept as `other`).
 */

import { noBytes, putU16, putU32, u8, u16, u32 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireRoom, requireUint } from './emit-check.ts';
import type { AddressPair } from './ip-address.ts';
import { Icmpv6Type, IpProtocol } from './protocol-numbers.ts';

const typeAt = 0;
const codeAt = 1;
const checksumAt = 2;
const restAt = 4;
const identifierAt = 4;
const sequenceNumberAt = 6;

/** Octets before the data or the quoted packet. */
export const icmpv6HeaderLen = 8;

/** A checked ICMPv6 message; reusable, see `wrap`. */
export class Icmpv6View {
  bytes: Uint8Array = noBytes;
  offset = 0;
  end = 0;

  /** A view of a whole message. */
  static from(bytes: Uint8Array): Icmpv6View | DropReason {
    const view = new Icmpv6View();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a message of `length` octets; the checksum is apart: `checksumOk`. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < icmpv6HeaderLen || offset + length > bytes.length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    return undefined;
  }

  get headerLen(): number {
    return icmpv6HeaderLen;
  }

  /** Where echo data or the quoted packet begins. */
  get payloadOffset(): number {
    return this.offset + icmpv6HeaderLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - icmpv6HeaderLen;
  }

  get type(): number {
    return u8(this.bytes, this.offset + typeAt);
  }

  /** Does not touch the checksum: type and code are one word for `updateChecksum16`. */
  set type(value: number) {
    this.bytes[this.offset + typeAt] = value;
  }

  get code(): number {
    return u8(this.bytes, this.offset + codeAt);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + checksumAt);
  }

  set checksum(value: number) {
    putU16(this.bytes, this.offset + checksumAt, value);
  }

  /**
   * Hot: true when the checksum is right.
   * @param pseudoSum sum of the pseudo header, from `Ipv6View.pseudoHeaderSum(IpProtocol.icmpv6, length)`
   */
  checksumOk(pseudoSum: number): boolean {
    return internetChecksum(this.bytes, this.offset, this.end - this.offset, pseudoSum) === 0;
  }

  /** Of echo messages. */
  get identifier(): number {
    return u16(this.bytes, this.offset + identifierAt);
  }

  /** Of echo messages. */
  get sequenceNumber(): number {
    return u16(this.bytes, this.offset + sequenceNumberAt);
  }

  /** Octets 4 to 7 as one number: MTU of packet too big, pointer of parameter problem. */
  get restOfHeader(): number {
    return u32(this.bytes, this.offset + restAt);
  }

  /** True for messages that report an error (RFC 4443 section 2.1: types below 128). */
  get isError(): boolean {
    return this.type < 128;
  }

  /** Writes the checksum that the message has now; `pseudoSum` as for `checksumOk`. */
  updateChecksum(pseudoSum: number): void {
    this.checksum = 0;
    this.checksum = internetChecksum(this.bytes, this.offset, this.end - this.offset, pseudoSum);
  }
}

/** An echo request or reply. */
export interface Icmpv6Echo {
  readonly kind: 'echoRequest' | 'echoReply';
  readonly identifier: number;
  readonly sequenceNumber: number;
  readonly data: Uint8Array;
}

/** A message as plain data; `data` and `original` of a parsed message are views into its bytes. */
export type Icmpv6Fields =
  | Icmpv6Echo
  | { readonly kind: 'destinationUnreachable' | 'timeExceeded'; readonly code: number; readonly original: Uint8Array }
  | { readonly kind: 'packetTooBig'; readonly code: number; readonly mtu: number; readonly original: Uint8Array }
  | {
      readonly kind: 'parameterProblem';
      readonly code: number;
      readonly pointer: number;
      readonly original: Uint8Array;
    }
  | {
      readonly kind: 'other';
      readonly type: number;
      readonly code: number;
      /** Octets 4 to 7. */
      readonly restOfHeader: number;
      readonly data: Uint8Array;
    };

/**
 * Reads a whole message, its checksum included.
 * @param addresses those of the IPv6 header, which the checksum covers
 */
export function parseIcmpv6(bytes: Uint8Array, addresses: AddressPair): Icmpv6Fields | DropReason {
  const view = Icmpv6View.from(bytes);
  if (typeof view === 'string') return view;
  if (!view.checksumOk(pseudoSumOf(addresses, bytes.length))) return 'bad-checksum';
  return icmpv6Fields(view);
}

/** The fields of a wrapped message, whatever its checksum. */
export function icmpv6Fields(view: Icmpv6View): Icmpv6Fields {
  const { type, code, restOfHeader: rest } = view;
  const body = view.bytes.subarray(view.payloadOffset, view.end);
  if (code === 0 && (type === Icmpv6Type.echoRequest || type === Icmpv6Type.echoReply)) {
    const kind = type === Icmpv6Type.echoRequest ? 'echoRequest' : 'echoReply';
    return { kind, identifier: view.identifier, sequenceNumber: view.sequenceNumber, data: body };
  }
  switch (type) {
    case Icmpv6Type.destinationUnreachable:
      return { kind: 'destinationUnreachable', code, original: body };
    case Icmpv6Type.packetTooBig:
      return { kind: 'packetTooBig', code, mtu: rest, original: body };
    case Icmpv6Type.timeExceeded:
      return { kind: 'timeExceeded', code, original: body };
    case Icmpv6Type.parameterProblem:
      return { kind: 'parameterProblem', code, pointer: rest, original: body };
    default:
      return { kind: 'other', type, code, restOfHeader: rest, data: body };
  }
}

/**
 * Writes a whole message at `offset`, with its checksum.
 * @param addresses those of the IPv6 header, which the checksum covers
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIcmpv6(fields: Icmpv6Fields, out: Uint8Array, offset: number, addresses: AddressPair): number {
  const body = 'original' in fields ? fields.original : fields.data;
  const length = icmpv6HeaderLen + body.length;
  const [type, code] = typeAndCode(fields);
  requireUint('ICMPv6', 'type', type, 0xff);
  requireUint('ICMPv6', 'code', code, 0xff);
  const rest = restOfHeader(fields);
  requireRoom('ICMPv6', out, offset, length);
  // The body first: it may be a view into `out`, behind the header it is written under.
  out.set(body, offset + icmpv6HeaderLen);
  out[offset + typeAt] = type;
  out[offset + codeAt] = code;
  putU32(out, offset + restAt, rest);
  completeIcmpv6Checksum(out, offset, length, addresses);
  return length;
}

/**
 * Writes the checksum of the message of `length` octets at `offset`.
 * @throws VNIC_INVALID_ARGUMENT when an address is not IPv6
 */
export function completeIcmpv6Checksum(out: Uint8Array, offset: number, length: number, addresses: AddressPair): void {
  requireFamily('ICMPv6', 'source', addresses.source, 6);
  requireFamily('ICMPv6', 'destination', addresses.destination, 6);
  putU16(out, offset + checksumAt, 0);
  putU16(out, offset + checksumAt, internetChecksum(out, offset, length, pseudoSumOf(addresses, length)));
}

function pseudoSumOf(addresses: AddressPair, length: number): number {
  return pseudoHeaderSum(addresses.source, addresses.destination, IpProtocol.icmpv6, length);
}

function typeAndCode(fields: Icmpv6Fields): [type: number, code: number] {
  if (fields.kind === 'other') return [fields.type, fields.code];
  return [Icmpv6Type[fields.kind], 'code' in fields ? fields.code : 0];
}

function restOfHeader(fields: Icmpv6Fields): number {
  switch (fields.kind) {
    case 'echoRequest':
    case 'echoReply':
      requireUint('ICMPv6', 'identifier', fields.identifier, 0xffff);
      requireUint('ICMPv6', 'sequenceNumber', fields.sequenceNumber, 0xffff);
      return fields.identifier * 0x1_0000 + fields.sequenceNumber;
    case 'destinationUnreachable':
    case 'timeExceeded':
      return 0;
    case 'packetTooBig':
      requireUint('ICMPv6', 'mtu', fields.mtu, 0xffff_ffff);
      return fields.mtu;
    case 'parameterProblem':
      requireUint('ICMPv6', 'pointer', fields.pointer, 0xffff_ffff);
      return fields.pointer;
    case 'other':
      requireUint('ICMPv6', 'restOfHeader', fields.restOfHeader, 0xffff_ffff);
      return fields.restOfHeader;
  }
}
