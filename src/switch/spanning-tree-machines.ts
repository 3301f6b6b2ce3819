/**
 * The state machines of a port (IEEE 802.1D-2004 sections 17.23 to 17.31), by the names of the standard. Each function makes
 * the transitions that are due, and says whether there was one; the bridge calls them until there is none.
 *
 * Between the entries of a state that a machine loops in, its timers are held by setting them again: `fdWhile` of a port that blocks, `rrWhile`
 * of a root port, `rbWhile` of a backup port.
 */

import type { TreePort } from './spanning-tree-port.ts';

/** What the machines need of the bridge. */
export interface TreeBridge {
  readonly treePorts: readonly TreePort[];
  /** Seconds, of the root. */
  readonly forwardDelay: number;
  readonly helloTime: number;
  readonly maxAge: number;
  transmit(port: TreePort, kind: 'config' | 'tcn' | 'rst'): void;
  flush(port: TreePort): void;
  noteChange(): void;
}

export const MIGRATE_TIME = 3;

/** Port receive, 17.23. */
export function portReceive(port: TreePort): boolean {
  if (!port.rcvdBpdu) return false;
  if (!port.isEnabled) {
    port.rcvdBpdu = false;
    port.rcvdRstp = false;
    port.rcvdStp = false;
    port.rcvdMsg = false;
    return true;
  }
  if (port.rcvdMsg) return false;
  if (port.msg?.kind === 'rst') port.rcvdRstp = true;
  else port.rcvdStp = true;
  port.operEdge = false;
  port.rcvdBpdu = false;
  port.rcvdMsg = true;
  port.edgeDelayWhile = MIGRATE_TIME;
  return true;
}

/** Port protocol migration, 17.24. */
export function portMigration(port: TreePort): boolean {
  const begin = (state: TreePort['migration'], sendRstp: boolean): boolean => {
    port.migration = state;
    port.sendRstp = sendRstp;
    port.mdelayWhile = MIGRATE_TIME;
    return true;
  };
  if (port.migration === 'sensing') {
    if (!port.isEnabled || (!port.sendRstp && port.rcvdRstp)) return begin('checking', true);
    if (port.sendRstp && port.rcvdStp) return begin('selecting', false);
    return false;
  }
  if (!port.isEnabled) {
    if (port.migration === 'checking' && port.mdelayWhile === MIGRATE_TIME) return false;
    return begin('checking', true);
  }
  if (port.mdelayWhile !== 0) return false;
  port.migration = 'sensing';
  port.rcvdRstp = false;
  port.rcvdStp = false;
  return true;
}

/** Bridge detection, 17.25. */
export function bridgeDetection(port: TreePort): boolean {
  if (port.operEdge) {
    if (port.isEnabled || port.adminEdge) return false;
    port.operEdge = false;
    return true;
  }
  const isFound =
    (!port.isEnabled && port.adminEdge) ||
    (port.isEnabled && port.edgeDelayWhile === 0 && port.autoEdge && port.sendRstp && port.proposing);
  if (isFound) port.operEdge = true;
  return isFound;
}

/** Port transmit, 17.26. `holdCount` frames go out at once, one a second after. */
export function portTransmit(bridge: TreeBridge, port: TreePort, holdCount: number): boolean {
  if (!port.selected || port.updtInfo || !port.isEnabled) return false;
  if (port.helloWhen === 0) {
    port.newInfo ||= port.role === 'designated' || (port.role === 'root' && port.tcWhile !== 0);
    port.helloWhen = bridge.helloTime;
    return true;
  }
  if (!port.newInfo || port.txCount >= holdCount) return false;
  const isTcn = port.role === 'root';
  // A bridge of 1998 says something by its designated ports, and by its root port of changes alone.
  if (!port.sendRstp && !isTcn && port.role !== 'designated') return false;
  port.newInfo = false;
  port.txCount++;
  port.helloWhen = bridge.helloTime;
  if (!port.sendRstp && isTcn && port.tcWhile === 0) return true;
  bridge.transmit(port, port.sendRstp ? 'rst' : isTcn ? 'tcn' : 'config');
  if (port.sendRstp || !isTcn) port.tcAck = false;
  return true;
}

/** Port role transitions, 17.29. */
export function portRoleTransitions(bridge: TreeBridge, port: TreePort): boolean {
  if (!port.selected || port.updtInfo) return false;
  if (port.role !== port.selectedRole) return enterRole(bridge, port);
  switch (port.role) {
    case 'disabled':
      return blocked(port, bridge.maxAge);
    case 'root':
      return rootPort(bridge, port);
    case 'designated':
      return designatedPort(bridge, port);
    default:
      return alternatePort(bridge, port);
  }
}

function enterRole(bridge: TreeBridge, port: TreePort): boolean {
  const { selectedRole } = port;
  port.role = selectedRole;
  if (selectedRole === 'root') port.rrWhile = bridge.forwardDelay;
  else if (selectedRole !== 'designated') {
    port.learn = false;
    port.forward = false;
  }
  bridge.noteChange();
  return true;
}

