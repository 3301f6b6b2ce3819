/** Two TUN devices joined by a program: `forward()` beside a loop in C, socat and the kernel's own veth. */

import { echoes, lasting, roundTripUs, stream, warmingUp } from './lib/network.mjs';
import { cpuSeconds } from './lib/processes.mjs';
import { range, rangeCell, table } from './lib/tables.mjs';
import { figures, inTurn, ratio, runnable, undisturbed } from './lib/turns.mjs';
import {
  byCommand,
  byKernel,
  bySocat,
  farAddress,
  inC,
  inTypeScript,
  superInC,
  superInTypeScript,
  withFarEnd,
  withWire,
} from './lib/wires.mjs';

const kinds = () => {
  const [plain, superPackets] = [inC(), superInC()];
  return [
    plain,
    { ...inTypeScript('vnic, packet by packet', {}), baseline: plain },
    { ...inTypeScript('vnic, packet by packet, no io_uring', { io: 'readiness' }), baseline: plain },
    { ...byCommand('vnic link, offload off', ',offload=off'), baseline: plain },
    { ...bySocat(), baseline: plain },
    superPackets,
    { ...superInTypeScript(), baseline: superPackets },
    { ...byCommand('vnic link'), baseline: superPackets },
    { ...byKernel(), baseline: superPackets },
  ];
};

export const title = 'Wire: two TUN devices in two namespaces, joined';
export const about =
  'One TCP stream of iperf3 and ICMP echoes from the kernel at one end to that at the other, MTU 1500. The wire has ' +
  'a processor of its own, both ends of the load share the other one: with super-packets it is they who are busy, ' +
  'so the processor time a gigabyte tells more than the throughput. An echo is two packets. The ratios in brackets are to the ' +
  'program in C of the same kind; socat goes packet by packet, veth carries super-packets.';

export async function run({ rounds, seconds, pings }) {
  const present = runnable(kinds());
  const results = await withFarEnd(() => inTurn(present, rounds, (kind) => measure(kind, seconds, pings)));
  const cell = ({ name, baseline, command }, key, digits = 0) => {
    if (command === undefined && key.startsWith('cpu')) return 'in the kernel';
    return baseline ? rangeCell(results, name, baseline.name, key, digits) : range(figures(results, name, key), digits);
  };
  const head = ['wire', 'TCP, Gbit/s', 'CPU s a GB', 'echo/s, 64 outstanding', 'CPU µs an echo', 'idle round trip µs'];
  const rows = present.map((kind) => [
    kind.name,
    cell(kind, 'gigabits', 2),
    cell(kind, 'cpuPerGb', 2),
    cell(kind, 'echoes'),
    cell(kind, 'cpuUs', 2),
    cell(kind, 'idleUs'),
  ]);
  return `${table(head, rows)}\n${gains(present, results)}\n`;
}

/** How many times faster super-packets are. */
function gains([plainInC, plain, ...others], results) {
  const [superPackets, inTypeScript] = others.filter(({ name }) => name.includes('super-packets'));
  const gain = (kind, baseline) => ratio(results, kind.name, baseline.name, 'gigabits').toFixed(1);
  const ours = inTypeScript ? `, vnic ${gain(inTypeScript, plain)}×` : '';
  return `TCP with super-packets to packet by packet: C ${gain(superPackets, plainInC)}×${ours}.`;
}

async function measure(kind, seconds, pings) {
  return await withWire(kind, async (wire) => {
    await stream(farAddress, ...warmingUp(seconds));
    const { us: idleUs } = await undisturbed(() => roundTripUs(farAddress, { pings }));
    const echo = await undisturbed(async () => {
      const [{ rate, replies }, cpu] = await withCpu(wire, () => echoes(farAddress, { seconds }));
      return { echoes: rate, cpuUs: (cpu * 1e6) / replies };
    });
    const tcp = await undisturbed(async () => {
      const [{ bytes, gigabits }, cpu] = await withCpu(wire, () => stream(farAddress, ...lasting(seconds)));
      return { gigabits, cpuPerGb: cpu / (bytes / 1e9) };
    });
    return { idleUs, ...echo, ...tcp };
  });
}

async function withCpu(wire, work) {
  const now = () => (wire === undefined ? Number.NaN : cpuSeconds(wire.pid));
  const before = now();
  const result = await work();
  return [result, now() - before];
}
