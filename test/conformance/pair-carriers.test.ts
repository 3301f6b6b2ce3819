/** Links over UDP and over byte streams, on the loopback interface, under the link conformance suite. */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { framings } from '../../src/framing/index.ts';
import type { PacketLink } from '../../src/link/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases, seedOf } from '../../src/testing/index.ts';
import { openUdp, StreamLink, UdpLink, UdpPeers } from '../../src/transport/index.ts';

/** Two ends of a TCP connection. */
async function connected(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const near = connect(port, '127.0.0.1');
  const [[far]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(near, 'connect')]);
  server.close();
  return [near, far];
}

async function streamHarness(framing: string): Promise<LinkHarness> {
  const [near, far] = await connected();
  const link = (name: string, stream: Socket): StreamLink => {
    const made = new StreamLink({ name, medium: 'ip', framing: framings[framing] as (typeof framings)[string] });
    made.attach(stream);
    return made;
  };
  return joinedLinksHarness(link('near', near), link('far', far));
}

async function udpHarness(listening: boolean): Promise<LinkHarness> {
  const far = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
  const near = await openUdp({ local: { address: '127.0.0.1', port: 0 }, remote: far.local });
  const options = { medium: 'ip', mtu: 1500 } as const;
  const [a, b] = [new UdpLink(near, options), new UdpLink(far, options)];
  // The listening end knows whom to answer once it has heard of it. Without payload it counts nowhere.
  near.send(new Uint8Array(0));
  while (b.peer === undefined) await b.read({ signal: AbortSignal.timeout(20) }).catch(() => undefined);
  return joinedLinksHarness(listening ? b : a, listening ? a : b, { removable: false, backPressure: false });
}

describe.each(['length', 'qemu', 'slip', 'hdlc', 'cobs'])('a TCP connection with the framing %s', (framing) => {
  // The buffers of the kernel take more whenever the event loop turns, which those cases do not know of.
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
  it.each(cases)('$title', ({ run }) => run(() => streamHarness(framing)));

  it('takes no packet while nobody reads at the other end, waits for room, and loses nothing', async () => {
    const harness = await streamHarness(framing);
    onTestFinished(() => harness.close());
    const { link } = harness;
    let sent = 0;
    const fill = async (): Promise<void> => {
      for (;;) {
        while (link.write(harness.makePacket(1400, sent)) === 1) sent++;
        const room = link.writable({ signal: AbortSignal.timeout(300) });
        if (
          !(await room.then(
            () => true,
            () => false,
          ))
        )
          return;
      }
    };
    await fill();
    expect(link.write(harness.makePacket(1400, sent))).toBe(0);
    const room = link.writable();
    const packets = await harness.collect(sent);
    await room;
    expect(packets.map(seedOf)).toEqual(packets.map((_, i) => i));
    await fill();
    const closing = link.writable();
    const refused = expect(closing).rejects.toMatchObject({ code: 'VNIC_LINK_CLOSED' });
    await link.close();
    await refused;
  });
});

describe.each([
  ['a connected UDP link', false],
  ['a listening UDP link', true],
] as const)('%s', (_title, listening) => {
  const cases = linkConformanceCases.filter(({ needs }) => needs === undefined);
  it.each(cases)('$title', ({ run }) => run(() => udpHarness(listening)));
});

/** One port for all; the peer is known by the first thing that it sends. */
async function peersHarness(): Promise<LinkHarness> {
  const socket = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
  let onMet: (link: PacketLink) => void = () => undefined;
  const met = new Promise<PacketLink>((resolve) => {
    onMet = resolve;
  });
  const peers = new UdpPeers(socket, {
    medium: 'ip',
    mtu: 1500,
    isGreeting: (bytes, offset) => bytes[offset] === 0x47,
    onPeer: (link) => onMet(link),
  });
  const near = await openUdp({ local: { address: '127.0.0.1', port: 0 }, remote: peers.local });
  near.send(Uint8Array.of(0x47));
  const link = await met;
  await link.read();
  // The suite counts from here on.
  Object.assign(link.counters, { packetsRead: 0, bytesRead: 0 });
  const harness = joinedLinksHarness(link, new UdpLink(near, { medium: 'ip', mtu: 1500 }), {
    removable: false,
    backPressure: false,
  });
  return {
    ...harness,
    close: async () => {
      await harness.close();
      await peers.close();
    },
  };
}

describe('a peer of a UDP port', () => {
  const cases = linkConformanceCases.filter(({ needs }) => needs === undefined);
  it.each(cases)('$title', ({ run }) => run(peersHarness));

  it('is taken in by a greeting only, up to a bound, and forgotten when it is closed', async () => {
    const socket = await openUdp({ local: { address: '127.0.0.1', port: 0 } });
    const links: PacketLink[] = [];
    const peers = new UdpPeers(socket, {
      medium: 'ip',
      mtu: 1500,
      maxPeers: 2,
      isGreeting: (bytes, offset) => bytes[offset] === 0x47,
      onPeer: (link) => links.push(link),
    });
    onTestFinished(() => peers.close());
    const clients = await Promise.all(
      Array.from({ length: 3 }, () => openUdp({ local: { address: '127.0.0.1' }, remote: peers.local })),
    );
    onTestFinished(async () => {
      for (const client of clients) await client.close();
    });
    const [first, second, third] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
    first.send(Uint8Array.of(0x45));
    first.send(new Uint8Array(1501).fill(0x47));
    await vi.waitFor(() => expect(peers.dropped).toEqual({ stranger: 1, tooLong: 1, queueFull: 0 }));
    for (const client of clients) client.send(Uint8Array.of(0x47, 1));
    await vi.waitFor(() => expect(peers.dropped.stranger).toBe(2));
    expect(links.length).toBe(2);
    await links[0]?.close();
    third.send(Uint8Array.of(0x47, 2));
    await vi.waitFor(() => expect(links.length).toBe(3));
    // Who does not read loses what does not fit.
    for (let i = 0; i < 600; i++) second.send(Uint8Array.of(0x45, 2));
    await vi.waitFor(() => expect(peers.dropped.queueFull + peers.dropped.stranger).toBeGreaterThan(2));
    await peers.close();
    expect(links.every(({ closed }) => closed)).toBe(true);
  });
});
