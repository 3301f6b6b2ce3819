/**
 * A capture point: a link that records what is read from it and what it takes, and changes nothing of it.
 *
 * A packet is copied once, into the recorder. What is written is recorded when the link has taken it; the carrier may still drop it,
 * which the link counts. Closing the link leaves the recorder open: one may record several links of a medium.
 */

import { invalidArgument } from '../base/index.ts';
import { type PacketBatch, type PacketLink, WrappedLink } from '../link/index.ts';
import type { Recorder } from './recorder.ts';

/**
 * The same link, recorded. Use it in place of the link: only what goes through it is seen.
 * @throws VNIC_INVALID_ARGUMENT when the recorder is of another medium, or the link carries super-packets, which are
 *   no packets that a capture file has: open its device without `superPackets`
 */
export function captureLink(link: PacketLink, recorder: Recorder): PacketLink {
  const attempted = `record what passes ${link.name}`;
  if (link.medium !== recorder.medium) {
    throw invalidArgument(attempted, `a recorder of medium '${link.medium}'`, recorder.medium);
  }
  if (link.offload) throw invalidArgument(attempted, 'a link opened without `superPackets`', 'one with them');
  return new CapturedLink(link, recorder);
}

class CapturedLink extends WrappedLink {
  readonly #recorder: Recorder;
  #lengths = new Uint32Array(64);

  constructor(link: PacketLink, recorder: Recorder) {
    super(link);
    this.#recorder = recorder;
  }

  /** Before the reader, who may edit the packets. */
  protected override onRead(batch: PacketBatch): boolean {
    this.#recorder.record(batch, 'in');
    return true;
  }

  override write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof Uint8Array) {
      const taken = this.inner.write(source);
      if (taken === 1) this.#recorder.record(source, 'out');
      return taken;
    }
    const end = to ?? source.count;
    const lengths = this.#noteLengths(source, from, end);
    const taken = this.inner.write(source, from, end);
    if (taken > 0) this.#recorder.record(source, 'out', from, from + taken);
    for (let i = from + taken; i < end; i++) {
      // Written ahead of the first that was not taken: a carrier marks that by a length of 0.
      const length = lengths[i - from] as number;
      if (length > 0 && source.length(i) === 0) {
        const at = source.offset(i);
        this.#recorder.record(source.bytes.subarray(at, at + length), 'out');
      }
    }
    return taken;
  }

  #noteLengths(batch: PacketBatch, from: number, to: number): Uint32Array {
    if (this.#lengths.length < to - from) this.#lengths = new Uint32Array(batch.capacity);
    for (let i = from; i < to; i++) this.#lengths[i - from] = batch.length(i);
    return this.#lengths;
  }
}
