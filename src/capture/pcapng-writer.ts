/** pcapng as it is written: one section, one interface, enhanced packets with their direction; times in nanoseconds. */

import type { CapturedPacket, CaptureFormat, CaptureInterface, CaptureTime } from './format.ts';
import { BlockType, BYTE_ORDER_MAGIC } from './pcapng.ts';

/** Octets of an enhanced packet before the packet. */
const PACKET_AT = 28;
/** `epb_flags` with its header, the end of options, and the second length. */
const TAIL_LEN = 8 + 4 + 4;
const SECTION_LEN = 28 + 16;
/** Code 4 of a section: the program that has written it. */
const USER_APPLICATION = 4;
const INTERFACE_NAME = 2;
const TIME_RESOLUTION = 9;
const PACKET_FLAGS = 2;
const NANOSECONDS = 9;

/** The format as it is written. */
export const pcapngFormat: CaptureFormat = {
  name: 'pcapng',
  header(link: CaptureInterface): Uint8Array {
    const name = new TextEncoder().encode(link.name).subarray(0, 255);
    const interfaceLen = 16 + 4 + padded(name.length) + 8 + 4 + 4;
    const out = new Uint8Array(SECTION_LEN + interfaceLen);
    const view = new DataView(out.buffer);
    writeSection(out, view);
    writeInterface(out, view, SECTION_LEN, interfaceLen, link, name);
    return out;
  },
  recordLen: (length) => PACKET_AT + padded(length) + TAIL_LEN,
  writtenLen: (view, offset) => view.getUint32(offset + 4, true),
  encode(out: Uint8Array, view: DataView, at: number, time: CaptureTime, packet: CapturedPacket): number {
    const { bytes, offset, length, originalLength, direction } = packet;
    const end = at + PACKET_AT + padded(length) + TAIL_LEN;
    view.setUint32(at, BlockType.enhancedPacket, true);
    view.setUint32(at + 4, end - at, true);
    view.setUint32(at + 8, 0, true);
    writeTime(view, at + 12, time);
    view.setUint32(at + 20, length, true);
    view.setUint32(at + 24, originalLength, true);
    out.set(bytes.subarray(offset, offset + length), at + PACKET_AT);
    // Padding included: nothing left in the buffer leaks.
    out.fill(0, at + PACKET_AT + length, end);
    const flagsAt = end - TAIL_LEN;
    view.setUint16(flagsAt, PACKET_FLAGS, true);
    view.setUint16(flagsAt + 2, 4, true);
    view.setUint32(flagsAt + 4, direction === undefined ? 0 : direction === 'in' ? 1 : 2, true);
    view.setUint32(end - 4, end - at, true);
    return end;
  },
};

function writeSection(out: Uint8Array, view: DataView): void {
  view.setUint32(0, BlockType.section, true);
  view.setUint32(4, SECTION_LEN, true);
  view.setUint32(8, BYTE_ORDER_MAGIC, true);
  view.setUint16(12, 1, true);
  // Octets of the section: not told.
  view.setBigInt64(16, -1n, true);
  view.setUint16(24, USER_APPLICATION, true);
  view.setUint16(26, 4, true);
  out.set([0x76, 0x6e, 0x69, 0x63], 28);
  view.setUint32(SECTION_LEN - 4, SECTION_LEN, true);
}

function writeInterface(
  out: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  { linkType, snapLen }: CaptureInterface,
  name: Uint8Array,
): void {
  view.setUint32(at, BlockType.interface, true);
  view.setUint32(at + 4, length, true);
  view.setUint16(at + 8, linkType, true);
  view.setUint32(at + 12, snapLen, true);
  view.setUint16(at + 16, INTERFACE_NAME, true);
  view.setUint16(at + 18, name.length, true);
  out.set(name, at + 20);
  const resolutionAt = at + 20 + padded(name.length);
  view.setUint16(resolutionAt, TIME_RESOLUTION, true);
  view.setUint16(resolutionAt + 2, 1, true);
  out[resolutionAt + 4] = NANOSECONDS;
  view.setUint32(at + length - 4, length, true);
}

/** 64 bits of nanoseconds, in two halves of 32; they are more than a number holds. */
function writeTime(view: DataView, at: number, { seconds, nanoseconds }: CaptureTime): void {
  const isBefore = seconds < 0;
  const since = isBefore ? 0 : seconds;
  const low = (since % 0x1_0000) * 1e9 + (isBefore ? 0 : nanoseconds);
  const middle = Math.floor(since / 0x1_0000) * 1e9 + Math.floor(low / 0x1_0000);
  view.setUint32(at, Math.floor(middle / 0x1_0000), true);
  view.setUint32(at + 4, (middle % 0x1_0000) * 0x1_0000 + (low % 0x1_0000), true);
}

function padded(length: number): number {
  return (length + 3) & ~3;
}
