/** The suite itself: it passes on a good link (`test/conformance`), so here it must fail on bad ones. */

import { describe, expect, it } from 'vitest';

import type { PacketLink } from '../link/index.ts';
import { type LinkHarness, linkConformanceCases, linkPairHarness, seedOf, writeSeed } from './index.ts';

const pair = (): LinkHarness => linkPairHarness({ medium: 'ip', capacityPackets: 64 });

/** A link that differs in some members; the others work on the real one. */
function linkWith(link: PacketLink, members: Partial<PacketLink>): PacketLink {
  return new Proxy(link, {
    get(target, name): unknown {
      const changed = members[name as keyof PacketLink];
      if (changed !== undefined) return changed;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Titles of the cases that fail. A case that does not end within some turns of the event loop fails too. */
async function failuresOf(open: () => LinkHarness): Promise<string[]> {
  const failed: string[] = [];
  for (const { title, run } of linkConformanceCases) {
    const outcome = run(() => Promise.resolve(open())).then(
      () => 'passed',
      () => 'failed',
    );
    if ((await Promise.race([outcome, manyTurns()])) !== 'passed') failed.push(title);
  }
  return failed;
}

async function manyTurns(): Promise<'stuck'> {
  for (let i = 0; i < 2000; i++) await new Promise((resolve) => void setImmediate(resolve));
  return 'stuck';
}

describe('the link conformance suite', () => {
  it('passes on a pair', async () => {
    expect(await failuresOf(pair)).toEqual([]);
  });

  it('fails on a carrier that changes the order', async () => {
    const failed = await failuresOf(() => {
      const harness = pair();
      return { ...harness, inject: (packets) => harness.inject([...packets].reverse()) };
    });
    expect(failed).toContain('read() keeps the order and the boundaries of packets');
    expect(failed).toContain('onBatch() keeps the order and the boundaries of packets');
  });

  it('fails on a carrier that damages or cuts packets', async () => {
    const failed = await failuresOf(() => {
      const harness = pair();
      const cut = (packet: Uint8Array): Uint8Array => {
        const seed = seedOf(packet) as number;
        const shorter = packet.slice(1);
        writeSeed(shorter, seed);
        return shorter;
      };
      return { ...harness, inject: (packets) => harness.inject(packets.map(cut)) };
    });
    expect(failed).toContain('batched iteration keeps the order and the boundaries of packets');
  });

  it('fails on a link that keeps no packet for the next reader', async () => {
    const failed = await failuresOf(() => {
      const harness = pair();
      let lost = 0;
      const read = async (...args: Parameters<PacketLink['read']>): ReturnType<PacketLink['read']> => {
        const batch = await harness.link.read(...args);
        if (lost++ % 2 === 1) batch?.clear();
        return batch;
      };
      return { ...harness, link: linkWith(harness.link, { read }) };
    });
    expect(failed).toContain('packets that come between two reads wait for the second');
  });

  it('fails on a link that says it took all, or writes what was dropped', async () => {
    const write = (link: PacketLink): PacketLink['write'] =>
      ((packet: Uint8Array): number => {
        if (packet instanceof Uint8Array) link.write(packet);
        return 1;
      }) as PacketLink['write'];
    const failed = await failuresOf(() => {
      const harness = pair();
      return { ...harness, link: linkWith(harness.link, { write: write(harness.link) }) };
    });
    expect(failed).toContain('packets of length 0 are taken and skipped');
    expect(failed).toContain('part of a batch is written from `from` up to `to`');
  });

  it('fails on a link that ignores signals', async () => {
    const failed = await failuresOf(() => {
      const harness = pair();
      return {
        ...harness,
        link: linkWith(harness.link, { read: () => harness.link.read(), batches: () => harness.link.batches() }),
      };
    });
    expect(failed).toContain('a signal ends a waiting reader with VNIC_ABORTED and no later packet is lost');
  });

  it('fails on a link whose close() wakes nobody', async () => {
    const failed = await failuresOf(() => {
      const harness = pair();
      return { ...harness, link: linkWith(harness.link, { close: () => Promise.resolve() }) };
    });
    expect(failed).toContain('close() ends a waiting iteration without an error');
    expect(failed).toContain('after close() writes and new handlers end with VNIC_LINK_CLOSED');
  });

  it('fails on a carrier whose removal nobody notices', async () => {
    const failed = await failuresOf(() => ({ ...pair(), remove: () => Promise.resolve() }));
    const needing = linkConformanceCases.filter(({ needs }) => needs === 'remove').map(({ title }) => title);
    expect(failed).toEqual(needing);
  });
});
