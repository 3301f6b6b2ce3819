/** Conformance of back-pressure, for carriers that have it. */

import assert from 'node:assert/strict';
import type { LinkConformanceCase } from './link-conformance-case.ts';
import { assertCode, linkCase, nextTurn, PLAIN_SIZE, range, seedsOf } from './link-conformance-case.ts';
import type { LinkHarness } from './link-harness.ts';

/** No bounded carrier queues as many packets. */
const FILL_PACKETS_MAX = 1_000_000;

export const backPressureCases: readonly LinkConformanceCase[] = [
  linkCase(
    'a full carrier takes no packet, writable() waits for room, and nothing is lost',
    async (harness) => {
      const taken = fill(harness);
      let resolved = false;
      const writable = harness.link.writable().then(() => {
        resolved = true;
      });
      await nextTurn();
      assert.equal(resolved, false, 'writable() waits while there is no room');
      assert.equal(harness.link.write(harness.makePacket(PLAIN_SIZE, taken)), 0);
      const packets = await harness.collect(taken);
      assert.deepEqual(seedsOf(packets), range(taken));
      await writable;
      assert.equal(harness.link.write(harness.makePacket(PLAIN_SIZE, taken)), 1);
      assert.deepEqual(seedsOf(await harness.collect(1)), [taken]);
      assert.equal(harness.link.counters.packetsWritten, taken + 1);
    },
    'backPressure',
  ),

  linkCase(
    'a signal ends writable() with VNIC_ABORTED',
    async (harness) => {
      fill(harness);
      const abort = new AbortController();
      const waiting = harness.link.writable({ signal: abort.signal });
      await nextTurn();
      abort.abort();
      await assertCode(waiting, 'VNIC_ABORTED');
      await assertCode(harness.link.writable({ signal: abort.signal }), 'VNIC_ABORTED');
    },
    'backPressure',
  ),

  linkCase(
    'close() ends a waiting writable() with VNIC_LINK_CLOSED',
    async (harness) => {
      fill(harness);
      const ended = assertCode(harness.link.writable(), 'VNIC_LINK_CLOSED');
      await nextTurn();
      await harness.link.close();
      await ended;
    },
    'backPressure',
  ),

  linkCase(
    'several waiting writers are all woken',
    async (harness) => {
      const taken = fill(harness);
      const waiting = [harness.link.writable(), harness.link.writable(), harness.link.writable()];
      await harness.collect(taken);
      await Promise.all(waiting);
    },
    'backPressure',
  ),
];

/** Writes until the link takes no more. Returns how many packets it took; their seeds count from 0. */
function fill(harness: LinkHarness): number {
  for (let seed = 0; seed < FILL_PACKETS_MAX; seed++) {
    if (harness.link.write(harness.makePacket(PLAIN_SIZE, seed)) === 0) return seed;
  }
  return assert.fail(`the link took ${FILL_PACKETS_MAX} packets without back-pressure`);
}
