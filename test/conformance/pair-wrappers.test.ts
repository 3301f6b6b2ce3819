/** Links around links, under the link conformance suite: a capture point, and an IP link on an Ethernet segment. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { Cidr } from '../../src/base/index.ts';
import { captureLink, openRecorder } from '../../src/capture/index.ts';
import { EthernetProxy, proxyLink } from '../../src/host/index.ts';
import { createLinkPair } from '../../src/link/index.ts';
import { systemClock } from '../../src/netdev/index.ts';
import {
  joinedLinksHarness,
  type LinkHarness,
  linkConformanceCases,
  markedUdpPacket,
} from '../../src/testing/index.ts';

describe.each(['ip', 'ethernet'] as const)('a capture point on a link with %s', (medium) => {
  async function openCaptured(): Promise<LinkHarness> {
    const folder = mkdtempSync(join(tmpdir(), 'vnic-captured-'));
    const recorder = await openRecorder({ path: join(folder, 'packets.pcapng'), medium });
    const [link, peer] = createLinkPair({ medium });
    const harness = joinedLinksHarness(captureLink(link, recorder), peer);
    return {
      ...harness,
      close: async () => {
        await harness.close();
        await recorder.close();
        rmSync(folder, { recursive: true });
      },
    };
  }

  it.each(linkConformanceCases)('$title', ({ run }) => run(openCaptured));
});

describe('an IP link on an Ethernet segment', () => {
  const LINK_HEADER_LEN = 14;
  // A group needs no neighbour that answers.
  const ends = { source: '10.0.0.1', destination: '224.0.0.99', sourcePort: 1, destinationPort: 2 };
  const stations = { source: '02:00:00:00:00:99', destination: '01:00:5e:00:00:63' };

  async function openOnSegment(): Promise<LinkHarness> {
    const [link, peer] = createLinkPair({ medium: 'ip' });
    const proxy = new EthernetProxy({ proxied: [Cidr.parse('10.0.0.2')] });
    const harness = joinedLinksHarness(proxyLink(link, proxy, systemClock), peer, {
      makePacket: (size, seed) => markedUdpPacket(ends, size, seed, stations),
    });
    return {
      ...harness,
      // The far side is behind the proxy, where there is no Ethernet.
      inject: (packets) => harness.inject(packets.map((packet) => packet.subarray(LINK_HEADER_LEN))),
      collect: async (count) =>
        (await harness.collect(count)).map((packet) => Uint8Array.of(...new Uint8Array(LINK_HEADER_LEN), ...packet)),
    };
  }

  // A frame that is written back as it was read has the proxy's own address as its sender, and is dropped.
  const echoing = [
    'a handler of onBatch() may edit packets in place and write the batch back',
    'reading and writing go on at the same time',
  ];
  const cases = linkConformanceCases.filter(({ title }) => !echoing.includes(title));

  it('is held to all cases but two', () => {
    expect(linkConformanceCases.length - cases.length).toBe(2);
  });

  it.each(cases)('$title', ({ run }) => run(openOnSegment));
});
