/** What a responder has done, in numbers. */

import { type HostDropReason, zeroDropCounters } from './drop-reason.ts';

/** Totals since the responder was created. */
export interface ResponderCounters {
  /** Packets handed to `handle`, dropped ones of the batch not counted. */
  readonly received: number;
  /** Echo requests answered over IPv4, reassembled ones included. */
  readonly echoRepliesV4: number;
  /** Echo requests answered over IPv6, reassembled ones included. */
  readonly echoRepliesV6: number;
  /** ARP requests and probes answered. */
  readonly arpReplies: number;
  /** Neighbour solicitations answered, those of duplicate address detection included. */
  readonly neighborAdvertisements: number;
  /** UDP datagrams answered with port unreachable. */
  readonly portsUnreachable: number;
  /** Fragments received, of either family. */
  readonly fragmentsReceived: number;
  /** Datagrams put together from fragments. */
  readonly datagramsReassembled: number;
  /** Fragments made of replies longer than the MTU. */
  readonly fragmentsSent: number;
  /**
   * What was not answered, by reason. Mostly packets; datagrams for `reassembly-timeout` and
   * `reassembly-overflow`; replies for `simulated-loss`, `delay-queue-full`, `outbox-full`, `rate-limited`.
   */
  readonly dropped: Readonly<Record<HostDropReason, number>>;
}

/** The same, open for counting. */
export type MutableResponderCounters = { -readonly [Key in Exclude<keyof ResponderCounters, 'dropped'>]: number } & {
  readonly dropped: Record<HostDropReason, number>;
};

export function zeroCounters(): MutableResponderCounters {
  return {
    received: 0,
    echoRepliesV4: 0,
    echoRepliesV6: 0,
    arpReplies: 0,
    neighborAdvertisements: 0,
    portsUnreachable: 0,
    fragmentsReceived: 0,
    datagramsReassembled: 0,
    fragmentsSent: 0,
    dropped: zeroDropCounters(),
  };
}

/** Counts a packet that gets no reply in its place. @returns 0, the length of that reply */
export function drop(counters: MutableResponderCounters, reason: HostDropReason): 0 {
  counters.dropped[reason]++;
  return 0;
}
