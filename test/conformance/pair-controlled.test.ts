/** The packets of a tunnel's connection without its control messages, under the link conformance suite. */

import { describe, expect, it } from 'vitest';

import { createLinkPair, PacketBatch } from '../../src/link/index.ts';
import { joinedLinksHarness, linkConformanceCases } from '../../src/testing/index.ts';
import { ControlledLink, emitControl, parseControl } from '../../src/tunnel/index.ts';

describe('a link with control messages', () => {
  it.each(linkConformanceCases)('$title', ({ run }) =>
    run(() => {
      const [link, peer] = createLinkPair({ medium: 'ip' });
      return Promise.resolve(joinedLinksHarness(new ControlledLink(link), peer));
    }),
  );

  it('hands messages over, and packets alone to the reader', async () => {
    const [inner, peer] = createLinkPair({ medium: 'ethernet' });
    const link = new ControlledLink(inner);
    const seen: (string | undefined)[] = [];
    link.onControl('control', (packet) => seen.push(parseControl(packet)?.type));
    peer.write(emitControl({ type: 'ping', id: 1 }));
    peer.write(new Uint8Array(60).fill(7));
    peer.write(emitControl({ type: 'bye' }).subarray(0, 9));
    const batch = await link.read();
    expect(seen).toEqual(['ping', undefined]);
    expect([...(batch ?? [])].map((packet) => packet[0])).toEqual([7]);
    await link.close();
    expect(link.send({ type: 'bye' })).toBe(false);
  });

  it('lets nobody forge a message', async () => {
    const [inner, peer] = createLinkPair({ medium: 'ethernet' });
    const link = new ControlledLink(inner);
    const forged = emitControl({ type: 'bye' });
    expect(link.write(forged)).toBe(1);
    const batch = new PacketBatch();
    for (const packet of [forged, new Uint8Array(60).fill(7), forged]) batch.append(packet);
    expect(link.write(batch)).toBe(3);
    expect(link.forged).toBe(3);
    const got = await peer.read();
    expect([...(got ?? [])].map((packet) => packet[0])).toEqual([7]);
    // The other side has vanished: a message finds nobody, and nothing is thrown.
    await peer.close();
    expect(link.send({ type: 'bye' })).toBe(false);
    await link.close();
  });
});
