/** ICMP echo over several queues of one device: in one thread, and one worker a queue, beside threads in C. */

import { answerInPlace, device, target, withResponder } from './lib/echo-device.mjs';
import { echoCost, warmUp } from './lib/network.mjs';
import { baselineProgram, nodeCommand } from './lib/processes.mjs';
import { rangeCell, rateCell, table } from './lib/tables.mjs';
import { inTurn } from './lib/turns.mjs';

/** A flow is a pair of addresses, echo requests have no ports: 10.9.0.2, 10.9.1.2 and so on. */
const flows = 8;
const outstanding = 128;
const queueCounts = [1, 2, 4];

const library = new URL('../dist/queues/index.js', import.meta.url).href;

const answering = `
  ${answerInPlace}
  const use = (link) => link.onBatch((batch) => {
    for (let i = 0; i < batch.count; i++) if (!answer(batch.bytes, batch.offset(i), batch.length(i))) batch.drop(i);
    link.write(batch);
  });`;

const inOneThread = (queues) => `
  import { openQueues } from '${library}';
  ${answering}
  for (const link of await openQueues({ kind: 'tun', name: '${device}', queues: ${queues} })) use(link);`;

const inWorkers = (queues) => {
  const worker = `import { openQueueInWorker } from '${library}';
    ${answering}
    use((await openQueueInWorker()).link);`;
  return `import { runInWorkers } from '${library}';
    const worker = new URL('data:text/javascript,${encodeURIComponent(worker).replaceAll("'", '%27')}');
    await runInWorkers({ worker, queues: ${queues}, device: { kind: 'tun', name: '${device}' } });`;
};

const kinds = () => {
  const inC = baselineProgram('tun-echo-queues', { flags: ['-pthread'] });
  const many = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  return [
    ...queueCounts.map((n) => ({ name: `C, ${many(n, 'thread')}`, command: [inC, device, String(n)] })),
    ...queueCounts.map((n) => ({
      name: `vnic, ${many(n, 'queue')} in one thread`,
      command: nodeCommand(inOneThread(n)),
    })),
    ...queueCounts.map((n) => ({ name: `vnic, ${many(n, 'worker')}`, command: nodeCommand(inWorkers(n)) })),
  ];
};

export const title = 'Queues: ICMP echo over one multi-queue TUN device';
export const about =
  `${flows} flows from one load generator, ${outstanding} requests outstanding. On one processor: the responder has ` +
  'one to itself, the load has the other, so more threads can only cost. Free: both share all processors. ' +
  'With two processors the load needs one of them, so this shows what queues cost rather than how they scale. Ratios are to C ' +
  'with one thread.';

export async function run({ rounds, seconds }) {
  const all = kinds();
  const results = await inTurn(all, rounds, (kind) => measure(kind, seconds));
  const [baseline] = all;
  const rate = ({ name }, key) => rateCell(results, name, baseline.name, key);
  const cost = ({ name }, key) => rangeCell(results, name, baseline.name, key);
  return table(
    ['responder', 'echo/s, on one processor', 'CPU µs an echo', 'echo/s, free', 'CPU µs an echo'],
    all.map((kind) => [
      kind.name,
      rate(kind, 'pinned'),
      cost(kind, 'pinnedCpuUs'),
      rate(kind, 'free'),
      cost(kind, 'freeCpuUs'),
    ]),
  );
}

async function measure(kind, seconds) {
  const onOne = await answered(kind, seconds, { responder: '1', load: '0' });
  const free = await answered(kind, seconds, { responder: '0-1', load: '0-1' });
  return { pinned: onOne.rate, pinnedCpuUs: onOne.cpuUs, free: free.rate, freeCpuUs: free.cpuUs };
}

async function answered(kind, seconds, { responder, load }) {
  const asked = { window: outstanding, seconds, networks: flows, processors: load };
  const work = async ({ pid }) => {
    warmUp(target, asked);
    return await echoCost(pid, target, asked);
  };
  return await withResponder(kind, work, { processors: responder, prefix: 16 });
}
