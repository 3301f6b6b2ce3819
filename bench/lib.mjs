/**
 * What the benches share: turns, medians, pinned processes, private namespaces, tables.
 *
 * A bench measures its kinds in turn, so that a noisy machine is noisy for all, and reports medians with their
 * ratio to the first kind, the baseline. It prints a Markdown table; `npm run bench -- --write` puts the tables of all
 * benches into docs/benchmarks.md.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';

import { fail, inRoot } from '../scripts/process.mjs';

/** @returns {Promise<object[]>} what `measure(kind)` gave, with the name of the kind, `rounds` times for each */
export async function inTurn(kinds, rounds, measure) {
  const results = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) results.push({ kind: kind.name, ...(await measure(kind)) });
    process.stderr.write(`  round ${round + 1} of ${rounds}\n`);
  }
  return results;
}

/** The figures of one kind. */
export function figures(results, kind, key) {
  return results.filter((result) => result.kind === kind).map((result) => result[key]);
}

/** Median of the kind over that of the baseline. */
export function ratio(results, kind, baseline, key) {
  return median(figures(results, kind, key)) / median(figures(results, baseline, key));
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** `12 [10–15]` */
export function range(values, digits = 0) {
  const show = (value) => value.toFixed(digits);
  return `${show(median(values))} [${show(Math.min(...values))}–${show(Math.max(...values))}]`;
}

/** A Markdown table. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** One line about where the figures come from. */
export function machine() {
  const [first] = cpus();
  return `${first?.model.trim()}, ${cpus().length} processors, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
}

/** Compiles bench/baseline/NAME.c; returns the program. */
export function baselineProgram(name, ...libraries) {
  mkdirSync(inRoot('build/bench'), { recursive: true });
  const program = inRoot(`build/bench/${name}`);
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, inRoot(`bench/baseline/${name}.c`), '-o', program, ...libraries]);
  return program;
}

/** Starts a program on one processor; `stop()` kills it and waits for its end. */
export function pinned(processor, command, options = {}) {
  const child = spawn('taskset', ['-c', String(processor), ...command], { stdio: 'ignore', ...options });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const stop = () => {
    child.kill('SIGKILL');
    return exited;
  };
  return { child, pid: child.pid, stop };
}

/** User and system time of a process in seconds, its threads included. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function ip(...args) {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

/** What a program printed, or undefined when it failed. */
export function output(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

export function linkExists(name) {
  return output('ip', 'link', 'show', name) !== undefined;
}

/** Waits for a condition, at most ten seconds. */
export async function until(condition) {
  for (let i = 0; i < 200; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  fail('the bench waited ten seconds in vain');
}

/**
 * A program that answers pings on `devices` TUN devices benchN, of address 10.9.N.1/24: by the responder of vnic,
 * which verifies checksums and more, or, `lean`, by a handler that does what bench/baseline/tun-echo.c does.
 * Sent `profile-start` and `profile-stop` by IPC, it tells what it has spent its time on.
 */
export function echoResponder({ devices = 1, batch = {}, lean = false } = {}) {
  const body = `
    import { Session } from 'node:inspector/promises';
    import { attachResponder, Cidr, createResponder, IpAddress, openDevice, systemClock } from '${library}';
    for (let i = 0; i < ${devices}; i++) {
      const device = await openDevice({
        kind: 'tun', name: 'bench' + i, addresses: ['10.9.' + i + '.1/24'], up: true, batch: ${JSON.stringify(batch)},
      });
      if (${lean}) {
        device.onBatch((batch) => {
          for (let i = 0; i < batch.count; i++) if (!answer(batch.bytes, batch.offset(i), batch.length(i))) batch.drop(i);
          device.write(batch);
        });
        continue;
      }
      const except = [IpAddress.parse('10.9.' + i + '.1')];
      const responder = createResponder({ medium: 'ip', answer: [Cidr.parse('10.9.' + i + '.0/24')], except });
      attachResponder(device, responder, systemClock);
    }
    function answer(bytes, at, length) {
      const icmp = at + (bytes[at] & 15) * 4;
      if (bytes[at] >> 4 !== 4 || icmp + 8 > at + length || bytes[at + 9] !== 1 || bytes[icmp] !== 8) return false;
      for (let i = at + 12; i < at + 16; i++) [bytes[i], bytes[i + 4]] = [bytes[i + 4], bytes[i]];
      bytes[icmp] = 0;
      let sum = ((bytes[icmp + 2] << 8) | bytes[icmp + 3]) + 0x0800;
      sum = (sum & 0xffff) + (sum >> 16);
      bytes[icmp + 2] = sum >> 8;
      bytes[icmp + 3] = sum;
      return true;
    }
    const session = new Session();
    let before;
    process.on('message', async (message) => {
      if (message === 'profile-start') {
        session.connect();
        await session.post('Profiler.enable');
        await session.post('Profiler.setSamplingInterval', { interval: 500 });
        await session.post('Profiler.start');
        before = process.cpuUsage();
      } else {
        const { user, system } = process.cpuUsage(before);
        const { profile } = await session.post('Profiler.stop');
        const us = { script: 0, gc: 0 };
        const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
        profile.samples.forEach((id, i) => {
          const { url, functionName } = frames.get(id);
          // Functions of the core have no URL; this text, which is the handler, has one of its own.
          const script = url !== '' && functionName !== '(program)';
          const kind = functionName === '(garbage collector)' ? 'gc' : script ? 'script' : undefined;
          if (kind !== undefined) us[kind] += profile.timeDeltas[i];
        });
        process.send({ user, system, ...us });
      }
    });
    process.send('ready');`;
  return [process.execPath, '--input-type=module', '-e', body];
}

const library = new URL('../dist/index.js', import.meta.url).href;

/** Echo replies from 10.9.0.2, and of further devices' networks, by a load on processor 0. */
export function echoReplies(load, { window = 64, seconds, length = 64, networks = 1 }) {
  const args = ['10.9.0.2', window, seconds, length, networks].map(String);
  return JSON.parse(execFileSync('taskset', ['-c', '0', load, ...args]).toString());
}
