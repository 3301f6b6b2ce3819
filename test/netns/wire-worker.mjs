/**
 * One worker of a wire between two multi-queue devices: a queue of each, joined both ways. It looks at what it
 * carries: of TCP with a payload, the IPv4 id counts up and the timestamp option never goes back, whatever is
 * sent again; so a queue that hands packets over out of order shows.
 */

import { parentPort } from 'node:worker_threads';

import { openQueueInWorker } from '../../dist/queues/index.js';
import { TapDevice, TunDevice } from '../../dist/tun/index.js';

const { link: a, data } = await openQueueInWorker();
const { other, kind, offload } = data;
const device = { name: other, multiQueue: true, mustExist: true, ...offload };
const b = await (kind === 'tun' ? TunDevice : TapDevice).open(device);

const seen = { flows: new Map(), backwards: 0, checked: 0, longest: 0 };
join(a, b);
join(b, a);
parentPort.on('message', (message) => {
  if (message === 'detach') b.detachQueue();
  if (message === 'attach') b.attachQueue();
  // What is in order is told from here on.
  if (message === 'forget') Object.assign(seen, { flows: new Map(), backwards: 0, checked: 0 });
  const { flows, ...counts } = seen;
  parentPort.postMessage({ ...counts, flows: [...flows.keys()], a: a.offloadInfo, b: b.offloadInfo });
});
parentPort.unref();

function join(from, to) {
  from.onBatch((batch) => {
    for (const packet of batch) look(packet.subarray((from.offload ? 10 : 0) + (kind === 'tap' ? 14 : 0)));
    to.write(batch);
  });
}

function look(packet) {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const version = packet[0] >> 4;
  seen.longest = Math.max(seen.longest, packet.length);
  const [l4, protocol, addresses] = version === 4 ? [20, packet[9], [12, 20]] : [40, packet[6], [8, 40]];
  if (protocol !== 6 || packet.length <= l4 + (packet[l4 + 12] >> 4) * 4) return;
  const key = Buffer.concat([packet.subarray(...addresses), packet.subarray(l4, l4 + 4)]).toString('hex');
  const now = { id: version === 4 ? view.getUint16(4) : 0, stamp: timestamp(view, l4) };
  const last = seen.flows.get(key);
  seen.flows.set(key, now);
  if (last === undefined) return;
  seen.checked++;
  // Signed differences, as both wrap.
  const isOld = version === 4 && ((now.id - last.id) << 16) >> 16 <= 0;
  if (isOld || ((now.stamp - last.stamp) | 0) < 0) seen.backwards++;
}

/** TSval of RFC 7323; Linux puts NOP, NOP, timestamps first. */
function timestamp(view, l4) {
  return view.getUint16(l4 + 20) === 0x0101 && view.getUint8(l4 + 22) === 8 ? view.getUint32(l4 + 24) : 0;
}
