/** The round trip of an idle device, for every echo responder, and for vnic with busy polling. */

import {
  blockingInC,
  peers,
  target,
  vnicEcho,
  vnicEchoEitherWay,
  vnicHandler,
  withResponder,
} from './lib/echo-device.mjs';
import { roundTripUs, warmUp } from './lib/network.mjs';
import { cpuSeconds } from './lib/processes.mjs';
import { range, rangeCell, table } from './lib/tables.mjs';
import { figures, inTurn, median, runnable, undisturbed } from './lib/turns.mjs';

const busyPollUs = 10_000;

const kinds = () => [
  blockingInC(),
  vnicEcho(),
  ...vnicEchoEitherWay(),
  vnicHandler({ name: 'vnic, onBatch' }),
  vnicHandler({ name: 'vnic, onBatch, busy poll of 10 ms', busyPollUs }),
  vnicHandler({ name: 'vnic, iteration', reading: 'iteration' }),
  vnicHandler({ name: 'vnic, iteration, busy poll of 10 ms', reading: 'iteration', busyPollUs }),
  ...peers(),
];

export const title = 'Round trip: a ping every 2 ms on an otherwise idle TUN device';
export const about =
  'Sent from the processor of the responder, where only the two programs take turns, and from the other one, where each ping ' +
  'wakes a processor that has gone idle unless the responder polls. Busy polling has its price, which is that processor: the ' +
  'last column is how much of it the responder takes. Where a responder never sleeps, a ping from its own processor ' +
  'has to wait for its turn.';

export async function run({ rounds, seconds, pings }) {
  const present = runnable(kinds());
  const results = await inTurn(present, rounds, (kind) => measure(kind, seconds, pings));
  const [baseline] = present;
  return table(
    ['responder', 'same processor, µs', '99 %', 'other processor, µs', '99 %', 'processor taken'],
    present.map(({ name }) => [
      name,
      rangeCell(results, name, baseline.name, 'nearUs', 0),
      range(figures(results, name, 'nearUs99')),
      rangeCell(results, name, baseline.name, 'farUs', 0),
      range(figures(results, name, 'farUs99')),
      `${Math.round(median(figures(results, name, 'share')) * 100)} %`,
    ]),
  );
}

async function measure(kind, seconds, pings) {
  return await withResponder(kind, async ({ pid }) => {
    // A few hundred pings would still be interpreted.
    warmUp(target, { seconds });
    const near = await undisturbed(() => roundTripUs(target, { pings, processor: 1 }));
    return await undisturbed(() => {
      const [cpu, began] = [cpuSeconds(pid), performance.now()];
      const far = roundTripUs(target, { pings });
      const share = (cpuSeconds(pid) - cpu) / ((performance.now() - began) / 1000);
      return { nearUs: near.us, nearUs99: near.us99, farUs: far.us, farUs99: far.us99, share };
    });
  });
}
