/**
 * Rapid spanning tree (IEEE 802.1D-2004 clause 17, before it 802.1w): which ports of a bridge forward, so that a network with loops is a
 * tree. Pure: BPDUs and time come in, BPDUs and what the switch is to do go out.
 *
 * Theory of operation
 *
 *   machines   After each event the state machines of all ports run until none has anything to do, with the selection of roles between them
 *              (17.28). Timers count in seconds, so that an idle bridge wakes once a second, as the standard has it.
 *   rapid      On point-to-point links a designated port proposes, and forwards as soon as the other side agrees, which holds its own
 *              designated ports back meanwhile. What is not agreed on waits for the forward delay, twice.
 *   1998       A neighbour that speaks version 0 alone is found out after the migration time, and is spoken to in its version: it learns of
 *              topology changes by notifications, and gets its acknowledgements.
 *   old news   What is not repeated for three hellos is forgotten, as what is older than the root's maximum age.
 */

import { formatMac, invalidArgument } from '../base/index.ts';
import { type BpduFields, bpduFrameLen, type DropReason, emitBpdu, parseBpdu } from '../wire/index.ts';
import { portInformation } from './spanning-tree-information.ts';
import {
  bridgeDetection,
  MIGRATE_TIME,
  portMigration,
  portReceive,
  portRoleTransitions,
  portStateTransition,
  portTransmit,
  type TreeBridge,
} from './spanning-tree-machines.ts';
import {
  addressOf,
  type BridgeTimes,
  compareVectors,
  type PortRole,
  type PriorityVector,
  type SpanningTreePortSettings,
  sameTimes,
  TreePort,
} from './spanning-tree-port.ts';
import { topologyChange } from './spanning-tree-topology.ts';
import type { SwitchPortState } from './switch-core.ts';

/** What a bridge has done to it. */
export interface SpanningTreeOutput {
  /** Send a frame by a port; valid during the call. */
  transmit(port: number, frame: Uint8Array): void;
  /** Forget the stations that were learned at a port. */
  flush(port: number): void;
  /** The role or state of a port may have changed: look at `port()`. */
  changed(port: number): void;
}

/** How a bridge takes part; times as `ip link` has them. */
export interface SpanningTreeOptions {
  /** Its address, 6 bytes. */
  readonly mac: Uint8Array;
  /** A multiple of 4096 up to 61440; default 32768. The least is root. */
  readonly priority?: number;
  /** Seconds, 1 to 10; default 2. */
  readonly helloTime?: number;
  /** Seconds, 4 to 30; default 15. */
  readonly forwardDelay?: number;
  /** Seconds, 6 to 40, and with `2 * (forwardDelay - 1) >= maxAge >= 2 * (helloTime + 1)`; default 20. */
  readonly maxAge?: number;
  /** BPDUs that a port sends at once, 1 to 10; default 6. */
  readonly transmitHoldCount?: number;
  readonly output: SpanningTreeOutput;
}

/** A port as it is. */
export interface SpanningTreePortStatus {
  readonly role: PortRole;
  readonly state: SwitchPortState;
  readonly pathCost: number;
  readonly portId: number;
  readonly isEdge: boolean;
  /** Speaks version 0, since its neighbour does. */
  readonly isLegacy: boolean;
  /** Shut by a BPDU that must not come. */
  readonly isGuarded: boolean;
  /** Who speaks for the segment: `8000.02:00:00:00:00:01`, and by which of its ports. */
  readonly designatedBridge: string;
  readonly designatedPort: number;
  readonly bpdusIn: number;
  readonly bpdusOut: number;
}

/** The bridge as it is. */
export interface SpanningTreeStatus {
  readonly bridgeId: string;
  readonly rootId: string;
  readonly rootPathCost: number;
  /** Undefined at the root. */
  readonly rootPort: number | undefined;
  readonly topologyChanges: number;
  /** Undefined when there was none yet. */
  readonly sinceTopologyChangeMs: number | undefined;
  /** BPDUs that were none, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

const TICK_MS = 1000;
/** More transitions in a row than any bridge makes: a mistake here, which must not hang the process. */
const MAX_ROUNDS = 1000;

/** A bridge. Every call takes the time, in milliseconds of a clock that does not go back. */
export class SpanningTree {
  readonly #ports = new Map<number, TreePort>();
  readonly #output: SpanningTreeOutput;
  readonly #mac: Uint8Array;
  readonly #bridgeId: bigint;
  readonly #ownTimes: BridgeTimes;
  readonly #holdCount: number;
  readonly #frame = new Uint8Array(bpduFrameLen);
  readonly #dropped: Record<string, number> = {};
  readonly #bridge: TreeBridge;
  #rootPriority: PriorityVector;
  #rootTimes: BridgeTimes;
  #rootPort: number | undefined;
  #tickMs: number | undefined;
  #nowMs = 0;
  #hasChanged = false;
  #topologyChanges = 0;
  #topologyChangeMs: number | undefined;

