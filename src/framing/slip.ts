/** SLIP, RFC 1055: END after each packet, and before it too, so that noise between two packets is a packet of its own. */

import type { Framing } from './framing.ts';
import { StuffedDecoder, type StuffedFormat } from './stuffed.ts';

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;

const format: StuffedFormat = {
  mark: END,
  escape: ESC,
  unescape: (byte) => (byte === ESC_END ? END : byte === ESC_ESC ? ESC : -1),
  finish: (_frame, length) => length,
};

/** Named `slip`. */
export const slipFraming: Framing = {
  name: 'slip',
  maxPacketLen: 0xffff,
  encodedLen: (length) => 2 * length + 2,
  encode: (bytes, start, end, out, at) => {
    let place = at;
    out[place++] = END;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte === END || byte === ESC) {
        out[place++] = ESC;
        out[place++] = byte === END ? ESC_END : ESC_ESC;
      } else out[place++] = byte;
    }
    out[place++] = END;
    return place;
  },
  decoder: (maxLen) => new StuffedDecoder(format, maxLen),
};
