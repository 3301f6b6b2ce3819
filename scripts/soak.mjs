/**
 * Random use and abuse of devices while traffic runs, for as long as it is given.
 *
 *   node scripts/soak.mjs                      ten minutes
 *   node scripts/soak.mjs --minutes 600
 *   node scripts/soak.mjs --seconds 20 --seed 7
 *   node scripts/soak.mjs --checker asan       the native core under a checker of scripts/checkers.mjs: asan, tsan,
 *                                              memcheck; memory is not judged then
 *
 * Opens and closes devices, with and without offload, attaches and detaches queues, reads in every way, joins devices,
 * sets them down and up, deletes them underneath; sends and receives by UDP sockets; seals and opens packets on this thread and on
 * the pool, closing and forgetting keys meanwhile; runs multi-queue devices with a worker a queue; starts workers that
 * hold one of each, and ends or terminates them; and collects garbage. In between everything
 * is closed, and nothing may be left of it: no descriptor, device or thread, and no more memory than after the first
 * rounds. Ends with status 1 and the seed on a leak or an unexpected error; a crash ends it by a signal. The seed gives
 * the same decisions, not the same timing. Everything happens in namespaces that go with it.
 */

import { readdirSync, readlinkSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { prepareChecker, tellReports } from './checkers.mjs';
import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { fail, runProgram } from './process.mjs';
import { setup } from './setup.mjs';
import { importLibrary, isExpected } from './soak-library.mjs';
import { World } from './soak-world.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seconds: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
    checker: { type: 'string' },
    inside: { type: 'boolean', default: false },
  },
});
const seconds = values.seconds === undefined ? Number(values.minutes) * 60 : Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) fail('--minutes, --seconds and --seed take numbers');

const ROUND_SECONDS = 2;
/** Rounds after which memory has reached what it needs. */
const WARM_UP_ROUNDS = 4;
/** V8 and malloc give memory back late and in pieces. A batch is 0.2 MiB, and a round opens hundreds. */
const RSS_GROWTH_MIB = 48;
const HEAP_GROWTH_MIB = 8;

async function startInside() {
  await setup();
  const checker = values.checker === undefined ? undefined : prepareChecker(values.checker);
  const node = checker?.node ?? process.execPath;
  const command = [node, '--expose-gc', ...process.argv.slice(1), '--seed', String(seed), '--inside'];
  const wrapped = inNamespaces(command);
  if (wrapped.command === undefined) fail(`soaking needs a network namespace: ${wrapped.reason}`, namespaceHint);
  const status = await runProgram(wrapped.command);
  if (status > 1) process.stderr.write(`error: ended with status ${status}, seed ${seed}\n`);
  process.exitCode = checker === undefined || tellReports(checker) ? status : 1;
}

async function soak() {
  const library = await importLibrary();
  const world = new World(library, library.seededRandom(seed));
  process.on('uncaughtException', (error) => broken(world, error));
  process.on('unhandledRejection', (error) => broken(world, error));
  await world.open();
  const end = performance.now() + seconds * 1000;
  const rounds = [];
  while (performance.now() < end) {
    const roundEnd = Math.min(end, performance.now() + ROUND_SECONDS * 1000);
    while (performance.now() < roundEnd) await world.step();
    await world.closeAll();
    rounds.push(await world.measure());
    checkLeaks(rounds);
    const { rssMib, heapMib } = rounds.at(-1);
    const done = Object.entries(world.done).map(([name, count]) => `${name} ${count}`);
    if (rounds.length % 15 === 1) process.stdout.write(`${done.join(', ')}; ${rssMib} MiB, heap ${heapMib} MiB\n`);
  }
  await world.close();
  process.stdout.write(`${JSON.stringify({ seed, rounds: rounds.length, ...world.done, last: rounds.at(-1) })}\n`);
  process.exit(0);
}

function broken(world, error) {
  if (isExpected(error)) return;
  process.stderr.write(`after ${JSON.stringify(world.done)}\n${error?.stack ?? error}\n`);
  fail('an unexpected error', `seed ${seed}`);
}

function checkLeaks(rounds) {
  const now = rounds.at(-1);
  if (now.devices.length > 0) fail(`left over devices: ${now.devices.join(', ')}`, `seed ${seed}`);
  if (rounds.length <= WARM_UP_ROUNDS) return;
  const before = rounds[WARM_UP_ROUNDS - 1];
  const most = (key) => Math.max(...rounds.slice(0, WARM_UP_ROUNDS).map((round) => round[key]));
  for (const key of ['descriptors', 'threads']) {
    if (now[key] > most(key)) fail(`${key} grew from ${before[key]} to ${now[key]}: ${openFiles()}`, `seed ${seed}`);
  }
  // Three rounds in a row: one may end before the garbage of its workers is gone.
  const least = (key) => Math.min(...rounds.slice(-3).map((round) => round[key]));
  if (least('heapMib') > most('heapMib') + HEAP_GROWTH_MIB) {
    fail(`the heap grew from ${most('heapMib')} to ${least('heapMib')} MiB`, `seed ${seed}`);
  }
  // A checker keeps freed memory for itself.
  if (values.checker === undefined && least('rssMib') > most('rssMib') + RSS_GROWTH_MIB) {
    fail(`memory grew from ${most('rssMib')} to ${least('rssMib')} MiB`, `seed ${seed}`);
  }
}

function openFiles() {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return 'closed';
    }
  });
  return targets.toSorted().join(' ');
}

if (values.inside) await soak();
else await startInside();
