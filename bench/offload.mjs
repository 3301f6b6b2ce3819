/** Super-packets on and off: two TUN devices in two namespaces, joined by `forward()`. */

import { execFileSync, spawn } from 'node:child_process';

import {
  baselineProgram,
  cpuSeconds,
  figures,
  inTurn,
  ip,
  linkExists,
  output,
  pinned,
  range,
  ratio,
  table,
  until,
} from './lib.mjs';

const near = { name: 'offloadA', address: '10.9.0.1' };
const far = { name: 'offloadB', address: '10.9.0.2', namespace: 'far' };
const load = baselineProgram('echo-load');
const wireInC = baselineProgram('tun-wire');

const library = new URL('../dist/index.js', import.meta.url).href;
const wire = (options) => [
  process.execPath,
  '--input-type=module',
  '-e',
  `import { forward, TunDevice } from '${library}';
  const open = (name) => TunDevice.open({ name, ...${JSON.stringify(options)} });
  await forward(await open('${near.name}'), await open('${far.name}')).done;`,
];

const kinds = [
  { name: "offload: 'off'", command: wire({}) },
  { name: "offload: 'auto', split and coalesced", command: wire({ offload: 'auto' }) },
  { name: 'superPackets: true', command: wire({ offload: 'auto', superPackets: true }) },
  { name: 'C, packet by packet', command: [wireInC, near.name, far.name] },
  { name: 'C, super-packets', command: [wireInC, near.name, far.name, 'vnet'] },
];

export const title = 'Offload: two TUN devices joined, super-packets on and off';
export const about =
  'TCP by iperf3 and ICMP echoes between two namespaces, MTU 1500; the wire has a processor of its own, both ends of the ' +
  'load share the other one. Ratios are to the wire without offload. Split and coalesced means that the program ' +
  'between the devices sees packets of the MTU with their own checksums, as a tunnel or a filter needs them.';

export async function run({ rounds, seconds }) {
  ip('netns', 'add', far.namespace);
  const server = spawn('ip', ['netns', 'exec', far.namespace, 'iperf3', '-s'], { stdio: 'ignore' });
  try {
    const results = await inTurn(kinds, rounds, (kind) => measure(kind, Math.ceil(seconds)));
    const cell = (kind, key, digits) =>
      `${range(figures(results, kind.name, key), digits)} (${ratio(results, kind.name, kinds[0].name, key).toFixed(2)}×)`;
    return table(
      ['wire', 'TCP, 1 stream, Gbit/s', '4 streams', 'CPU s a GB', 'echo/s, 64 outstanding', 'CPU µs an echo'],
      kinds.map((kind) => [
        kind.name,
        cell(kind, 'one', 2),
        cell(kind, 'four', 2),
        cell(kind, 'cpuPerGb', 2),
        cell(kind, 'echoes', 0),
        cell(kind, 'echoCpuUs', 2),
      ]),
    );
  } finally {
    server.kill('SIGKILL');
    ip('netns', 'delete', far.namespace);
  }
}

async function measure(kind, seconds) {
  const process = pinned(1, kind.command);
  try {
    await until(() => linkExists(near.name) && linkExists(far.name));
    configure();
    await until(() => output('ping', '-c', '1', '-W', '1', far.address) !== undefined);
    tcp(1, 1);
    const before = cpuSeconds(process.pid);
    const one = tcp(seconds, 1);
    const cpuPerGb = (cpuSeconds(process.pid) - before) / ((one * seconds) / 8);
    const four = tcp(seconds, 4);
    echoes(0.5);
    const beforeEchoes = cpuSeconds(process.pid);
    const rate = echoes(seconds);
    const echoCpuUs = ((cpuSeconds(process.pid) - beforeEchoes) * 1e6) / (rate * seconds);
    return { one, four, cpuPerGb, echoes: rate, echoCpuUs };
  } finally {
    await process.stop();
    await until(() => !linkExists(near.name));
  }
}

function configure() {
  ip('addr', 'add', `${near.address}/24`, 'dev', near.name);
  ip('link', 'set', near.name, 'up');
  ip('link', 'set', far.name, 'netns', far.namespace);
  ip('-n', far.namespace, 'addr', 'add', `${far.address}/24`, 'dev', far.name);
  ip('-n', far.namespace, 'link', 'set', far.name, 'up');
}

/** Gbit/s that arrive. */
function tcp(seconds, streams) {
  const args = ['-c', '0', 'iperf3', '-c', far.address, '-t', String(seconds), '-P', String(streams), '-J'];
  const { end } = JSON.parse(execFileSync('taskset', args).toString());
  return end.sum_received.bits_per_second / 1e9;
}

function echoes(seconds) {
  const printed = execFileSync('taskset', ['-c', '0', load, far.address, '64', String(seconds)]);
  const result = JSON.parse(printed.toString());
  return result.replies / result.seconds;
}
