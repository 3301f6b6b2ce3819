/** Topology changes of a port (IEEE 802.1D-2004 section 17.31), by the names of the standard. */

import type { TreeBridge } from './spanning-tree-machines.ts';
import type { TreePort } from './spanning-tree-port.ts';

/** Topology change, 17.31. */
export function topologyChange(bridge: TreeBridge, port: TreePort): boolean {
  if (port.fdbFlush) {
    port.fdbFlush = false;
    bridge.flush(port);
  }
  const isActiveRole = port.role === 'root' || port.role === 'designated';
  const told = port.rcvdTc || port.rcvdTcn || port.rcvdTcAck || port.tcProp;
  if (port.topology === 'inactive') {
    if (!port.learn) return false;
    port.topology = 'learning';
    return true;
  }
  if (port.topology === 'learning') {
    if (isActiveRole && port.forward && !port.operEdge) {
      forgetTold(port);
      newTcWhile(bridge, port);
      propagate(bridge, port);
      port.newInfo = true;
      port.topology = 'active';
      return true;
    }
    if (told) forgetTold(port);
    else if (isActiveRole || port.learn || port.learning) return false;
    else {
      port.topology = 'inactive';
      port.fdbFlush = true;
      port.tcWhile = 0;
      port.tcAck = false;
    }
    return true;
  }
  if (!isActiveRole || port.operEdge) {
    port.topology = 'learning';
    return true;
  }
  return active(bridge, port);
}

function active(bridge: TreeBridge, port: TreePort): boolean {
  if (port.rcvdTcn || port.rcvdTc) {
    if (port.rcvdTcn) newTcWhile(bridge, port);
    // Only a bridge of 1998 has asked for it.
    if (port.rcvdTcn && port.role === 'designated') port.tcAck = true;
    port.rcvdTcn = false;
    port.rcvdTc = false;
    propagate(bridge, port);
    return true;
  }
  if (port.tcProp) {
    newTcWhile(bridge, port);
    port.fdbFlush = true;
    port.tcProp = false;
    return true;
  }
  if (!port.rcvdTcAck) return false;
  port.tcWhile = 0;
  port.rcvdTcAck = false;
  return true;
}

function forgetTold(port: TreePort): void {
  port.rcvdTc = false;
  port.rcvdTcn = false;
  port.rcvdTcAck = false;
  port.tcProp = false;
}

/** 17.21.7. */
function newTcWhile(bridge: TreeBridge, port: TreePort): void {
  if (port.tcWhile !== 0) return;
  port.tcWhile = port.sendRstp ? bridge.helloTime + 1 : bridge.maxAge + bridge.forwardDelay;
  port.newInfo ||= port.sendRstp;
}

/** `setTcPropTree`. */
function propagate(bridge: TreeBridge, port: TreePort): void {
  for (const one of bridge.treePorts) if (one !== port) one.tcProp = true;
}
