/**
 * Neighbour discovery messages (RFC 4861 section 4), carried in ICMPv6.
 *
 * ```
 * octet 0       1       2           4                                    8
 *       +-------+-------+-----------+------------------------------------+--------------------------- -
 *       |type(1)|code 0 |checksum(2)| RS, redirect: reserved (4)         | RS: options
 *       |       |       |           | RA: hop limit(1) M O flags(1)      | RA: reachable ms(4) retrans ms(4)
 *       |       |       |           |     router lifetime s(2)           |     options
 *       |       |       |           | NS: reserved (4)                   | NS, NA: target (16) options
 *       |       |       |           | NA: R S O flags (1b each)          | redirect: target (16)
 *       |       |       |           |     reserved                       |     destination (16) options
 *       +-------+-------+-----------+------------------------------------+--------------------------- -
 * ```
 * `wrap` checks the structure; what RFC 4861 further requires (hop limit 255, code 0, addresses) is
 * `checkNdp`. Not supported: SEND (RFC 3971) beyond keeping its options.
 */

import type { IpAddress } from '../base/index.ts';
import { isZero, noBytes, putU16, putU32, u8, u16, u32 } from './bytes.ts';
import { internetChecksum, pseudoHeaderSum } from './checksum.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireRoom, requireUint } from './emit-check.ts';
import { completeIcmpv6Checksum } from './icmpv6.ts';
import { type AddressPair, ipAt } from './ip-address.ts';
import type { Ipv6View } from './ipv6.ts';
import {
  emitNdpOptions,
  findNdpOption,
  type NdpOption,
  ndpOptionsLen,
  ndpOptionsOk,
  parseNdpOptions,
} from './ndp-option.ts';
import { Icmpv6Type, IpProtocol, NdpOptionType } from './protocol-numbers.ts';

const typeAt = 0;
const codeAt = 1;
const flagsAt = 4;
const hopLimitAt = 4;
const raFlagsAt = 5;
const routerLifetimeAt = 6;
const reachableTimeAt = 8;
const retransTimerAt = 12;
const targetAt = 8;
const redirectDestinationAt = 24;

/** True for the ICMPv6 types 133 to 137. */
export function isNdpType(type: number): boolean {
  return type >= Icmpv6Type.routerSolicitation && type <= Icmpv6Type.redirect;
}

/** Octets before the options, by type. */
function fixedLen(type: number): number {
  if (type === Icmpv6Type.routerSolicitation) return 8;
  if (type === Icmpv6Type.routerAdvertisement) return 16;
  return type === Icmpv6Type.redirect ? 40 : 24;
}

/** A checked neighbour discovery message; reusable, see `wrap`. */
export class NdpView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  end = 0;

  /** A view of a whole ICMPv6 message. */
  static from(bytes: Uint8Array): NdpView | DropReason {
    const view = new NdpView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at an ICMPv6 message of `length` octets, of types 133 to 137. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < 8 || offset + length > bytes.length) return 'truncated';
    const type = u8(bytes, offset + typeAt);
    if (!isNdpType(type)) return 'bad-type';
    if (length < fixedLen(type)) return 'truncated';
    if (!ndpOptionsOk(bytes, offset + fixedLen(type), offset + length)) return 'bad-option';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    return undefined;
  }

  get type(): number {
    return u8(this.bytes, this.offset + typeAt);
  }

  get code(): number {
    return u8(this.bytes, this.offset + codeAt);
  }

  /** Of router advertisement: 0 means unspecified. */
  get curHopLimit(): number {
    return u8(this.bytes, this.offset + hopLimitAt);
  }

  /** M flag of router advertisement: addresses by DHCPv6. */
  get managed(): boolean {
    return (u8(this.bytes, this.offset + raFlagsAt) & 0x80) !== 0;
  }

  /** O flag of router advertisement: other configuration by DHCPv6. */
  get otherConfig(): boolean {
    return (u8(this.bytes, this.offset + raFlagsAt) & 0x40) !== 0;
  }

  /** Of router advertisement; 0 means not a default router. */
  get routerLifetimeSeconds(): number {
    return u16(this.bytes, this.offset + routerLifetimeAt);
  }

  /** Of router advertisement; 0 means unspecified. */
  get reachableTimeMs(): number {
    return u32(this.bytes, this.offset + reachableTimeAt);
  }

  /** Of router advertisement; 0 means unspecified. */
  get retransTimerMs(): number {
    return u32(this.bytes, this.offset + retransTimerAt);
  }

  /** R flag of neighbour advertisement. */
  get router(): boolean {
    return (u8(this.bytes, this.offset + flagsAt) & 0x80) !== 0;
  }

  /** S flag of neighbour advertisement. */
  get solicited(): boolean {
    return (u8(this.bytes, this.offset + flagsAt) & 0x40) !== 0;
  }

  /** O flag of neighbour advertisement. */
  get override(): boolean {
    return (u8(this.bytes, this.offset + flagsAt) & 0x20) !== 0;
  }

  /** Of neighbour solicitation, neighbour advertisement and redirect. */
  get targetOffset(): number {
    return this.offset + targetAt;
  }

  /** Allocates; compare at `targetOffset` on hot paths. */
  get target(): IpAddress {
    return ipAt(this.bytes, this.targetOffset, 16);
  }

  /** Of redirect: the destination that is redirected. */
  get redirectDestination(): IpAddress {
    return ipAt(this.bytes, this.offset + redirectDestinationAt, 16);
  }

  get optionsOffset(): number {
    return this.offset + fixedLen(this.type);
  }

  /** Hot: offset of the first option of `type` (see `NdpOptionType`); -1 without one. */
  findOption(type: number): number {
    return findNdpOption(this.bytes, this.optionsOffset, this.end, type);
  }
}

