/**
 * ICMPv4 messages (RFC 792; next-hop MTU RFC 1191; codes RFC 1122 and 1812).
 *
 * ```
 * octet 0          1          2              4                                8
 *       +----------+----------+--------------+--------------------------------+------------------ -
 *       | type (1) | code (1) | checksum (2) | by type:                       | echo: data
 *       |          |          |              | echo: identifier(2) sequence(2)| error: header and at least
 *       |          |          |              | too big: 0 (2), MTU (2)        | 8 octets of the packet
 *       |          |          |              | redirect: gateway (4)          | that caused it
 *       |          |          |              | parameter problem: pointer (1) |
 *       +----------+----------+--------------+--------------------------------+------------------ -
 * ```
 * Not supported: the structures of RFC 4884 behind the quoted packet, timestamp and address mask messages as
 * fields (they are kept as `other`).
 */

import type { IpAddress } from '../base/index.ts';
import { noBytes, putU16, putU32, u8, u16, u32 } from './bytes.ts';
import { internetChecksum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireRoom, requireUint } from './emit-check.ts';
import { ipAt } from './ip-address.ts';
import { Icmpv4Type } from './protocol-numbers.ts';

const typeAt = 0;
const codeAt = 1;
const checksumAt = 2;
const restAt = 4;
const identifierAt = 4;
const pointerAt = 4;
const gatewayAt = 4;
const sequenceNumberAt = 6;
const nextHopMtuAt = 6;

/** Octets before the data or the quoted packet. */
export const icmpv4HeaderLen = 8;

/** A checked ICMPv4 message; reusable, see `wrap`. */
export class Icmpv4View {
  bytes: Uint8Array = noBytes;
  offset = 0;
  end = 0;

  /** A view of a whole message. */
  static from(bytes: Uint8Array): Icmpv4View | DropReason {
    const view = new Icmpv4View();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a message of `length` octets; the checksum is apart: `checksumOk`. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < icmpv4HeaderLen || offset + length > bytes.length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    return undefined;
  }

  get headerLen(): number {
    return icmpv4HeaderLen;
  }

