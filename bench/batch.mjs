/** What the size of a batch does to the cost of a packet: one packet a crossing into the native core up to 256. */

import {
  baselineProgram,
  cpuSeconds,
  echoReplies,
  echoResponder,
  figures,
  inTurn,
  linkExists,
  median,
  output,
  pinned,
  range,
  ratio,
  table,
  until,
} from './lib.mjs';

const load = baselineProgram('echo-load');
const capacities = [64, 1, 4, 16, 256];
const kinds = capacities.map((capacity) => ({ name: String(capacity), capacity }));

export const title = 'Batch: echo with batches of 1 to 256 packets';
export const about =
  'A batch handler on a TUN device that answers what the program in C of the echo bench answers, the load on the other processor with 256 requests outstanding. ' +
  'Ratios are to the default of 64. A batch of one is a crossing into the native core and a callback for every packet.';

export async function run({ rounds, seconds }) {
  const results = await inTurn(kinds, rounds, (kind) => measure(kind, seconds));
  const inOrder = [...kinds].sort((a, b) => a.capacity - b.capacity);
  const [standard] = kinds;
  const times = (kind, key) => `${ratio(results, kind.name, standard.name, key).toFixed(2)}×`;
  return table(
    ['packets a batch', 'echo/s', 'CPU µs per echo', 'idle round trip µs'],
    inOrder.map((kind) => [
      kind.name,
      `${Math.round(median(figures(results, kind.name, 'rate')) / 1000)}k (${times(kind, 'rate')})`,
      `${range(figures(results, kind.name, 'cpuUs'), 2)} (${times(kind, 'cpuUs')})`,
      range(figures(results, kind.name, 'idleUs')),
    ]),
  );
}

async function measure({ capacity }, seconds) {
  const responder = pinned(1, echoResponder({ batch: { capacity }, lean: true }), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    await until(() => output('ping', '-c', '1', '-W', '1', '10.9.0.2') !== undefined);
    echoReplies(load, { window: 256, seconds: 0.5 }); // V8 gets its chance to compile before the clock runs
    const before = cpuSeconds(responder.pid);
    const { replies, seconds: took } = echoReplies(load, { window: 256, seconds });
    const cpuUs = ((cpuSeconds(responder.pid) - before) * 1e6) / replies;
    return { rate: replies / took, cpuUs, idleUs: idleRoundTripUs() };
  } finally {
    await responder.stop();
    await until(() => !linkExists('bench0'));
  }
}

function idleRoundTripUs() {
  const printed = output('taskset', '-c', '1', 'ping', '-c', '200', '-i', '0.002', '10.9.0.2') ?? '';
  return median([...printed.matchAll(/time=([0-9.]+) ms/g)].map((match) => Number(match[1]) * 1000));
}
