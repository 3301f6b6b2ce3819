/** ICMP echo over several queues of one device: in one thread, and one worker a queue, beside threads in C. */

import { execFileSync } from 'node:child_process';

import {
  baselineProgram,
  cpuSeconds,
  figures,
  inTurn,
  ip,
  linkExists,
  median,
  output,
  pinned,
  range,
  ratio,
  table,
  until,
} from './lib.mjs';

const name = 'bench0';
const load = baselineProgram('echo-load');
const inC = baselineProgram('tun-echo-queues', '-pthread');

/** A flow is a pair of addresses, echo requests have no ports: 10.0.0.2, 10.0.1.2 and so on. */
const flows = 8;
const outstanding = 128;

const library = new URL('../dist/queues/index.js', import.meta.url).href;

/** Swaps the addresses of echo requests in place and writes them back. */
const answering = `
  const answer = (link) => link.onBatch((batch) => {
    const { bytes } = batch;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.offset(i);
      const icmp = at + (bytes[at] & 15) * 4;
      if (bytes[at] >> 4 !== 4 || bytes[at + 9] !== 1 || bytes[icmp] !== 8) {
        batch.drop(i);
        continue;
      }
      for (let j = 12; j < 16; j++) [bytes[at + j], bytes[at + j + 4]] = [bytes[at + j + 4], bytes[at + j]];
      bytes[icmp] = 0;
      const sum = ((bytes[icmp + 2] << 8) | bytes[icmp + 3]) + 0x0800;
      const folded = (sum & 0xffff) + (sum >> 16);
      bytes[icmp + 2] = folded >> 8;
      bytes[icmp + 3] = folded & 0xff;
    }
    link.write(batch);
  });`;

const inOneThread = (queues) => `
  import { openQueues } from '${library}';
  ${answering}
  for (const link of await openQueues({ kind: 'tun', name: '${name}', queues: ${queues} })) answer(link);`;

const inWorkers = (queues) => {
  const worker = `import { openQueueInWorker } from '${library}';
    ${answering}
    answer((await openQueueInWorker()).link);`;
  return `import { runInWorkers } from '${library}';
    const worker = new URL('data:text/javascript,${encodeURIComponent(worker).replaceAll("'", '%27')}');
    await runInWorkers({ worker, queues: ${queues}, device: { kind: 'tun', name: '${name}' } });`;
};

const vnic = (code) => [process.execPath, '--input-type=module', '-e', code];

const kinds = [
  ...[1, 2, 4].map((queues) => ({ name: `C, ${queues} threads`, command: [inC, name, String(queues)] })),
  ...[1, 2, 4].map((queues) => ({ name: `vnic, ${queues} queues in one thread`, command: vnic(inOneThread(queues)) })),
  ...[1, 2, 4].map((queues) => ({ name: `vnic, ${queues} workers`, command: vnic(inWorkers(queues)) })),
].map((kind) => ({ ...kind, name: kind.name.replace(/\b1 (\w+)s\b/, '1 $1') }));

export const title = 'Queues: ICMP echo over one multi-queue TUN device';
export const about =
  `${flows} flows from one load generator, ${outstanding} requests outstanding. On one processor: the responder has ` +
  'one to itself, the load has the other, so more threads can only cost. Free: both share all processors. ' +
  'With two processors the load needs one of them, so this shows what queues cost rather than how they scale.';

export async function run({ rounds, seconds }) {
  const results = await inTurn(kinds, rounds, (kind) => measure(kind, seconds));
  const [baseline] = kinds;
  const rate = (kind, key) =>
    `${Math.round(median(figures(results, kind, key)) / 1000)}k (${ratio(results, kind, baseline.name, key).toFixed(2)}×)`;
  const cost = (kind, key) =>
    `${range(figures(results, kind, key), 2)} (${ratio(results, kind, baseline.name, key).toFixed(2)}×)`;
  return table(
    ['responder', 'echo/s, on one processor', 'CPU µs per echo', 'echo/s, free', 'CPU µs per echo'],
    kinds.map((kind) => [
      kind.name,
      rate(kind.name, 'pinned'),
      cost(kind.name, 'pinnedCpuUs'),
      rate(kind.name, 'free'),
      cost(kind.name, 'freeCpuUs'),
    ]),
  );
}

async function measure(kind, seconds) {
  const onOne = await echoes(kind, seconds, { responder: '1', load: '0' });
  const free = await echoes(kind, seconds, { responder: '0-1', load: '0-1' });
  return { pinned: onOne.rate, pinnedCpuUs: onOne.cpuUs, free: free.rate, freeCpuUs: free.cpuUs };
}

async function echoes(kind, seconds, processors) {
  const responder = pinned(processors.responder, kind.command);
  try {
    await until(() => linkExists(name));
    ip('addr', 'add', '10.0.0.1/16', 'dev', name);
    ip('link', 'set', name, 'txqueuelen', '2000', 'up');
    await until(() => output('ping', '-c', '1', '-W', '1', '10.0.0.2') !== undefined);
    replies(processors.load, 0.5); // V8 gets its chance to compile before the clock runs
    const before = cpuSeconds(responder.pid);
    const rate = replies(processors.load, seconds);
    return { rate, cpuUs: ((cpuSeconds(responder.pid) - before) * 1e6) / (rate * seconds) };
  } finally {
    await responder.stop();
    await until(() => !linkExists(name));
  }
}

/** Echo replies per second over all flows together. */
function replies(processors, seconds) {
  const args = ['10.0.0.2', outstanding, seconds, 64, flows].map(String);
  const printed = execFileSync('taskset', ['-c', processors, load, ...args]);
  const { replies: count, seconds: took } = JSON.parse(printed.toString());
  return count / took;
}
