/**
 * Packets that tests recognise among foreign ones: a kernel device also carries router solicitations,
 * multicast reports and whatever else the machine sends.
 *
 *     |headers ‥‥|pattern of the seed ‥‥|"vnicmark"|seed, 4 bytes big-endian|
 *
 * The mark stands at the end, so that it is found behind any headers.
 */

import { invalidArgument } from '../base/index.ts';

/** Bytes that the mark takes: room that a packet needs behind its headers. */
export const MARK_LEN = 12;

/** The most that headers may take for `isIntact` to compare nothing of them: Ethernet, 802.1Q, IPv6, UDP. */
const HEADERS_LEN_MAX = 66;

const MAGIC = Uint8Array.from('vnicmark', (character) => character.charCodeAt(0));

/**
 * Fills everything behind the headers with the pattern and the mark of a seed.
 * @param headerLen bytes at the start that are left alone
 * @param seed 0 to 2^32 - 1
 * @throws VNIC_INVALID_ARGUMENT when the mark does not fit
 */
export function markPacket(packet: Uint8Array, headerLen: number, seed: number): Uint8Array {
  const end = packet.length;
  if (headerLen + MARK_LEN > end) {
    throw invalidArgument('mark a packet', `at least ${MARK_LEN} bytes behind the headers`, end - headerLen);
  }
  for (let i = headerLen; i < end - MARK_LEN; i++) packet[i] = patternAt(seed, end - i);
  packet.set(MAGIC, end - MARK_LEN);
  writeSeed(packet, seed);
  return packet;
}

/** The seed of a marked packet; undefined for any other packet. */
export function seedOf(packet: Uint8Array): number | undefined {
  const at = packet.length - MARK_LEN;
  if (at < 0 || MAGIC.some((byte, i) => packet[at + i] !== byte)) return undefined;
  return new DataView(packet.buffer, packet.byteOffset + packet.length - 4, 4).getUint32(0);
}

/** Changes the seed of a marked packet in place; its pattern stays that of the old seed. */
export function writeSeed(packet: Uint8Array, seed: number): void {
  new DataView(packet.buffer, packet.byteOffset + packet.length - 4, 4).setUint32(0, seed);
}

/** True when a marked packet has this length and the whole pattern of its seed. Headers are not compared. */
export function isIntact(packet: Uint8Array, length: number): boolean {
  const seed = seedOf(packet);
  if (seed === undefined || packet.length !== length) return false;
  for (let i = Math.min(HEADERS_LEN_MAX, length - MARK_LEN); i < length - MARK_LEN; i++) {
    if (packet[i] !== patternAt(seed, length - i)) return false;
  }
  return true;
}

function patternAt(seed: number, fromEnd: number): number {
  return ((Math.imul(seed + 1, 0x9e37_79b1) >>> 24) + fromEnd) & 0xff;
}
