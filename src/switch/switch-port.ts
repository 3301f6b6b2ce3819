/** A port of a running switch: its link, settings and totals. */

import type { VnicError } from '../base/index.ts';
import type { PacketLink } from '../link/index.ts';
import type { PortRole } from './spanning-tree-port.ts';
import type { FrameSink } from './super-packets.ts';
import type { SwitchPortState } from './switch-core.ts';
import { type SwitchDropReason, type SwitchPortSettings, switchDropReasons } from './switch-settings.ts';

/** Totals of a port. A super-packet counts as one frame. */
export interface SwitchPortCounters {
  /** Frames and bytes that came by it. */
  readonly framesIn: number;
  readonly bytesIn: number;
  /** Frames and bytes that its link has taken. */
  readonly framesOut: number;
  readonly bytesOut: number;
  /** Of those that came by it, the ones that did not pass; `queue-full`, of those that were to leave by it. */
  readonly dropped: Readonly<Record<SwitchDropReason | 'queue-full', number>>;
}

/** A port of a running switch. */
export interface SwitchPort {
  readonly id: number;
  readonly name: string;
  readonly link: PacketLink;
  readonly settings: SwitchPortSettings;
  readonly counters: SwitchPortCounters;
  /** False while its link carries nothing. */
  readonly isUp: boolean;
}

/** Which frames of a port are shown elsewhere. */
export type MirrorDirection = 'in' | 'out' | 'both';

/** A port whose frames are shown elsewhere. */
export interface MirrorSource {
  readonly port: number;
  readonly direction: MirrorDirection;
}

/** What happens to a switch. */
export interface SwitchEvents {
  /** A port's link has ended; undefined when it was closed. */
  portGone: { readonly port: SwitchPort; readonly error: VnicError | undefined };
  /** Spanning tree has given a port another role or state. */
  spanningTree: { readonly port: SwitchPort; readonly role: PortRole; readonly state: SwitchPortState };
  /** A station was seen at two ports in turn: a loop, or two of the same address. At most one a second; `mac` is a copy. */
  flapping: { readonly vlan: number; readonly mac: Uint8Array; readonly port: number; readonly from: number };
}

/** The totals as they are counted. */
export type MutablePortCounters = { -readonly [Key in keyof SwitchPortCounters]: SwitchPortCounters[Key] } & {
  dropped: Record<SwitchDropReason | 'queue-full', number>;
};

/** A port as the switch has it. */
export interface OwnPort extends SwitchPort {
  settings: SwitchPortSettings;
  isUp: boolean;
  readonly counters: MutablePortCounters;
  /** Length of the virtio-net header before its frames, or 0. */
  readonly prefixLen: number;
  /** Ports that show what comes by it, and what leaves by it. */
  mirrorsIn: readonly OwnPort[];
  mirrorsOut: readonly OwnPort[];
  /** Writes frames that have the form of its link. */
  readonly sink: FrameSink;
  /** What spanning tree has said last. */
  treeRole?: PortRole;
  treeState?: SwitchPortState;
  stop(): void;
}

/** Nothing counted yet. */
export function zeroCounters(): MutablePortCounters {
  const reasons = [...switchDropReasons, 'queue-full'] as const;
  const dropped = Object.fromEntries(reasons.map((reason) => [reason, 0])) as MutablePortCounters['dropped'];
  return { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, dropped };
}