/**
 * Hot: what RFC 4861 sections 6.1, 7.1 and 8.1 require of a message beyond its structure and its checksum.
 * @param message wrapped on the payload of `packet`
 */
export function checkNdp(message: NdpView, packet: Ipv6View): DropReason | undefined {
  if (packet.hopLimit !== 255) return 'bad-hop-limit';
  if (message.code !== 0) return 'bad-code';
  const fromLinkLocal = (u16(packet.bytes, packet.sourceOffset) & 0xffc0) === 0xfe80;
  switch (message.type) {
    case Icmpv6Type.routerSolicitation:
      return hasSourceAddress(packet) ? undefined : withoutSourceOption(message);
    case Icmpv6Type.routerAdvertisement:
      return fromLinkLocal ? undefined : 'bad-address';
    case Icmpv6Type.neighborSolicitation:
      return checkSolicitation(message, packet);
    case Icmpv6Type.neighborAdvertisement:
      if (u8(message.bytes, message.targetOffset) === 0xff) return 'bad-address';
      return message.solicited && u8(packet.bytes, packet.destinationOffset) === 0xff ? 'bad-address' : undefined;
    default:
      if (!fromLinkLocal || u8(message.bytes, message.offset + redirectDestinationAt) === 0xff) return 'bad-address';
      return undefined;
  }
}

/** An unspecified source means duplicate address detection (RFC 4862 section 5.4.2), with rules of its own. */
function checkSolicitation(message: NdpView, packet: Ipv6View): DropReason | undefined {
  if (u8(message.bytes, message.targetOffset) === 0xff) return 'bad-address';
  if (hasSourceAddress(packet)) return undefined;
  if (!isSolicitedNode(packet.bytes, packet.destinationOffset)) return 'bad-address';
  return withoutSourceOption(message);
}

function hasSourceAddress(packet: Ipv6View): boolean {
  return !isZero(packet.bytes, packet.sourceOffset, 16);
}

function withoutSourceOption(message: NdpView): DropReason | undefined {
  return message.findOption(NdpOptionType.sourceLinkLayerAddress) >= 0 ? 'bad-option' : undefined;
}

/** Hot: true for ff02::1:ff00:0/104 at `offset` (RFC 4291 section 2.7.1). */
export function isSolicitedNode(bytes: Uint8Array, offset: number): boolean {
  if (u16(bytes, offset) !== 0xff02 || !isZero(bytes, offset + 2, 9)) return false;
  return u8(bytes, offset + 11) === 1 && u8(bytes, offset + 12) === 0xff;
}

/** A message as plain data. */
export type NdpFields =
  | { readonly kind: 'routerSolicitation'; readonly options: readonly NdpOption[] }
  | {
      readonly kind: 'routerAdvertisement';
      readonly curHopLimit: number;
      readonly managed: boolean;
      readonly otherConfig: boolean;
      readonly routerLifetimeSeconds: number;
      readonly reachableTimeMs: number;
      readonly retransTimerMs: number;
      readonly options: readonly NdpOption[];
    }
  | { readonly kind: 'neighborSolicitation'; readonly target: IpAddress; readonly options: readonly NdpOption[] }
  | {
      readonly kind: 'neighborAdvertisement';
      readonly target: IpAddress;
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly options: readonly NdpOption[];
    }
  | {
      readonly kind: 'redirect';
      readonly target: IpAddress;
      readonly destination: IpAddress;
      readonly options: readonly NdpOption[];
    };

