/**
 * Runs the benches, each beside its baseline.
 *
 *   npm run bench                              all of them
 *   npm run bench -- echo --rounds 3 --seconds 1
 *   npm run bench -- --write                   puts the tables into docs/benchmarks.md
 *
 * Everything happens in namespaces that go with the bench.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { inNamespaces, namespaceHint } from '../scripts/namespaces.mjs';
import { fail, inRoot } from '../scripts/process.mjs';
import { setup } from '../scripts/setup.mjs';
import { machine } from './lib.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
  },
});
const order = ['echo', 'busy-poll', 'read-write', 'wire', 'batch', 'offload', 'queues', 'udp', 'aead', 'growth'];
const present = readdirSync(inRoot('bench')).map((file) => file.replace(/\.mjs$/, ''));
const names = (positionals.length > 0 ? positionals : order).filter((bench) => present.includes(bench));
if (names.length === 0) fail(`no such bench: ${positionals.join(', ')}`, `there are ${order.join(', ')}`);

if (values.inside) await runAll();
else await runInNamespaces();

async function runInNamespaces() {
  await setup();
  const wrapped = inNamespaces([process.execPath, ...process.argv.slice(1), '--inside']);
  if (wrapped.command === undefined) fail(`the bench needs a network namespace: ${wrapped.reason}`, namespaceHint);
  const [command, ...args] = wrapped.command;
  process.exitCode = spawnSync(command, args, { stdio: 'inherit' }).status ?? 1;
}

async function runAll() {
  const settings = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
  const sections = [];
  for (const bench of names) {
    const { title, about, run } = await import(`./${bench}.mjs`);
    process.stderr.write(`${title}\n`);
    const section = `## ${title}\n\n${about}\n\n${await run(settings)}`;
    process.stdout.write(`${section}\n`);
    sections.push(section);
  }
  const how = `${settings.rounds} rounds in turn, ${settings.seconds} s a figure, medians; [least–most]. ${machine()}.`;
  process.stdout.write(`${how}\n`);
  if (values.write) writeFileSync(inRoot('docs/benchmarks.md'), document(sections, how));
}

function document(sections, how) {
  const head = [
    '# Benchmarks',
    'Written by `npm run bench -- --write`; run it yourself: absolute figures are those of one machine, ratios travel better.',
    how,
  ];
  return `${[...head, ...sections].join('\n\n').trim()}\n`;
}
