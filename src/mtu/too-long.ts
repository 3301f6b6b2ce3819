/**
 * What becomes of a packet that is longer than the MTU of the link it goes to: IPv4 that allows it is fragmented, other senders are
 * told, and what can neither be fragmented nor answered is lost.
 */

import { RateLimiter } from '../base/index.ts';
import type { TooLongHandler, TooLongVerdict } from '../link/index.ts';
import { Ipv4View } from '../wire/index.ts';
import { fragmentIpv4 } from './fragment-ipv4.ts';
import { frameHeaders } from './frame-headers.ts';
import { type PacketTooBigOptions, packetTooBig } from './packet-too-big.ts';

/** How too long packets are dealt with. */
export interface TooLongOptions extends PacketTooBigOptions {
  /** Milliseconds of a clock that does not go back. */
  nowMs(): number;
}

/** ICMP errors a second and at once; the defaults of Linux (`icmp_msgs_per_sec`, `icmp_msgs_burst`). */
const ERRORS_PER_SECOND = 1000;
const ERRORS_AT_ONCE = 50;

/** What `forward` asks about packets that do not fit; answers are limited to 1000 a second, 50 at once. */
export function createTooLongHandler(options: TooLongOptions): TooLongHandler {
  const limiter = new RateLimiter(ERRORS_PER_SECOND, ERRORS_AT_ONCE);
  const ip = new Ipv4View();
  const { medium } = options;
  return (packet, sink, out): TooLongVerdict => {
    const headers = frameHeaders(packet, medium);
    if (headers === undefined) return 'dropped';
    const { headerLen, family, excessLen } = headers;
    const mtu = sink.mtu - excessLen;
    const length = packet.length - headerLen;
    if (length <= mtu) return 'fits';
    const isFragmentable =
      family === 4 && ip.wrap(packet, headerLen, length) === undefined && ip.checksumOk && !ip.dontFragment;
    if (isFragmentable) return fragmentIpv4(ip, mtu, out.fragments) > 0 ? 'fragmented' : 'dropped';
    const answer = packetTooBig(packet, mtu, options);
    if (typeof answer !== 'string' && limiter.take(options.nowMs())) out.replies.append(answer);
    return 'dropped';
  };
}
