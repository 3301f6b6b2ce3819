/**
 * Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2), 1999): no zero in a frame,
 * a zero after each, and one byte more for 254.
 */

import type { Framing } from './framing.ts';
import { StuffedDecoder, type StuffedFormat } from './stuffed.ts';

/** So many bytes follow the largest code, without a zero behind them. */
const MAX_RUN = 254;

const format: StuffedFormat = { mark: 0, finish: decodeInPlace };

/** Named `cobs`. */
export const cobsFraming: Framing = {
  name: 'cobs',
  maxPacketLen: 0xffff,
  encodedLen: (length) => stuffedLen(length) + 1,
  encode: (bytes, start, end, out, at) => {
    let code = at;
    let place = at + 1;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      if (byte !== 0) out[place++] = byte;
      const isFull = place - code === MAX_RUN + 1;
      if (byte !== 0 && !(isFull && i + 1 < end)) continue;
      out[code] = place - code;
      code = place++;
    }
    out[code] = place - code;
    out[place++] = 0;
    return place;
  },
  decoder: (maxLen) => new StuffedDecoder(format, stuffedLen(maxLen)),
};

function stuffedLen(length: number): number {
  return length + Math.ceil(length / MAX_RUN) + 1;
}

function decodeInPlace(frame: Uint8Array, length: number): number {
  let from = 0;
  let to = 0;
  while (from < length) {
    const code = frame[from++] as number;
    const end = from + code - 1;
    if (end > length) return -1;
    frame.copyWithin(to, from, end);
    to += end - from;
    from = end;
    if (code !== MAX_RUN + 1 && from < length) frame[to++] = 0;
  }
  return to;
}
