/**
 * How fast ICMP echo requests on a TUN device are answered: `vnic echo` beside a blocking loop in C.
 *
 *   npm run bench                   five rounds, prints the table
 *   npm run bench -- --rounds 3 --seconds 1 --write   also writes docs/benchmarks.md
 *
 * The kinds take turns, so that a noisy machine is noisy for all; figures are medians, and only their ratios
 * mean something. Load and responder are pinned to a processor each. Everything happens in a network namespace
 * that goes with the bench.
 */

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';

import { inNamespaces, namespaceHint } from '../scripts/namespaces.mjs';
import { fail, inRoot } from '../scripts/process.mjs';
import { setup } from '../scripts/setup.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    write: { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const kinds = [
  { name: 'C, blocking read/write', command: (name) => [inRoot('build/bench/tun-echo'), name] },
  {
    name: 'vnic echo',
    command: (name) => [
      process.execPath,
      inRoot('dist/cli/main.js'),
      'echo',
      name,
      '--address',
      '10.0.0.1/24',
      '--quiet',
    ],
  },
];
const windows = [1, 64, 256];

if (values.inside) {
  const results = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) results.push({ kind: kind.name, ...(await measure(kind)) });
    process.stderr.write(`round ${round + 1} of ${rounds} done\n`);
  }
  const report = describe(results);
  process.stdout.write(report);
  if (values.write) writeFileSync(inRoot('docs/benchmarks.md'), document(report));
} else {
  await setup();
  for (const program of ['tun-echo', 'echo-load']) compile(program);
  const wrapped = inNamespaces([process.execPath, ...process.argv.slice(1), '--inside']);
  if (wrapped.command === undefined) fail(`the bench needs a network namespace: ${wrapped.reason}`, namespaceHint);
  const [command, ...args] = wrapped.command;
  execFileSync(command, args, { stdio: 'inherit' });
}

function compile(program) {
  mkdirSync(inRoot('build/bench'), { recursive: true });
  const source = inRoot(`bench/baseline/${program}.c`);
  execFileSync('cc', [
    '-std=c11',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    source,
    '-o',
    inRoot(`build/bench/${program}`),
  ]);
}

async function measure(kind) {
  const name = 'bench0';
  const child = spawn('taskset', ['-c', '1', ...kind.command(name)], { stdio: 'ignore' });
  try {
    await until(() => ipLink(name));
    if (!ip('addr', 'show', 'dev', name).includes('10.0.0.1')) ip('addr', 'add', '10.0.0.1/24', 'dev', name);
    ip('link', 'set', name, 'up');
    await until(() => run('ping', '-c', '1', '-W', '1', '10.0.0.2') !== undefined);
    load(64, 0.5); // the compiler of V8 gets its chance before the clock runs
    const result = { rttNearUs: idleRttUs(1), rttFarUs: idleRttUs(0) };
    for (const window of windows) result[`w${window}`] = load(window, seconds);
    const before = cpuSeconds(child.pid);
    const rate = load(64, seconds);
    result.cpuUsPerEcho = ((cpuSeconds(child.pid) - before) * 1e6) / (rate * seconds);
    return result;
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    await until(() => !ipLink(name));
  }
}

/** Echo replies per second with `window` requests outstanding. */
function load(window, duration) {
  const output = execFileSync(
    'taskset',
    ['-c', '0', inRoot('build/bench/echo-load'), '10.0.0.2', String(window), String(duration)],
    { encoding: 'utf8' },
  );
  const { replies, seconds: took } = JSON.parse(output);
  return replies / took;
}

/**
 * Median round trip of a ping every 2 ms, sent from a processor: the responder's own, or the other one, which adds
 * the wake-up of a processor that has gone idle.
 */
function idleRttUs(processor) {
  const output = run('taskset', '-c', String(processor), 'ping', '-c', '300', '-i', '0.002', '10.0.0.2') ?? '';
  return median([...output.matchAll(/time=([0-9.]+) ms/g)].map((match) => Number(match[1]) * 1000));
}

/** User and system time of a process, its threads included. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function describe(results) {
  const of = (kind, key) => results.filter((result) => result.kind === kind).map((result) => result[key]);
  const [baseline] = kinds;
  const row = ({ name }) => {
    const cells = ['w64', 'w256', 'w1'].map((key) => {
      const ratio = median(of(name, key)) / median(of(baseline.name, key));
      return `${Math.round(median(of(name, key)) / 1000)}k (${ratio.toFixed(2)}×)`;
    });
    const range = (values) =>
      `${median(values).toFixed(0)} [${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)}]`;
    return `| ${[name, ...cells, median(of(name, 'cpuUsPerEcho')).toFixed(2), range(of(name, 'rttNearUs')), range(of(name, 'rttFarUs'))].join(' | ')} |`;
  };
  return [
    '| responder | echo/s, 64 outstanding | echo/s, 256 | echo/s, 1 | CPU µs per echo | idle round trip µs, same processor | other processor |',
    '|---|---|---|---|---|---|---|',
    ...kinds.map(row),
    '',
    `${rounds} rounds in turn, ${seconds} s a figure, medians; (×) to the C loop. ${cpus()[0]?.model.trim()}, ` +
      `${cpus().length} processors, Linux ${release().split('-')[0]}, Node ${process.versions.node}.`,
    '',
  ].join('\n');
}

function document(report) {
  return [
    '# Benchmarks',
    '',
    'Written by `npm run bench -- --write`; run it yourself, absolute figures are those of one machine.',
    '',
    '## Echo: ICMP requests answered on a TUN device, 56 bytes of payload',
    '',
    'Load and responder are pinned to a processor each. With 64 outstanding the load generator is busy as well.',
    '',
    report,
  ].join('\n');
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function ip(...args) {
  return execFileSync('ip', args, { encoding: 'utf8' });
}

function ipLink(name) {
  return run('ip', 'link', 'show', name) !== undefined;
}

function run(command, ...args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

/** Waits for a condition, at most ten seconds. */
async function until(condition) {
  for (let i = 0; i < 200; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  fail('the bench waited ten seconds in vain');
}