/**
 * Reads a whole ICMPv6 message, its checksum included.
 * @param addresses those of the IPv6 header, which the checksum covers
 */
export function parseNdp(bytes: Uint8Array, addresses: AddressPair): NdpFields | DropReason {
  const view = NdpView.from(bytes);
  if (typeof view === 'string') return view;
  const pseudo = pseudoHeaderSum(addresses.source, addresses.destination, IpProtocol.icmpv6, bytes.length);
  if (internetChecksum(bytes, 0, bytes.length, pseudo) !== 0) return 'bad-checksum';
  return ndpFields(view);
}

/** The fields of a wrapped message, whatever its checksum. */
export function ndpFields(view: NdpView): NdpFields | DropReason {
  const options = parseNdpOptions(view.bytes.subarray(view.optionsOffset, view.end));
  if (typeof options === 'string') return options;
  switch (view.type) {
    case Icmpv6Type.routerSolicitation:
      return { kind: 'routerSolicitation', options };
    case Icmpv6Type.routerAdvertisement: {
      const { curHopLimit, managed, otherConfig, routerLifetimeSeconds, reachableTimeMs, retransTimerMs } = view;
      const times = { routerLifetimeSeconds, reachableTimeMs, retransTimerMs };
      return { kind: 'routerAdvertisement', curHopLimit, managed, otherConfig, ...times, options };
    }
    case Icmpv6Type.neighborSolicitation:
      return { kind: 'neighborSolicitation', target: view.target, options };
    case Icmpv6Type.neighborAdvertisement: {
      const { target, router, solicited, override } = view;
      return { kind: 'neighborAdvertisement', target, router, solicited, override, options };
    }
    default:
      return { kind: 'redirect', target: view.target, destination: view.redirectDestination, options };
  }
}

/**
 * Writes a whole ICMPv6 message at `offset`, with its checksum.
 * @param addresses those of the IPv6 header, which the checksum covers
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitNdp(fields: NdpFields, out: Uint8Array, offset: number, addresses: AddressPair): number {
  const type = Icmpv6Type[fields.kind];
  const length = fixedLen(type) + ndpOptionsLen(fields.options);
  requireRoom('NDP', out, offset, length);
  out.fill(0, offset, offset + fixedLen(type));
  out[offset + typeAt] = type;
  if (fields.kind === 'routerAdvertisement') emitAdvertised(fields, out, offset);
  if ('target' in fields) {
    requireFamily('NDP', 'target', fields.target, 6);
    out.set(fields.target.bytes, offset + targetAt);
  }
  if (fields.kind === 'redirect') {
    requireFamily('NDP', 'destination', fields.destination, 6);
    out.set(fields.destination.bytes, offset + redirectDestinationAt);
  }
  if (fields.kind === 'neighborAdvertisement') {
    out[offset + flagsAt] = (fields.router ? 0x80 : 0) | (fields.solicited ? 0x40 : 0) | (fields.override ? 0x20 : 0);
  }
  emitNdpOptions(fields.options, out, offset + fixedLen(type));
  completeIcmpv6Checksum(out, offset, length, addresses);
  return length;
}

function emitAdvertised(fields: NdpFields & { kind: 'routerAdvertisement' }, out: Uint8Array, offset: number): void {
  requireUint('NDP', 'curHopLimit', fields.curHopLimit, 0xff);
  requireUint('NDP', 'routerLifetimeSeconds', fields.routerLifetimeSeconds, 0xffff);
  requireUint('NDP', 'reachableTimeMs', fields.reachableTimeMs, 0xffff_ffff);
  requireUint('NDP', 'retransTimerMs', fields.retransTimerMs, 0xffff_ffff);
  out[offset + hopLimitAt] = fields.curHopLimit;
  out[offset + raFlagsAt] = (fields.managed ? 0x80 : 0) | (fields.otherConfig ? 0x40 : 0);
  putU16(out, offset + routerLifetimeAt, fields.routerLifetimeSeconds);
  putU32(out, offset + reachableTimeAt, fields.reachableTimeMs);
  putU32(out, offset + retransTimerAt, fields.retransTimerMs);
}
