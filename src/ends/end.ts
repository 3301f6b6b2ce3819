/** What an open end is, and how it is asked for. */

import type { Medium, PacketLink } from '../link/index.ts';
import type { CarrierPolicy } from './carrier.ts';

/** An end that is open. */
export interface OpenEnd {
  readonly link: PacketLink;
  /** For people: `TUN device tun0`, `TCP 192.0.2.1:7000`. */
  readonly label: string;
  /** Of a device: it takes packets longer than its MTU from this side, as an interface takes longer ones from the wire. */
  readonly takesLonger?: true;
  /** Of a device that was made here, and was not told its MTU: sets that. */
  setMtu?(mtu: number): Promise<void>;
  /** Free bytes that it wants before each packet it is given, for a header of its own; default 0. It does without. */
  readonly headroom?: number;
  /** How many packets may wait for it, where nobody has said; default that of `forward`. A slow line wants few. */
  readonly queuePackets?: number;
  /** Closes the link and everything behind it. Idempotent. */
  close(): Promise<void>;
}

/** How an end is opened. */
export interface OpenEndOptions extends CarrierPolicy {
  /** What it carries. */
  readonly medium: Medium;
  /** Longest payload of a device that is made and is not told otherwise. */
  readonly mtu?: number;
  /** Free bytes before each packet that a device reads; default 0. */
  readonly headroom?: number;
  /** Devices hand super-packets through as they are: both ends do, or neither. */
  readonly superPackets?: boolean;
}
