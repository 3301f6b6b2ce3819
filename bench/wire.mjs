/** Two TUN devices joined by a program: `forward()` beside a loop in C, with and without super-packets. */

import { execFileSync, spawn } from 'node:child_process';

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

const near = { name: 'wireA', address: '10.9.0.1' };
const far = { name: 'wireB', address: '10.9.0.2', namespace: 'far' };
const load = baselineProgram('echo-load');
const wireInC = baselineProgram('tun-wire');

const library = new URL('../dist/index.js', import.meta.url).href;
const wireInTypeScript = (options) => `
  import { forward, TunDevice } from '${library}';
  const open = (name) => TunDevice.open({ name, ...${JSON.stringify(options)} });
  const [a, b] = [await open('${near.name}'), await open('${far.name}')];
  // Without them it would be a bench of something else.
  if (a.offload !== ${options.superPackets === true}) throw new RangeError('no super-packets on this kernel');
  await forward(a, b).done;`;

const vnic = (options) => [process.execPath, '--input-type=module', '-e', wireInTypeScript(options)];

const kinds = [
  { name: 'C, packet by packet', command: [wireInC, near.name, far.name] },
  { name: 'vnic', command: vnic({}) },
  { name: 'C, super-packets', command: [wireInC, near.name, far.name, 'vnet'] },
  { name: 'vnic, super-packets', command: vnic({ superPackets: true }) },
];
const [inC, inTypeScript, superInC, superInTypeScript] = kinds;

export const title = 'Wire: two TUN devices in two namespaces, joined';
export const about =
  'One TCP stream of iperf3 and ICMP echoes from the kernel at one end to that at the other, MTU 1500. The wire has ' +
  'a processor of its own, both ends of the load share the other one: with super-packets it is they who are busy, ' +
  'so the processor time a gigabyte tells more than the throughput. The ratios in brackets are to the C program of the same kind.';

export async function run({ rounds, seconds }) {
  const tried = kinds.filter((kind) => kind !== superInTypeScript || canSuperPackets());
  ip('netns', 'add', far.namespace);
  const server = spawn('ip', ['netns', 'exec', far.namespace, 'iperf3', '-s'], { stdio: 'ignore' });
  try {
    const results = await inTurn(tried, rounds, (kind) => measure(kind, Math.ceil(seconds)));
    return `${resultTable(tried, results)}\n${floors(results)}\n`;
  } finally {
    server.kill('SIGKILL');
    ip('netns', 'delete', far.namespace);
  }
}

/** False where the kernel does not have them. */
function canSuperPackets() {
  const code = `import { TunDevice } from '${library}';
    const tun = await TunDevice.open({ name: '${near.name}', superPackets: true });
    console.log(tun.offload);
    await tun.close();`;
  return output(process.execPath, '--input-type=module', '-e', code)?.trim() === 'true';
}

function resultTable(tried, results) {
  const baselines = new Map([
    [inTypeScript, inC],
    [superInTypeScript, superInC],
  ]);
  const cell = (kind, key, digits = 0) => {
    const baseline = baselines.get(kind);
    const shown = range(figures(results, kind.name, key), digits);
    return baseline === undefined ? shown : `${shown} (${ratio(results, kind.name, baseline.name, key).toFixed(2)}×)`;
  };
  return table(
    ['wire', 'TCP, Gbit/s', 'CPU s a GB', 'echo/s, 64 outstanding', 'CPU µs an echo', 'idle round trip µs'],
    tried.map((kind) => [
      kind.name,
      cell(kind, 'gigabits', 2),
      cell(kind, 'cpuPerGb', 2),
      cell(kind, 'echoes'),
      cell(kind, 'cpuUs', 2),
      cell(kind, 'idleUs'),
    ]),
  );
}

function floors(results) {
  const of = (kind, baseline) => ratio(results, kind.name, baseline.name, 'gigabits').toFixed(2);
  return (
    `Super-packets against packet by packet: C ${of(superInC, inC)}×, vnic ${of(superInTypeScript, inTypeScript)}×. ` +
    `Floors: 0.9 of C packet by packet, 0.95 with super-packets, 6 times faster with them.`
  );
}

async function measure(kind, seconds) {
  const wire = pinned(1, kind.command, { stdio: ['ignore', 'ignore', 'inherit'], cwd: inRoot('.') });
  try {
    await until(() => linkExists(near.name) && linkExists(far.name));
    ip('link', 'set', far.name, 'netns', far.namespace);
    for (const [prefix, end] of [
      [[], near],
      [['-n', far.namespace], far],
    ]) {
      ip(...prefix, 'address', 'add', `${end.address}/24`, 'dev', end.name);
      ip(...prefix, 'link', 'set', end.name, 'up');
    }
    await until(() => output('ping', '-c', '1', '-W', '1', far.address) !== undefined);
    stream('-n', '100M'); // V8 gets its chance to compile before the clock runs
    const idleUs = idleRoundTripUs();
    const [echoes, cpuOfEchoes] = withCpu(wire, () => echoRate(seconds));
    const [bytes, cpuOfStream] = withCpu(wire, () => stream('-t', String(seconds)));
    return {
      idleUs,
      echoes,
      cpuUs: (cpuOfEchoes * 1e6) / (echoes * seconds),
      gigabits: (bytes * 8) / 1e9 / seconds,
      cpuPerGb: cpuOfStream / (bytes / 1e9),
    };
  } finally {
    await wire.stop();
    await until(() => !linkExists(near.name));
  }
}

function withCpu(wire, work) {
  const before = cpuSeconds(wire.pid);
  const result = work();
  return [result, cpuSeconds(wire.pid) - before];
}

/** Bytes received. */
function stream(...amount) {
  const args = ['-c', far.address, ...amount, '-J', '--connect-timeout', '2000'];
  // The server of the run before may still be tidying up.
  for (let attempt = 0; attempt < 20; attempt++) {
    const printed = output('taskset', '-c', '0', 'iperf3', ...args);
    if (printed !== undefined) return JSON.parse(printed).end.sum_received.bytes;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
  return Number.NaN;
}

/** Echo replies per second. */
function echoRate(duration) {
  const printed = execFileSync('taskset', ['-c', '0', load, far.address, '64', String(duration)]);
  const { replies, seconds } = JSON.parse(printed.toString());
  return replies / seconds;
}

function idleRoundTripUs() {
  const printed = output('taskset', '-c', '0', 'ping', '-c', '200', '-i', '0.002', far.address) ?? '';
  return median([...printed.matchAll(/time=([0-9.]+) ms/g)].map((match) => Number(match[1]) * 1000));
}
