/**
 * A capture file as a link that takes packets and gives none: what is written is recorded. It never holds its writer up; what the
 * disk is too slow for counts as `queue-full`. When the recording ends before its time, on a full disk say, the link fails with that error.
 */

import { VnicError } from '../base/index.ts';
import { BaseLink, DESCRIPTOR_WORDS } from '../link/index.ts';
import { openRecorder, type Recorder, type RecorderOptions } from './recorder.ts';

/** A recorder as a link, and what the link says it carries. */
export interface RecorderLinkOptions extends Omit<RecorderOptions, 'onEnd'> {
  /** 68 to 65535, default 65535. */
  readonly mtu?: number;
}

const MAX_MTU = 65_535;

/** Opens a file that records what is written. @throws what `openRecorder` throws */
export async function openRecorderLink(options: RecorderLinkOptions): Promise<RecorderLink> {
  let link: RecorderLink | undefined;
  const recorder = await openRecorder({ ...options, onEnd: (error) => link?.endWith(error) });
  link = new RecorderLink(recorder, options);
  return link;
}

/** See the head of this file; create it with `openRecorderLink`. */
export class RecorderLink extends BaseLink {
  override readonly mtu: number;
  readonly recorder: Recorder;

  /** @param recorder closed with the link */
  constructor(recorder: Recorder, { path, medium, mtu = MAX_MTU }: RecorderLinkOptions) {
    super({ name: path, medium });
    this.recorder = recorder;
    this.mtu = mtu;
  }

  /** Ends the link, as the recording has. */
  endWith(error: VnicError): void {
    if (!this.closed) this.fail(error);
  }

  protected override readNow(): number {
    return 0;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      if (this.recorder.recordDescribed(bytes, descriptors, i, i + 1, 'out') > 0) {
        this.countWriteDrop('queue-full', () => tooSlow(this.name));
        continue;
      }
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
    return to - from;
  }

  protected override setInterest(): void {
    // There is never anything to read, and always room to write.
  }

  protected override hasBackPressure(): boolean {
    return false;
  }

  protected override closeCarrier(): Promise<void> {
    return this.recorder.close();
  }
}

function tooSlow(path: string): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `record to ${path}`,
    reason: 'the disk is slower than the packets come',
    hint: 'Record less of each packet, or to a faster disk.',
  });
}
