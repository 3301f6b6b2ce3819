/** Conformance of reading: order, readers, aborts, fairness. */

import assert from 'node:assert/strict';

import type { PacketBatch } from '../link/index.ts';
import type { LinkConformanceCase } from './link-conformance-case.ts';
import {
  assertCode,
  assertIntact,
  assertThrowsCode,
  linkCase,
  makePackets,
  markedOf,
  nextTurn,
  PLAIN_SIZE,
  range,
  readMarked,
  seedsOf,
} from './link-conformance-case.ts';
import type { LinkHarness } from './link-harness.ts';
import { seedOf } from './marked-packet.ts';

/** More batches than any event loop needs for one timer. */
const FAIRNESS_BATCHES_MAX = 100_000;

export const readCases: readonly LinkConformanceCase[] = [
  linkCase('batched iteration keeps the order and the boundaries of packets', async (harness) => {
    const sizes = mixedSizes(harness);
    const injected = harness.inject(sizes.map((size, seed) => harness.makePacket(size, seed)));
    const packets: Uint8Array[] = [];
    for await (const batch of harness.link) {
      packets.push(...markedOf(batch));
      if (packets.length >= sizes.length) break;
    }
    await injected;
    assertIntact(packets, range(sizes.length), sizes);
  }),

  linkCase('read() keeps the order and the boundaries of packets', async (harness) => {
    const sizes = mixedSizes(harness);
    const injected = harness.inject(sizes.map((size, seed) => harness.makePacket(size, seed)));
    assertIntact(await readMarked(harness.link, sizes.length), range(sizes.length), sizes);
    await injected;
  }),

  linkCase('onBatch() keeps the order and the boundaries of packets', async (harness) => {
    const sizes = mixedSizes(harness);
    const { packets, stop } = await collectPushed(harness, sizes.length, () =>
      harness.inject(sizes.map((size, seed) => harness.makePacket(size, seed))),
    );
    stop();
    assertIntact(packets, range(sizes.length), sizes);
  }),

  linkCase('a waiting read() is woken by a packet', async (harness) => {
    const reading = readMarked(harness.link, 1);
    await nextTurn();
    await harness.inject(makePackets(harness, 1, 7));
    assert.deepEqual(seedsOf(await reading), [7]);
  }),

  linkCase('packets that come between two reads wait for the second', async (harness) => {
    await harness.inject(makePackets(harness, 1));
    await readMarked(harness.link, 1);
    await harness.inject(makePackets(harness, 8, 1));
    await nextTurn();
    assert.deepEqual(seedsOf(await readMarked(harness.link, 8)), range(8, 1));
  }),

  linkCase('a second reader is refused with VNIC_READER_BUSY and the first goes on', async (harness) => {
    const { link } = harness;
    const first = readMarked(link, 1);
    await assertCode(link.read(), 'VNIC_READER_BUSY');
    await assertCode(link.batches().next(), 'VNIC_READER_BUSY');
    assertThrowsCode(() => link.onBatch(() => undefined), 'VNIC_READER_BUSY');
    await harness.inject(makePackets(harness, 1, 3));
    assert.deepEqual(seedsOf(await first), [3]);
    const stop = link.onBatch(() => undefined);
    await assertCode(link.read(), 'VNIC_READER_BUSY');
    stop();
  }),

  linkCase('leaving a loop keeps the link open and another loop reads on', async (harness) => {
    for (let seed = 0; seed < 3; seed++) {
      await harness.inject(makePackets(harness, 1, seed));
      const seeds: (number | undefined)[] = [];
      for await (const batch of harness.link.batches()) {
        seeds.push(...seedsOf(markedOf(batch)));
        if (seeds.length > 0) break;
      }
      assert.deepEqual(seeds, [seed]);
      assert.equal(harness.link.closed, false);
    }
  }),

  linkCase('a signal that has fired already ends read() and batches() with VNIC_ABORTED', async (harness) => {
    await harness.inject(makePackets(harness, 1));
    const signal = AbortSignal.abort();
    await assertCode(harness.link.read({ signal }), 'VNIC_ABORTED');
    await assertCode(harness.link.batches({ signal }).next(), 'VNIC_ABORTED');
    assert.deepEqual(seedsOf(await readMarked(harness.link, 1)), [0]);
  }),

  linkCase('a signal ends a waiting reader with VNIC_ABORTED and no later packet is lost', async (harness) => {
    const abort = new AbortController();
    const reading = iterateUntilEnd(harness, abort.signal);
    await nextTurn();
    abort.abort(new RangeError('enough'));
    await assertCode(reading, 'VNIC_ABORTED');
    await reading.catch((error: Error) => assert.ok(error.cause instanceof RangeError, 'cause is the reason'));
    await harness.inject(makePackets(harness, 5));
    assert.deepEqual(seedsOf(await readMarked(harness.link, 5)), range(5));
  }),

  linkCase('a signal that fires together with a packet loses no packet', async (harness) => {
    const abort = new AbortController();
    const reading = harness.link.read({ signal: abort.signal });
    await nextTurn();
    const injected = harness.inject(makePackets(harness, 1));
    abort.abort();
    const first = await reading.then(
      (batch) => (batch === undefined ? [] : markedOf(batch)),
      () => [],
    );
    await injected;
    const rest = first.length > 0 ? [] : await readMarked(harness.link, 1);
    assert.deepEqual(seedsOf([...first, ...rest]), [0]);
  }),

  linkCase('a handler of onBatch() may edit packets in place and write the batch back', async (harness) => {
    const { link } = harness;
    const stop = link.onBatch((batch) => {
      for (let i = 0; i < batch.count; i++) {
        if (seedOf(batch.packet(i)) === undefined) batch.drop(i);
        else editLastByte(batch, i);
      }
      link.write(batch);
    });
    await harness.inject(makePackets(harness, 3, 0x1_0100));
    const answers = await harness.collect(3);
    stop();
    assert.deepEqual(seedsOf(answers), [0x1_01ff, 0x1_01fe, 0x1_01fd]);
  }),

  linkCase('stopping onBatch() keeps the link open, and packets wait for the next reader', async (harness) => {
    const { stop } = await collectPushed(harness, 1, () => harness.inject(makePackets(harness, 1)));
    stop();
    stop();
    await harness.inject(makePackets(harness, 4, 1));
    await nextTurn();
    assert.deepEqual(seedsOf(await readMarked(harness.link, 4)), range(4, 1));
  }),

  linkCase('a handler that throws ends onBatch() through onEnd and keeps the link open', async (harness) => {
    const thrown = new RangeError('from the handler');
    const ended = new Promise((resolve) => {
      harness.link.onBatch((batch) => {
        if (markedOf(batch).length > 0) throw thrown;
      }, resolve);
    });
    await harness.inject(makePackets(harness, 1));
    assert.equal(await ended, thrown);
    await harness.inject(makePackets(harness, 1, 9));
    assert.deepEqual(seedsOf(await readMarked(harness.link, 1)), [9]);
  }),

  linkCase('counters hold the packets and bytes that were read', async (harness) => {
    const { link } = harness;
    await harness.inject(makePackets(harness, 8));
    let packets = 0;
    let bytes = 0;
    for (let marked = 0; marked < 8; ) {
      const batch = await link.read();
      assert.ok(batch !== undefined);
      marked += markedOf(batch).length;
      for (const packet of batch) {
        packets++;
        bytes += packet.length;
      }
    }
    assert.deepEqual([link.counters.packetsRead, link.counters.bytesRead], [packets, bytes]);
  }),

  linkCase('an iterating reader that always finds packets lets timers run', async (harness) => {
    const timer = startTimer();
    await harness.inject(makePackets(harness, 1));
    for await (const _ of harness.link) {
      if (timer.fired || ++timer.batches > FAIRNESS_BATCHES_MAX) break;
      void harness.inject(makePackets(harness, 1));
    }
    assert.ok(timer.fired, `no timer ran during ${timer.batches} batches`);
  }),

  linkCase('an onBatch() reader that always finds packets lets timers run', async (harness) => {
    const timer = startTimer();
    await harness.inject(makePackets(harness, 1));
    await new Promise<void>((resolve, reject) => {
      const stop = harness.link.onBatch(
        () => {
          if (!timer.fired && ++timer.batches <= FAIRNESS_BATCHES_MAX) {
            harness.inject(makePackets(harness, 1)).catch(reject);
            return;
          }
          stop();
          resolve();
        },
        (error) => (error === undefined ? undefined : reject(error)),
      );
    });
    assert.ok(timer.fired, `no timer ran during ${timer.batches} batches`);
  }),
];

