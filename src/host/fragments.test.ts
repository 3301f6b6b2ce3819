import { describe, expect, it } from 'vitest';

import { Cidr, type Random, seededRandom } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  countingBytes,
  echoRequest,
  ethernetFrame,
  expectEchoReply,
  fragmentOf,
  fragmentPacket,
  joinFragments,
  packetOf,
  udpPacket,
} from '../testing/index.ts';
import { createResponder, type Responder, type ResponderOptions } from './index.ts';

const v4 = { source: '10.0.0.1', destination: '10.0.0.2' };
const v6 = { source: 'fd00::1', destination: 'fd00::2' };

function responderFor(options: Partial<ResponderOptions> = {}): Responder {
  return createResponder({
    medium: 'ip',
    answer: [Cidr.parse('10.0.0.2'), Cidr.parse('fd00::/64')],
    ...options,
  });
}

function answersTo(responder: Responder, packets: readonly Uint8Array[], nowMs = 0): Uint8Array[] {
  const batch = new PacketBatch({ capacity: packets.length, bytesLen: 200_000 });
  for (const packet of packets) if (!batch.append(packet)) throw new RangeError('the batch is too small');
  responder.handle(batch, nowMs);
  const answers = [...batch, ...responder.outbox].map((packet) => packet.slice());
  responder.outbox.clear();
  return answers;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

describe.each([
  ['IPv4', v4, 20],
  ['IPv6', v6, 40],
] as const)('a fragmented echo request over %s', (_, ends, headerLen) => {
  const payloadOf = (packet: Uint8Array): Uint8Array => packet.subarray(headerLen);

  it.each([1473, 4000, 65_000, 65_507])(
    'with %i octets of data is answered in fragments of at most the MTU',
    (length) => {
      const request = echoRequest({ ...ends, data: countingBytes(length) });
      const answers = answersTo(responderFor(), fragmentPacket(request, 1448, 77));
      expect(answers.every((answer) => answer.length <= 1500)).toBe(true);
      expectEchoReply(request, joinFragments(answers));
    },
  );

  it('is answered in one packet when the MTU allows', () => {
    const request = echoRequest({ ...ends, data: countingBytes(2000) });
    const [reply, ...more] = answersTo(responderFor({ mtu: 9000 }), fragmentPacket(request, 1448, 1));
    expect(more).toEqual([]);
    expectEchoReply(request, reply as Uint8Array);
  });

  it('is answered in whatever order the fragments come', () => {
    const random = seededRandom(5);
    const responder = responderFor();
    for (let round = 0; round < 100; round++) {
      const data = countingBytes(1 + Math.floor(random() * 4000));
      const request = echoRequest({ ...ends, data });
      const dataLen = 8 * (1 + Math.floor(random() * 60));
      const fragments = fragmentPacket(request, dataLen, round);
      if (fragments.length < 2) continue;
      const answers = answersTo(responder, shuffled(fragments, random));
      const reply = answers.length > 1 ? joinFragments(answers) : (answers[0] as Uint8Array);
      expectEchoReply(request, reply);
    }
    expect(responder.counters.dropped['reassembly-overlap']).toBe(0);
    expect(responder.nextWakeupMs).toBeUndefined();
  });

  it('is answered although fragments come twice', () => {
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const [a, b, c] = fragmentPacket(request, 1200, 1) as [Uint8Array, Uint8Array, Uint8Array];
    const responder = responderFor();
    const answers = answersTo(responder, [c, a, c, a, b]);
    expectEchoReply(request, joinFragments(answers));
    expect(responder.counters.dropped['reassembly-duplicate']).toBe(2);
  });

  it('is dropped whole when fragments overlap, also what still comes of it', () => {
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const [a, b, c] = fragmentPacket(request, 1200, 1) as [Uint8Array, Uint8Array, Uint8Array];
    const overlapping = fragmentOf(request, new Uint8Array(1200).fill(9), 8, true, 1);
    const responder = responderFor();
    expect(answersTo(responder, [a, overlapping, b, c, a, b, c])).toEqual([]);
    expect(responder.counters.dropped['reassembly-overlap']).toBe(6);
    expect(answersTo(responder, fragmentPacket(request, 1200, 2)).length).toBeGreaterThan(1);
  });

  it('is dropped when a repeated fragment says something else', () => {
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const [a, b, c] = fragmentPacket(request, 1200, 1) as [Uint8Array, Uint8Array, Uint8Array];
    const other = fragmentOf(request, new Uint8Array(1200), 0, true, 1);
    expect(answersTo(responderFor(), [a, other, b, c])).toEqual([]);
  });

  it('is dropped when two fragments claim to be the last, or one lies behind the last', () => {
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const payload = payloadOf(request);
    const last = fragmentOf(request, payload.subarray(800, 1600), 800, false, 1);
    const secondLast = fragmentOf(request, payload.subarray(1600, 2400), 1600, false, 1);
    const behind = fragmentOf(request, payload.subarray(1600, 2400), 1600, true, 1);
    const first = fragmentOf(request, payload.subarray(0, 800), 0, true, 1);
    expect(answersTo(responderFor(), [last, secondLast, first])).toEqual([]);
    expect(answersTo(responderFor(), [last, behind, first])).toEqual([]);
    expect(answersTo(responderFor(), [behind, last, first])).toEqual([]);
  });

  it('that is empty, of odd length, or reaches beyond the largest datagram is dropped', () => {
    const request = echoRequest({ ...ends, data: countingBytes(2000) });
    const responder = responderFor();
    const bad = [
      fragmentOf(request, new Uint8Array(0), 0, true, 1),
      fragmentOf(request, new Uint8Array(13), 0, true, 1),
      fragmentOf(request, new Uint8Array(200), 65_528, false, 1),
      fragmentOf(request, new Uint8Array(200), 65_400, false, 1),
    ];
    expect(answersTo(responder, bad)).toEqual([]);
    expect(responder.counters.dropped['bad-fragment']).toBe(4);
    expect(responder.nextWakeupMs).toBeUndefined();
  });

  it('is given up after its timeout, and what comes then begins anew', () => {
    const timeoutMs = ends === v4 ? 30_000 : 60_000;
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const [a, b, c] = fragmentPacket(request, 1200, 1) as [Uint8Array, Uint8Array, Uint8Array];
    const responder = responderFor();
    answersTo(responder, [a, b], 1000);
    expect(responder.nextWakeupMs).toBe(1000 + timeoutMs);
    responder.poll(1000 + timeoutMs - 1);
    expect(responder.counters.dropped['reassembly-timeout']).toBe(0);
    responder.poll(1000 + timeoutMs);
    expect(responder.counters.dropped['reassembly-timeout']).toBe(1);
    expect(responder.nextWakeupMs).toBeUndefined();
    expect(answersTo(responder, [c], 1000 + timeoutMs)).toEqual([]);
    expectEchoReply(request, joinFragments(answersTo(responder, [a, b], 1000 + timeoutMs + 1)));
  });

  it('goes on being answered under a flood of first fragments, in fixed memory', () => {
    const responder = responderFor({ limits: { reassemblyDatagrams: 4 } });
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    const first = (id: number): Uint8Array => fragmentPacket(request, 1200, id)[0] as Uint8Array;
    for (let id = 0; id < 5000; id++) answersTo(responder, [first(id)], id);
    expect(responder.counters.dropped['reassembly-overflow']).toBe(4996);
    const flooded = [first(6001), ...fragmentPacket(request, 1200, 6000), first(6002)];
    expectEchoReply(request, joinFragments(answersTo(responder, flooded, 5001)));
  });

  it('is told apart from others by identification and ends', () => {
    const responder = responderFor();
    const requests = [1, 2].map((sequenceNumber) =>
      echoRequest({ ...ends, sequenceNumber, data: countingBytes(2000) }),
    );
    const [a, b] = requests.map((request, i) => fragmentPacket(request, 1200, 10 + i)) as [Uint8Array[], Uint8Array[]];
    const other = ends === v4 ? '10.0.0.9' : 'fd00::9';
    const c = fragmentPacket(echoRequest({ ...ends, source: other, data: countingBytes(2000) }), 1200, 10);
    const answers = answersTo(responder, [a[0], b[0], c[0], b[1], a[1], c[1]] as Uint8Array[]);
    expect(answers.length).toBe(6);
    expectEchoReply(requests[1] as Uint8Array, joinFragments(answers.slice(0, 2)));
    expectEchoReply(requests[0] as Uint8Array, joinFragments(answers.slice(2, 4)));
  });

  it('on Ethernet is answered in frames to the station that asked', () => {
    const stations = { source: '02:00:00:00:00:99', destination: '02:76:6e:69:63:01' };
    const request = echoRequest({ ...ends, data: countingBytes(4000) });
    const frames = fragmentPacket(request, 1448, 1).map((fragment) => ethernetFrame(stations, fragment));
    const answers = answersTo(responderFor({ medium: 'ethernet' }), frames);
    expect(answers.every((frame) => frame.length <= 1514)).toBe(true);
    expect(Buffer.from(answers[0] as Uint8Array).toString('hex', 0, 12)).toBe('02000000009902766e696301');
    expectEchoReply(request, joinFragments(answers.map(packetOf)));
  });

  it('that is no echo request once it is whole is dropped', () => {
    const responder = responderFor({ refuseUdp: true });
    const datagram = udpPacket({ ...ends, sourcePort: 1, destinationPort: 2, payload: countingBytes(3000) });
    expect(answersTo(responder, fragmentPacket(datagram, 1200, 1))).toEqual([]);
    expect(responder.counters.dropped['other-protocol']).toBe(1);
    expect(responder.counters.datagramsReassembled).toBe(1);
  });

  it('with a wrong checksum is dropped once it is whole', () => {
    const request = echoRequest({ ...ends, data: countingBytes(3000) });
    request[request.length - 1] = (request.at(-1) as number) ^ 1;
    const responder = responderFor();
    expect(answersTo(responder, fragmentPacket(request, 1200, 1))).toEqual([]);
    expect(responder.counters.dropped['bad-checksum']).toBe(1);
  });

  it('gets no part of an answer for which the outbox has no room', () => {
    const responder = responderFor({ limits: { outboxPackets: 10 } });
    const request = echoRequest({ ...ends, data: countingBytes(65_000) });
    expect(answersTo(responder, fragmentPacket(request, 1448, 1))).toEqual([]);
    expect(responder.counters.dropped['outbox-full']).toBe(1);
    expect(answersTo(responder, [echoRequest(ends)]).length).toBe(1);
  });

  it('is answered for a whole request longer than the MTU of the answers', () => {
    const request = echoRequest({ ...ends, data: countingBytes(1400) });
    const answers = answersTo(responderFor({ mtu: 600 }), [request]);
    expect(answers.every((answer) => answer.length <= 600)).toBe(true);
    expectEchoReply(request, joinFragments(answers));
  });
});

describe('an atomic IPv6 fragment', () => {
  it('is answered by itself, whatever else has its identification (RFC 6946)', () => {
    const responder = responderFor();
    const request = echoRequest(v6);
    const big = echoRequest({ ...v6, data: countingBytes(3000) });
    answersTo(responder, fragmentPacket(big, 1200, 5).slice(0, 1));
    const [reply] = answersTo(responder, [fragmentOf(request, request.subarray(40), 0, false, 5)]);
    expectEchoReply(request, reply as Uint8Array);
  });
});
