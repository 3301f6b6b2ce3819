/** How fast ICMP echo requests on a TUN device are answered: `vnic echo` beside a blocking loop in C. */

import { execFileSync } from 'node:child_process';

import { inRoot } from '../scripts/process.mjs';
import {
  baselineProgram,
  cpuSeconds,
  figures,
  inTurn,
  ip,
  linkExists,
  median,
  output,
  pinned,
  range,
  ratio,
  table,
  until,
} from './lib.mjs';

const name = 'bench0';
const load = baselineProgram('echo-load');

const kinds = [
  { name: 'C, blocking read/write', command: [baselineProgram('tun-echo'), name] },
  {
    name: 'vnic echo',
    command: [process.execPath, inRoot('dist/cli/main.js'), 'echo', name, '--address', '10.0.0.1/24', '--quiet'],
  },
];

export const title = 'Echo: ICMP requests answered on a TUN device, 56 bytes of payload';
export const about =
  'Load and responder are pinned to a processor each; with 64 outstanding the load generator is busy as well. ' +
  'The idle round trip is the median of a ping every 2 ms, sent from the processor of the responder, or from the ' +
  'other one, which adds the wake-up of a processor that has gone idle.';

export async function run({ rounds, seconds }) {
  const results = await inTurn(kinds, rounds, (kind) => measure(kind, seconds));
  const [baseline] = kinds;
  const rate = (kind, key) =>
    `${Math.round(median(figures(results, kind, key)) / 1000)}k (${ratio(results, kind, baseline.name, key).toFixed(2)}×)`;
  return table(
    [
      'responder',
      'echo/s, 64 outstanding',
      '256',
      '1',
      'CPU µs per echo',
      'idle round trip µs, same processor',
      'other',
    ],
    kinds.map((kind) => [
      kind.name,
      ...['w64', 'w256', 'w1'].map((key) => rate(kind.name, key)),
      range(figures(results, kind.name, 'cpuUs'), 2),
      range(figures(results, kind.name, 'nearUs')),
      range(figures(results, kind.name, 'farUs')),
    ]),
  );
}

async function measure(kind, seconds) {
  const responder = pinned(1, kind.command);
  try {
    await until(() => linkExists(name));
    if (!ip('addr', 'show', 'dev', name).includes('10.0.0.1')) ip('addr', 'add', '10.0.0.1/24', 'dev', name);
    ip('link', 'set', name, 'up');
    await until(() => output('ping', '-c', '1', '-W', '1', '10.0.0.2') !== undefined);
    echoes(64, 0.5); // V8 gets its chance to compile before the clock runs
    const result = { nearUs: idleRttUs(1), farUs: idleRttUs(0) };
    for (const window of [1, 256, 64]) {
      const before = cpuSeconds(responder.pid);
      const rate = echoes(window, seconds);
      result[`w${window}`] = rate;
      result.cpuUs = ((cpuSeconds(responder.pid) - before) * 1e6) / (rate * seconds);
    }
    return result;
  } finally {
    await responder.stop();
    await until(() => !linkExists(name));
  }
}

/** Echo replies per second with `window` requests outstanding. */
function echoes(window, duration) {
  const printed = execFileSync('taskset', ['-c', '0', load, '10.0.0.2', String(window), String(duration)]);
  const { replies, seconds } = JSON.parse(printed.toString());
  return replies / seconds;
}

function idleRttUs(processor) {
  const printed = output('taskset', '-c', String(processor), 'ping', '-c', '300', '-i', '0.002', '10.0.0.2') ?? '';
  return median([...printed.matchAll(/time=([0-9.]+) ms/g)].map((match) => Number(match[1]) * 1000));
}
