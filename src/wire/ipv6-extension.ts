/**
 * IPv6 extension headers as plain data (RFC 8200 section 4, AH RFC 4302): hop-by-hop options, destination
 * options, routing, fragment, authentication. To find the upper layer of a packet: `ipv6-extension-walker.ts`.
 *
 * ```
 * options   next header(1) length(1) options (length * 8 + 6)
 * routing   next header(1) length(1) routing type(1) segments left(1) data (length * 8 + 4)
 * fragment  next header(1) reserved(1) offset (13b) reserved (2b) more (1b) identification(4)
 * AH        next header(1) length(1) reserved(2) SPI(4) sequence number(4) ICV (length * 4 - 4)
 * ```
 * Not supported: ESP (its next header is encrypted), mobility, HIP, shim6; verifying an ICV.
 */

import { putU16, putU32, u8, u16, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireLen, requireRoom, requireUint } from './emit-check.ts';
import { ipv6ExtensionLen } from './ipv6-extension-walker.ts';
import { emitIpv6Options, type Ipv6Option, parseIpv6Options } from './ipv6-option.ts';
import { IpProtocol } from './protocol-numbers.ts';

/** Octets of a fragment header. */
export const ipv6FragmentHeaderLen = 8;

/** A fragment header. */
export interface Ipv6FragmentFields {
  readonly kind: 'fragment';
  readonly nextHeader: number;
  /** In octets, a multiple of 8. */
  readonly fragmentOffset: number;
  readonly moreFragments: boolean;
  /** 32 bits. */
  readonly identification: number;
}

/** An extension header; octets of a parsed one are views. */
export type Ipv6ExtensionFields =
  | Ipv6FragmentFields
  | {
      readonly kind: 'hopByHop' | 'destinationOptions';
      readonly nextHeader: number;
      readonly options: readonly Ipv6Option[];
    }
  | {
      readonly kind: 'routing';
      readonly nextHeader: number;
      readonly routingType: number;
      readonly segmentsLeft: number;
      /** What follows the first four octets; 4 more than a multiple of 8. */
      readonly data: Uint8Array;
    }
  | {
      readonly kind: 'authentication';
      readonly nextHeader: number;
      readonly spi: number;
      readonly sequenceNumber: number;
      /** A multiple of 4; with the 12 octets before it a multiple of 8 (RFC 4302 section 3.3.3.2.1). */
      readonly icv: Uint8Array;
    };

/**
 * Reads the extension header at the start of `bytes`.
 * @param protocol its kind, as the header before it names it
 */
export function parseIpv6Extension(protocol: number, bytes: Uint8Array): Ipv6ExtensionFields | DropReason {
  if (bytes.length < 8) return 'truncated';
  const length = ipv6ExtensionLen(protocol, bytes, 0);
  if (length > bytes.length) return 'truncated';
  const nextHeader = u8(bytes, 0);
  switch (protocol) {
    case IpProtocol.hopByHop:
    case IpProtocol.destinationOptions: {
      const options = parseIpv6Options(bytes.subarray(2, length));
      const kind = protocol === IpProtocol.hopByHop ? 'hopByHop' : 'destinationOptions';
      return typeof options === 'string' ? options : { kind, nextHeader, options };
    }
    case IpProtocol.routing: {
      const data = bytes.subarray(4, length);
      return { kind: 'routing', nextHeader, routingType: u8(bytes, 2), segmentsLeft: u8(bytes, 3), data };
    }
    case IpProtocol.fragment:
      return fragmentFields(bytes, nextHeader);
    case IpProtocol.authentication: {
      if (length < 12) return 'bad-length';
      const icv = bytes.subarray(12, length);
      return { kind: 'authentication', nextHeader, spi: u32(bytes, 4), sequenceNumber: u32(bytes, 8), icv };
    }
    default:
      return 'bad-type';
  }
}

function fragmentFields(bytes: Uint8Array, nextHeader: number): Ipv6FragmentFields {
  const field = u16(bytes, 2);
  return {
    kind: 'fragment',
    nextHeader,
    fragmentOffset: field & 0xfff8,
    moreFragments: (field & 1) !== 0,
    identification: u32(bytes, 4),
  };
}

/**
 * Writes one extension header at `offset`; the header before it must name its kind.
 * @returns octets written, a multiple of 8
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitIpv6Extension(fields: Ipv6ExtensionFields, out: Uint8Array, offset: number): number {
  requireUint('IPv6 extension', 'nextHeader', fields.nextHeader, 0xff);
  switch (fields.kind) {
    case 'hopByHop':
    case 'destinationOptions':
      return emitOptions(fields.nextHeader, emitIpv6Options(fields.options), out, offset);
    case 'routing':
      return emitRouting(fields, out, offset);
    case 'fragment':
      return emitFragment(fields, out, offset);
    case 'authentication':
      return emitAuthentication(fields, out, offset);
  }
}

function emitOptions(nextHeader: number, area: Uint8Array, out: Uint8Array, offset: number): number {
  requireLen('IPv6 options header', 'options', area, 1, 2046);
  requireRoom('IPv6 options header', out, offset, area.length + 2);
  out[offset] = nextHeader;
  out[offset + 1] = (area.length + 2) / 8 - 1;
  out.set(area, offset + 2);
  return area.length + 2;
}

function emitRouting(fields: Ipv6ExtensionFields & { kind: 'routing' }, out: Uint8Array, offset: number): number {
  const length = fields.data.length + 4;
  requireUint('IPv6 routing header', 'routingType', fields.routingType, 0xff);
  requireUint('IPv6 routing header', 'segmentsLeft', fields.segmentsLeft, 0xff);
  requireUint('IPv6 routing header', '(data + 4) / 8 - 1', length / 8 - 1, 0xff);
  requireRoom('IPv6 routing header', out, offset, length);
  out[offset] = fields.nextHeader;
  out[offset + 1] = length / 8 - 1;
  out[offset + 2] = fields.routingType;
  out[offset + 3] = fields.segmentsLeft;
  out.set(fields.data, offset + 4);
  return length;
}

function emitFragment(fields: Ipv6FragmentFields, out: Uint8Array, offset: number): number {
  requireUint('IPv6 fragment header', 'fragmentOffset / 8', fields.fragmentOffset / 8, 0x1fff);
  requireUint('IPv6 fragment header', 'identification', fields.identification, 0xffff_ffff);
  requireRoom('IPv6 fragment header', out, offset, ipv6FragmentHeaderLen);
  out[offset] = fields.nextHeader;
  out[offset + 1] = 0;
  putU16(out, offset + 2, fields.fragmentOffset | (fields.moreFragments ? 1 : 0));
  putU32(out, offset + 4, fields.identification);
  return ipv6FragmentHeaderLen;
}

function emitAuthentication(
  fields: Ipv6ExtensionFields & { kind: 'authentication' },
  out: Uint8Array,
  offset: number,
): number {
  const length = fields.icv.length + 12;
  requireUint('AH', 'spi', fields.spi, 0xffff_ffff);
  requireUint('AH', 'sequenceNumber', fields.sequenceNumber, 0xffff_ffff);
  requireUint('AH', '(icv + 12) / 8', length / 8, 128);
  requireRoom('AH', out, offset, length);
  out[offset] = fields.nextHeader;
  out[offset + 1] = length / 4 - 2;
  putU16(out, offset + 2, 0);
  putU32(out, offset + 4, fields.spi);
  putU32(out, offset + 8, fields.sequenceNumber);
  out.set(fields.icv, offset + 12);
  return length;
}
