/**
 * VXLAN header (RFC 7348 section 5): what stands before an Ethernet frame in a UDP datagram.
 *
 * ```
 * octet 0           1              4         7              8
 *       +-----------+--------------+---------+--------------+---------------
 *       | flags (1) | reserved (3) | VNI (3) | reserved (1) | Ethernet frame
 *       +-----------+--------------+---------+--------------+---------------
 * ```
 * The flag 0x08 says that the VNI is valid, and has to be set. The rest is written as 0 and not looked at.
 *
 * Not supported: headers that use what is reserved here (VXLAN-GPE, group policies).
 */

import { putU32, u8, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';

/** Octets of the header. */
export const vxlanHeaderLen = 8;
/** Where VXLAN is sent to, as IANA has it. */
export const vxlanPort = 4789;
/** The largest network identifier, of 24 bits. */
export const maxVni = 0xff_ffff;

const vniValid = 0x08;
const vniAt = 4;

/**
 * Hot: reads the network identifier of the header at `offset`.
 * @param length octets of the datagram, header included
 * @returns the VNI, or -1 where it is too short or says that it has none
 */
export function readVni(bytes: Uint8Array, offset: number, length: number): number {
  if (length < vxlanHeaderLen || (u8(bytes, offset) & vniValid) === 0) return -1;
  return u32(bytes, offset + vniAt) >>> 8;
}

/** Hot: writes the header at `offset`, where `vxlanHeaderLen` octets are free; `vni` is not checked. */
export function putVxlan(bytes: Uint8Array, offset: number, vni: number): void {
  putU32(bytes, offset, vniValid * 0x100_0000);
  putU32(bytes, offset + vniAt, vni * 0x100);
}

/** The header as plain data. */
export interface VxlanFields {
  /** Network identifier, 0 to 16,777,215. */
  readonly vni: number;
}

/** Reads the header at the start of `bytes`; `bad-type` where it has no valid VNI. */
export function parseVxlan(bytes: Uint8Array): VxlanFields | DropReason {
  if (bytes.length < vxlanHeaderLen) return 'truncated';
  const vni = readVni(bytes, 0, bytes.length);
  return vni < 0 ? 'bad-type' : { vni };
}

/**
 * Writes the header at `offset`.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitVxlan({ vni }: VxlanFields, out: Uint8Array, offset: number): number {
  requireRoom('VXLAN', out, offset, vxlanHeaderLen);
  requireUint('VXLAN', 'vni', vni, maxVni);
  putVxlan(out, offset, vni);
  return vxlanHeaderLen;
}
