/**
 * Options of pcapng blocks, as far as they are read, and what they say of time stamps.
 *
 * ```
 * octet 0          2            4
 *       +----------+------------+-------------------+---------
 *       | code (2) | length (2) | value, padded to 4 octets        code 0 ends them; so does the end of the block
 *       +----------+------------+-------------------+---------
 * interface  9 if_tsresol (1)   13 if_fcslen (1)   14 if_tsoffset (8)
 * packet     2 epb_flags (4)
 * ```
 */

import type { CaptureDirection, CaptureRecord } from './format.ts';

/** How time stamps count. */
export interface TimeResolution {
  /** Ticks in a second. */
  readonly perSecond: number;
  /** Seconds that are added. */
  readonly offsetSeconds: number;
}

/** Microseconds since 1970. */
export const defaultResolution: TimeResolution = { perSecond: 1e6, offsetSeconds: 0 };

/** What is read of the options of a block. */
export interface BlockOptions {
  readonly resolution?: TimeResolution;
  /** Octets. */
  readonly fcsLen?: number;
  readonly direction?: CaptureDirection | undefined;
}

/** Codes of options. `epb_flags` has the number of an option of interfaces that is four octets longer. */
const OptionCode = { end: 0, flags: 2, resolution: 9, fcsLen: 13, offset: 14 } as const;

/** Octets of values that are looked at. */
const lengths: Readonly<Record<number, number>> = {
  [OptionCode.flags]: 4,
  [OptionCode.resolution]: 1,
  [OptionCode.fcsLen]: 1,
  [OptionCode.offset]: 8,
};

/** Reads the options from `at` to `end`; undefined when one does not end there. Of another length than it has, one is skipped. */
export function readOptions(view: DataView, at: number, end: number, little: boolean): BlockOptions | undefined {
  let [perSecond, offsetSeconds, fcsLen] = [defaultResolution.perSecond, 0, 0];
  let direction: CaptureDirection | undefined;
  for (let next = at; next < end; ) {
    if (next + 4 > end) return undefined;
    const code = view.getUint16(next, little);
    const length = view.getUint16(next + 2, little);
    if (code === OptionCode.end) break;
    const value = next + 4;
    next = value + ((length + 3) & ~3);
    if (next > end) return undefined;
    if (lengths[code] !== length) continue;
    if (code === OptionCode.resolution) perSecond = ticksPerSecond(view.getUint8(value));
    else if (code === OptionCode.offset) offsetSeconds = Number(view.getBigInt64(value, little));
    else if (code === OptionCode.fcsLen) fcsLen = view.getUint8(value);
    else direction = directionOf(view.getUint32(value, little));
  }
  return { resolution: { perSecond, offsetSeconds }, fcsLen, direction };
}

/** The first bit: a power of 2 instead of 10; the others: the negative exponent. */
function ticksPerSecond(resolution: number): number {
  return (resolution & 0x80) !== 0 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
}

function directionOf(flags: number): CaptureDirection | undefined {
  switch (flags & 3) {
    case 1:
      return 'in';
    case 2:
      return 'out';
    default:
      return undefined;
  }
}

/** Hot. Sets the time of a record from the two halves of a time stamp; exact to the nanosecond. */
export function splitTime(
  high: number,
  low: number,
  { perSecond, offsetSeconds }: TimeResolution,
  record: CaptureRecord,
): void {
  if (perSecond > 1e9) {
    splitFine(high, low, perSecond, record);
  } else {
    // Long division by 16 bits at a time: 64 bits are more than a number holds.
    const rest = (high % perSecond) * 0x1_0000 + (low >>> 16);
    const last = (rest % perSecond) * 0x1_0000 + (low & 0xffff);
    const upper = Math.floor(high / perSecond) * 0x1_0000 + Math.floor(rest / perSecond);
    record.seconds = upper * 0x1_0000 + Math.floor(last / perSecond);
    record.nanoseconds = Math.floor(((last % perSecond) * 1e9) / perSecond);
  }
  record.seconds += offsetSeconds;
}

/** Finer than nanoseconds, which hardly anybody writes. */
function splitFine(high: number, low: number, perSecond: number, record: CaptureRecord): void {
  const ticks = (BigInt(high) << 32n) | BigInt(low);
  const unit = BigInt(perSecond);
  record.seconds = Number(ticks / unit);
  record.nanoseconds = Number(((ticks % unit) * 1_000_000_000n) / unit);
}
