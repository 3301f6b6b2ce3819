/** Offload on and off: the same wire in TypeScript, beside C without offload and with super-packets. */

import { echoCost, lasting, stream, warmingUp } from './lib/network.mjs';
import { cpuSeconds } from './lib/processes.mjs';
import { rangeCell, table } from './lib/tables.mjs';
import { inTurn, runnable, undisturbed } from './lib/turns.mjs';
import { farAddress, inC, inTypeScript, superInC, superInTypeScript, withFarEnd, withWire } from './lib/wires.mjs';

const kinds = () => [
  inC(),
  inTypeScript("vnic, offload: 'off'", { offload: 'off' }),
  inTypeScript("vnic, offload: 'auto', split and coalesced", { offload: 'auto' }),
  superInTypeScript('vnic, superPackets: true'),
  superInC(),
];

export const title = 'Offload: two TUN devices joined, super-packets on and off';
export const about =
  'TCP by iperf3 and ICMP echoes between two namespaces, MTU 1500; the wire has a processor of its own, both ends of the ' +
  'load share the other one. Ratios are to the program in C that goes packet by packet. Split and coalesced means that the ' +
  'program between the devices sees packets of the MTU with their own checksums, as a tunnel or a filter needs them.';

export async function run({ rounds, seconds }) {
  const present = runnable(kinds());
  const results = await withFarEnd(() => inTurn(present, rounds, (kind) => measure(kind, seconds)));
  const [baseline] = present;
  const cell = (kind, key, digits = 2) => rangeCell(results, kind.name, baseline.name, key, digits);
  return table(
    ['wire', 'TCP, 1 stream, Gbit/s', '4 streams', 'CPU s a GB', 'echo/s, 64 outstanding', 'CPU µs an echo'],
    present.map((kind) => [
      kind.name,
      cell(kind, 'one'),
      cell(kind, 'four'),
      cell(kind, 'cpuPerGb'),
      cell(kind, 'echoes', 0),
      cell(kind, 'echoCpuUs'),
    ]),
  );
}

async function measure(kind, seconds) {
  return await withWire(kind, async ({ pid }) => {
    await stream(farAddress, ...warmingUp(seconds));
    const one = await undisturbed(async () => {
      const before = cpuSeconds(pid);
      const { gigabits, bytes } = await stream(farAddress, ...lasting(seconds));
      return { one: gigabits, cpuPerGb: (cpuSeconds(pid) - before) / (bytes / 1e9) };
    });
    const four = await undisturbed(() => stream(farAddress, ...lasting(seconds), '-P', 4));
    const { rate, cpuUs } = await echoCost(pid, farAddress, { seconds });
    return { ...one, four: four.gigabits, echoes: rate, echoCpuUs: cpuUs };
  });
}
