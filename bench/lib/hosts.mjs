/** Two hosts with a network between them, and tunnels that are measured there: near here, far in a namespace. */

import { answers, ip, lasting, linkExists, stream, warmingUp } from './network.mjs';
import { cpuSeconds, pinned, until } from './processes.mjs';
import { rangeCell, table } from './tables.mjs';
import { inTurn, runnable, undisturbed } from './turns.mjs';

export const FAR = 'far';
/** The network between the hosts. */
export const outer = { near: '192.0.2.1', far: '192.0.2.2' };
/** What the devices have, which are called `bench`. */
export const inner = { near: '10.9.0.1', far: '10.9.0.2' };
export const PORT = 7000;

/**
 * One TCP stream through each kind in turn.
 * @param kinds `near` and `far` are the commands of the two sides, which make the devices; `baseline` is another kind
 */
export async function measureTunnels(kinds, { rounds, seconds }) {
  ip('netns', 'add', FAR);
  try {
    joinHosts();
    const server = pinned('0', ['ip', 'netns', 'exec', FAR, 'iperf3', '-s'], { stdio: 'ignore' });
    try {
      const present = runnable(kinds);
      const results = await inTurn(present, rounds, (kind) => measure(kind, seconds));
      const cell = ({ name, baseline }, key, digits) => rangeCell(results, name, baseline?.name ?? name, key, digits);
      return table(
        ['program, carrier', 'TCP, Gbit/s', 'CPU s a GB'],
        present.map((kind) => [kind.name, cell(kind, 'gigabits', 2), cell(kind, 'cpuPerGb', 2)]),
      );
    } finally {
      await server.stop();
    }
  } finally {
    // A device of a namespace that is deleted goes a while later.
    ip('link', 'delete', 'out0');
    ip('netns', 'delete', FAR);
  }
}

function joinHosts() {
  ip('link', 'add', 'out0', 'type', 'veth', 'peer', 'name', 'out1', 'netns', FAR);
  for (const [namespace, name, address] of [
    [[], 'out0', outer.near],
    [['-n', FAR], 'out1', outer.far],
  ]) {
    ip(...namespace, 'address', 'add', `${address}/24`, 'dev', name);
    ip(...namespace, 'link', 'set', name, 'up');
  }
}

async function measure({ near, far }, seconds) {
  const there = pinned(1, ['ip', 'netns', 'exec', FAR, ...far]);
  const here = pinned(0, waiting(near));
  try {
    await until(() => linkExists('bench'));
    await answers(inner.far);
    await stream(inner.far, ...warmingUp(seconds));
    return await undisturbed(async () => {
      const cpu = () => cpuSeconds(here.pid) + cpuSeconds(there.pid);
      const before = cpu();
      const { bytes, gigabits } = await stream(inner.far, ...lasting(seconds));
      return { gigabits, cpuPerGb: (cpu() - before) / (bytes / 1e9) };
    });
  } finally {
    await Promise.all([here.stop(), there.stop()]);
    await until(() => !linkExists('bench'));
  }
}

/** The listening side is there first. */
const waiting = (command) => ['sh', '-c', 'sleep 1; exec "$@"', 'sh', ...command];
