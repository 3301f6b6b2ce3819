/** What every link does about packets that it took and did not deliver, and about ranges of a batch. */

import { invalidArgument, type Listeners, type VnicError } from '../base/index.ts';
import type { PacketBatch } from './packet-batch.ts';
import type { LinkCounters, LinkEvents, WriteDropReason } from './packet-link.ts';

/** At most one `writeDropped` event per reason in this time. */
const DROP_EVENT_INTERVAL_MS = 1000;

/** The counters, open for the carrier to add to. */
export interface MutableCounters extends LinkCounters {
  packetsRead: number;
  bytesRead: number;
  packetsWritten: number;
  bytesWritten: number;
  readonly writeDropped: Record<WriteDropReason, number>;
}

/** Counts dropped packets and tells of them. */
export class WriteDrops {
  readonly #counters: MutableCounters;
  readonly #events: Listeners<LinkEvents>;
  readonly #toldAtMs = new Map<WriteDropReason, number>();

  constructor(counters: MutableCounters, events: Listeners<LinkEvents>) {
    this.#counters = counters;
    this.#events = events;
  }

  /** Counts packets that were taken and then dropped; `explain` is called only when somebody gets to see it. */
  count(reason: WriteDropReason, packets: number, explain: () => VnicError): void {
    if (packets === 0) return;
    this.#counters.writeDropped[reason] += packets;
    if (this.#events.count('writeDropped') === 0) return;
    const nowMs = performance.now();
    const lastMs = this.#toldAtMs.get(reason);
    if (lastMs !== undefined && nowMs - lastMs < DROP_EVENT_INTERVAL_MS) return;
    this.#toldAtMs.set(reason, nowMs);
    this.#events.emit('writeDropped', { reason, error: explain() });
  }
}

/** The end of a range of packets; the default is all. @throws VNIC_INVALID_ARGUMENT when it is not inside the batch */
export function endOfRange(link: string, batch: PacketBatch, from: number, to: number | undefined): number {
  const end = to ?? batch.count;
  if (from >= 0 && end <= batch.count) return end;
  throw invalidArgument(`write to ${link}`, `a range inside 0 to ${batch.count}`, `${from} to ${end}`);
}

/** Counters of a link on which nothing has happened. */
export function zeroLinkCounters(): MutableCounters {
  return {
    packetsRead: 0,
    bytesRead: 0,
    packetsWritten: 0,
    bytesWritten: 0,
    writeDropped: { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 },
  };
}
