/** What happened in a network, in order: the same lines for the same seed. */

import { describePacket } from '../wire/index.ts';

/** What a host did with a packet: `dropped` is what it had no use or no way for. */
export type TraceEvent = 'sent' | 'received' | 'forwarded' | 'dropped';

/** One packet at one host. */
export interface TraceEntry {
  readonly atMs: number;
  /** Name of the host. */
  readonly host: string;
  readonly event: TraceEvent;
  /** As `describePacket` of `vnic/wire` words it. */
  readonly packet: string;
}

/** A trace of bounded length: what comes later is counted only. */
export class NetworkTrace {
  readonly entries: TraceEntry[] = [];
  /** Entries that found no room. */
  leftOut = 0;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(atMs: number, host: string, event: TraceEvent, packet: Uint8Array): void {
    if (this.entries.length < this.#limit) {
      this.entries.push({ atMs, host, event, packet: describePacket(packet, 'ip') });
    } else this.leftOut++;
  }
}