  /** @throws VNIC_INVALID_ARGUMENT for options out of range */
  constructor(options: SpanningTreeOptions) {
    const { mac, priority = 32_768, helloTime = 2, forwardDelay = 15, maxAge = 20, transmitHoldCount = 6 } = options;
    checkOptions(mac, priority, { helloTime, forwardDelay, maxAge, messageAge: 0 }, transmitHoldCount);
    this.#output = options.output;
    this.#mac = mac.slice();
    this.#bridgeId = mac.reduce((sum, byte) => (sum << 8n) | BigInt(byte), BigInt(priority));
    this.#ownTimes = { messageAge: 0, maxAge, helloTime, forwardDelay };
    this.#holdCount = transmitHoldCount;
    this.#rootPriority = this.#ownVector();
    this.#rootTimes = this.#ownTimes;
    this.#bridge = this.#asBridge();
  }

  /** Adds a port, whose link is up. */
  addPort(id: number, settings: SpanningTreePortSettings, nowMs: number): void {
    const port = new TreePort(id, settings, this.#ownVector(), this.#ownTimes);
    port.operEdge = port.adminEdge;
    port.mdelayWhile = MIGRATE_TIME;
    port.edgeDelayWhile = MIGRATE_TIME;
    port.fdWhile = this.#ownTimes.maxAge;
    this.#ports.set(id, port);
    this.#run(nowMs);
  }

  /** Other settings; what a guard has shut is open again. */
  setPort(id: number, settings: SpanningTreePortSettings, nowMs: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) return;
    port.settings = settings;
    port.isGuarded = false;
    if (port.adminEdge) port.operEdge = true;
    for (const one of this.#ports.values()) {
      one.reselect = true;
      one.selected = false;
    }
    this.#run(nowMs);
  }

  /** The link of a port. */
  setPortUp(id: number, state: 'up' | 'down', nowMs: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) return;
    port.isUp = state === 'up';
    port.isGuarded &&= port.isUp;
    if (port.isUp && port.adminEdge) port.operEdge = true;
    this.#run(nowMs);
  }