/** A port that neither learns nor forwards any more holds its timer, and is in step. */
function blocked(port: TreePort, seconds: number): boolean {
  if (port.learning || port.forwarding) return false;
  if (port.fdWhile === seconds && !port.sync && !port.reRoot && port.synced) return false;
  port.fdWhile = seconds;
  port.synced = true;
  port.rrWhile = 0;
  port.sync = false;
  port.reRoot = false;
  return true;
}

function alternatePort(bridge: TreeBridge, port: TreePort): boolean {
  if (port.proposed && !port.agree) return propose(bridge, port);
  if ((allSynced(bridge) && !port.agree) || (port.proposed && port.agree)) {
    port.proposed = false;
    port.agree = true;
    port.newInfo = true;
    return true;
  }
  if (blocked(port, bridge.forwardDelay)) return true;
  if (port.role !== 'backup' || port.rbWhile === 2 * bridge.helloTime) return false;
  port.rbWhile = 2 * bridge.helloTime;
  return true;
}

function propose(bridge: TreeBridge, port: TreePort): boolean {
  for (const one of bridge.treePorts) one.sync = true;
  port.proposed = false;
  return true;
}

function rootPort(bridge: TreeBridge, port: TreePort): boolean {
  if (port.proposed && !port.agree) return propose(bridge, port);
  if ((allSynced(bridge) && !port.agree) || (port.proposed && port.agree)) {
    port.proposed = false;
    port.sync = false;
    port.agree = true;
    port.newInfo = true;
    return true;
  }
  if (!port.forward && !port.reRoot) {
    for (const one of bridge.treePorts) one.reRoot = true;
    return true;
  }
  if (port.reRoot && port.forward) {
    port.reRoot = false;
    return true;
  }
  const mayGoOn = port.fdWhile === 0 || (reRooted(bridge, port) && port.rbWhile === 0);
  if (mayGoOn && advance(bridge, port)) return true;
  if (port.rrWhile === bridge.forwardDelay) return false;
  port.rrWhile = bridge.forwardDelay;
  return true;
}

/** From discarding to learning, and from there to forwarding. */
function advance(bridge: TreeBridge, port: TreePort): boolean {
  if (!port.learn) {
    port.learn = true;
    port.fdWhile = bridge.forwardDelay;
    return true;
  }
  if (port.forward) return false;
  port.forward = true;
  port.fdWhile = 0;
  return true;
}

function designatedPort(bridge: TreeBridge, port: TreePort): boolean {
  if (!port.forward && !port.agreed && !port.proposing && !port.operEdge) {
    port.proposing = true;
    port.edgeDelayWhile = port.isPointToPoint ? MIGRATE_TIME : bridge.maxAge;
    port.newInfo = true;
    return true;
  }
  if (isInStep(port)) {
    port.rrWhile = 0;
    port.synced = true;
    port.sync = false;
    return true;
  }
  if (port.rrWhile === 0 && port.reRoot) {
    port.reRoot = false;
    return true;
  }
  const mustStop = (port.sync && !port.synced) || (port.reRoot && port.rrWhile !== 0) || port.disputed;
  if (mustStop && !port.operEdge && (port.learn || port.forward)) {
    port.learn = false;
    port.forward = false;
    port.disputed = false;
    port.fdWhile = bridge.forwardDelay;
    return true;
  }
  const mayGoOn = port.fdWhile === 0 || port.agreed || port.operEdge;
  if (!mayGoOn || (port.rrWhile !== 0 && port.reRoot) || port.sync || !advance(bridge, port)) return false;
  if (port.forward) port.agreed = port.sendRstp;
  return true;
}

/** Nothing that its segment would notice has still to end. */
function isInStep({ learning, forwarding, synced, agreed, operEdge, sync }: TreePort): boolean {
  return synced ? sync : (!learning && !forwarding) || agreed || operEdge;
}

/** 17.20.3. */
function allSynced(bridge: TreeBridge): boolean {
  return bridge.treePorts.every(
    (one) => one.selected && one.role === one.selectedRole && (one.synced || one.role === 'root'),
  );
}

/** 17.20.10. */
function reRooted(bridge: TreeBridge, port: TreePort): boolean {
  return bridge.treePorts.every((one) => one === port || one.rrWhile === 0);
}

/** Port state transition, 17.30. */
export function portStateTransition(bridge: TreeBridge, port: TreePort): boolean {
  if (port.learning === port.learn && port.forwarding === (port.forward && port.learn)) return false;
  // Learning comes before forwarding, and ends with it.
  if (port.learning && port.learn) port.forwarding = port.forward;
  else port.forwarding = false;
  port.learning = port.learn;
  bridge.noteChange();
  return true;
}
