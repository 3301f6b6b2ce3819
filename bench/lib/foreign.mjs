/**
 * How much of the processors programs take that are none of the bench's: all busy time less that of the bench, its
 * descendants and the kernel's own threads.
 *
 * Times are in ticks of 10 ms: over a figure of a second that is a few hundredths of a processor.
 */

import { readdirSync, readFileSync } from 'node:fs';

const ticksPerSecond = 100;
/** Parent of the kernel's threads. */
const kthreadd = 2;

/** What `foreignCores` compares. */
export function processorTimes() {
  const processes = new Map();
  for (const pid of readdirSync('/proc')) {
    const fields = statOf(pid);
    // Time of children counts once they are waited for; until then they are processes of their own.
    if (fields)
      processes.set(Number(pid), { parent: fields[1], ticks: fields[11] + fields[12] + fields[13] + fields[14] });
  }
  return { ms: performance.now(), busy: busyTicks(), ours: ourTicks(processes) };
}

/** Processors that others kept busy between two times. */
export function foreignCores(before, after) {
  const ticks = after.busy - before.busy - (after.ours - before.ours);
  return Math.max(0, ticks / ticksPerSecond / ((after.ms - before.ms) / 1000));
}

/** Fields of `/proc/PID/stat` from the state on; undefined for what is no process, or none any more. */
function statOf(pid) {
  if (!/^\d+$/.test(pid)) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
  } catch {
    return undefined;
  }
}

/** user, nice, system, irq, softirq; neither idle nor waiting nor stolen by the host. */
function busyTicks() {
  const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/);
  return [user, nice, system, irq, softirq].map(Number).reduce((sum, ticks) => sum + ticks, 0);
}

function ourTicks(processes) {
  const isOurs = (pid) => {
    for (let at = pid; at > 1; at = processes.get(at)?.parent ?? 0)
      if (at === process.pid || at === kthreadd) return true;
    return false;
  };
  let ticks = 0;
  for (const [pid, own] of processes) if (isOurs(pid)) ticks += own.ticks;
  return ticks;
}
