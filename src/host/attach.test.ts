import { describe, expect, it } from 'vitest';

import { Cidr } from '../base/index.ts';
import { createLinkPair, type PacketLink } from '../link/index.ts';
import {
  countingBytes,
  createVirtualClock,
  echoRequest,
  expectEcho,
  expectEchoReply,
  fragmentPacket,
  joinFragments,
} from '../testing/index.ts';
import { attachResponder, createResponder, type Responder, type ResponderOptions } from './index.ts';

const ends = { source: '10.0.0.1', destination: '10.0.0.2' };
const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function responderFor(options: Partial<ResponderOptions> = {}): Responder {
  return createResponder({ medium: 'ip', answer: [Cidr.parse('10.0.0.2')], ...options });
}

async function readCount(link: PacketLink, count: number): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  while (packets.length < count) {
    const batch = await link.read();
    if (batch === undefined) break;
    packets.push(...[...batch].map((packet) => packet.slice()));
  }
  return packets;
}

describe('attachResponder', () => {
  it('answers what comes from the link', async () => {
    const [near, far] = createLinkPair({ medium: 'ip' });
    const attached = attachResponder(far, responderFor(), createVirtualClock());
    const request = echoRequest(ends);
    near.write(request);
    const [reply] = await readCount(near, 1);
    expectEchoReply(request, reply as Uint8Array);
    attached.close();
    await attached.done;
  });

  it('sends fragmented answers from the outbox', async () => {
    const [near, far] = createLinkPair({ medium: 'ip' });
    const attached = attachResponder(far, responderFor(), createVirtualClock());
    const request = echoRequest({ ...ends, data: countingBytes(10_000) });
    for (const fragment of fragmentPacket(request, 1448, 1)) near.write(fragment);
    expectEchoReply(request, joinFragments(await readCount(near, 7)));
    attached.close();
  });

  it('sends delayed answers in time, by one timer', async () => {
    const clock = createVirtualClock();
    const [near, far] = createLinkPair({ medium: 'ip' });
    const attached = attachResponder(far, responderFor({ delayMs: 500 }), clock);
    near.write(echoRequest(ends));
    near.write(echoRequest({ ...ends, sequenceNumber: 2 }));
    await nextTurn();
    await nextTurn();
    expect(clock.pendingTimers).toBe(1);
    clock.advance(499);
    await nextTurn();
    expect(far.counters.packetsWritten).toBe(0);
    clock.advance(1);
    expect((await readCount(near, 2)).map((packet) => expectEcho(packet).echo.sequenceNumber)).toEqual([1, 2]);
    expect(clock.pendingTimers).toBe(0);
    attached.close();
  });

  it('keeps what the link does not take, in order, and counts what finds no room', async () => {
    const [near, far] = createLinkPair({ medium: 'ip', capacityPackets: 4 });
    const responder = responderFor({ limits: { outboxPackets: 8 } });
    const attached = attachResponder(far, responder, createVirtualClock());
    for (let sequenceNumber = 1; sequenceNumber <= 20; ) {
      if (near.write(echoRequest({ ...ends, sequenceNumber })) === 0) await near.writable();
      else sequenceNumber++;
    }
    await nextTurn();
    await nextTurn();
    expect(attached.queueFull).toBe(8);
    const numbers = (await readCount(near, 12)).map((packet) => expectEcho(packet).echo.sequenceNumber);
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    near.write(echoRequest({ ...ends, sequenceNumber: 21 }));
    expect(expectEcho((await readCount(near, 1))[0] as Uint8Array).echo.sequenceNumber).toBe(21);
    attached.close();
  });

  it('stops and leaves the link open on close()', async () => {
    const clock = createVirtualClock();
    const [near, far] = createLinkPair({ medium: 'ip' });
    const attached = attachResponder(far, responderFor({ delayMs: 5 }), clock);
    near.write(echoRequest(ends));
    await nextTurn();
    attached.close();
    attached.close();
    await attached.done;
    expect(far.closed).toBe(false);
    expect(clock.pendingTimers).toBe(0);
    attachResponder(far, responderFor(), clock).close();
  });

  it('ends without error when the link is closed, also while it waits for room', async () => {
    const [near, far] = createLinkPair({ medium: 'ip', capacityPackets: 1 });
    const attached = attachResponder(far, responderFor(), createVirtualClock());
    near.write(echoRequest(ends));
    await nextTurn();
    near.write(echoRequest(ends));
    await nextTurn();
    await far.close();
    await attached.done;
  });

  it('ends with the error of a link whose carrier has vanished', async () => {
    const [near, far] = createLinkPair({ medium: 'ip' });
    const attached = attachResponder(far, responderFor(), createVirtualClock());
    const ended = expect(attached.done).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    await near.close();
    await ended;
  });

  it('refuses a link of another medium, or one that has a reader', () => {
    const clock = createVirtualClock();
    const [, tap] = createLinkPair({ medium: 'ethernet' });
    expect(() => attachResponder(tap, responderFor(), clock)).toThrow(
      expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }),
    );
    const [, tun] = createLinkPair({ medium: 'ip' });
    attachResponder(tun, responderFor(), clock);
    expect(() => attachResponder(tun, responderFor(), clock)).toThrow(
      expect.objectContaining({ code: 'VNIC_READER_BUSY' }),
    );
  });
});
