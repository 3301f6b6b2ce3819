/** Where the IP packet begins in what a link carries, and whom an answer on the same link goes to. */

import type { Medium } from '../link/index.ts';
import { EtherType, ethernetHeaderLen, u8, u16, VlanStack, vlanTagLen } from '../wire/index.ts';

/** What an MTU leaves room for beside the packet: an Ethernet header and one tag. */
const COUNTED_HEADER_LEN: number = ethernetHeaderLen + vlanTagLen;
const MAC_LEN = 6;

/** A frame taken apart. */
export interface FrameHeaders {
  /** Bytes before the IP header. */
  readonly headerLen: number;
  /** Of IP; undefined of everything else. */
  readonly family: 4 | 6 | undefined;
  /** By how much the link header is longer than a link leaves room for. */
  readonly excessLen: number;
}

/** Undefined when it is cut off. */
export function frameHeaders(frame: Uint8Array, medium: Medium): FrameHeaders | undefined {
  if (frame.length === 0) return undefined;
  if (medium === 'ip') return { headerLen: 0, family: familyOf(u8(frame, 0) >> 4), excessLen: 0 };
  if (frame.length < ethernetHeaderLen) return undefined;
  const tags = new VlanStack();
  if (tags.walk(frame, u16(frame, 12), ethernetHeaderLen, frame.length) !== undefined) return undefined;
  const { payloadOffset: headerLen, etherType } = tags;
  const version = etherType === EtherType.ipv4 ? 4 : etherType === EtherType.ipv6 ? 6 : 0;
  return { headerLen, family: familyOf(version), excessLen: Math.max(0, headerLen - COUNTED_HEADER_LEN) };
}

/** True when one station is meant, and one has sent it; IP packets have no stations. */
export function isBetweenStations(frame: Uint8Array, { headerLen }: FrameHeaders): boolean {
  return headerLen === 0 || ((u8(frame, 0) | u8(frame, MAC_LEN)) & 1) === 0;
}

/** Writes the link header of an answer: stations swapped, tags as they were. */
export function putAnswerHeader(frame: Uint8Array, { headerLen }: FrameHeaders, out: Uint8Array): void {
  if (headerLen === 0) return;
  out.set(frame.subarray(MAC_LEN, 2 * MAC_LEN), 0);
  out.set(frame.subarray(0, MAC_LEN), MAC_LEN);
  out.set(frame.subarray(2 * MAC_LEN, headerLen), 2 * MAC_LEN);
}

function familyOf(version: number): 4 | 6 | undefined {
  return version === 4 || version === 6 ? version : undefined;
}