function mixedSizes(harness: LinkHarness): number[] {
  const longest = harness.link.mtu + (harness.link.medium === 'ethernet' ? 14 : 0);
  const sizes = [80, 81, 87, 88, 89, PLAIN_SIZE, 500, 1000, Math.min(longest, 9000)];
  return Array.from({ length: 100 }, (_, i) => Math.min(longest, sizes[i % sizes.length] as number));
}

async function collectPushed(
  harness: LinkHarness,
  count: number,
  send: () => Promise<void>,
): Promise<{ packets: Uint8Array[]; stop: () => void }> {
  const packets: Uint8Array[] = [];
  let stop: () => void = () => undefined;
  const full = new Promise<void>((resolve, reject) => {
    stop = harness.link.onBatch(
      (batch) => {
        packets.push(...markedOf(batch));
        if (packets.length >= count) resolve();
      },
      (error) => (error === undefined ? undefined : reject(error)),
    );
  });
  await send();
  await full;
  return { packets, stop };
}

async function iterateUntilEnd(harness: LinkHarness, signal: AbortSignal): Promise<void> {
  for await (const _ of harness.link.batches({ signal }));
}

function editLastByte(batch: PacketBatch, index: number): void {
  const last = batch.offset(index) + batch.length(index) - 1;
  batch.bytes[last] = (batch.bytes[last] as number) ^ 0xff;
}

function startTimer(): { fired: boolean; batches: number } {
  const timer = { fired: false, batches: 0 };
  setTimeout(() => {
    timer.fired = true;
  }, 0);
  return timer;
}