  /** Takes a port out. */
  removePort(id: number, nowMs: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) return;
    this.#ports.delete(id);
    for (const one of this.#ports.values()) {
      one.reselect = true;
      one.selected = false;
    }
    this.#run(nowMs);
  }

  /** A frame to 01:80:c2:00:00:00 has come by a port. Says why it is no BPDU for this bridge. */
  receive(
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    nowMs: number,
  ): DropReason | 'no-port' | undefined {
    const port = this.#ports.get(id);
    if (port === undefined) return this.#drop('no-port');
    const msg = parseBpdu(bytes, at, length);
    if (typeof msg === 'string') return this.#drop(msg);
    port.counters.bpdusIn++;
    if (port.settings.bpduGuard) port.isGuarded = true;
    else if (isTooOld(msg)) return this.#drop('bad-length');
    port.msg = msg;
    port.rcvdBpdu = true;
    this.#run(nowMs);
    return undefined;
  }

  /** When `advance` is to be called next, or Infinity. */
  get nextWakeupMs(): number {
    return this.#ports.size === 0 || this.#tickMs === undefined ? Number.POSITIVE_INFINITY : this.#tickMs + TICK_MS;
  }

  /** Lets timers run out. */
  advance(nowMs: number): void {
    this.#run(nowMs);
  }

  /** Undefined when there is none of that number. */
  port(id: number): SpanningTreePortStatus | undefined {
    const port = this.#ports.get(id);
    if (port === undefined) return undefined;
    const { bridgeId, portId } = port.role === 'designated' ? port.designatedPriority : port.portPriority;
    return {
      role: port.role,
      state: port.forwarding ? 'forwarding' : port.learning ? 'learning' : 'discarding',
      pathCost: port.pathCost,
      portId: port.portId,
      isEdge: port.operEdge,
      isLegacy: !port.sendRstp,
      isGuarded: port.isGuarded,
      designatedBridge: formatBridgeId(bridgeId),
      designatedPort: portId,
      ...port.counters,
    };
  }

  /** How the bridge stands. */
  status(nowMs: number): SpanningTreeStatus {
    const { rootId, rootPathCost } = this.#rootPriority;
    return {
      bridgeId: formatBridgeId(this.#bridgeId),
      rootId: formatBridgeId(rootId),
      rootPathCost,
      rootPort: this.#rootPort,
      topologyChanges: this.#topologyChanges,
      sinceTopologyChangeMs: this.#topologyChangeMs === undefined ? undefined : nowMs - this.#topologyChangeMs,
      dropped: { ...this.#dropped },
    };
  }

  #drop<Reason extends string>(reason: Reason): Reason {
    this.#dropped[reason] = (this.#dropped[reason] ?? 0) + 1;
    return reason;
  }

  #ownVector(): PriorityVector {
    return { rootId: this.#bridgeId, rootPathCost: 0, bridgeId: this.#bridgeId, portId: 0 };
  }

  #asBridge(): TreeBridge {
    const times = (): BridgeTimes => this.#rootTimes;
    const ports = (): readonly TreePort[] => [...this.#ports.values()];
    return {
      get treePorts() {
        return ports();
      },
      get forwardDelay() {
        return Math.ceil(times().forwardDelay);
      },
      get maxAge() {
        return Math.ceil(times().maxAge);
      },
      helloTime: this.#ownTimes.helloTime,
      transmit: (port, kind) => this.#transmit(port, kind),
      flush: (port) => this.#output.flush(port.number),
      noteChange: () => {
        this.#hasChanged = true;
      },
    };
  }

  #run(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#tickMs ??= nowMs;
    this.#settle();
    for (; this.#tickMs + TICK_MS <= nowMs; this.#tickMs += TICK_MS) {
      // After a long sleep nothing of what was heard is true any more, and each second of it needs not be gone through.
      const late = nowMs - this.#tickMs;
      if (late > 100 * TICK_MS) this.#tickMs += Math.floor(late / TICK_MS - 60) * TICK_MS;
      for (const port of this.#ports.values()) tick(port);
      this.#settle();
    }
    if (!this.#hasChanged) return;
    this.#hasChanged = false;
    for (const id of this.#ports.keys()) this.#output.changed(id);
  }

  /** Until no machine has anything to do. */
  #settle(): void {
    const bridge = this.#bridge;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      let isBusy = this.#selectRoles();
      for (const port of this.#ports.values()) {
        const wasActive = port.topology === 'active';
        isBusy =
          [
            portReceive(port),
            portMigration(port),
            bridgeDetection(port),
            portInformation(port),
            portRoleTransitions(bridge, port),
            portStateTransition(bridge, port),
            topologyChange(bridge, port),
          ].includes(true) || isBusy;
        if (!wasActive && port.topology === 'active') this.#noteTopologyChange();
      }
      if (!isBusy) break;
    }
    // What is said is how it came out.
    for (const port of this.#ports.values()) while (portTransmit(bridge, port, this.#holdCount));
  }

  #noteTopologyChange(): void {
    this.#topologyChanges++;
    this.#topologyChangeMs = this.#nowMs;
  }

  /** Port role selection, 17.28 and `updtRolesTree` 17.21.25. */
  #selectRoles(): boolean {
    const ports = [...this.#ports.values()];
    if (!ports.some(({ reselect }) => reselect)) return false;
    for (const port of ports) port.reselect = false;
    this.#selectRoot(ports);
    for (const port of ports) {
      port.designatedPriority = { ...this.#rootPriority, bridgeId: this.#bridgeId, portId: port.portId };
      port.designatedTimes = { ...this.#rootTimes, helloTime: this.#ownTimes.helloTime };
      selectRole(port, port.number === this.#rootPort, this.#bridgeId);
      port.selected = true;
    }
    return true;
  }

  #selectRoot(ports: readonly TreePort[]): void {
    this.#rootPriority = this.#ownVector();
    this.#rootTimes = this.#ownTimes;
    this.#rootPort = undefined;
    let best = { ...this.#rootPriority, receivedBy: 0 };
    for (const port of ports) {
      const { portPriority, portTimes } = port;
      if (port.infoIs !== 'received' || addressOf(portPriority.bridgeId) === addressOf(this.#bridgeId)) continue;
      const rootPathCost = portPriority.rootPathCost + port.pathCost;
      const path = { ...portPriority, rootPathCost, receivedBy: port.portId };
      const order = compareVectors(path, best);
      if (order > 0 || (order === 0 && path.receivedBy >= best.receivedBy)) continue;
      best = path;
      const { receivedBy: _receivedBy, ...vector } = path;
      this.#rootPriority = vector;
      this.#rootTimes = { ...portTimes, messageAge: Math.round(portTimes.messageAge + 1) };
      this.#rootPort = port.number;
    }
  }

  #transmit(port: TreePort, kind: BpduFields['kind']): void {
    const { designatedPriority, designatedTimes, role } = port;
    const isRst = kind === 'rst';
    const fields: BpduFields = {
      ...designatedPriority,
      kind,
      role: role === 'root' || role === 'designated' ? role : 'alternate-backup',
      topologyChange: port.tcWhile !== 0,
      // Of RST BPDUs it is never set (17.21.20).
      topologyChangeAck: !isRst && port.tcAck,
      proposal: isRst && port.proposing,
      agreement: isRst && port.agree,
      learning: isRst && port.learning,
      forwarding: isRst && port.forwarding,
      messageAgeMs: designatedTimes.messageAge * 1000,
      maxAgeMs: designatedTimes.maxAge * 1000,
      helloTimeMs: designatedTimes.helloTime * 1000,
      forwardDelayMs: designatedTimes.forwardDelay * 1000,
    };
    const length = emitBpdu(fields, this.#mac, this.#frame);
    port.counters.bpdusOut++;
    this.#output.transmit(port.number, this.#frame.subarray(0, length));
  }
}

function selectRole(port: TreePort, isRoot: boolean, bridgeId: bigint): void {
  const { infoIs, portPriority, designatedPriority } = port;
  port.updtInfo = false;
  if (infoIs === 'disabled') port.selectedRole = 'disabled';
  else if (infoIs !== 'received') {
    port.selectedRole = 'designated';
    const isSame =
      compareVectors(portPriority, designatedPriority) === 0 && sameTimes(port.portTimes, port.designatedTimes);
    port.updtInfo = infoIs === 'aged' || !isSame;
  } else if (isRoot) port.selectedRole = 'root';
  else if (compareVectors(designatedPriority, portPriority) < 0) {
    port.selectedRole = 'designated';
    port.updtInfo = true;
  } else port.selectedRole = addressOf(portPriority.bridgeId) === addressOf(bridgeId) ? 'backup' : 'alternate';
}

function tick(port: TreePort): void {
  port.edgeDelayWhile = Math.max(0, port.edgeDelayWhile - 1);
  port.fdWhile = Math.max(0, port.fdWhile - 1);
  port.helloWhen = Math.max(0, port.helloWhen - 1);
  port.mdelayWhile = Math.max(0, port.mdelayWhile - 1);
  port.rbWhile = Math.max(0, port.rbWhile - 1);
  port.rcvdInfoWhile = Math.max(0, port.rcvdInfoWhile - 1);
  port.rrWhile = Math.max(0, port.rrWhile - 1);
  port.tcWhile = Math.max(0, port.tcWhile - 1);
  port.txCount = Math.max(0, port.txCount - 1);
}

/** 9.3.4 b. */
function isTooOld({ kind, messageAgeMs, maxAgeMs }: BpduFields): boolean {
  return kind === 'config' && messageAgeMs >= maxAgeMs;
}

function formatBridgeId(id: bigint): string {
  const mac = Uint8Array.from({ length: 6 }, (_, i) => Number((id >> BigInt(8 * (5 - i))) & 0xffn));
  return `${(id >> 48n).toString(16).padStart(4, '0')}.${formatMac(mac)}`;
}

function checkOptions(mac: Uint8Array, priority: number, times: BridgeTimes, holdCount: number): void {
  const attempted = 'make a bridge with spanning tree';
  const { helloTime, forwardDelay, maxAge } = times;
  const check = (isRight: boolean, expected: string, got: unknown): void => {
    if (!isRight) throw invalidArgument(attempted, expected, got);
  };
  const isWithin = (value: number, least: number, most: number): boolean =>
    Number.isInteger(value) && value >= least && value <= most;
  check(mac.length === 6 && ((mac[0] as number) & 1) === 0, 'a station address of 6 bytes', formatMac(mac));
  check(isWithin(priority, 0, 61_440) && priority % 4096 === 0, 'a priority that is a multiple of 4096', priority);
  check(isWithin(helloTime, 1, 10), 'a hello time of 1 to 10 seconds', helloTime);
  check(isWithin(forwardDelay, 4, 30), 'a forward delay of 4 to 30 seconds', forwardDelay);
  check(isWithin(maxAge, 6, 40), 'a maximum age of 6 to 40 seconds', maxAge);
  check(
    2 * (forwardDelay - 1) >= maxAge && maxAge >= 2 * (helloTime + 1),
    'times with 2 * (forward delay - 1) >= maximum age >= 2 * (hello time + 1)',
    `${forwardDelay}, ${maxAge} and ${helloTime}`,
  );
  check(isWithin(holdCount, 1, 10), 'a hold count of 1 to 10', holdCount);
}
