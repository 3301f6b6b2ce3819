/**
 * What a program spends its time on: kernel, native code, JavaScript, garbage collection.
 *
 * By `perf` where it works: samples of the processor's clock, told apart by the object and the symbol they fall in,
 * without help from the program. V8's builtins, which are compiled JavaScript and the interpreter, are in the
 * program `node` but are JavaScript; its collector is told from the rest of V8 by the names of its functions.
 *
 * Elsewhere by what the kernel counts for the process and the sampling profiler of V8, which adds some: kernel is
 * system time, JavaScript and garbage collection are samples, native is what remains of the user time. Functions of
 * a native module are samples of their own there, without a URL, and so are not taken for JavaScript. The core, and
 * the rest of node, cannot be told apart in this way.
 *
 * Sums are of processor time of all threads of the program.
 */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { capture, findProgram } from '../../scripts/process.mjs';
import { cpuSeconds, pinned, processTimes } from './processes.mjs';

const hook = new URL('./profile-hook.mjs', import.meta.url).href;
const samplesPerSecond = 2000;

/** Names of parts in the order of a table. */
export const partNames = ['kernel', 'native core', 'node and libraries', 'JavaScript', 'garbage collection'];

let perfWorks;

/** Whether `perf` may sample here. */
export function hasPerf() {
  perfWorks ??=
    findProgram('perf') !== undefined && capture(['perf', 'record', '-e', 'cpu-clock', '-o', '/dev/null', 'true']).ok;
  return perfWorks;
}

/** The kind, ready to be asked for its parts. */
export function sampled(kind) {
  if (kind.command[0] !== process.execPath || hasPerf()) return kind;
  const [node, ...args] = kind.command;
  return { ...kind, command: [node, '--import', hook, ...args], ipc: true, hooked: true };
}

/**
 * Seconds of processor time of each part, and their `total`, while `work()` runs.
 * @param running what `pinned` gave for a kind of `sampled`
 */
export async function partsDuring(kind, running, work) {
  const began = cpuSeconds(running.pid);
  const shares = hasPerf() ? await byPerf(running, work) : await byProfiler(kind, running, work);
  const total = cpuSeconds(running.pid) - began;
  return { ...Object.fromEntries(partNames.map((part) => [part, (shares.get(part) ?? 0) * total])), total };
}

async function byPerf({ pid }, work) {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-bench-'));
  const file = join(folder, 'perf.data');
  try {
    const recorder = startRecorder(pid, file);
    await recorder.say('enable');
    await work();
    await recorder.say('disable');
    await recorder.end();
    const printed = execFileSync('perf', ['script', '-i', file, '-F', 'ip,sym,dso'], {
      encoding: 'utf8',
      maxBuffer: 256 << 20,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return sharesOf(
      printed
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map(partOf),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** It starts to sample, and stops, when it is told to, and confirms both. */
function startRecorder(pid, file) {
  const what = ['-e', 'cpu-clock', '-F', String(samplesPerSecond), '-p', String(pid)];
  const command = ['perf', 'record', '-q', ...what, '-o', file, '--delay', '-1', '--control', 'fd:3,4'];
  const { child } = pinned(0, command, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const [, , , orders, confirmations] = child.stdio;
  const exited = once(child, 'exit');
  // It ends with our orders unread, or before them.
  for (const pipe of [orders, confirmations]) pipe.on('error', () => {});
  const say = async (order) => {
    orders.write(`${order}\n`);
    await Promise.race([once(confirmations, 'data'), exited]);
  };
  const end = () => {
    child.kill('SIGINT');
    return exited;
  };
  return { say, end };
}

function sharesOf(parts) {
  const shares = new Map();
  for (const part of parts) shares.set(part, (shares.get(part) ?? 0) + 1 / parts.length);
  return shares;
}

const collector = /Scaveng|Mark(ing|Compact|Sweep)|Sweep|::Heap::|GarbageCollect|Evacuat|ConcurrentMark|HeapVisitor/;

/** The part of a line `address symbol (object)`. */
function partOf(line) {
  const [, symbol = '', object = ''] = /^\s*[0-9a-f]+ (.*) \((.*)\)$/.exec(line) ?? [];
  if (object.startsWith('[kernel') || object.startsWith('[guest.kernel') || object.endsWith('.ko')) return 'kernel';
  if (object.endsWith('vnic.node')) return 'native core';
  if (object.includes('//anon') || object.startsWith('/tmp/perf-') || object.includes('[JIT]')) return 'JavaScript';
  if (object === '[unknown]' && symbol === '[unknown]') return 'JavaScript';
  if (symbol.startsWith('Builtins_')) return 'JavaScript';
  if (/\/node[^/]*$/.test(object)) return collector.test(symbol) ? 'garbage collection' : 'node and libraries';
  // A baseline in C is native as a whole.
  return object.includes('/build/bench/') ? 'native core' : 'node and libraries';
}

async function byProfiler({ hooked }, { child, pid }, work) {
  const before = processTimes(pid);
  if (hooked) {
    child.send('profile-start');
    await once(child, 'message');
  }
  await work();
  const after = processTimes(pid);
  const kernel = after.system - before.system;
  const user = after.user - before.user;
  if (!hooked)
    return new Map([
      ['kernel', kernel / (user + kernel)],
      ['native core', user / (user + kernel)],
    ]);
  const told = once(child, 'message');
  child.send('profile-stop');
  const [{ script, collection }] = await told;
  const share = (seconds) => seconds / (user + kernel);
  return new Map([
    ['kernel', share(kernel)],
    ['node and libraries', share(user - script - collection)],
    ['JavaScript', share(script)],
    ['garbage collection', share(collection)],
  ]);
}
