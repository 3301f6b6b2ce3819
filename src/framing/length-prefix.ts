/**
 * A length before each packet, big-endian: two bytes, or four as QEMU's stream netdevs have it (`net/stream.c`). A length of 0
 * is a sign of life without a packet.
 */

import type { Framing } from './framing.ts';
import { PrefixedDecoder } from './prefixed.ts';

function lengthPrefix(name: string, prefixLen: 2 | 4): Framing {
  const frameLen = (bytes: Uint8Array, at: number): number => {
    let length = 0;
    for (let i = 0; i < prefixLen; i++) length = length * 256 + (bytes[at + i] as number);
    return prefixLen + length;
  };
  return {
    name,
    maxPacketLen: 256 ** prefixLen - 1,
    encodedLen: (length) => prefixLen + length,
    encode: (bytes, start, end, out, at) => {
      const length = end - start;
      for (let i = 0; i < prefixLen; i++) out[at + i] = length >>> (8 * (prefixLen - 1 - i));
      out.set(bytes.subarray(start, end), at + prefixLen);
      return at + prefixLen + length;
    },
    decoder: (maxLen) => new PrefixedDecoder({ headLen: prefixLen, prefixLen, frameLen }, maxLen),
  };
}

/** Two bytes of length. */
export const lengthFraming: Framing = lengthPrefix('length', 2);

/** Four bytes of length, as QEMU's `-netdev stream` and `-netdev socket` have it. */
export const qemuFraming: Framing = lengthPrefix('qemu', 4);