  /** Where echo data or the quoted packet begins. */
  get payloadOffset(): number {
    return this.offset + icmpv4HeaderLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - icmpv4HeaderLen;
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

  /** True when the checksum over the whole message is right. */
  get checksumOk(): boolean {
    return internetChecksum(this.bytes, this.offset, this.end - this.offset) === 0;
  }

  /** Of echo messages. */
  get identifier(): number {
    return u16(this.bytes, this.offset + identifierAt);
  }

  /** Of echo messages. */
  get sequenceNumber(): number {
    return u16(this.bytes, this.offset + sequenceNumberAt);
  }

  /** Of destination unreachable with code 4; 0 from routers older than RFC 1191. */
  get nextHopMtu(): number {
    return u16(this.bytes, this.offset + nextHopMtuAt);
  }

  /** Of parameter problem: octet of the quoted packet that was wrong. */
  get pointer(): number {
    return u8(this.bytes, this.offset + pointerAt);
  }

  /** Of redirect. */
  get gateway(): IpAddress {
    return ipAt(this.bytes, this.offset + gatewayAt, 4);
  }

  /** Octets 4 to 7 as one number, whatever the type. */
  get restOfHeader(): number {
    return u32(this.bytes, this.offset + restAt);
  }

  /** True for messages that report an error; they are never answered with errors (RFC 1122 section 3.2.2). */
  get isError(): boolean {
    return isIcmpv4Error(this.type);
  }

  /** Writes the checksum that the message has now. */
  updateChecksum(): void {
    this.checksum = 0;
    this.checksum = internetChecksum(this.bytes, this.offset, this.end - this.offset);
  }
}

/** True for destination unreachable, source quench, redirect, time exceeded and parameter problem. */
export function isIcmpv4Error(type: number): boolean {
  return (type >= 3 && type <= 5) || type === Icmpv4Type.timeExceeded || type === Icmpv4Type.parameterProblem;
}

/** An echo request or reply. */
export interface Icmpv4Echo {
  readonly kind: 'echoRequest' | 'echoReply';
  readonly identifier: number;
  readonly sequenceNumber: number;
  readonly data: Uint8Array;
}

/** A message as plain data; `data` and `original` of a parsed message are views into its bytes. */
export type Icmpv4Fields =
  | Icmpv4Echo
  | {
      readonly kind: 'destinationUnreachable';
      readonly code: number;
      /** 0 except with code 4. */
      readonly nextHopMtu: number;
      /** The packet that caused the error, from its IP header on, mostly cut off. */
      readonly original: Uint8Array;
    }
  | { readonly kind: 'timeExceeded'; readonly code: number; readonly original: Uint8Array }
  | {
      readonly kind: 'parameterProblem';
      readonly code: number;
      readonly pointer: number;
      readonly original: Uint8Array;
    }
  | { readonly kind: 'redirect'; readonly code: number; readonly gateway: IpAddress; readonly original: Uint8Array }
  | {
      readonly kind: 'other';
      readonly type: number;
      readonly code: number;
      /** Octets 4 to 7. */
      readonly restOfHeader: number;
      readonly data: Uint8Array;
    };

/** Reads a whole message, its checksum included. */
export function parseIcmpv4(bytes: Uint8Array): Icmpv4Fields | DropReason {
  const view = Icmpv4View.from(bytes);
  if (typeof view === 'string') return view;
  if (!view.checksumOk) return 'bad-checksum';
  return icmpv4Fields(view);
}

/** The fields of a wrapped message, whatever its checksum. */
export function icmpv4Fields(view: Icmpv4View): Icmpv4Fields {
  const { type, code } = view;
  const body = view.bytes.subarray(view.payloadOffset, view.end);
  if (code === 0 && (type === Icmpv4Type.echoRequest || type === Icmpv4Type.echoReply)) {
    const kind = type === Icmpv4Type.echoRequest ? 'echoRequest' : 'echoReply';
    return { kind, identifier: view.identifier, sequenceNumber: view.sequenceNumber, data: body };
  }
  switch (type) {
    case Icmpv4Type.destinationUnreachable:
      return { kind: 'destinationUnreachable', code, nextHopMtu: view.nextHopMtu, original: body };
    case Icmpv4Type.timeExceeded:
      return { kind: 'timeExceeded', code, original: body };
    case Icmpv4Type.parameterProblem:
      return { kind: 'parameterProblem', code, pointer: view.pointer, original: body };
    case Icmpv4Type.redirect:
      return { kind: 'redirect', code, gateway: view.gateway, original: body };
    default:
      return { kind: 'other', type, code, restOfHeader: view.restOfHeader, data: body };
  }
}

/**
 * Writes a whole message at `offset`, with its checksum.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIcmpv4(fields: Icmpv4Fields, out: Uint8Array, offset: number): number {
  const body = 'original' in fields ? fields.original : fields.data;
  const length = icmpv4HeaderLen + body.length;
  const [type, code] = typeAndCode(fields);
  requireUint('ICMPv4', 'type', type, 0xff);
  requireUint('ICMPv4', 'code', code, 0xff);
  const rest = restOfHeader(fields);
  requireRoom('ICMPv4', out, offset, length);
  // The body first: it may be a view into `out`, behind the header it is written under.
  out.set(body, offset + icmpv4HeaderLen);
  out[offset + typeAt] = type;
  out[offset + codeAt] = code;
  putU16(out, offset + checksumAt, 0);
  putU32(out, offset + restAt, rest);
  putU16(out, offset + checksumAt, internetChecksum(out, offset, length));
  return length;
}

function typeAndCode(fields: Icmpv4Fields): [type: number, code: number] {
  if (fields.kind === 'other') return [fields.type, fields.code];
  return [Icmpv4Type[fields.kind], 'code' in fields ? fields.code : 0];
}

function restOfHeader(fields: Icmpv4Fields): number {
  switch (fields.kind) {
    case 'echoRequest':
    case 'echoReply':
      requireUint('ICMPv4', 'identifier', fields.identifier, 0xffff);
      requireUint('ICMPv4', 'sequenceNumber', fields.sequenceNumber, 0xffff);
      return fields.identifier * 0x1_0000 + fields.sequenceNumber;
    case 'destinationUnreachable':
      requireUint('ICMPv4', 'nextHopMtu', fields.nextHopMtu, 0xffff);
      return fields.nextHopMtu;
    case 'timeExceeded':
      return 0;
    case 'parameterProblem':
      requireUint('ICMPv4', 'pointer', fields.pointer, 0xff);
      return fields.pointer * 0x100_0000;
    case 'redirect':
      requireFamily('ICMPv4', 'gateway', fields.gateway, 4);
      return u32(fields.gateway.bytes, 0);
    case 'other':
      requireUint('ICMPv4', 'restOfHeader', fields.restOfHeader, 0xffff_ffff);
      return fields.restOfHeader;
  }
}
