/**
 * IP packets one behind the other and nothing between them, as socat's TUN end puts them on a stream: each says in its header
 * how long it is (RFC 791 section 3.1, RFC 8200 section 3).
 */

import type { Framing } from './framing.ts';
import { PrefixedDecoder, type PrefixedFormat } from './prefixed.ts';

const IPV4_HEADER_LEN = 20;
const IPV6_HEADER_LEN = 40;

const format: PrefixedFormat = {
  // Up to the length in an IPv6 header.
  headLen: 6,
  prefixLen: 0,
  frameLen: (bytes, at) => {
    const version = (bytes[at] as number) >>> 4;
    const u16 = (place: number): number => ((bytes[place] as number) << 8) | (bytes[place + 1] as number);
    if (version === 6) return IPV6_HEADER_LEN + u16(at + 4);
    const length = version === 4 ? u16(at + 2) : 0;
    return length < IPV4_HEADER_LEN ? -1 : length;
  },
};

/** Named `ip`. Not for Ethernet frames, which do not say how long they are. */
export const bareIpFraming: Framing = {
  name: 'ip',
  maxPacketLen: 0xffff,
  encodedLen: (length) => length,
  encode: (bytes, start, end, out, at) => {
    out.set(bytes.subarray(start, end), at);
    return at + end - start;
  },
  decoder: (maxLen) => new PrefixedDecoder(format, maxLen),
};
