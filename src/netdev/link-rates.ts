/** What devices carry per second, from two readings of the kernel's counters. */

import type { LinkInfo, LinkStatistics, Netlink } from '../netlink/index.ts';
import { interfaceKind } from './describe.ts';

/** One reading of every link. */
export interface LinkSample {
  /** Of a clock that does not go back, in milliseconds. */
  readonly atMs: number;
  readonly links: readonly LinkInfo[];
  /** Packets that wait in the queueing disciplines, by index; absent for a link without one. */
  readonly queued: ReadonlyMap<number, number>;
}

/** What one link carried between two readings. Received and sent are as the kernel sees it: a program writes what is received. */
export interface LinkRates {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  /** Packets per second. */
  readonly rxPps: number;
  readonly txPps: number;
  /** Bits per second. */
  readonly rxBps: number;
  readonly txBps: number;
  /** Packets dropped and in error, per second. */
  readonly rxDroppedPps: number;
  readonly txDroppedPps: number;
  readonly errorsPps: number;
  /** Packets that wait now; undefined for a link without a queueing discipline. */
  readonly queued: number | undefined;
  /** Packets that may wait. */
  readonly queueLen: number;
  /** Since the device was made. */
  readonly total: LinkStatistics;
}

/** Reads all counters at once. @throws VNIC_NETLINK, VNIC_LINK_CLOSED */
export async function sampleLinks(netlink: Netlink, nowMs: () => number): Promise<LinkSample> {
  const [links, qdiscs] = await Promise.all([netlink.links.list(), netlink.qdiscs.list()]);
  const roots = qdiscs.filter(({ isRoot }) => isRoot);
  return { atMs: nowMs(), links, queued: new Map(roots.map(({ linkIndex, packets }) => [linkIndex, packets])) };
}

/** The rates of every link of the later reading; of one that is new, or whose counters began anew, since they did. */
export function linkRates(before: LinkSample, after: LinkSample): LinkRates[] {
  const seconds = Math.max(1, after.atMs - before.atMs) / 1000;
  const earlier = new Map(before.links.map((link) => [link.index, link.statistics]));
  return after.links.map((link) => {
    const now = link.statistics;
    const then = earlier.get(link.index);
    const perSecond = (field: keyof LinkStatistics): number => {
      const start = then === undefined || then[field] > now[field] ? 0 : then[field];
      return (now[field] - start) / seconds;
    };
    return {
      name: link.name,
      index: link.index,
      kind: interfaceKind(link),
      isUp: link.isUp,
      hasCarrier: link.isRunning,
      rxPps: perSecond('rxPackets'),
      txPps: perSecond('txPackets'),
      rxBps: perSecond('rxBytes') * 8,
      txBps: perSecond('txBytes') * 8,
      rxDroppedPps: perSecond('rxDropped'),
      txDroppedPps: perSecond('txDropped'),
      errorsPps: perSecond('rxErrors') + perSecond('txErrors'),
      queued: after.queued.get(link.index),
      queueLen: link.txQueueLen,
      total: now,
    };
  });
}
