/** Packets in a stream of bytes: length prefixes, SLIP, HDLC, COBS. Pure. */

import { bareIpFraming } from './bare-ip.ts';
import { cobsFraming } from './cobs.ts';
import type { Framing } from './framing.ts';
import { hdlcFraming } from './hdlc.ts';
import { lengthFraming, qemuFraming } from './length-prefix.ts';
import { slipFraming } from './slip.ts';

export type { FrameCounters, FrameDecoder, Framing } from './framing.ts';
export { bareIpFraming, cobsFraming, hdlcFraming, lengthFraming, qemuFraming, slipFraming };

/** Every framing by its name. */
export const framings: Readonly<Record<string, Framing>> = Object.fromEntries(
  [lengthFraming, qemuFraming, slipFraming, hdlcFraming, cobsFraming, bareIpFraming].map((one) => [one.name, one]),
);
