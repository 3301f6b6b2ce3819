/** Conformance of writing: what is taken, what is skipped, what is counted. */

import assert from 'node:assert/strict';

import { PacketBatch } from '../link/index.ts';
import type { LinkConformanceCase } from './link-conformance-case.ts';
import {
  assertIntact,
  assertThrowsCode,
  linkCase,
  makePackets,
  PLAIN_SIZE,
  range,
  seedsOf,
  writeAll,
} from './link-conformance-case.ts';
import type { LinkHarness } from './link-harness.ts';

export const writeCases: readonly LinkConformanceCase[] = [
  linkCase('write() takes one packet and says so', async (harness) => {
    assert.equal(harness.link.write(harness.makePacket(PLAIN_SIZE, 1)), 1);
    assertIntact(await harness.collect(1), [1], [PLAIN_SIZE]);
  }),

  linkCase('write() has taken the bytes when it returns', async (harness) => {
    const packet = harness.makePacket(PLAIN_SIZE, 1);
    harness.link.write(packet);
    packet.fill(0);
    assertIntact(await harness.collect(1), [1], [PLAIN_SIZE]);
  }),

  linkCase('write() takes a packet that is a view into a larger buffer', async (harness) => {
    const packet = harness.makePacket(PLAIN_SIZE, 5);
    const buffer = new Uint8Array(PLAIN_SIZE + 30).fill(0xee);
    buffer.set(packet, 13);
    assert.equal(harness.link.write(buffer.subarray(13, 13 + PLAIN_SIZE)), 1);
    assertIntact(await harness.collect(1), [5], [PLAIN_SIZE]);
  }),

  linkCase('a batch is written whole, in order and with its boundaries', async (harness) => {
    const longest = harness.link.mtu + (harness.link.medium === 'ethernet' ? 14 : 0);
    const sizes = range(40).map((i) => Math.min(longest, [80, 81, 95, 96, 300, 1400][i % 6] as number));
    const batch = new PacketBatch();
    for (const [seed, size] of sizes.entries()) batch.append(harness.makePacket(size, seed));
    const collecting = harness.collect(sizes.length);
    await writeAll(harness.link, batch);
    assertIntact(await collecting, range(sizes.length), sizes);
  }),

  linkCase('a batch of dense packets comes back as the number taken', async (harness) => {
    assert.equal(harness.link.write(batchOf(harness, 5)), 5);
    assert.deepEqual(seedsOf(await harness.collect(5)), range(5));
  }),

  linkCase('packets of length 0 are taken and skipped', async (harness) => {
    const batch = batchOf(harness, 5);
    for (const dropped of [0, 2, 4]) batch.drop(dropped);
    assert.equal(harness.link.write(batch), 5);
    assert.deepEqual(seedsOf(await harness.collect(2)), [1, 3]);
    assert.equal(harness.link.counters.packetsWritten, 2);
  }),

  linkCase('part of a batch is written from `from` up to `to`', async (harness) => {
    const batch = batchOf(harness, 6);
    assert.equal(harness.link.write(batch, 4), 2);
    assert.equal(harness.link.write(batch, 1, 3), 2);
    assert.equal(harness.link.write(batch, 3, 3), 0);
    assert.deepEqual(seedsOf(await harness.collect(4)), [4, 5, 1, 2]);
  }),

  linkCase('a range outside the batch is refused with VNIC_INVALID_ARGUMENT', async (harness) => {
    const batch = batchOf(harness, 2);
    assertThrowsCode(() => harness.link.write(batch, 0, 3), 'VNIC_INVALID_ARGUMENT');
    assertThrowsCode(() => harness.link.write(batch, -1, 2), 'VNIC_INVALID_ARGUMENT');
  }),

  linkCase('counters hold the packets and bytes that were written', async (harness) => {
    harness.link.write(harness.makePacket(100, 0));
    harness.link.write(batchOf(harness, 3));
    await harness.collect(4);
    const { packetsWritten, bytesWritten, writeDropped } = harness.link.counters;
    assert.deepEqual([packetsWritten, bytesWritten], [4, 100 + 3 * PLAIN_SIZE]);
    assert.deepEqual(writeDropped, { 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 0 });
  }),

  linkCase('writable() resolves when nothing holds writes back', async (harness) => {
    await harness.link.writable();
    harness.link.write(harness.makePacket(PLAIN_SIZE, 0));
    await harness.collect(1);
    await harness.link.writable();
  }),

  linkCase('reading and writing go on at the same time', async (harness) => {
    const echoed = (async () => {
      let seen = 0;
      for await (const batch of harness.link) {
        for (const [i, packet] of [...batch].entries()) {
          if (seedsOf([packet])[0] === undefined) batch.drop(i);
          else seen++;
        }
        await writeAll(harness.link, batch);
        if (seen >= 100) return;
      }
    })();
    const collecting = harness.collect(100);
    await harness.inject(makePackets(harness, 100));
    await echoed;
    assert.deepEqual(seedsOf(await collecting), range(100));
  }),
];

function batchOf(harness: LinkHarness, count: number): PacketBatch {
  const batch = new PacketBatch();
  for (const packet of makePackets(harness, count)) batch.append(packet);
  return batch;
}
