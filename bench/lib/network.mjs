/** The network that the benches set up and load: addresses, pings, echoes, streams. */

import { execFileSync } from 'node:child_process';

import { baselineProgram, cpuSeconds, output, until } from './processes.mjs';
import { undisturbed } from './turns.mjs';

export function ip(...args) {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

export function linkExists(name) {
  return output('ip', 'link', 'show', name) !== undefined;
}

/** Waits until an address answers. */
export const answers = (address) => until(() => output('ping', '-c', '1', '-W', '1', address) !== undefined);

/** Median and 99th percentile of pings 2 ms apart, sent from a processor; µs. */
export function roundTripUs(address, { processor = 0, pings }) {
  const args = ['-c', String(processor), 'ping', '-c', String(pings), '-i', '0.002', address];
  const printed = output('taskset', ...args) ?? '';
  const sorted = [...printed.matchAll(/time=([0-9.]+) ms/g)]
    .map((match) => Number(match[1]) * 1000)
    .sort((a, b) => a - b);
  const at = (share) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { us: at(0.5), us99: at(0.99) };
}

/**
 * ICMP echoes from processor 0, or from `processors`, `window` requests outstanding.
 * @param length of header and payload
 * @param networks how many addresses, 256 apart, take turns
 * @returns {{replies: number, seconds: number, rate: number}}
 */
export function echoes(address, { window = 64, seconds, length = 64, networks = 1, processors = '0' }) {
  load ??= baselineProgram('echo-load');
  const args = [address, window, seconds, length, networks].map(String);
  const { replies, seconds: took } = JSON.parse(execFileSync('taskset', ['-c', processors, load, ...args]).toString());
  return { replies, seconds: took, rate: replies / took };
}
let load;

/** Echoes that give V8 its chance to compile before the clock runs. */
export function warmUp(address, options) {
  echoes(address, { ...options, seconds: Math.min(0.5, options.seconds) });
}

/** @returns {Promise<{rate: number, cpuUs: number}>} echoes per second, and processor time of a process for each */
export function echoCost(pid, address, options) {
  return undisturbed(() => {
    const before = cpuSeconds(pid);
    const { rate, replies } = echoes(address, options);
    return { rate, cpuUs: ((cpuSeconds(pid) - before) * 1e6) / replies };
  });
}

/** Amount of a stream that lasts so long, in whole seconds; a megabyte where nobody looks at the figure. */
export const lasting = (seconds) => (seconds < 0.5 ? ['-n', '1M'] : ['-t', Math.ceil(seconds)]);

/** Amount of a stream that gives V8 its chance to compile before the clock runs. */
export const warmingUp = (seconds) => ['-n', seconds < 0.5 ? '1M' : '100M'];

/**
 * TCP by iperf3 from processor 0.
 * @param amount of `lasting` or `warmingUp`, and further options of iperf3
 * @returns {{bytes: number, gigabits: number}} what arrived, and how much a second
 */
export async function stream(address, ...amount) {
  const args = ['-c', '0', 'iperf3', '-c', address, ...amount.map(String), '-J', '--connect-timeout', '2000'];
  let printed;
  // The server of the run before may still be tidying up; iperf3 then says so in its JSON and may end with 0.
  for (let attempt = 0; attempt < 20; attempt++) {
    printed = output('taskset', ...args);
    const received = printed && JSON.parse(printed).end?.sum_received;
    if (received) return { bytes: received.bytes, gigabits: received.bits_per_second / 1e9 };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`iperf3 came to nothing: ${printed && JSON.parse(printed).error}`);
}
