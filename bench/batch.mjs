/** What the size of a batch does to the cost of a packet: one packet a crossing into the native core up to 256. */

import { blockingInC, target, vnicHandler, withResponder } from './lib/echo-device.mjs';
import { echoCost, roundTripUs, warmUp } from './lib/network.mjs';
import { range, rangeCell, rateCell, table } from './lib/tables.mjs';
import { figures, inTurn, undisturbed } from './lib/turns.mjs';

const capacities = [1, 4, 16, 64, 256];
const window = 256;

const kinds = () => [
  blockingInC(),
  ...capacities.map((capacity) => vnicHandler({ name: `vnic, batches of ${capacity}`, batch: { capacity } })),
];

export const title = 'Batch: echo with batches of 1 to 256 packets';
export const about =
  `A batch handler on a TUN device beside the program in C, the load on the other processor with ${window} requests ` +
  'outstanding. 64 is the default. A batch of one is a crossing into the native core and a callback for every packet.';

export async function run({ rounds, seconds, pings }) {
  const all = kinds();
  const results = await inTurn(all, rounds, (kind) => measure(kind, seconds, pings));
  const [baseline] = all;
  return table(
    ['responder', 'echo/s', 'CPU µs an echo', 'idle round trip µs'],
    all.map(({ name }) => [
      name,
      rateCell(results, name, baseline.name, 'rate'),
      rangeCell(results, name, baseline.name, 'cpuUs'),
      range(figures(results, name, 'idleUs')),
    ]),
  );
}

async function measure(kind, seconds, pings) {
  return await withResponder(kind, async ({ pid }) => {
    warmUp(target, { window, seconds });
    const echo = await echoCost(pid, target, { window, seconds });
    const { us: idleUs } = await undisturbed(() => roundTripUs(target, { pings, processor: 1 }));
    return { ...echo, idleUs };
  });
}
