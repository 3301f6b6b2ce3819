/** The round trip of an idle device, with and without busy polling. */

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
const pings = 300;
const intervalS = 0.002;

const tun = new URL('../dist/tun/index.js', import.meta.url).href;

const echoing = (busyPollUs, read) => [
  process.execPath,
  '--input-type=module',
  '-e',
  `import { TunDevice } from '${tun}';
   const device = await TunDevice.open({ name: '${name}', busyPollUs: ${busyPollUs} });
   const answer = (batch) => {
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
     device.write(batch);
   };
   ${read === 'iteration' ? 'for await (const batch of device) answer(batch);' : 'device.onBatch(answer);'}`,
];

const kinds = [
  { name: 'C, blocking read/write', command: [baselineProgram('tun-echo'), name] },
  { name: 'vnic, onBatch', command: echoing(0) },
  { name: 'vnic, onBatch, busy poll of 10 ms', command: echoing(10_000) },
  { name: 'vnic, iteration', command: echoing(0, 'iteration') },
  { name: 'vnic, iteration, busy poll of 10 ms', command: echoing(10_000, 'iteration') },
];

export const title = 'Busy poll: the round trip of an otherwise idle TUN device';
export const about =
  `The median and the 99th percentile of ${pings} pings, one every ${intervalS * 1000} ms, sent from the processor ` +
  'that the responder does not use, so that without busy polling each wakes a sleeping one. The price is that ' +
  'processor: the last column is how much of it the responder took.';

export async function run({ rounds }) {
  const results = await inTurn(kinds, rounds, measure);
  const [baseline] = kinds;
  return table(
    ['responder', 'round trip µs', 'to C', '99 % µs', 'processor'],
    kinds.map((kind) => [
      kind.name,
      range(figures(results, kind.name, 'us')),
      `${ratio(results, kind.name, baseline.name, 'us').toFixed(2)}×`,
      range(figures(results, kind.name, 'us99')),
      `${Math.round(median(figures(results, kind.name, 'share')) * 100)} %`,
    ]),
  );
}

async function measure(kind) {
  const responder = pinned(1, kind.command);
  try {
    await until(() => linkExists(name));
    ip('addr', 'add', '10.0.0.1/24', 'dev', name);
    ip('link', 'set', name, 'up');
    await until(() => output('ping', '-c', '1', '-W', '1', '10.0.0.2') !== undefined);
    roundTripsUs(); // V8 gets its chance to compile before the clock runs
    const [cpu, began] = [cpuSeconds(responder.pid), performance.now()];
    const times = roundTripsUs();
    const share = (cpuSeconds(responder.pid) - cpu) / ((performance.now() - began) / 1000);
    const sorted = [...times].sort((a, b) => a - b);
    return { us: median(times), us99: sorted[Math.floor(sorted.length * 0.99)], share };
  } finally {
    await responder.stop();
    await until(() => !linkExists(name));
  }
}

function roundTripsUs() {
  const args = ['-c', '0', 'ping', '-c', String(pings), '-i', String(intervalS), '10.0.0.2'];
  const printed = output('taskset', ...args) ?? '';
  return [...printed.matchAll(/time=([0-9.]+) ms/g)].map((match) => Number(match[1]) * 1000);
}
