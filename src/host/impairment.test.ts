import { describe, expect, it } from 'vitest';

import { Cidr, seededRandom } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  countingBytes,
  echoRequest,
  expectEcho,
  expectEchoReply,
  fragmentPacket,
  joinFragments,
} from '../testing/index.ts';
import { createResponder, type Responder, type ResponderOptions } from './index.ts';

const ends = { source: '10.0.0.1', destination: '10.0.0.2' };

function responderFor(options: Partial<ResponderOptions>): Responder {
  return createResponder({ medium: 'ip', answer: [Cidr.parse('10.0.0.2')], ...options });
}

function handle(responder: Responder, packets: readonly Uint8Array[], nowMs: number): number {
  const batch = new PacketBatch({ capacity: packets.length, bytesLen: 200_000 });
  for (const packet of packets) batch.append(packet);
  responder.handle(batch, nowMs);
  return [...batch].length;
}

function due(responder: Responder, nowMs: number): Uint8Array[] {
  responder.poll(nowMs);
  const packets = [...responder.outbox].map((packet) => packet.slice());
  responder.outbox.clear();
  return packets;
}

const numberOf = (packet: Uint8Array): number => expectEcho(packet).echo.sequenceNumber;
const request = (sequenceNumber: number): Uint8Array => echoRequest({ ...ends, sequenceNumber });

describe('delay', () => {
  it('holds replies back for exactly as long as it is told', () => {
    const responder = responderFor({ delayMs: 40 });
    expect(handle(responder, [request(1)], 100)).toBe(0);
    expect(responder.nextWakeupMs).toBe(140);
    expect(due(responder, 139)).toEqual([]);
    const [reply] = due(responder, 140);
    expectEchoReply(request(1), reply as Uint8Array);
    expect(responder.nextWakeupMs).toBeUndefined();
  });

  it('keeps the order of replies without jitter', () => {
    const responder = responderFor({ delayMs: 10 });
    for (let i = 0; i < 100; i++) handle(responder, [request(i)], i / 50);
    expect(due(responder, 1000).map(numberOf)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('varies by the jitter, within its bounds, so that replies overtake each other', () => {
    const responder = responderFor({ delayMs: 100, jitterMs: 30, random: seededRandom(3) });
    for (let i = 0; i < 200; i++) handle(responder, [request(i)], i);
    const arrivals: [number, number][] = [];
    for (let nowMs = 0; nowMs < 500; nowMs++)
      for (const packet of due(responder, nowMs)) arrivals.push([numberOf(packet), nowMs]);
    expect(arrivals.length).toBe(200);
    const delays = arrivals.map(([number, nowMs]) => nowMs - number);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(70);
    expect(Math.max(...delays)).toBeLessThanOrEqual(131);
    expect(new Set(delays).size).toBeGreaterThan(20);
    expect(arrivals.map(([number]) => number)).not.toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('never comes before now when the jitter is larger', () => {
    const responder = responderFor({ jitterMs: 50, random: () => 0 });
    handle(responder, [request(1)], 500);
    expect(responder.nextWakeupMs).toBe(500);
    expect(due(responder, 500).length).toBe(1);
  });

  it('drops the newest when its queue is full, in packets and in bytes, and goes on later', () => {
    const responder = responderFor({ delayMs: 10, limits: { delayedPackets: 5 } });
    handle(responder, [1, 2, 3, 4, 5, 6, 7].map(request), 0);
    expect(responder.counters.dropped['delay-queue-full']).toBe(2);
    expect(due(responder, 10).map(numberOf)).toEqual([1, 2, 3, 4, 5]);
    handle(responder, [request(8)], 20);
    expect(due(responder, 30).map(numberOf)).toEqual([8]);
    const bytes = responderFor({ delayMs: 10, mtu: 65_535, limits: { delayedBytes: 140_000 } });
    handle(bytes, [1, 2, 3].map(request), 0);
    expect(bytes.counters.dropped['delay-queue-full']).toBe(1);
  });

  it('holds the fragments of a long reply back too', () => {
    const responder = responderFor({ delayMs: 10 });
    const long = echoRequest({ ...ends, data: countingBytes(5000) });
    handle(responder, fragmentPacket(long, 1448, 1), 0);
    expect(due(responder, 9)).toEqual([]);
    expectEchoReply(long, joinFragments(due(responder, 10)));
  });

  it('keeps what is due while the outbox is full', () => {
    const responder = responderFor({ delayMs: 10, limits: { outboxPackets: 2 } });
    handle(responder, [1, 2, 3].map(request), 0);
    expect(due(responder, 10).map(numberOf)).toEqual([1, 2]);
    expect(responder.nextWakeupMs).toBe(10);
    expect(due(responder, 10).map(numberOf)).toEqual([3]);
  });

  it('survives ten thousand packets through a small queue with every byte in place', () => {
    const responder = responderFor({
      delayMs: 5,
      jitterMs: 5,
      random: seededRandom(9),
      limits: { delayedPackets: 64 },
    });
    let seen = 0;
    for (let i = 0; i < 10_000; i++) {
      handle(responder, [request(i & 0xffff)], i);
      for (const packet of due(responder, i)) {
        expect(expectEcho(packet).echo.kind).toBe('echoReply');
        seen++;
      }
    }
    expect(seen + due(responder, 20_000).length).toBe(10_000);
  });
});

describe('loss', () => {
  it('takes out the share that it is told, and counts it', () => {
    const responder = responderFor({ loss: 0.25, random: seededRandom(1) });
    let answered = 0;
    for (let i = 0; i < 4000; i++) {
      answered += handle(responder, [request(1)], i);
      answered += due(responder, i).length;
    }
    expect(answered + responder.counters.dropped['simulated-loss']).toBe(4000);
    expect(answered / 4000).toBeGreaterThan(0.72);
    expect(answered / 4000).toBeLessThan(0.78);
  });

  it('of 1 takes out everything, of 0 nothing', () => {
    const all = responderFor({ loss: 1, random: seededRandom(1) });
    handle(all, [request(1), request(2)], 0);
    expect(due(all, 0)).toEqual([]);
    const none = responderFor({ loss: 0, random: seededRandom(1) });
    expect(handle(none, [request(1), request(2)], 0)).toBe(2);
  });
});
