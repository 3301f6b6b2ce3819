/**
 * Counters of a link: `struct rtnl_link_stats64` (`include/uapi/linux/if_link.h`), a row of u64 that later
 * kernels make longer. Given as numbers: exact up to 2^53, which bytes reach after 104 days at 8 Gb/s.
 */

import { littleEndian } from './message.ts';

/** In the order of the struct, named as the kernel names them. */
const fields = [
  'rxPackets',
  'txPackets',
  'rxBytes',
  'txBytes',
  'rxErrors',
  'txErrors',
  'rxDropped',
  'txDropped',
  'multicast',
  'collisions',
  'rxLengthErrors',
  'rxOverErrors',
  'rxCrcErrors',
  'rxFrameErrors',
  'rxFifoErrors',
  'rxMissedErrors',
  'txAbortedErrors',
  'txCarrierErrors',
  'txFifoErrors',
  'txHeartbeatErrors',
  'txWindowErrors',
  'rxCompressed',
  'txCompressed',
  'rxNohandler',
  'rxOtherhostDropped',
] as const;

/** Totals since the link was made, as the kernel counts them; 0 for what this kernel does not count. */
export type LinkStatistics = Readonly<Record<(typeof fields)[number], number>>;

/** Reads as many counters as the kernel sent. */
export function parseLinkStatistics(bytes: Uint8Array | undefined): LinkStatistics {
  if (bytes === undefined) return noStatistics;
  const statistics = {} as Record<(typeof fields)[number], number>;
  // Attributes start at multiples of 4, so the u64 may not be aligned: read by DataView.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [i, field] of fields.entries()) {
    const offset = i * 8;
    const present = offset + 8 <= view.byteLength;
    statistics[field] = present ? Number(view.getBigUint64(offset, littleEndian)) : 0;
  }
  return statistics;
}

const noStatistics = Object.fromEntries(fields.map((field) => [field, 0])) as LinkStatistics;
