/** Conformance of endings: close() and a carrier that vanishes. */

import assert from 'node:assert/strict';

import type { PacketBatch } from '../link/index.ts';
import type { LinkConformanceCase } from './link-conformance-case.ts';
import { assertCode, assertThrowsCode, linkCase, makePackets, nextTurn, PLAIN_SIZE } from './link-conformance-case.ts';
import type { LinkHarness } from './link-harness.ts';

export const endCases: readonly LinkConformanceCase[] = [
  linkCase('close() ends a waiting iteration without an error', async ({ link }) => {
    const reading = iterate(link);
    await nextTurn();
    await link.close();
    await reading;
    assert.equal(link.closed, true);
  }),

  linkCase('close() resolves a waiting read() with undefined, and later ones too', async ({ link }) => {
    const reading = readToEnd(link);
    await nextTurn();
    await link.close();
    assert.equal(await reading, undefined);
    assert.equal(await link.read(), undefined);
    assert.deepEqual(await link.batches().next(), { done: true, value: undefined });
  }),

  linkCase('close() ends onBatch() through onEnd without an error, once', async ({ link }) => {
    const ends: unknown[] = [];
    link.onBatch(
      () => undefined,
      (error) => ends.push(error),
    );
    await link.close();
    await nextTurn();
    assert.deepEqual(ends, [undefined]);
  }),

  linkCase('close() works from inside an onBatch() handler', async (harness) => {
    let calls = 0;
    const ended = new Promise<unknown>((resolve) => {
      harness.link.onBatch(() => {
        calls++;
        void harness.link.close();
      }, resolve);
    });
    await harness.inject(makePackets(harness, 1));
    assert.equal(await ended, undefined);
    await nextTurn();
    assert.equal(calls, 1);
  }),

  linkCase('close() inside a loop ends the loop', async (harness) => {
    await harness.inject(makePackets(harness, 1));
    for await (const _ of harness.link) await harness.link.close();
    assert.equal(harness.link.closed, true);
  }),

  linkCase('close() is idempotent, also at the same time', async ({ link }) => {
    await Promise.all([link.close(), link.close()]);
    await link.close();
  }),

  linkCase('Symbol.asyncDispose closes the link', async ({ link }) => {
    await link[Symbol.asyncDispose]();
    assert.equal(link.closed, true);
  }),

  linkCase('after close() writes and new handlers end with VNIC_LINK_CLOSED', async (harness) => {
    const { link } = harness;
    await link.close();
    assertThrowsCode(() => link.write(harness.makePacket(PLAIN_SIZE, 0)), 'VNIC_LINK_CLOSED');
    await assertCode(link.writable(), 'VNIC_LINK_CLOSED');
    assertThrowsCode(() => link.onBatch(() => undefined), 'VNIC_LINK_CLOSED');
  }),

  linkCase(
    'a carrier that vanishes ends a waiting iteration with VNIC_DEVICE_GONE',
    async (harness) => {
      const reading = iterate(harness.link);
      await nextTurn();
      await remove(harness);
      await assertCode(reading, 'VNIC_DEVICE_GONE');
      assert.equal(harness.link.closed, true);
    },
    'remove',
  ),

  linkCase(
    'a carrier that vanishes ends onBatch() through onEnd with VNIC_DEVICE_GONE',
    async (harness) => {
      const ended = new Promise((_, reject) => {
        harness.link.onBatch(() => undefined, reject);
      });
      await remove(harness);
      await assertCode(ended, 'VNIC_DEVICE_GONE');
    },
    'remove',
  ),

  linkCase(
    'a carrier that vanishes is told by the event `gone`, once',
    async (harness) => {
      const told: string[] = [];
      harness.link.on('gone', (error) => told.push(error.code));
      const reading = iterate(harness.link);
      await remove(harness);
      await assertCode(reading, 'VNIC_DEVICE_GONE');
      await harness.link.close();
      await nextTurn();
      assert.deepEqual(told, ['VNIC_DEVICE_GONE']);
    },
    'remove',
  ),

  linkCase(
    'after the carrier has vanished reads and writes end with VNIC_DEVICE_GONE',
    async (harness) => {
      const { link } = harness;
      await remove(harness);
      await assertCode(iterate(link), 'VNIC_DEVICE_GONE');
      await assertCode(link.read(), 'VNIC_DEVICE_GONE');
      assertThrowsCode(() => link.write(harness.makePacket(PLAIN_SIZE, 0)), 'VNIC_DEVICE_GONE');
      await assertCode(link.writable(), 'VNIC_DEVICE_GONE');
      await link.close();
    },
    'remove',
  ),
];

async function iterate(link: AsyncIterable<PacketBatch>): Promise<void> {
  for await (const _ of link);
}

/** Reads until `undefined`: a device may carry packets that nobody asked for. */
async function readToEnd(link: LinkHarness['link']): Promise<undefined> {
  while ((await link.read()) !== undefined);
  return undefined;
}

async function remove(harness: LinkHarness): Promise<void> {
  assert.ok(harness.remove !== undefined, 'this case needs a harness with remove()');
  await harness.remove();
}
