/**
 * The variables of a port of a bridge with spanning tree (IEEE 802.1D-2004 section 17.19), and priority vectors (17.6), by the names of the
 * standard. Timers count down in seconds.
 */

import type { BpduFields } from '../wire/index.ts';

/** What a port is for (17.3.1). */
export type PortRole = 'disabled' | 'root' | 'designated' | 'alternate' | 'backup';

/** A priority vector; less is better, field by field. */
export interface PriorityVector {
  readonly rootId: bigint;
  readonly rootPathCost: number;
  readonly bridgeId: bigint;
  readonly portId: number;
}

/** Times that travel with a vector, in seconds. */
export interface BridgeTimes {
  readonly messageAge: number;
  readonly maxAge: number;
  readonly helloTime: number;
  readonly forwardDelay: number;
}

/** How a port takes part. */
export interface SpanningTreePortSettings {
  /** 1 to 200,000,000; default 20,000. */
  readonly pathCost?: number;
  /** A multiple of 16 up to 240; default 128. */
  readonly stpPriority?: number;
  /** `AdminEdge`; left out, an edge is found out by itself (`AutoEdge`). */
  readonly isEdge?: boolean;
  /** A BPDU shuts the port, until it is set or brought up again; default false. */
  readonly bpduGuard?: boolean;
  /** False for a segment with more than two bridges, where nothing is agreed on at once; default true. */
  readonly isPointToPoint?: boolean;
}

const DEFAULT_PATH_COST = 20_000;
const DEFAULT_PRIORITY = 128;

/** A port and all that its state machines know. */
export class TreePort {
  readonly number: number;
  settings: SpanningTreePortSettings;
  isUp = true;
  /** A BPDU came although none may. */
  isGuarded = false;

  // Timers.
  edgeDelayWhile = 0;
  fdWhile = 0;
  helloWhen = 0;
  mdelayWhile = 0;
  rbWhile = 0;
  rcvdInfoWhile = 0;
  rrWhile = 0;
  tcWhile = 0;

  agree = false;
  agreed = false;
  disputed = false;
  fdbFlush = false;
  forward = false;
  forwarding = false;
  infoIs: 'disabled' | 'aged' | 'mine' | 'received' = 'disabled';
  learn = false;
  learning = false;
  newInfo = false;
  operEdge = false;
  proposed = false;
  proposing = false;
  rcvdBpdu = false;
  rcvdMsg = false;
  rcvdRstp = false;
  rcvdStp = false;
  rcvdTc = false;
  rcvdTcAck = false;
  rcvdTcn = false;
  reRoot = false;
  reselect = true;
  role: PortRole = 'disabled';
  selected = false;
  selectedRole: PortRole = 'disabled';
  sendRstp = true;
  sync = false;
  synced = false;
  tcAck = false;
  tcProp = false;
  txCount = 0;
  updtInfo = false;

  msg: BpduFields | undefined;
  portPriority: PriorityVector;
  portTimes: BridgeTimes;
  designatedPriority: PriorityVector;
  designatedTimes: BridgeTimes;

  // States of the machines that need one.
  migration: 'checking' | 'sensing' | 'selecting' = 'checking';
  topology: 'inactive' | 'learning' | 'active' = 'inactive';

  readonly counters = { bpdusIn: 0, bpdusOut: 0 };

  constructor(id: number, settings: SpanningTreePortSettings, vector: PriorityVector, times: BridgeTimes) {
    this.number = id;
    this.settings = settings;
    this.portPriority = vector;
    this.designatedPriority = vector;
    this.portTimes = times;
    this.designatedTimes = times;
  }

  /** `portEnabled`. */
  get isEnabled(): boolean {
    return this.isUp && !this.isGuarded;
  }

  get pathCost(): number {
    return this.settings.pathCost ?? DEFAULT_PATH_COST;
  }

  /** Four bits of priority, twelve of a number from 1 (9.2.7). */
  get portId(): number {
    return ((this.settings.stpPriority ?? DEFAULT_PRIORITY) << 8) | ((this.number + 1) & 0xfff);
  }

  get adminEdge(): boolean {
    return this.settings.isEdge === true;
  }

  get autoEdge(): boolean {
    return this.settings.isEdge === undefined;
  }

  get isPointToPoint(): boolean {
    return this.settings.isPointToPoint ?? true;
  }
}

/** Less than 0 when `a` is better. */
export function compareVectors(a: PriorityVector, b: PriorityVector): number {
  if (a.rootId !== b.rootId) return a.rootId < b.rootId ? -1 : 1;
  if (a.rootPathCost !== b.rootPathCost) return a.rootPathCost - b.rootPathCost;
  if (a.bridgeId !== b.bridgeId) return a.bridgeId < b.bridgeId ? -1 : 1;
  return a.portId - b.portId;
}

/** True when all times are the same. */
export function sameTimes(a: BridgeTimes, b: BridgeTimes): boolean {
  return (
    a.messageAge === b.messageAge &&
    a.maxAge === b.maxAge &&
    a.helloTime === b.helloTime &&
    a.forwardDelay === b.forwardDelay
  );
}

/** The address of a bridge, without its priority. */
export function addressOf(bridgeId: bigint): bigint {
  return bridgeId & 0xffff_ffff_ffffn;
}

/** What a message says. */
export function vectorOf({ rootId, rootPathCost, bridgeId, portId }: BpduFields): PriorityVector {
  return { rootId, rootPathCost, bridgeId, portId };
}

/** Its times, in seconds. */
export function timesOf({ messageAgeMs, maxAgeMs, helloTimeMs, forwardDelayMs }: BpduFields): BridgeTimes {
  return {
    messageAge: messageAgeMs / 1000,
    maxAge: maxAgeMs / 1000,
    helloTime: helloTimeMs / 1000,
    forwardDelay: forwardDelayMs / 1000,
  };
}
