/**
 * The two words of a packet's descriptor that an `InterfaceLink` fills in, beside offset and length.
 *
 *     word 2  bits 0-7  packet type of `linux/if_packet.h`: 0 for this host, 1 broadcast, 2 multicast, 3 for
 *                       another host, 4 outgoing
 *             bit 8     the checksum of the transport header is pending
 *     word 3  length on the interface
 */

import { DESCRIPTOR_WORDS, type PacketBatch } from '../link/index.ts';

/** Whether this machine received a packet or sent it. A loopback interface shows each packet both ways. */
export type Direction = 'incoming' | 'outgoing';

const TYPE_MASK = 0xff;
/** `PACKET_OUTGOING`; the lower types are all of received packets. */
const PACKET_OUTGOING = 4;
const CHECKSUM_PENDING = 0x100;

/** Whether packet `index` of a batch read from an `InterfaceLink` was received or sent. */
export function packetDirection(batch: PacketBatch, index: number): Direction {
  return (wordOf(batch, index, 2) & TYPE_MASK) === PACKET_OUTGOING ? 'outgoing' : 'incoming';
}

/**
 * Whether the TCP, UDP or SCTP checksum of packet `index` of a batch read from an `InterfaceLink` is still to be
 * computed (`TP_STATUS_CSUMNOTREADY`). Such a packet has not left this machine, which leaves the checksum to the
 * network card; it may also be a super-packet of many segments. It is a good packet, but whoever passes it on by
 * other means has to compute the checksum.
 */
export function checksumPending(batch: PacketBatch, index: number): boolean {
  return (wordOf(batch, index, 2) & CHECKSUM_PENDING) !== 0;
}

/**
 * How long packet `index` of a batch read from an `InterfaceLink` was on the interface, VLAN tags included; more
 * than its length in the batch when it was cut to `MAX_FRAME_LEN`.
 */
export function originalLength(batch: PacketBatch, index: number): number {
  return wordOf(batch, index, 3);
}

/** Word 2 of the descriptor of a packet. */
export function packetTypeWord(type: number, isChecksumPending: boolean): number {
  return isChecksumPending ? type | CHECKSUM_PENDING : type;
}

function wordOf({ descriptors }: PacketBatch, index: number, word: number): number {
  return descriptors[index * DESCRIPTOR_WORDS + word] as number;
}
