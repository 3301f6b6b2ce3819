/** How fast ICMP echo requests on a TUN device are answered: `vnic echo` beside C, Python and plain Node. */

import {
  blockingInC,
  peers,
  target,
  vnicEcho,
  vnicEchoEitherWay,
  vnicHandler,
  withResponder,
} from './lib/echo-device.mjs';
import { echoCost, warmUp } from './lib/network.mjs';
import { range, rateCell, table } from './lib/tables.mjs';
import { figures, inTurn, runnable } from './lib/turns.mjs';

/** Requests outstanding; the last is what processor time is taken at. */
const windows = [1, 256, 64];

const kinds = () => [blockingInC(), vnicEcho(), ...vnicEchoEitherWay(), vnicHandler(), ...peers()];

export const title = 'Echo: ICMP requests answered on a TUN device, 56 bytes of payload';
export const about =
  'Load and responder are pinned to a processor each; with 64 outstanding the load generator is busy as well, so that ' +
  'the processor time tells more than the rate. Kernel included: it is most of it. `vnic echo` is the command; it ' +
  'verifies checksums, counts and answers for a whole network, and chooses by load between the two ways of `--io`. The batch handler uses the library to do no more than the ' +
  'programs beside it. `least` is the round that was disturbed least, with its ratio to that of C. Streams are what npm ' +
  'packages for TUN do.';

export async function run({ rounds, seconds }) {
  const present = runnable(kinds());
  const results = await inTurn(present, rounds, (kind) => measure(kind, seconds));
  const [baseline] = present;
  const least = (kind) => Math.min(...figures(results, kind.name, 'cpuUs'));
  return table(
    ['responder', 'echo/s, 64 outstanding', '256', '1', 'CPU µs an echo', 'least'],
    present.map((kind) => [
      kind.name,
      ...['w64', 'w256', 'w1'].map((key) => rateCell(results, kind.name, baseline.name, key)),
      range(figures(results, kind.name, 'cpuUs'), 2),
      `${least(kind).toFixed(2)} (${(least(kind) / least(baseline)).toFixed(2)}×)`,
    ]),
  );
}

async function measure(kind, seconds) {
  return await withResponder(kind, async ({ pid }) => {
    warmUp(target, { seconds });
    const result = {};
    for (const window of windows) {
      const { rate, cpuUs } = await echoCost(pid, target, { window, seconds });
      result[`w${window}`] = rate;
      result.cpuUs = cpuUs;
    }
    return result;
  });
}
