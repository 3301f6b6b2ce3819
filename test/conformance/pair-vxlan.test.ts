/** VXLAN between two addresses of the loopback interface: the link conformance suite, and what is on the wire. */

import { describe, expect, it, onTestFinished } from 'vitest';

import { PacketBatch } from '../../src/link/index.ts';
import { joinedLinksHarness, type LinkHarness, linkConformanceCases } from '../../src/testing/index.ts';
import { openUdp, type UdpSocket, VxlanLink, type VxlanLinkOptions } from '../../src/transport/index.ts';
import { emitVxlan, vxlanHeaderLen } from '../../src/wire/index.ts';

const NEAR = '127.0.0.1';
const FAR = '127.0.0.2';

/** Two sockets with one port at two addresses. */
async function socketPair(): Promise<[UdpSocket, UdpSocket]> {
  for (let attempt = 0; ; attempt++) {
    const near = await openUdp({ local: { address: NEAR, port: 0 } });
    try {
      return [near, await openUdp({ local: { address: FAR, port: near.local.port } })];
    } catch (error) {
      await near.close();
      if (attempt === 20) throw error;
    }
  }
}

async function harness(isListening: boolean): Promise<LinkHarness> {
  const [near, far] = await socketPair();
  const { port } = near.local;
  const link = (socket: UdpSocket, remote: string | undefined): VxlanLink =>
    new VxlanLink(socket, {
      vni: 42,
      port,
      mtu: 1500,
      ...(remote !== undefined && { remote: { address: remote, port } }),
    });
  const a = link(near, isListening ? undefined : FAR);
  const b = link(far, NEAR);
  if (isListening) {
    // Whom to answer is known once a frame has come; it is not marked, so it counts nowhere else.
    b.write(new Uint8Array(60));
    expect((await a.read())?.count).toBe(1);
    a.counters.packetsRead = 0;
    a.counters.bytesRead = 0;
  }
  return joinedLinksHarness(a, b, { removable: false, backPressure: false });
}

describe.each([
  ['a VXLAN link', false],
  ['a listening VXLAN link', true],
] as const)('%s', (_title, isListening) => {
  const cases = linkConformanceCases.filter(({ needs }) => needs === undefined);
  it.each(cases)('$title', ({ run }) => run(() => harness(isListening)));
});

/** A link, and a plain UDP socket as its peer. */
async function withPlainPeer(options: Partial<VxlanLinkOptions> = {}): Promise<{ link: VxlanLink; peer: UdpSocket }> {
  const [near, peer] = await socketPair();
  const { port } = near.local;
  const link = new VxlanLink(near, { vni: 0x12_34_56, remote: { address: FAR, port }, ...options });
  onTestFinished(async () => {
    await link.close();
    await peer.close();
  });
  return { link, peer };
}

const frame = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);

function datagram(vni: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(vxlanHeaderLen + payload.length);
  emitVxlan({ vni }, bytes, 0);
  bytes.set(payload, vxlanHeaderLen);
  return bytes;
}

describe('what is sent', () => {
  it.each([0, 8, 20])('is the header and the frame, from a batch with %i bytes of headroom', async (headroom) => {
    const { link, peer } = await withPlainPeer();
    const frames = [100, 1400, 1400, 700, 60].map((length, i) => frame(length, i + 1));
    const batch = new PacketBatch({ headroom });
    for (const one of frames) batch.append(one);
    batch.drop(1);
    expect(link.write(batch)).toBe(5);
    const got: Uint8Array[] = [];
    while (got.length < 4) for (const one of (await peer.receive()) ?? []) got.push(one.slice());
    const sent = [0, 2, 3, 4].map((i) => datagram(0x12_34_56, frames[i] as Uint8Array));
    expect(got).toEqual(sent);
    // What was given is as it was.
    expect([...batch].map((one) => one.slice())).toEqual([0, 2, 3, 4].map((i) => frames[i]));
    expect(link.counters).toMatchObject({ packetsWritten: 4, bytesWritten: 100 + 1400 + 700 + 60 });
  });

  it('finds room for more packets than are copied at once, and leaves out those that are too long', async () => {
    const { link, peer } = await withPlainPeer({ mtu: 1400 });
    const batch = new PacketBatch({ capacity: 300 });
    for (let i = 0; i < 300; i++) batch.append(frame(i % 100 === 7 ? 1419 : 60 + i, i));
    expect(link.write(batch)).toBe(300);
    let count = 0;
    while (count < 297) count += [...((await peer.receive()) ?? [])].length;
    expect(link.counters.packetsWritten).toBe(297);
    expect(link.counters.writeDropped['too-long']).toBe(3);
  });
});

describe('what comes', () => {
  it('is left out and counted where it is no frame of this network and peer', async () => {
    const { link, peer } = await withPlainPeer({ mtu: 1400 });
    const to = { address: NEAR, port: peer.local.port };
    const stranger = await openUdp({ local: { address: '127.0.0.3', port: 0 } });
    onTestFinished(() => stranger.close());
    const good = frame(60, 9);
    const noFlag = datagram(0x12_34_56, good);
    noFlag[0] = 0;
    stranger.send(datagram(0x12_34_56, good), to);
    for (const bytes of [
      new Uint8Array(0),
      new Uint8Array(7).fill(8),
      datagram(0x12_34_56, frame(13, 1)),
      noFlag,
      datagram(42, good),
      datagram(0x12_34_56, frame(1419, 1)),
      datagram(0x12_34_56, good),
    ]) {
      peer.send(bytes, to);
    }
    const batch = await link.read();
    expect([...(batch ?? [])].map((one) => one.slice())).toEqual([good]);
    expect(link.readDropped).toEqual({ malformed: 4, foreignVni: 1, tooLong: 1, stranger: 1 });
    expect(link.counters).toMatchObject({ packetsRead: 1, bytesRead: 60 });
  });

  it('from any port of the peer is answered at the one port', async () => {
    const [near, peer] = await socketPair();
    const link = new VxlanLink(near, { vni: 7, port: peer.local.port });
    const other = await openUdp({ local: { address: FAR, port: 0 } });
    onTestFinished(async () => {
      await link.close();
      await peer.close();
      await other.close();
    });
    expect(link.write(frame(60, 1))).toBe(1);
    expect(link.counters.writeDropped['link-down']).toBe(1);
    other.send(datagram(7, frame(60, 2)), { address: NEAR, port: near.local.port });
    expect((await link.read())?.count).toBe(1);
    link.write(frame(60, 3));
    expect([...((await peer.receive()) ?? [])]).toEqual([datagram(7, frame(60, 3))]);
  });
});

it('is refused with a number that is none, and over a connected socket', async () => {
  const [near, far] = await socketPair();
  const connected = await openUdp({ remote: far.local });
  onTestFinished(async () => {
    for (const socket of [near, far, connected]) await socket.close();
  });
  const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
  expect(() => new VxlanLink(near, { vni: 0x100_0000 })).toThrow(refused);
  expect(() => new VxlanLink(near, { vni: 1, port: 70_000 })).toThrow(refused);
  expect(() => new VxlanLink(connected, { vni: 1 })).toThrow(refused);
});
