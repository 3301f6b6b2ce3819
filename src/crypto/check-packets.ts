/**
 * What a caller can get wrong about a batch, as errors.
 *
 * The native core does the same checks without words; its refusals are explained by these.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import { AeadLayout } from './layout.ts';
import { AEAD_TAG_LENGTH } from './nonce.ts';

/** 32-bit words per packet in a descriptor table, as in `PacketBatch`. */
export const DESCRIPTOR_WORDS = 4;

/** Packets of a gigabyte and more are refused. */
const PACKET_MAX = 2 ** 30;

/** The packets of one call. */
export interface PacketRange {
  readonly bytes: Uint8Array;
  readonly descriptors: Uint32Array;
  readonly from: number;
  readonly to: number;
  readonly layout: AeadLayout;
}

/** Types and the range of descriptors. @throws VNIC_INVALID_ARGUMENT */
export function checkArguments(
  attempted: string,
  bytes: Uint8Array,
  descriptors: Uint32Array,
  from: number,
  to: number,
  layout: AeadLayout,
): void {
  if (!(bytes instanceof Uint8Array)) throw invalidArgument(attempted, 'packet memory as Uint8Array', bytes);
  if (!(descriptors instanceof Uint32Array)) throw invalidArgument(attempted, 'a Uint32Array', descriptors);
  if (!(layout instanceof AeadLayout)) throw invalidArgument(attempted, 'an AeadLayout', layout);
  const count = Math.floor(descriptors.length / DESCRIPTOR_WORDS);
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || from > to || to > count) {
    throw invalidArgument(attempted, `a range within ${count} descriptors`, `${from} to ${to}`);
  }
}

/** Two words of 32 bits. @throws VNIC_INVALID_ARGUMENT */
export function checkCounter(attempted: string, low: number, high: number): void {
  if (low >>> 0 === low && high >>> 0 === high) return;
  throw invalidArgument(attempted, 'a counter as two words of 32 bits', `${low} and ${high}`);
}

/** Memory that stays where it is during a call on another thread. @throws VNIC_INVALID_ARGUMENT */
export function checkShared(attempted: string, bytes: Uint8Array, descriptors: Uint32Array): void {
  if (bytes.buffer instanceof SharedArrayBuffer && descriptors.buffer instanceof SharedArrayBuffer) return;
  const expected = 'packet memory and descriptors in a SharedArrayBuffer';
  throw invalidArgument(`${attempted} on another thread`, expected, 'an ArrayBuffer');
}

/** Every packet within the memory, none over another. @throws VNIC_INVALID_ARGUMENT */
export function checkPackets(attempted: string, range: PacketRange, sealing: boolean): void {
  const { bytes, descriptors, layout } = range;
  const room = sealing && layout.tag === 'end' ? AEAD_TAG_LENGTH : 0;
  const taken: { at: number; end: number; index: number }[] = [];
  for (let index = range.from; index < range.to; index++) {
    const at = descriptors[index * DESCRIPTOR_WORDS] as number;
    const length = descriptors[index * DESCRIPTOR_WORDS + 1] as number;
    if (length === 0) continue;
    const what = `packet ${index} of ${length} bytes at ${at}`;
    const end = at + length + room;
    if (length > PACKET_MAX || end > bytes.length) {
      const tag = room > 0 ? ` and ${room} for the tag` : '';
      throw invalidArgument(attempted, `packets${tag} within the ${bytes.length} bytes of memory`, what);
    }
    if (sealing && length < layout.payloadOffset) {
      throw invalidArgument(attempted, `packets with a header of ${layout.payloadOffset} bytes`, what);
    }
    taken.push({ at, end, index });
  }
  taken.sort((a, b) => a.at - b.at);
  for (const [i, packet] of taken.entries()) {
    const next = taken[i + 1];
    if (next === undefined || packet.end <= next.at) continue;
    const needs = room > 0 ? `, which needs ${room} bytes behind it for the tag,` : '';
    throw invalidArgument(attempted, 'packets apart', `packet ${packet.index}${needs} over packet ${next.index}`);
  }
}

/** `VNIC_KEY_CLOSED` */
export function keyClosed(attempted: string): VnicError {
  return new VnicError('VNIC_KEY_CLOSED', { attempted, hint: 'Make a new key; a closed one is erased.' });
}

/** `VNIC_KEY_BUSY` */
export function keyBusy(attempted: string): VnicError {
  return new VnicError('VNIC_KEY_BUSY', { attempted, hint: 'Wait for the promise of the call before.' });
}

/** `VNIC_KEY_EXHAUSTED` */
export function keyExhausted(attempted: string): VnicError {
  return new VnicError('VNIC_KEY_EXHAUSTED', { attempted, hint: 'Agree on a new key before the counter ends.' });
}

/** `VNIC_NONCE_REUSED` */
export function nonceReused(attempted: string): VnicError {
  return new VnicError('VNIC_NONCE_REUSED', {
    attempted,
    reason: 'counters have to rise from packet to packet, and one is not above the last that was sealed',
    hint: 'Go on where the last call ended: its counter plus what it returned.',
  });
}
