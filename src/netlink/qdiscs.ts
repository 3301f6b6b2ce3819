/**
 * Queueing disciplines: what waits in front of a device (`RTM_GETQDISC`; `rtnetlink.h`, `pkt_sched.h`, `gen_stats.h`).
 *
 *   struct tcmsg              0 family u8 | 4 index i32 | 8 handle u32 | 12 parent u32 | 16 info u32
 *   struct gnet_stats_queue   0 packets u32 | 4 backlog in bytes u32 | 8 drops u32 | 12 requeues u32 | 16 overlimits u32
 *
 * Read only. A device without one (`noqueue`) is not in the answer, nor what the driver itself has queued behind it.
 */

import { collectInto, type RequestOptions } from './links.ts';
import { littleEndian, type MessageFault, parseBody } from './message.ts';
import { dumpMessage, type NetlinkRequester } from './socket.ts';

/** A queueing discipline with what it has counted. */
export interface QdiscInfo {
  readonly linkIndex: number;
  /** `pfifo_fast`, `fq_codel`, `mq`, … */
  readonly kind: string;
  /** Of the whole device; others are parts of it. */
  readonly isRoot: boolean;
  /** Packets that wait. */
  readonly packets: number;
  /** Bytes that wait. */
  readonly backlogBytes: number;
  /** Packets dropped since it was made. */
  readonly drops: number;
}

const TCMSG_LEN = 20;
const QUEUE_STATISTICS_LEN = 12;
const RTM_NEWQDISC = 36;
const RTM_GETQDISC = 38;
const Tca = { KIND: 1, STATS2: 7 } as const;
const TCA_STATS_QUEUE = 3;
const TC_H_ROOT = 0xffff_ffff;

/** The queueing disciplines of the namespace that the socket was opened in. */
export class Qdiscs {
  readonly #requester: NetlinkRequester;

  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
  }

  /** In the order of the kernel. @throws VNIC_ABORTED, VNIC_LINK_CLOSED, VNIC_NETLINK */
  async list(options: RequestOptions = {}): Promise<QdiscInfo[]> {
    const qdiscs: QdiscInfo[] = [];
    await this.#requester.request({
      subject: 'link',
      attempted: 'list the queueing disciplines',
      call: 'RTM_GETQDISC',
      message: dumpMessage(RTM_GETQDISC).fixed(TCMSG_LEN, () => undefined),
      ...collectInto(qdiscs, RTM_NEWQDISC, parseQdisc),
      signal: options.signal,
    });
    return qdiscs;
  }
}

/** Reads the body of `RTM_NEWQDISC`. */
export function parseQdisc(body: Uint8Array): QdiscInfo | MessageFault {
  const parsed = parseBody(body, TCMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const { fixed, attributes } = parsed;
  const queue = attributes.nested(Tca.STATS2)?.bytes(TCA_STATS_QUEUE);
  const isWhole = queue !== undefined && queue.length >= QUEUE_STATISTICS_LEN;
  const view = isWhole ? new DataView(queue.buffer, queue.byteOffset, queue.byteLength) : undefined;
  return {
    linkIndex: fixed.getInt32(4, littleEndian),
    kind: attributes.text(Tca.KIND) ?? '',
    isRoot: fixed.getUint32(12, littleEndian) === TC_H_ROOT,
    packets: view?.getUint32(0, littleEndian) ?? 0,
    backlogBytes: view?.getUint32(4, littleEndian) ?? 0,
    drops: view?.getUint32(8, littleEndian) ?? 0,
  };
}
