/** Links over TLS streams and over WebSockets, on the loopback interface, under the link conformance suite. */

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { lengthFraming, slipFraming } from '../../src/framing/index.ts';
import { createIdentity } from '../../src/identity/index.ts';
import type { PacketLink } from '../../src/link/index.ts';
import { connectTls, listenForTls, type TlsClient } from '../../src/secure/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases, seedOf } from '../../src/testing/index.ts';
import { StreamLink } from '../../src/transport/index.ts';
import {
  connectWebSocket,
  listenForWebSockets,
  type WebSocketChannel,
  WebSocketLink,
} from '../../src/websocket/index.ts';

const server = createIdentity('server');
const client = createIdentity('client');
const host = '127.0.0.1';
const trustServer = { identity: client, trust: { pin: server.fingerprint } };
const trustClient = { identity: server, trust: { allow: [client.fingerprint] } };

async function first<T>(list: readonly T[]): Promise<T> {
  await vi.waitFor(() => expect(list).toHaveLength(1), { timeout: 10_000, interval: 1 });
  return list[0] as T;
}

async function tlsHarness(framing = lengthFraming): Promise<LinkHarness> {
  const clients: TlsClient[] = [];
  const listener = await listenForTls({ host, port: 0 }, { ...trustClient, onStream: (each) => clients.push(each) });
  const near = await connectTls({ host, port: listener.address.port, ...trustServer });
  const far = await first(clients);
  listener.stop();
  const link = (name: string, { stream }: Pick<TlsClient, 'stream'>): StreamLink => {
    const made = new StreamLink({ name, medium: 'ip', framing });
    made.attach(stream);
    return made;
  };
  return joinedLinksHarness(link('near', near), link('far', far));
}

/** @param listening which side is under test */
async function webSocketHarness(secure: boolean, listening: boolean): Promise<LinkHarness> {
  const channels: WebSocketChannel[] = [];
  const listener = await listenForWebSockets(
    { host, port: 0 },
    { ...(secure && { tls: trustClient }), onChannel: ({ channel }) => channels.push(channel) },
  );
  const { port } = listener.address;
  const { channel: near } = await connectWebSocket({ host, port, ...(secure && { tls: trustServer }) });
  const far = await first(channels);
  listener.stop();
  const link = (name: string, channel: WebSocketChannel): WebSocketLink => {
    const made = new WebSocketLink({ name, medium: 'ip' });
    made.attach(channel);
    return made;
  };
  const [a, b] = [link('near', near), link('far', far)];
  return listening ? joinedLinksHarness(b, a) : joinedLinksHarness(a, b);
}

/** Fills what is between the two until nothing is taken. @returns how many packets that were */
async function fill(link: PacketLink, harness: LinkHarness, from: number): Promise<number> {
  for (let sent = from; ; ) {
    while (link.write(harness.makePacket(1400, sent)) === 1) sent++;
    const room = link.writable({ signal: AbortSignal.timeout(300) });
    const hasRoom = await room.then(
      () => true,
      () => false,
    );
    if (!hasRoom) return sent;
  }
}

describe.each([
  ['a TLS stream', () => tlsHarness()],
  ['a TLS stream with SLIP', () => tlsHarness(slipFraming)],
  ['a WebSocket, client', () => webSocketHarness(false, false)],
  ['a WebSocket, server', () => webSocketHarness(false, true)],
  ['a WebSocket over TLS, client', () => webSocketHarness(true, false)],
  ['a WebSocket over TLS, server', () => webSocketHarness(true, true)],
] as const)('%s', (_name, makeHarness) => {
  // The buffers of the kernel take more whenever the event loop turns, which those cases do not know of.
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
  it.each(cases)('$title', ({ run }) => run(makeHarness));

  it('takes no packet while nobody reads at the other end, waits for room, and loses nothing', async () => {
    const harness = await makeHarness();
    onTestFinished(() => harness.close());
    const { link } = harness;
    const sent = await fill(link, harness, 0);
    expect(sent).toBeGreaterThan(100);
    expect(link.write(harness.makePacket(1400, sent))).toBe(0);
    const room = link.writable();
    const packets = await harness.collect(sent);
    await room;
    expect(packets.map(seedOf)).toEqual(packets.map((_, i) => i));
    await fill(link, harness, 0);
    const closing = link.writable();
    const refused = expect(closing).rejects.toMatchObject({ code: 'VNIC_LINK_CLOSED' });
    await link.close();
    await refused;
  });
});
