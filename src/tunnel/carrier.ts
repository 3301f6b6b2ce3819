/** What a tunnel goes over. */

import type { PacketLink } from '../link/index.ts';

/** One connection between the two sides: a link that takes packets of at least `MAX_CONTROL_LEN` bytes, or as long as datagrams can be. */
export interface TunnelCarrier {
  readonly link: PacketLink;
  /** Who is there, for people: `192.0.2.1:7000`. */
  readonly peer: string;
  /** Of the public key of the other side, where the carrier has proved it. */
  readonly fingerprint?: string;
  /** Longest payload that goes over it without being cut, in bytes; left out where nothing is cut: a stream. */
  readonly mtu?: number;
}
