/** Conformance of toWeb(). */

import assert from 'node:assert/strict';

import { createLinkPair } from '../link/index.ts';
import type { LinkConformanceCase } from './link-conformance-case.ts';
import {
  assertCode,
  assertIntact,
  linkCase,
  makePackets,
  PLAIN_SIZE,
  range,
  readMarked,
  seedsOf,
} from './link-conformance-case.ts';
import type { LinkHarness } from './link-harness.ts';
import { seedOf } from './marked-packet.ts';

export const streamCases: readonly LinkConformanceCase[] = [
  linkCase('toWeb().readable gives one chunk a packet, each the own copy of its reader', async (harness) => {
    const reader = harness.link.toWeb().readable.getReader();
    const injected = harness.inject(makePackets(harness, 30));
    const chunks: Uint8Array[] = [];
    while (chunks.length < 30) {
      const { value } = await reader.read();
      assert.ok(value !== undefined, 'the stream goes on');
      if (seedOf(value) !== undefined) chunks.push(value);
    }
    await injected;
    assertIntact(
      chunks,
      range(30),
      range(30).map(() => PLAIN_SIZE),
    );
    await reader.cancel();
  }),

  linkCase('cancelling toWeb().readable keeps the link open and loses no later packet', async (harness) => {
    const reader = harness.link.toWeb().readable.getReader();
    const pending = reader.read();
    await reader.cancel();
    await pending;
    assert.equal(harness.link.closed, false);
    await harness.inject(makePackets(harness, 3));
    assert.deepEqual(seedsOf(await readMarked(harness.link, 3)), range(3));
  }),

  linkCase('toWeb().readable pipes into the writable of another link', async (harness) => {
    const [near, far] = createLinkPair(pairOptions(harness));
    const stop = new AbortController();
    const piping = harness.link.toWeb().readable.pipeTo(near.toWeb().writable, { signal: stop.signal });
    const reading = readMarked(far, 50);
    await harness.inject(makePackets(harness, 50));
    assert.deepEqual(seedsOf(await reading), range(50));
    stop.abort();
    await assert.rejects(piping);
    await near.close();
  }),

  linkCase('toWeb().writable takes what another link is piped into it', async (harness) => {
    const [near, far] = createLinkPair(pairOptions(harness));
    const stop = new AbortController();
    const piping = near.toWeb().readable.pipeTo(harness.link.toWeb().writable, { signal: stop.signal });
    const collecting = harness.collect(50);
    for (const packet of makePackets(harness, 50)) assert.equal(far.write(packet), 1);
    assert.deepEqual(seedsOf(await collecting), range(50));
    stop.abort();
    await assert.rejects(piping);
    await near.close();
  }),

  linkCase('close() ends toWeb().readable', async (harness) => {
    const reader = harness.link.toWeb().readable.getReader();
    const reading = (async () => {
      while (!(await reader.read()).done);
    })();
    await harness.link.close();
    await reading;
  }),

  linkCase(
    'a carrier that vanishes fails toWeb().readable with VNIC_DEVICE_GONE',
    async (harness) => {
      assert.ok(harness.remove !== undefined, 'this case needs a harness with remove()');
      const reader = harness.link.toWeb().readable.getReader();
      const reading = (async () => {
        while (!(await reader.read()).done);
      })();
      const failed = assertCode(reading, 'VNIC_DEVICE_GONE');
      await harness.remove();
      await failed;
    },
    'remove',
  ),
];

function pairOptions(harness: LinkHarness): Parameters<typeof createLinkPair>[0] {
  return { medium: harness.link.medium, mtu: harness.link.mtu };
}
