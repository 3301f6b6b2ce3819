/** What one direction of a forwarding does with packets that are longer than its sink carries. */

import { DESCRIPTOR_WORDS, MAX_FRAME_LEN, PacketBatch } from './packet-batch.ts';
import type { Medium, PacketLink } from './packet-link.ts';

/** Ethernet header without tags: the least that stands before a packet. */
const ETHERNET_HEADER_LEN = 14;
/** Room for what is made of one batch; packets whose fragments find none are lost. */
const REPLIES = { capacity: 64, bytesLen: 64 * 2048 } as const;
const FRAGMENTS = { capacity: 1024, bytesLen: 4 * MAX_FRAME_LEN } as const;

/** What a `TooLongHandler` makes of packets. */
export interface TooLongOutput {
  /** Packets for the link that the packet came from. */
  readonly replies: PacketBatch;
  /** Packets for the link that it goes to. */
  readonly fragments: PacketBatch;
}

/** `fits`: it is not too long after all, and the sink may have it. `dropped`: it is lost. `fragmented`: its fragments are there. */
export type TooLongVerdict = 'fits' | 'dropped' | 'fragmented';

/**
 * Decides about one packet that is longer than the link it goes to carries. It may append to what it is given and keeps nothing.
 * `createTooLongHandler` of `vnic/mtu` makes one.
 * @param packet only read; valid during the call
 * @param sink where it goes; its `mtu` does not count link headers
 */
export type TooLongHandler = (packet: Uint8Array, sink: Pick<PacketLink, 'mtu'>, out: TooLongOutput) => TooLongVerdict;

/** What was taken out of a batch. */
export interface SortedOut extends TooLongOutput {
  /** Packets that are lost. */
  readonly dropped: number;
  /** Packets in whose place there are fragments. */
  readonly fragmented: number;
}

export class TooLongSorter {
  readonly #decide: TooLongHandler;
  readonly #headerLen: number;
  /** Made when a packet is too long for the first time. */
  #made: TooLongOutput | undefined;

  constructor(medium: Medium, decide: TooLongHandler) {
    this.#decide = decide;
    this.#headerLen = medium === 'ethernet' ? ETHERNET_HEADER_LEN : 0;
  }

  /** Where fragments stand, once there have been some. */
  get fragments(): PacketBatch | undefined {
    return this.#made?.fragments;
  }

  /** Hot. True when a packet is longer than the MTU allows. */
  hasSome({ descriptors, count }: PacketBatch, mtu: number): boolean {
    const longest = mtu + this.#headerLen;
    for (let i = 0; i < count; i++) if ((descriptors[i * DESCRIPTOR_WORDS + 1] as number) > longest) return true;
    return false;
  }

  /** Takes out of the batch what is too long. The batches of the result are valid until the next call. */
  sortOut(batch: PacketBatch, sink: PacketLink): SortedOut {
    this.#made ??= { replies: new PacketBatch(REPLIES), fragments: new PacketBatch(FRAGMENTS) };
    const made = this.#made;
    made.replies.clear();
    made.fragments.clear();
    let dropped = 0;
    let fragmented = 0;
    for (let i = 0; i < batch.count; i++) {
      if (batch.length(i) <= sink.mtu + this.#headerLen) continue;
      const verdict = this.#decide(batch.packet(i), sink, made);
      if (verdict === 'fits') continue;
      batch.drop(i);
      if (verdict === 'dropped') dropped++;
      else fragmented++;
    }
    return { ...made, dropped, fragmented };
  }
}
