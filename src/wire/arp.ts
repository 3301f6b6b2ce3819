/**
 * ARP for IPv4 over Ethernet (RFC 826; probes and announcements RFC 5227).
 *
 * ```
 * octet 0          2          4      5      6           8        14       18       24       28
 *       +----------+----------+------+------+-----------+--------+--------+--------+--------+
 *       | hardware | protocol | hlen | plen | operation | sha(6) | spa(4) | tha(6) | tpa(4) |
 *       | type = 1 | = 0x0800 | = 6  | = 4  |           | sender          | target          |
 *       +----------+----------+------+------+-----------+--------+--------+--------+--------+
 * ```
 * Not supported: other hardware or protocol types, RARP and InARP (their operations are kept as numbers).
 */

import { type IpAddress, MacAddress } from '../base/index.ts';
import { equalRanges, isZero, noBytes, putU16, u8, u16 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireFamily, requireRoom, requireUint } from './emit-check.ts';
import { macAt } from './ethernet.ts';
import { ipAt } from './ip-address.ts';
import { ArpOperation, EtherType } from './protocol-numbers.ts';

const hardwareTypeAt = 0;
const protocolTypeAt = 2;
const hardwareLenAt = 4;
const protocolLenAt = 5;
const operationAt = 6;
const senderHardwareAt = 8;
const senderProtocolAt = 14;
const targetHardwareAt = 18;
const targetProtocolAt = 24;

/** Octets of an ARP packet for IPv4 over Ethernet. */
export const arpLen = 28;
const hardwareTypeEthernet = 1;

/** A checked ARP packet; reusable, see `wrap`. */
export class ArpView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  /** Exclusive end of the 28 octets; padding is cut. */
  end = 0;

  /** A view of the packet at the start of `bytes`. */
  static from(bytes: Uint8Array): ArpView | DropReason {
    const view = new ArpView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at the payload of a frame; undefined when no getter can fail. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < 8 || offset + length > bytes.length) return 'truncated';
    if (u16(bytes, offset + hardwareTypeAt) !== hardwareTypeEthernet) return 'bad-hardware-type';
    if (u16(bytes, offset + protocolTypeAt) !== EtherType.ipv4) return 'bad-protocol-type';
    if (u8(bytes, offset + hardwareLenAt) !== 6 || u8(bytes, offset + protocolLenAt) !== 4) return 'bad-address-length';
    if (length < arpLen) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + arpLen;
    return undefined;
  }

  /** 1 request, 2 reply; see `ArpOperation`. */
  get operation(): number {
    return u16(this.bytes, this.offset + operationAt);
  }

  get senderHardwareOffset(): number {
    return this.offset + senderHardwareAt;
  }

  get senderProtocolOffset(): number {
    return this.offset + senderProtocolAt;
  }

  get targetHardwareOffset(): number {
    return this.offset + targetHardwareAt;
  }

  get targetProtocolOffset(): number {
    return this.offset + targetProtocolAt;
  }

  get senderHardwareAddress(): MacAddress {
    return macAt(this.bytes, this.senderHardwareOffset);
  }

  get senderProtocolAddress(): IpAddress {
    return ipAt(this.bytes, this.senderProtocolOffset, 4);
  }

  get targetHardwareAddress(): MacAddress {
    return macAt(this.bytes, this.targetHardwareOffset);
  }

  get targetProtocolAddress(): IpAddress {
    return ipAt(this.bytes, this.targetProtocolOffset, 4);
  }

  /** RFC 5227 section 1.1: a request with an all-zero sender address, asking whether the target is taken. */
  get isProbe(): boolean {
    return this.operation === ArpOperation.request && isZero(this.bytes, this.senderProtocolOffset, 4);
  }

  /** RFC 5227 section 3: sender and target address are the same, so a gratuitous request or reply. */
  get isAnnouncement(): boolean {
    return equalRanges(this.bytes, this.senderProtocolOffset, this.bytes, this.targetProtocolOffset, 4);
  }
}

/** The packet as plain data. */
export interface ArpFields {
  readonly operation: number;
  readonly senderHardwareAddress: MacAddress;
  readonly senderProtocolAddress: IpAddress;
  readonly targetHardwareAddress: MacAddress;
  readonly targetProtocolAddress: IpAddress;
}

/** Reads the packet at the start of `bytes`. */
export function parseArp(bytes: Uint8Array): ArpFields | DropReason {
  const view = ArpView.from(bytes);
  if (typeof view === 'string') return view;
  return {
    operation: view.operation,
    senderHardwareAddress: view.senderHardwareAddress,
    senderProtocolAddress: view.senderProtocolAddress,
    targetHardwareAddress: view.targetHardwareAddress,
    targetProtocolAddress: view.targetProtocolAddress,
  };
}

/**
 * Writes the 28 octets of a packet at `offset`.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitArp(fields: ArpFields, out: Uint8Array, offset: number): number {
  requireUint('ARP', 'operation', fields.operation, 0xffff);
  requireFamily('ARP', 'senderProtocolAddress', fields.senderProtocolAddress, 4);
  requireFamily('ARP', 'targetProtocolAddress', fields.targetProtocolAddress, 4);
  requireRoom('ARP', out, offset, arpLen);
  putU16(out, offset + hardwareTypeAt, hardwareTypeEthernet);
  putU16(out, offset + protocolTypeAt, EtherType.ipv4);
  out[offset + hardwareLenAt] = 6;
  out[offset + protocolLenAt] = 4;
  putU16(out, offset + operationAt, fields.operation);
  out.set(fields.senderHardwareAddress.bytes, offset + senderHardwareAt);
  out.set(fields.senderProtocolAddress.bytes, offset + senderProtocolAt);
  out.set(fields.targetHardwareAddress.bytes, offset + targetHardwareAt);
  out.set(fields.targetProtocolAddress.bytes, offset + targetProtocolAt);
  return arpLen;
}

const zeroMac: MacAddress = MacAddress.fromBytes(new Uint8Array(6));

/** A who-has request from `sender` for `target`; with an all-zero sender address it is a probe. */
export function arpRequest(sender: { mac: MacAddress; address: IpAddress }, target: IpAddress): ArpFields {
  return {
    operation: ArpOperation.request,
    senderHardwareAddress: sender.mac,
    senderProtocolAddress: sender.address,
    targetHardwareAddress: zeroMac,
    targetProtocolAddress: target,
  };
}

/** The reply to `request` which says that its target address is at `mac`. */
export function arpReply(request: ArpFields, mac: MacAddress): ArpFields {
  return {
    operation: ArpOperation.reply,
    senderHardwareAddress: mac,
    senderProtocolAddress: request.targetProtocolAddress,
    targetHardwareAddress: request.senderHardwareAddress,
    targetProtocolAddress: request.senderProtocolAddress,
  };
}
