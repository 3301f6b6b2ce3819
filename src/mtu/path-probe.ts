/**
 * Probes of the path MTU and their acknowledgements, in datagrams of a link between the packets.
 *
 * ```
 * octet 0        1              4             5          6          8                12
 *       +--------+--------------+-------------+----------+----------+----------------+------------ -
 *       | 0 (1)  | "MTU" (3)    | version (1) | kind (1) | size (2) | sequence (4)   | zeros up to
 *       |        | 4d 54 55     | 1           | 1 probe  | of the   |                | the size, of
 *       |        |              |             | 2 ackn.  | probe    |                | a probe
 *       +--------+--------------+-------------+----------+----------+----------------+------------ -
 * ```
 * On an IP link it stands at the start of the datagram: no IP packet begins with 0, the version. On an Ethernet link it stands behind
 * a header without stations, of EtherType 88b5 (IEEE 802, local experimental): no station sends frames from 00:00:00:00:00:00. The size is that
 * of the payload of the datagram, all of this included. A peer that knows no probes hands it on to its device, which refuses it.
 */

import type { Medium } from '../link/index.ts';
import { ethernetHeaderLen, putU16, putU32, u8, u16, u32 } from '../wire/index.ts';

/** What a datagram of this kind says. */
export interface PathProbeMessage {
  readonly kind: 'probe' | 'acknowledgement';
  /** Bytes of payload that the probe has, or had. */
  readonly size: number;
  readonly sequence: number;
}

const LEADER = 0x004d_5455;
const VERSION = 1;
const BODY_LEN = 12;
const EXPERIMENTAL_ETHERTYPE = 0x88b5;
const MAC_LEN = 6;

/** Bytes of an acknowledgement, and the least of a probe. */
export function pathProbeMinLen(medium: Medium): number {
  return BODY_LEN + headerLenOf(medium);
}

/** Hot. True when it may be one, and surely is no packet. */
export function looksLikePathProbe(bytes: Uint8Array, offset: number, length: number, medium: Medium): boolean {
  const at = offset + headerLenOf(medium);
  return length >= pathProbeMinLen(medium) && u8(bytes, at) === 0 && u32(bytes, at) === LEADER;
}

/** Undefined when it is none: then it may be a packet. A probe that is not as long as it says is none. */
export function parsePathProbe(
  bytes: Uint8Array,
  offset: number,
  length: number,
  medium: Medium,
): PathProbeMessage | undefined {
  if (!looksLikePathProbe(bytes, offset, length, medium)) return undefined;
  if (medium === 'ethernet' && !hasOwnHeader(bytes, offset)) return undefined;
  const at = offset + headerLenOf(medium);
  const [version, kind, size, sequence] = [
    u8(bytes, at + 4),
    u8(bytes, at + 5),
    u16(bytes, at + 6),
    u32(bytes, at + 8),
  ];
  if (version !== VERSION) return undefined;
  if (kind === 1 && size === length) return { kind: 'probe', size, sequence };
  return kind === 2 ? { kind: 'acknowledgement', size, sequence } : undefined;
}

/**
 * Writes one at the start of `out`.
 * @param out of `size` bytes at least for a probe, of `pathProbeMinLen` for an acknowledgement
 * @returns bytes written
 */
export function emitPathProbe({ kind, size, sequence }: PathProbeMessage, medium: Medium, out: Uint8Array): number {
  const at = headerLenOf(medium);
  const length = kind === 'probe' ? Math.max(size, pathProbeMinLen(medium)) : pathProbeMinLen(medium);
  out.fill(0, 0, length);
  if (medium === 'ethernet') putU16(out, 2 * MAC_LEN, EXPERIMENTAL_ETHERTYPE);
  putU32(out, at, LEADER);
  out[at + 4] = VERSION;
  out[at + 5] = kind === 'probe' ? 1 : 2;
  putU16(out, at + 6, size);
  putU32(out, at + 8, sequence);
  return length;
}

function headerLenOf(medium: Medium): number {
  return medium === 'ethernet' ? ethernetHeaderLen : 0;
}

function hasOwnHeader(bytes: Uint8Array, offset: number): boolean {
  const isNobody = u32(bytes, offset) === 0 && u32(bytes, offset + 4) === 0 && u32(bytes, offset + 8) === 0;
  return isNobody && u16(bytes, offset + 2 * MAC_LEN) === EXPERIMENTAL_ETHERTYPE;
}
