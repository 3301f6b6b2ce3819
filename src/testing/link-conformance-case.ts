/** What the files of the conformance suite share. */

import assert from 'node:assert/strict';

import { isVnicError, type VnicErrorCode } from '../base/index.ts';
import type { PacketBatch, PacketLink } from '../link/index.ts';
import type { LinkHarness } from './link-harness.ts';
import { isIntact, seedOf } from './marked-packet.ts';

/** Opens a fresh link for one case. */
export type OpenLinkHarness = () => Promise<LinkHarness>;

/** What a case asks of the carrier beyond the contract: `remove()`, or back-pressure. */
export type LinkAbility = 'remove' | 'backPressure';

/** One behaviour that a link must show. */
export interface LinkConformanceCase {
  /** The behaviour as a sentence. */
  readonly title: string;
  readonly needs: LinkAbility | undefined;
  /** Opens a harness, checks, and closes it. Rejects with an `AssertionError` where the link fails. */
  run(open: OpenLinkHarness): Promise<void>;
}

/** The length of packets in cases where it does not matter. */
export const PLAIN_SIZE = 120;

export function linkCase(
  title: string,
  check: (harness: LinkHarness) => Promise<void>,
  needs?: LinkAbility,
): LinkConformanceCase {
  async function run(open: OpenLinkHarness): Promise<void> {
    const harness = await open();
    try {
      await check(harness);
    } finally {
      await harness.close();
    }
  }
  return { title, needs, run };
}

/** Packets with the seeds `first`, `first + 1`, ‥ */
export function makePackets(harness: LinkHarness, count: number, first = 0, size: number = PLAIN_SIZE): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => harness.makePacket(size, first + i));
}

/** Copies of the marked packets of a batch. */
export function markedOf(batch: PacketBatch): Uint8Array[] {
  return [...batch].filter((packet) => seedOf(packet) !== undefined).map((packet) => packet.slice());
}

export function seedsOf(packets: readonly Uint8Array[]): (number | undefined)[] {
  return packets.map(seedOf);
}

export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Reads with `read()` until `count` marked packets have come. */
export async function readMarked(link: PacketLink, count: number): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  while (packets.length < count) {
    const batch = await link.read();
    assert.ok(batch !== undefined, `the link ended after ${packets.length} of ${count} packets`);
    packets.push(...markedOf(batch));
  }
  return packets;
}

/** Writes all of a batch, waiting where the link takes no more. */
export async function writeAll(link: PacketLink, batch: PacketBatch): Promise<void> {
  for (let from = 0; from < batch.count; ) {
    from += link.write(batch, from);
    if (from < batch.count) await link.writable();
  }
}

export function assertIntact(packets: readonly Uint8Array[], seeds: readonly number[], sizes: readonly number[]): void {
  assert.deepEqual(seedsOf(packets), seeds, 'packets in the order in which they were sent');
  for (const [i, packet] of packets.entries()) {
    assert.ok(isIntact(packet, sizes[i] as number), `packet ${i}: ${packet.length} of ${sizes[i]} bytes, unchanged`);
  }
}

export async function assertCode(promise: Promise<unknown>, code: VnicErrorCode): Promise<void> {
  await assert.rejects(promise, (error) => isVnicError(error, code) || assert.fail(`${code} expected, got ${error}`));
}

export function assertThrowsCode(fn: () => unknown, code: VnicErrorCode): void {
  assert.throws(fn, (error: unknown) => isVnicError(error, code) || assert.fail(`${code} expected, got ${error}`));
}

/** Lets everything that is ready happen: one turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
