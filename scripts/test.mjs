/**
 * `npm test`: sets the checkout up and runs every stage; the last lines name what failed and count the tests.
 *
 *   npm test -- unit                            one stage
 *   npm test -- kernel test/netns/tun.test.ts   one stage, only these test files
 *   npm test -- --one-by-one                    every stage, and no two at a time
 *
 * Where there are processors for it, two stages run at a time, each in a process of its own; each has its own network
 * namespace, so they do not meet. What a stage says then appears when it has ended. With CI=true a skipped test is a failure.
 */

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import { installPeers } from './install-peers.mjs';
import { fail, root, say } from './process.mjs';
import { setup } from './setup.mjs';
import { stages } from './stages.mjs';

const [only, ...filters] = process.argv.slice(2);
const isOneByOne = only === '--one-by-one';

const startedMs = performance.now();
const total = { passed: 0, failed: 0, skipped: 0 };
const failedStages = [];
const failures = [];
const failureMark = 'failed: ';

if (only === undefined || isOneByOne) await runAll();
else await runOne(stages.find(({ name }) => name === only));

process.exitCode = failedStages.length === 0 ? 0 : 1;
for (const line of failures) process.stdout.write(`${line}\n`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);

async function prepare() {
  // Type errors show in the typecheck stage; the other stages still tell what they can.
  await setup({ keepGoing: true });
  if (!installPeers()) say('stages that need these programs will fail');
}

async function runOne(stage) {
  if (stage === undefined) fail(`no stage ${only}`, `stages: ${stages.map(({ name }) => name).join(', ')}`);
  await prepare();
  say(`\n=== ${stage.name}: ${stage.title}`);
  const stageStartedMs = performance.now();
  const { ok, passed = 0, failed = 0, skipped = 0, failures: found = [] } = await stage.run(filters);
  const skippedInCi = process.env.CI === 'true' && skipped > 0;
  if (skippedInCi) say(`${skipped} skipped tests, which is a failure in CI`);
  if (!ok || skippedInCi) failedStages.push(stage.name);
  count({ passed, failed, skipped });
  failures.push(...found.map((line) => `${failureMark}${stage.name}: ${line}`));
  say(`=== ${stage.name}: ${failedStages.length === 0 ? 'ok' : 'FAILED'} in ${seconds(stageStartedMs)}`);
}

async function runAll() {
  await prepare();
  const waiting = stages.map(({ name }) => name);
  // A stage under way gets the signal too, ends, and counts as failed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => waiting.splice(0));
  const work = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await runApart(name);
  };
  await Promise.all(Array.from({ length: isOneByOne ? 1 : Math.min(2, availableParallelism()) }, work));
  say(`\n${stages.length - failedStages.length} of ${stages.length} stages ok in ${seconds(startedMs)}`);
  if (failedStages.length > 0) say(`failed stages: ${failedStages.join(', ')}`);
}

/** Runs a stage in a process of its own, and shows what it has printed when it has ended. */
async function runApart(name) {
  say(`... ${name}`);
  const command = [fileURLToPath(import.meta.url), name];
  const child = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  // Ctrl-C reaches it by itself.
  const passOn = (signal) => child.kill(signal);
  process.on('SIGTERM', passOn).on('SIGHUP', passOn);
  const printed = { stdout: '', stderr: '' };
  let shown = '';
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      printed[stream] += text;
      shown += text;
    });
  }
  const status = await new Promise((resolve) => child.once('close', resolve));
  process.off('SIGTERM', passOn).off('SIGHUP', passOn);
  process.stderr.write(shown);
  if (status !== 0) failedStages.push(name);
  failures.push(...printed.stdout.split('\n').filter((line) => line.startsWith(failureMark)));
  const counts = /(\d+) passed, (\d+) failed, (\d+) skipped\n$/.exec(printed.stdout);
  const [passed, failed, skipped] = (counts?.slice(1) ?? [0, 1, 0]).map(Number);
  count({ passed, failed, skipped });
}

function count({ passed, failed, skipped }) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function seconds(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}
