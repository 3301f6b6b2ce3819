/** What a port has been told, and what it makes of it (IEEE 802.1D-2004 section 17.27), by the names of the standard. */

import {
  addressOf,
  compareVectors,
  type PriorityVector,
  sameTimes,
  type TreePort,
  timesOf,
  vectorOf,
} from './spanning-tree-port.ts';

/** Port information, 17.27. */
export function portInformation(port: TreePort): boolean {
  if (!port.isEnabled) {
    const isDone = port.infoIs === 'disabled' && !port.rcvdMsg;
    if (!isDone) disableInformation(port);
    return !isDone;
  }
  if (port.infoIs === 'disabled') return age(port);
  if (port.selected && port.updtInfo) {
    port.proposing = false;
    port.proposed = false;
    port.agreed &&= port.infoIs === 'mine' && compareVectors(port.designatedPriority, port.portPriority) <= 0;
    port.synced &&= port.agreed;
    port.portPriority = port.designatedPriority;
    port.portTimes = port.designatedTimes;
    port.updtInfo = false;
    port.infoIs = 'mine';
    port.newInfo = true;
    return true;
  }
  if (port.infoIs === 'received' && port.rcvdInfoWhile === 0 && !port.updtInfo && !port.rcvdMsg) return age(port);
  if (!port.rcvdMsg || port.updtInfo || port.infoIs === 'aged') return false;
  receiveInformation(port);
  port.rcvdMsg = false;
  return true;
}

function disableInformation(port: TreePort): void {
  port.rcvdMsg = false;
  port.proposing = false;
  port.proposed = false;
  port.agree = false;
  port.agreed = false;
  port.rcvdInfoWhile = 0;
  port.infoIs = 'disabled';
  port.reselect = true;
  port.selected = false;
}

function age(port: TreePort): boolean {
  if (port.infoIs === 'aged') return false;
  port.infoIs = 'aged';
  port.reselect = true;
  port.selected = false;
  return true;
}

/** `rcvInfo` and the states that follow it. */
function receiveInformation(port: TreePort): void {
  const { msg } = port;
  if (msg === undefined) return;
  if (msg.kind === 'tcn') {
    port.rcvdTcn = true;
    return;
  }
  const vector = vectorOf(msg);
  const order = compareVectors(vector, port.portPriority);
  const times = timesOf(msg);
  if (msg.role === 'designated') {
    const isSame = order === 0 && sameTimes(times, port.portTimes);
    if (order < 0 || (isOfSamePort(vector, port.portPriority) && !isSame)) takeSuperior(port, vector);
    else if (isSame) takeRepeated(port);
    else if (order > 0 && msg.learning) {
      port.disputed = true;
      port.agreed = false;
    }
  } else if (msg.role !== 'unknown' && order >= 0) {
    const isAgreed = port.isPointToPoint && msg.agreement;
    port.agreed = isAgreed;
    if (isAgreed) port.proposing = false;
    setTcFlags(port);
  }
}

function isOfSamePort(a: PriorityVector, b: PriorityVector): boolean {
  return addressOf(a.bridgeId) === addressOf(b.bridgeId) && (a.portId & 0xfff) === (b.portId & 0xfff);
}

function takeSuperior(port: TreePort, vector: PriorityVector): void {
  const { msg } = port;
  if (msg === undefined) return;
  port.agreed = false;
  port.proposing = false;
  recordProposal(port);
  setTcFlags(port);
  port.agree &&= port.infoIs === 'received' && compareVectors(vector, port.portPriority) <= 0;
  port.portPriority = vector;
  port.portTimes = { ...timesOf(msg), helloTime: Math.max(1, timesOf(msg).helloTime) };
  updateReceivedInfoWhile(port);
  port.infoIs = 'received';
  port.reselect = true;
  port.selected = false;
}

function takeRepeated(port: TreePort): void {
  recordProposal(port);
  setTcFlags(port);
  updateReceivedInfoWhile(port);
}

function recordProposal(port: TreePort): void {
  if (port.msg?.proposal && port.isPointToPoint) port.proposed = true;
}

function setTcFlags(port: TreePort): void {
  if (port.msg?.topologyChange) port.rcvdTc = true;
  if (port.msg?.topologyChangeAck) port.rcvdTcAck = true;
}

/** Three hellos, unless the message is too old. */
function updateReceivedInfoWhile(port: TreePort): void {
  const { messageAge, maxAge, helloTime } = port.portTimes;
  port.rcvdInfoWhile = Math.round(messageAge + 1) <= maxAge ? Math.ceil(3 * helloTime) : 0;
}
