/** A link whose packets are compressed on the way; the other side needs the same. */

import { invalidArgument } from '../base/index.ts';
import { type PacketLink, systemClock } from '../link/index.ts';
import { COMPRESSION_HEADER_LEN, Compressor, type CompressorCounters, Decompressor } from './compression.ts';
import type { StageCounters } from './stage.ts';
import { maxFrameLenOf, requirePlainPackets, StagedLink } from './staged-link.ts';

/** How packets are compressed. */
export interface CompressOptions {
  /** 1 for speed to 9 for size; default 6. The other side need not know it. */
  readonly level?: number;
}

/** A link that compresses. */
export interface CompressedLink extends PacketLink {
  /** Of what is written: bytes in, bytes out, packets that became shorter. */
  readonly toLink: CompressorCounters;
  /** Of what is read; `malformed` counts what the other side has not compressed. */
  readonly fromLink: StageCounters;
}

/**
 * Wraps a link in one that compresses each packet by itself (see `compression.ts` for the format). Its MTU is a byte less
 * than that of the wrapped link, which belongs to it: nobody else may read it, and `close()` closes both.
 *
 * Compressing costs 10 to 40 microseconds a packet, on the event loop.
 * @throws VNIC_INVALID_ARGUMENT also when the link carries super-packets
 */
export function compress(link: PacketLink, options: CompressOptions = {}): CompressedLink {
  requirePlainPackets(link, `compress ${link.name}`);
  const { level = 6 } = options;
  if (!Number.isInteger(level) || level < 1 || level > 9) {
    throw invalidArgument(`compress ${link.name}`, 'a level from 1 to 9', level);
  }
  return new Compressed(link, level);
}

class Compressed extends StagedLink implements CompressedLink {
  readonly toLink: CompressorCounters;
  readonly fromLink: StageCounters;

  constructor(link: PacketLink, level: number) {
    const [toLink, fromLink] = [new Compressor(level), new Decompressor(maxFrameLenOf(link))];
    super(link, { toLink, fromLink, clock: systemClock, overheadLen: COMPRESSION_HEADER_LEN });
    this.toLink = toLink.counters;
    this.fromLink = fromLink.counters;
  }
}
