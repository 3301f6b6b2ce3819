/**
 * Packets that are too long, on the way through a forwarding:
 *
 *   left <- pair, MTU 1500 -> a <- forward -> b <- pair, MTU 600 -> right
 */

import { describe, expect, it } from 'vitest';

import {
  createLinkPair,
  type Forwarding,
  type ForwardPolicy,
  forward,
  type Medium,
  type PacketLink,
} from '../link/index.ts';
import { countingBytes, ethernetFrame, ipv4Packet, udpPacket } from '../testing/index.ts';
import { Ipv4View, isDropReason, parseIcmpv4, parseIpv4 } from '../wire/index.ts';
import { createTooLongHandler } from './index.ts';

const ends = { source: '10.0.0.1', destination: '10.0.0.2' };
const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

interface Wire {
  left: PacketLink;
  right: PacketLink;
  forwarding: Forwarding;
  clock: { nowMs: number };
}

const wire = (options: { medium?: Medium; policy?: ForwardPolicy; capacity?: number } = {}): Wire => {
  const { medium = 'ip', policy = 'wait', capacity = 4096 } = options;
  const [left, a] = createLinkPair({ medium, capacityPackets: 4096 });
  const [b, right] = createLinkPair({ medium, mtu: 600, capacityPackets: capacity });
  const clock = { nowMs: 0 };
  const onTooLong = createTooLongHandler({ medium, nowMs: () => clock.nowMs });
  return { left, right, forwarding: forward(a, b, { onTooLong, policy }), clock };
};

/** What comes within some turns of the event loop, copied. */
const received = async (link: PacketLink): Promise<Uint8Array[]> => {
  const packets: Uint8Array[] = [];
  const stop = link.onBatch((batch) => packets.push(...[...batch].map((packet) => packet.slice())));
  for (let i = 0; i < 100; i++) await nextTurn();
  stop();
  return packets;
};

const whole = (length: number): Uint8Array => {
  const packet = ipv4Packet({ ...ends, protocol: 17, dontFragment: true, payload: countingBytes(length - 20) });
  return packet;
};
const divisible = (length: number, identification: number): Uint8Array =>
  ipv4Packet({ ...ends, protocol: 17, identification, payload: countingBytes(length - 20) });

describe('a packet that does not fit', () => {
  it('is answered to its sender and counted; those around it pass', async () => {
    const { left, right, forwarding } = wire();
    for (const length of [600, 601, 100, 1500, 599]) left.write(whole(length));
    expect((await received(right)).map(({ length }) => length)).toEqual([600, 100, 599]);
    const answers = await received(left);
    expect(answers.map((packet) => parseIcmpv4(packet.subarray(20)))).toMatchObject([
      { code: 4, nextHopMtu: 600 },
      { code: 4, nextHopMtu: 600 },
    ]);
    expect(forwarding.aToB).toMatchObject({ packets: 3, replies: 2, fragments: 0, dropped: { 'too-long': 2 } });
    await forwarding.close();
    expect(forwarding.aToB.dropped.ended).toBe(0);
  });

  it('and is IPv6 is answered, but not below 1280', async () => {
    const { left, forwarding } = wire();
    for (const length of [1280, 1281]) {
      const payload = countingBytes(length - 48);
      left.write(udpPacket({ source: 'fd00::1', destination: 'fd00::2', sourcePort: 1, destinationPort: 2, payload }));
    }
    expect((await received(left)).length).toBe(1);
    expect(forwarding.aToB).toMatchObject({ replies: 1, dropped: { 'too-long': 2 } });
    await forwarding.close();
  });

  it.each(['wait', 'drop-newest', 'drop-oldest'] as const)(
    'and may be fragmented gets through in pieces, also while the sink is stalled (%s)',
    async (policy) => {
      const { left, right, forwarding } = wire({ policy, capacity: 3 });
      for (let i = 0; i < 40; i++) left.write(i % 2 === 0 ? divisible(1400, i) : whole(100));
      const packets = (await received(right)).map((bytes) => parseIpv4(bytes));
      const fragments = packets.flatMap((fields) => (isDropReason(fields) || fields.dontFragment ? [] : [fields]));
      for (let i = 0; i < 40; i += 2) {
        expect(fragments.filter(({ identification }) => identification === i)).toMatchObject([
          { fragmentOffset: 0, moreFragments: true },
          { fragmentOffset: 576, moreFragments: true },
          { fragmentOffset: 1152, moreFragments: false },
        ]);
      }
      expect(packets.length).toBe(80);
      expect(forwarding.aToB).toMatchObject({ packets: 80, fragments: 60, dropped: { 'too-long': 0 } });
      await forwarding.close();
      expect(Object.values(forwarding.aToB.dropped)).toEqual([0, 0, 0, 0, 0]);
    },
  );

  it('is answered a thousand times a second at most, and at first fifty times', async () => {
    const { left, forwarding, clock } = wire();
    const flood = async (): Promise<number> => {
      for (let i = 0; i < 200; i++) left.write(whole(1500));
      return (await received(left)).length;
    };
    expect(await flood()).toBe(50);
    clock.nowMs += 10;
    expect(await flood()).toBe(10);
    expect(forwarding.aToB).toMatchObject({ replies: 60, dropped: { 'too-long': 400 } });
    await forwarding.close();
  });

  it('and is no IP, or broken, is lost and counted', async () => {
    const { left, right, forwarding } = wire();
    left.write(new Uint8Array(1500));
    left.write(divisible(1500, 1).fill(1, 10, 12));
    expect(await received(left)).toEqual([]);
    expect(await received(right)).toEqual([]);
    expect(forwarding.aToB.dropped['too-long']).toBe(2);
    await forwarding.close();
  });
});

describe('a frame', () => {
  const macs = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
  const tagged = (payload: Uint8Array, tags: number): Uint8Array => {
    const plain = ethernetFrame(macs, payload);
    const tag = [0x81, 0x00, 0x00, 0x07];
    return Uint8Array.from([...plain.subarray(0, 12), ...Array(tags).fill(tag).flat(), ...plain.subarray(12)]);
  };

  it.each([
    [0, 600],
    [1, 600],
    // A link leaves room for one tag, so that a second is at the expense of the packet.
    [2, 596],
  ])('with %i tags fits with a packet of up to %i bytes, and is answered beyond', async (tags, longest) => {
    const { left, right, forwarding } = wire({ medium: 'ethernet' });
    left.write(tagged(whole(longest), tags));
    left.write(tagged(whole(longest + 1), tags));
    left.write(tagged(divisible(longest + 100, 1), tags));
    const passed = await received(right);
    expect(passed.length).toBe(3);
    for (const frame of passed) expect(frame.length).toBeLessThanOrEqual(618);
    for (const frame of passed) expect(Ipv4View.from(frame.subarray(14 + 4 * tags))).toBeInstanceOf(Ipv4View);
    const [answer, ...more] = await received(left);
    expect(more).toEqual([]);
    expect(parseIcmpv4(answer?.subarray(14 + 4 * tags + 20) ?? new Uint8Array())).toMatchObject({
      nextHopMtu: longest,
    });
    await forwarding.close();
  });
});
