/** The device itself: kind, state, who reads it. */

import { readFileSync } from 'node:fs';

import { describeHolders } from '../tun/index.ts';
import { fine, found, type PathCheck, type PathContext, shellWord } from './path-check.ts';

/** TUN carries IP packets, TAP Ethernet frames: a bridge and a virtual machine need a TAP. */
export function checkKind({ link, expectedKind }: PathContext): PathCheck {
  const title = 'Kind';
  const kind = link.tun?.kind ?? link.kind ?? link.linkType;
  if (expectedKind === undefined || kind === expectedKind) return fine('kind', title, kind);
  const name = shellWord(link.name);
  const isOurs = link.tun !== undefined;
  return found('kind', title, {
    detail: `it is of kind ${kind}, not ${expectedKind}`,
    fix: isOurs
      ? `sudo vnic delete ${name} && sudo vnic create ${name} --${expectedKind} --up`
      : `choose another name: vnic did not make ${link.name}`,
  });
}

export function checkUp({ link }: PathContext): PathCheck {
  if (link.isUp) return fine('up', 'Up', 'yes');
  return found('up', 'Up', { detail: 'it is down', fix: `sudo vnic up ${shellWord(link.name)}` });
}

/** Without somebody on the other side of it a device has no carrier, and what is sent is dropped. */
export function checkAttached(context: PathContext): PathCheck {
  const { link, links } = context;
  const title = 'Attached';
  if (link.tun !== undefined) return checkHolders(context);
  if (link.isRunning || !link.isUp)
    return fine('attached', title, link.isRunning ? 'carrier' : 'not known while it is down');
  const name = shellWord(link.name);
  if (link.kind === 'bridge') {
    const ports = links.filter(({ master }) => master === link.index);
    const idle = ports.find(({ isUp }) => !isUp);
    const detail = ports.length === 0 ? 'the bridge has no ports' : 'none of its ports has a carrier';
    const fix =
      idle === undefined
        ? `add a port: \`sudo ip link set PORT master ${name}\`, or see \`vnic doctor PORT\``
        : `sudo vnic up ${shellWord(idle.name)}`;
    return found('attached', title, { detail, fix });
  }
  const peer = link.kind === 'veth' ? links.find(({ index }) => index === link.link) : undefined;
  if (peer !== undefined && !peer.isUp) {
    return found('attached', title, {
      detail: `its other end ${peer.name} is down`,
      fix: `sudo vnic up ${shellWord(peer.name)}`,
    });
  }
  return found('attached', title, { detail: 'no carrier', fix: 'see to the other end: a cable, a peer, a program' });
}

/** What the reader leaves lying is dropped behind `txqueuelen` packets. */
export function checkQueue({ link, holders }: PathContext, droppedMeanwhile: number): PathCheck {
  const title = 'Queue';
  const { txDropped } = link.statistics;
  const stopped = holders.find(({ pid }) => processState(pid) === 'T');
  if (stopped !== undefined) {
    return found('queue', title, {
      detail: `${stopped.command} (pid ${stopped.pid}) is stopped and reads nothing; ${txDropped} packets were dropped`,
      fix: `sudo kill -CONT ${stopped.pid}`,
    });
  }
  if (holders.length === 0 || droppedMeanwhile === 0) {
    return fine('queue', title, `up to ${link.txQueueLen} packets, ${txDropped} dropped so far`);
  }
  return found('queue', title, {
    status: 'warn',
    detail: `${droppedMeanwhile} packets were dropped just now: ${describeHolders(holders)} reads too slowly for a queue of ${link.txQueueLen}`,
    fix: `sudo vnic set ${shellWord(link.name)} --txqueuelen ${Math.min(1_000_000, Math.max(1000, link.txQueueLen * 10))}`,
  });
}

function checkHolders({ link, holders }: PathContext): PathCheck {
  const title = 'Attached';
  const who = describeHolders(holders);
  if (link.isRunning) return fine('attached', title, who ?? 'yes, by a process that this user may not look into');
  if (!link.isUp) return fine('attached', title, who ?? 'not known while it is down');
  if (who !== undefined) {
    return found('attached', title, {
      detail: `${who} is attached and has switched the carrier off`,
      fix: `sudo ip link set ${shellWord(link.name)} carrier on`,
    });
  }
  return found('attached', title, {
    detail: 'no program is attached: what is sent is dropped',
    fix: `sudo vnic echo ${shellWord(link.name)} --${link.tun?.kind ?? 'tun'}`,
  });
}

/** Field 3 of `/proc/PID/stat`: `T` is stopped by a signal. */
function processState(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return undefined;
  }
}
