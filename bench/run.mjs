/**
 * Runs the benches, each beside its baseline and its peers. bench/README.md tells what each measures.
 *
 *   npm run bench                              all of them, about 20 minutes
 *   npm run bench -- echo wire                 some
 *   npm run bench -- --quick                   fewer and shorter rounds
 *   npm run bench -- --write                   puts the tables of all into docs/benchmarks.md
 *   npm run bench -- --json FILE               every single run as well
 *   npm run bench -- --smoke                   only to see that all of them run to their end
 *
 * Everything happens in namespaces that go with the bench.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { benchPeers, installPeers } from '../scripts/install-peers.mjs';
import { inNamespaces, namespaceHint } from '../scripts/namespaces.mjs';
import { fail, inRoot, runProgram, say } from '../scripts/process.mjs';
import { setup } from '../scripts/setup.mjs';
import { machine } from './lib/machine.mjs';
import { beginRuns, finishedRuns } from './lib/turns.mjs';

/** In the order of docs/benchmarks.md. */
const order = [
  'echo',
  'round-trip',
  'read-write',
  'wire',
  'parts',
  'growth',
  'devices',
  'batch',
  'offload',
  'queues',
  'udp',
  'link',
  'tunnel',
  'switch',
  'aead',
  'apply',
];

/** Those with many kinds or figures get by with so much of the rounds. */
const shareOfRounds = 0.6;
const fullRounds = ['echo', 'round-trip', 'wire'];

/** `seconds` a figure at load, `pings` a figure of the round trip, `repeatSeconds` a bench for disturbed figures. */
const presets = {
  standard: { rounds: 5, seconds: 1, pings: 300, repeatSeconds: 20 },
  quick: { rounds: 2, seconds: 0.5, pings: 200, repeatSeconds: 10 },
  smoke: { rounds: 1, seconds: 0.05, pings: 5, repeatSeconds: 0 },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    json: { type: 'string' },
    inside: { type: 'boolean', default: false },
  },
});
const names = positionals.length > 0 ? positionals : order;
const unknown = names.filter((bench) => !order.includes(bench));
if (unknown.length > 0) fail(`no such bench: ${unknown.join(', ')}`, `there are ${order.join(', ')}`);
if (values.write && positionals.length > 0) fail('--write wants all benches', 'leave the names out');
if (values.write && values.smoke) fail('--write wants figures', 'leave --smoke out');
const settings = settingsOf(values);

if (values.inside) await runAll();
else await runInNamespaces();

function settingsOf({ quick, smoke, rounds, seconds }) {
  const preset = presets[smoke ? 'smoke' : quick ? 'quick' : 'standard'];
  const given = { rounds: Number(rounds ?? preset.rounds), seconds: Number(seconds ?? preset.seconds) };
  if (!(Number.isInteger(given.rounds) && given.rounds > 0)) fail(`--rounds wants a whole number, got ${rounds}`);
  if (!(given.seconds > 0 && given.seconds <= 60)) fail(`--seconds wants a number up to 60, got ${seconds}`);
  return { ...preset, ...given };
}

async function runInNamespaces() {
  await setup();
  if (!installPeers(benchPeers)) say('benches leave out what needs these programs, or fail');
  const wrapped = inNamespaces([process.execPath, ...process.argv.slice(1), '--inside']);
  if (wrapped.command === undefined) fail(`the bench needs a network namespace: ${wrapped.reason}`, namespaceHint);
  // Nothing of it outlives this process, however that ends.
  process.exitCode = await runProgram(['setpriv', '--pdeathsig', 'KILL', ...wrapped.command]);
}

async function runAll() {
  // Neighbours and routers that are looked for would be traffic of their own.
  for (const which of ['all', 'default']) writeFileSync(`/proc/sys/net/ipv6/conf/${which}/disable_ipv6`, '1');
  const origin = machine();
  const sections = [];
  const runs = [];
  for (const bench of names) {
    const done = await runBench(bench);
    if (done === undefined) continue;
    runs.push(...done.runs);
    sections.push(done.section);
    process.stdout.write(`${done.section}\n`);
    // After each: what an hour has measured shall not go with the bench that fails.
    if (values.json) writeFileSync(values.json, JSON.stringify({ ...origin, settings, runs }, null, 1));
  }
  process.stdout.write(`${footer(origin)}\n`);
  if (sections.length < names.length) process.exitCode = 1;
  else if (values.write) writeFileSync(inRoot('docs/benchmarks.md'), document(sections, origin));
}

/** A bench that fails is told, and the others go on. */
async function runBench(bench) {
  const { title, about, run } = await import(`./${bench}.mjs`);
  const startMs = performance.now();
  const rounds = fullRounds.includes(bench) ? settings.rounds : Math.ceil(settings.rounds * shareOfRounds);
  say(title);
  beginRuns(settings.repeatSeconds);
  try {
    const tables = await run({ ...settings, rounds });
    const { runs, notes } = finishedRuns();
    const section = [`## ${title}`, about, tables.trim(), ...notes, how(rounds)].join('\n\n');
    say(`  ${bench}: ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    return { section: `${section}\n`, runs: runs.map((one) => ({ bench, ...one })) };
  } catch (error) {
    say(`error: ${bench}: ${error.stack}`);
    return undefined;
  }
}

function how(rounds) {
  return `${rounds} ${rounds === 1 ? 'round' : 'rounds in turn'}, ${settings.seconds} s a figure.`;
}

function footer({ date, text }) {
  return `${text}. ${date}. Figures are medians; [least–most], and in brackets the ratio to the first row or to what the text says.`;
}

function document(sections, origin) {
  const head = [
    '# Benchmarks',
    'Written by `npm run bench -- --write`; run it yourself: absolute figures are those of one machine, ratios travel better. ' +
      '[bench/README.md](../bench/README.md) tells how to read them.',
    footer(origin),
  ];
  return `${[...head, ...sections.map((section) => section.trim())].join('\n\n')}\n`;
}
