/** What a packet costs as it grows from 64 bytes to 64 KiB: answered on one device, and carried between two. */

import { blockingInC, target, vnicHandler, vnicResponder, withResponder } from './lib/echo-device.mjs';
import { echoCost, warmUp } from './lib/network.mjs';
import { range, rangeCell, table } from './lib/tables.mjs';
import { figures, inTurn, runnable } from './lib/turns.mjs';
import { farAddress, superInC, superInTypeScript, withFarEnd, withWire } from './lib/wires.mjs';

/** ICMP header and payload; the last makes an IP packet of 64 KiB. */
const lengths = [64, 256, 1024, 4096, 16_384, 65_515];
const mtu = 65_535;

export const title = 'Growth: packets from 64 bytes to 64 KiB';
export const about =
  `Echo with 64 requests outstanding, MTU ${mtu}, the program on a processor of its own. Processor time in µs an echo, kernel ` +
  'included. The batch handler does what the program in C does; the responder also verifies the checksum over every ' +
  'byte. The wires carry super-packets, and each echo twice. ' +
  'Between 4 and 16 KiB some runs cost ten times as much as others, with C as with vnic; read the ratios there with their ranges.';

export async function run({ rounds, seconds }) {
  const duration = seconds / 2;
  const responders = [blockingInC(), vnicHandler(), vnicResponder()];
  const answered = (kind) => withResponder(kind, ({ pid }) => costs(pid, target, duration), { mtu });
  const echo = await inTurn(responders, rounds, answered, 'echo');
  const wires = runnable([superInC(), superInTypeScript()]);
  const carried = (kind) => withWire(kind, ({ pid }) => costs(pid, farAddress, duration), { mtu });
  const wire = await withFarEnd(() => inTurn(wires, rounds, carried, 'wire'));
  return [sizeTable('answered by', responders, echo), sizeTable('carried by', wires, wire)].join('\n');
}

function sizeTable(label, kinds, results) {
  const [baseline] = kinds;
  const cell = (kind, length) =>
    kind === baseline
      ? range(figures(results, kind.name, `us${length}`), 2)
      : rangeCell(results, kind.name, baseline.name, `us${length}`);
  return table(
    [label, ...lengths.map((length) => `${length} bytes`)],
    kinds.map((kind) => [kind.name, ...lengths.map((length) => cell(kind, length))]),
  );
}

async function costs(pid, address, seconds) {
  const result = {};
  for (const length of lengths) {
    warmUp(address, { length, seconds });
    const { cpuUs } = await echoCost(pid, address, { length, seconds });
    result[`us${length}`] = cpuUs;
  }
  return result;
}
