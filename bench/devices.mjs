/** From one device in a process to a hundred: what an echo costs, and what the devices cost that nobody uses. */

import { readdirSync, readFileSync } from 'node:fs';

import { target, vnicHandler, withResponder } from './lib/echo-device.mjs';
import { echoCost, warmUp } from './lib/network.mjs';
import { baselineProgram, cpuSeconds, ownMebibytes } from './lib/processes.mjs';
import { range, rangeCell, table, thousands } from './lib/tables.mjs';
import { figures, inTurn, median, undisturbed } from './lib/turns.mjs';

const counts = [1, 10, 100];

const kinds = () => counts.flatMap((devices) => [inC(devices), inTypeScript(devices)]);

const inC = (devices) => ({
  name: `C, epoll, ${devices}`,
  language: 'C',
  devices,
  command: [baselineProgram('tun-echo'), 'epoll', ...Array.from({ length: devices }, (_, i) => `bench${i}`)],
});

const inTypeScript = (devices) => ({
  ...vnicHandler({ name: `vnic, batch handler, ${devices}`, devices }),
  language: 'TypeScript',
  devices,
});

export const title = 'Devices: from one in a process to a hundred';
export const about =
  '64 echo requests are outstanding and go to the devices in turn. With a hundred devices they find no batch to share: each ' +
  'packet pays its own wake-up, with C as with vnic. Ratios are to C with as many devices. Idle: nothing is sent; processor ' +
  'time, times that the process was woken, and memory that is its own, all before the first packet; a further device is ' +
  'what each of the hundred adds to the first.';

export async function run({ rounds, seconds }) {
  const all = kinds();
  const results = await inTurn(all, rounds, (kind) => measure(kind, seconds));
  const middle = ({ name }, key) => median(figures(results, name, key));
  const further = (kind) => {
    const one = all.find(({ devices, language }) => devices === 1 && language === kind.language);
    if (kind === one) return '';
    return Math.round((1024 * (middle(kind, 'mib') - middle(one, 'mib'))) / (kind.devices - 1)) || 0;
  };
  const baselineOf = (kind) => all.find(({ devices, language }) => devices === kind.devices && language === 'C');
  return table(
    ['program, devices', 'CPU µs an echo', 'echo/s', 'idle: CPU ms/s', 'wake-ups/s', 'MiB', 'KiB a further device'],
    all.map((kind) => [
      kind.name,
      rangeCell(results, kind.name, baselineOf(kind).name, 'cpuUs'),
      thousands(middle(kind, 'rate')),
      middle(kind, 'idleMs').toFixed(1),
      middle(kind, 'wakeUps').toFixed(1),
      range(figures(results, kind.name, 'mib'), 1),
      further(kind),
    ]),
  );
}

async function measure(kind, seconds) {
  const { devices } = kind;
  const work = async ({ pid }) => {
    const idle = await undisturbed(() => idleFor(pid, seconds));
    const asked = { networks: devices, seconds };
    warmUp(target, asked);
    const loaded = await echoCost(pid, target, asked);
    return { ...idle, ...loaded };
  };
  return await withResponder(kind, work, { devices });
}

async function idleFor(pid, seconds) {
  const [cpu, woken] = [cpuSeconds(pid), wakeUps(pid)];
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return {
    idleMs: ((cpuSeconds(pid) - cpu) * 1000) / seconds,
    wakeUps: (wakeUps(pid) - woken) / seconds,
    mib: ownMebibytes(pid),
  };
}

/** Times that a thread of the process went to sleep by itself, and so was woken. */
function wakeUps(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const slept = threads.map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
  });
  return slept.reduce((sum, times) => sum + times, 0);
}
