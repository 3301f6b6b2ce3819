/** An Ethernet switch between two hosts on TAP devices, beside a hub in C, vde_switch and the kernel's own bridge; and how it grows. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { SwitchCore } from '../dist/switch/index.js';
import { echoes, lasting, roundTripUs, stream, warmingUp } from './lib/network.mjs';
import { baselineProgram, cpuSeconds, pinned } from './lib/processes.mjs';
import { range, rangeCell, table } from './lib/tables.mjs';
import { figures, inTurn, runnable, undisturbed } from './lib/turns.mjs';
import { byBridge, byHubInC, bySwitch, byVdeSwitch, farAddress, withFarEnd, withWire } from './lib/wires.mjs';

/** UDP payload of a frame of 64 bytes, its check sequence included. */
const SHORT_LEN = 18;
const PORT = 9999;
/** Frames a figure of growth. */
const GROWTH_FRAMES = 2_000_000;

export const title = 'Switch: two hosts on TAP devices, and a switch between them';
export const about =
  'One TCP stream of iperf3, ICMP echoes, and datagrams in frames of 64 bytes as fast as one sender can, counted at the other host; MTU 1500. The ' +
  'program has a processor of its own, both hosts share the other one. Ratios in brackets are to the hub in C of the same kind, which ' +
  'learns nothing; of `vnic switch` to vde_switch they stand below.';

export async function run({ rounds, seconds, pings }) {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-vde-'));
  try {
    const [plain, superPackets] = [byHubInC('hub in C'), byHubInC('hub in C, super-packets', 'vnet')];
    const vde = byVdeSwitch(join(folder, 'ctl'));
    const present = runnable([
      vde,
      plain,
      { ...bySwitch('vnic switch, offload off', ',offload=off'), baseline: plain },
      superPackets,
      { ...bySwitch('vnic switch'), baseline: superPackets },
      { ...byBridge(), baseline: superPackets },
    ]);
    const results = await withFarEnd(() => inTurn(present, rounds, (kind) => measure(kind, seconds, pings)));
    return [between(present, results), overVde(present, results, vde), growth()].join('\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function between(present, results) {
  const cell = ({ name, baseline, command }, key, digits = 0) => {
    if (command === undefined && key.startsWith('cpu')) return 'in the kernel';
    return baseline ? rangeCell(results, name, baseline.name, key, digits) : range(figures(results, name, key), digits);
  };
  const head = [
    'switch',
    'TCP, Gbit/s',
    'CPU s a GB',
    '64-byte frames/s',
    'echo/s, 64 outstanding',
    'idle round trip µs',
  ];
  const rows = present.map((kind) => [
    kind.name,
    cell(kind, 'gigabits', 2),
    cell(kind, 'cpuPerGb', 2),
    cell(kind, 'frames'),
    cell(kind, 'echoes'),
    cell(kind, 'idleUs'),
  ]);
  return table(head, rows);
}

function overVde(present, results, vde) {
  if (!present.includes(vde)) return '';
  const ours = present.filter(({ name }) => name.startsWith('vnic'));
  const rows = ours.map(({ name }) => [
    name,
    ...['gigabits', 'frames', 'echoes'].map((key) =>
      rangeCell(results, name, vde.name, key, key === 'gigabits' ? 2 : 0),
    ),
  ]);
  return table(['to vde_switch', 'TCP, Gbit/s', '64-byte frames/s', 'echo/s'], rows);
}

async function measure(kind, seconds, pings) {
  return await withWire(kind, async (wire) => {
    await stream(farAddress, ...warmingUp(seconds));
    const { us: idleUs } = await undisturbed(() => roundTripUs(farAddress, { pings }));
    const { rate } = await undisturbed(() => echoes(farAddress, { seconds }));
    const frames = await undisturbed(() => shortFrames(seconds));
    const cpu = () => (wire === undefined ? Number.NaN : cpuSeconds(wire.pid));
    const tcp = await undisturbed(async () => {
      const before = cpu();
      const { bytes, gigabits } = await stream(farAddress, ...lasting(seconds));
      return { gigabits, cpuPerGb: (cpu() - before) / (bytes / 1e9) };
    });
    return { idleUs, echoes: rate, frames, ...tcp };
  });
}

/** Frames of 64 bytes that arrive in a second. */
async function shortFrames(seconds) {
  const receive = [baselineProgram('udp-receive'), String(PORT), String(seconds), '0'];
  const receiver = pinned(0, ['ip', 'netns', 'exec', 'far', ...receive], { stdio: ['ignore', 'pipe', 'inherit'] });
  const printed = text(receiver.child.stdout);
  const sender = pinned(0, [baselineProgram('udp-send'), farAddress, String(PORT), String(SHORT_LEN), '1']);
  try {
    const { datagrams, seconds: lasted } = JSON.parse(await printed);
    return datagrams / lasted;
  } finally {
    await sender.stop();
    await receiver.stop();
  }
}

/** What a decision costs as ports and stations grow, without any link. */
function growth() {
  const ports = [2, 4, 16, 64].map((count) => [`${count} ports`, decisionNs(count, 1000)]);
  const stations = [10, 1000, 100_000].map((count) => [`${count} stations`, decisionNs(8, count)]);
  const head = ['decisions of the core alone', 'ns a frame'];
  return table(
    head,
    [...ports, ...stations].map(([name, ns]) => [name, ns.toFixed(0)]),
  );
}

function decisionNs(portCount, stations) {
  const core = new SwitchCore({ capacity: 2 * stations });
  for (let port = 0; port < portCount; port++) core.addPort();
  // As in a batch, the frame itself is at hand.
  const frame = new Uint8Array(60);
  const pass = (count) => {
    for (let i = 0; i < count; i++) {
      const from = i % stations;
      putStation(frame, 0, (from * 7919 + 1) % stations);
      putStation(frame, 6, from);
      core.forward(from % portCount, frame, 0, 60, i / 1000);
    }
  };
  pass(Math.max(GROWTH_FRAMES / 10, stations));
  const began = performance.now();
  pass(GROWTH_FRAMES);
  return ((performance.now() - began) * 1e6) / GROWTH_FRAMES;
}

function putStation(frame, at, number) {
  frame[at] = 2;
  for (let i = 0; i < 4; i++) frame[at + 2 + i] = number >>> (8 * (3 - i));
}
