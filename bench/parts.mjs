/** What a packet's processor time consists of: kernel, native code, JavaScript, garbage collection. */

import { blockingInC, target, vnicHandler, vnicResponder, withResponder } from './lib/echo-device.mjs';
import { echoes, lasting, stream, warmingUp, warmUp } from './lib/network.mjs';
import { hasPerf, partNames, partsDuring, sampled } from './lib/parts.mjs';
import { table, times } from './lib/tables.mjs';
import { figures, inTurn, median, runnable, undisturbed } from './lib/turns.mjs';
import { farAddress, inC, inTypeScript, superInC, superInTypeScript, withFarEnd, withWire } from './lib/wires.mjs';

/** Payload of a TCP segment at an MTU of 1500, with timestamps. */
const segmentBytes = 1448;

export const title = 'Parts: what the time of a packet is spent on';
export const about =
  'Processor time of the program in µs: all of it, with the ratio to the program in C of the same kind, then its parts and their shares. Echo: an echo of 64 bytes, which is read and written, with 64 outstanding. ' +
  `Wire: ${segmentBytes} bytes of one TCP stream, which are a packet where there are no super-packets. ` +
  `${
    hasPerf()
      ? 'By perf, which samples the clock of the processor. JavaScript includes what of V8 runs it, its builtins; ' +
        'node and libraries are the rest of V8, libuv and libc.'
      : 'By system and user time and the sampling profiler of V8, which adds some, for want of perf: the native core ' +
        'counts under node and libraries.'
  } Of a program in C all but kernel and libc is its own code, here under native core.`;

export async function run({ rounds, seconds }) {
  const responders = [blockingInC(), vnicHandler(), vnicResponder()].map(sampled);
  const echo = await inTurn(responders, rounds, (kind) => measureEcho(kind, seconds), 'echo');
  const [plain, superPackets] = [inC(), superInC()];
  const ours = [inTypeScript('vnic, packet by packet', {}), { ...superInTypeScript(), baseline: superPackets }];
  const wires = runnable([plain, superPackets, ...ours]).map(sampled);
  const wire = await withFarEnd(() => inTurn(wires, rounds, (kind) => measureWire(kind, seconds), 'wire'));
  return [partsTable('echo', responders, echo), partsTable('wire', wires, wire)].join('\n');
}

function partsTable(label, kinds, results) {
  const us = ({ name }, part) => median(figures(results, name, part));
  const total = (kind) =>
    `${us(kind, 'total').toFixed(2)} (${times(results, kind.name, (kind.baseline ?? kinds[0]).name, 'total')})`;
  const cell = (kind, part) =>
    `${us(kind, part).toFixed(3)} (${((100 * us(kind, part)) / us(kind, 'total')).toFixed(1)} %)`;
  return table(
    [label, 'all, µs', ...partNames],
    kinds.map((kind) => [kind.name, total(kind), ...partNames.map((part) => cell(kind, part))]),
  );
}

async function measureEcho(kind, seconds) {
  return await withResponder(kind, (responder) => {
    warmUp(target, { seconds });
    return undisturbed(async () => {
      let count = 0;
      const parts = await partsDuring(kind, responder, () => {
        count = echoes(target, { seconds }).replies;
      });
      return microseconds(parts, count);
    });
  });
}

async function measureWire(kind, seconds) {
  return await withWire(kind, async (wire) => {
    await stream(farAddress, ...warmingUp(seconds));
    return await undisturbed(async () => {
      let count = 0;
      const parts = await partsDuring(kind, wire, async () => {
        const { bytes } = await stream(farAddress, ...lasting(seconds));
        count = bytes / segmentBytes;
      });
      return microseconds(parts, count);
    });
  });
}

const microseconds = (parts, count) =>
  Object.fromEntries(Object.entries(parts).map(([part, seconds]) => [part, (seconds * 1e6) / count]));
