/** Tunnels in the clear: two hosts, a TUN device and a program at each, a network between them. */

import { inRoot } from '../scripts/process.mjs';
import { answers, ip, lasting, linkExists, stream, warmingUp } from './lib/network.mjs';
import { cpuSeconds, pinned, until } from './lib/processes.mjs';
import { rangeCell, table } from './lib/tables.mjs';
import { inTurn, runnable, undisturbed } from './lib/turns.mjs';
import { unlessSocat } from './lib/wires.mjs';

const FAR = 'far';
const outer = { near: '192.0.2.1', far: '192.0.2.2' };
const inner = { near: '10.9.0.1', far: '10.9.0.2' };
const PORT = 7000;

export const title = 'Link: two hosts, a device and a program at each, TCP through the tunnel between them';
export const about =
  'One TCP stream of iperf3 through TUN devices at two namespaces that a veth pair joins. Each program has a processor to itself but ' +
  'for the load, which shares them. Processor time is that of both programs. Ratios are to socat over UDP; over TCP ' +
  'socat joins packets, and ends at the first that the device refuses.';

/** A program at each side, and the device that it makes. */
function kinds() {
  const missing = unlessSocat();
  const socat = (carrier, near, far) => {
    const device = (address) => `TUN:${address}/24,tun-name=bench,iff-no-pi,iff-up`;
    return {
      name: `socat, ${carrier}`,
      missing,
      near: ['socat', '-b', '65536', near, device(inner.near)],
      far: ['socat', '-b', '65536', far, device(inner.far)],
    };
  };
  const vnic = (carrier, near, far, options = '') => {
    const main = [process.execPath, inRoot('dist/cli/main.js'), 'link', '--quiet'];
    const device = (address) => `tun:bench,address=${address}/24${options}`;
    return {
      name: `vnic link, ${carrier}${options === '' ? '' : ', offload off'}`,
      near: [...main, device(inner.near), near],
      far: [...main, device(inner.far), far],
    };
  };
  const udp = socat('UDP', `UDP:${outer.far}:${PORT}`, `UDP-LISTEN:${PORT},reuseaddr`);
  return [
    udp,
    { ...vnic('UDP', `udp:${outer.far}:${PORT}`, `udp-listen:${PORT}`), baseline: udp },
    { ...vnic('UDP', `udp:${outer.far}:${PORT}`, `udp-listen:${PORT}`, ',offload=off'), baseline: udp },
    { ...vnic('TCP', `tcp:${outer.far}:${PORT}`, `tcp-listen:${PORT}`), baseline: udp },
  ];
}

export async function run({ rounds, seconds }) {
  ip('netns', 'add', FAR);
  try {
    joinHosts();
    const server = pinned('0', ['ip', 'netns', 'exec', FAR, 'iperf3', '-s'], { stdio: 'ignore' });
    try {
      const present = runnable(kinds());
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
