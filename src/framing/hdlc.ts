/**
 * HDLC-like framing as PPP has it on serial lines, RFC 1662: a flag around each frame, 0x7d before an escaped byte, and at the
 * end a check sequence of 16 bits, by which damaged frames are found. Control characters are escaped too, so that a line with
 * XON/XOFF flow control carries it.
 */

import type { Framing } from './framing.ts';
import { StuffedDecoder, type StuffedFormat } from './stuffed.ts';

const FLAG = 0x7e;
const ESCAPE = 0x7d;
const ESCAPED_BIT = 0x20;
const FCS_LEN = 2;
/** RFC 1662 C.2: the start, and what is left over a frame with its check sequence. */
const FCS_START = 0xffff;
const FCS_GOOD = 0xf0b8;

const format: StuffedFormat = {
  mark: FLAG,
  escape: ESCAPE,
  unescape: (byte) => byte ^ ESCAPED_BIT,
  finish: (frame, length) => (length > FCS_LEN && fcs16(frame, 0, length) === FCS_GOOD ? length - FCS_LEN : -1),
};

/** Named `hdlc`. */
export const hdlcFraming: Framing = {
  name: 'hdlc',
  maxPacketLen: 0xffff,
  encodedLen: (length) => 2 * (length + FCS_LEN) + 2,
  encode: (bytes, start, end, out, at) => {
    const check = fcs16(bytes, start, end) ^ 0xffff;
    let place = at;
    out[place++] = FLAG;
    for (let i = start; i < end; i++) place = put(bytes[i] as number, out, place);
    // The least significant byte first.
    place = put(check & 0xff, out, place);
    place = put(check >>> 8, out, place);
    out[place++] = FLAG;
    return place;
  },
  decoder: (maxLen) => new StuffedDecoder(format, maxLen + FCS_LEN),
};

function put(byte: number, out: Uint8Array, at: number): number {
  if (byte >= 0x20 && byte !== FLAG && byte !== ESCAPE) {
    out[at] = byte;
    return at + 1;
  }
  out[at] = ESCAPE;
  out[at + 1] = byte ^ ESCAPED_BIT;
  return at + 2;
}

function fcs16(bytes: Uint8Array, start: number, end: number): number {
  let fcs = FCS_START;
  for (let i = start; i < end; i++) fcs = (fcs >>> 8) ^ (table[(fcs ^ (bytes[i] as number)) & 0xff] as number);
  return fcs;
}

/** RFC 1662 C.1, of the polynomial x^16 + x^12 + x^5 + 1. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x8408 : value >>> 1;
  return value;
});
