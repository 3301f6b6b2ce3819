/** The impaired link in virtual time: what its driver adds to the core. */

import { describe, expect, it } from 'vitest';

import { createLinkPair, forward, type PacketLink } from '../link/index.ts';
import { createVirtualClock, type VirtualClock } from '../testing/index.ts';
import { type ImpairedLink, type ImpairOptions, impair, parseImpairmentSchedule, shape } from './index.ts';

interface Bench {
  readonly link: ImpairedLink;
  readonly inner: PacketLink;
  readonly far: PacketLink;
  readonly clock: VirtualClock;
}

function bench(options: ImpairOptions, capacityPackets = 64): Bench {
  const clock = createVirtualClock();
  const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500, capacityPackets });
  return { link: impair(inner, { clock, ...options }), inner, far, clock };
}

const packet = (number: number): Uint8Array => Uint8Array.of(0x45, number >> 8, number & 0xff);
const numberOf = (bytes: Uint8Array): number => ((bytes[1] as number) << 8) | (bytes[2] as number);

async function turns(count = 6): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads until it is stopped. */
function collect(link: PacketLink): { readonly numbers: number[]; readonly ends: unknown[]; stop(): void } {
  const numbers: number[] = [];
  const ends: unknown[] = [];
  const stop = link.onBatch(
    (batch) => {
      for (const bytes of batch) numbers.push(numberOf(bytes));
    },
    (error) => ends.push(error),
  );
  return { numbers, ends, stop };
}

describe('an impaired link', () => {
  it('delays each direction by what it is told', async () => {
    const { link, far, clock } = bench({ toLink: { delayMs: 30 }, fromLink: { delayMs: 100 } });
    const [there, here] = [collect(far), collect(link)];
    link.write(packet(1));
    far.write(packet(2));
    await turns();
    clock.advance(29);
    await turns();
    expect([there.numbers, here.numbers]).toEqual([[], []]);
    clock.advance(1);
    await turns();
    expect([there.numbers, here.numbers]).toEqual([[1], []]);
    clock.advance(70);
    await turns();
    expect([there.numbers, here.numbers]).toEqual([[1], [2]]);
    expect(clock.pendingTimers).toBe(0);
    await link.close();
  });

  it('loses the same packets for the same seed, whatever the other direction does', async () => {
    const survivors = async (seed: number, others: number): Promise<number[]> => {
      const { link, far } = bench({ toLink: { loss: 0.5 }, fromLink: { loss: 0.5 }, seed });
      const [there, here] = [collect(far), collect(link)];
      for (let i = 0; i < 60; i++) link.write(packet(i));
      for (let i = 0; i < others; i++) far.write(packet(i));
      await turns();
      await link.close();
      expect(here.numbers.length).toBeLessThan(Math.max(1, others));
      return there.numbers;
    };
    const first = await survivors(7, 0);
    expect(await survivors(7, 40)).toEqual(first);
    expect(await survivors(8, 0)).not.toEqual(first);
    expect(first.length).toBeGreaterThan(15);
  });

  it('follows a schedule', async () => {
    const schedule = parseImpairmentSchedule('0s both delay=10ms\n1s out loss=100%\n2s out loss=0\n3s both clear');
    const { link, far, clock } = bench({ schedule });
    const there = collect(far);
    for (let second = 0; second < 4; second++) {
      link.write(packet(second));
      await turns();
      clock.advance(10);
      await turns();
      clock.advance(990);
      await turns();
    }
    expect(there.numbers).toEqual([0, 2, 3]);
    expect(link.toLink.dropped.loss).toBe(1);
    expect(clock.pendingTimers).toBe(0);
    await link.close();
  });

  it('ends its schedule with itself', async () => {
    const { link, clock } = bench({ schedule: parseImpairmentSchedule('1h out loss=1%') });
    expect(clock.pendingTimers).toBe(1);
    await link.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts what was under way when it was closed', async () => {
    const { link, far } = bench({ toLink: { delayMs: 1000 }, fromLink: { delayMs: 1000 } });
    const here = collect(link);
    for (let i = 0; i < 5; i++) link.write(packet(i));
    for (let i = 0; i < 3; i++) far.write(packet(i));
    await turns();
    await link.close();
    expect(link.toLink).toMatchObject({ packetsIn: 5, packetsOut: 0, dropped: { ended: 5 } });
    expect(link.fromLink).toMatchObject({ packetsIn: 3, packetsOut: 0, dropped: { ended: 3 } });
    expect(here.ends).toEqual([undefined]);
  });

  it('counts what the other end has not taken as ended too', async () => {
    const { link, far } = bench({}, 4);
    let taken = 0;
    while (link.write(packet(taken)) === 1) taken++;
    expect(taken).toBeGreaterThan(4);
    await link.close();
    const { packetsIn, packetsOut, bytesIn, bytesOut, dropped } = link.toLink;
    expect([packetsIn, packetsOut, dropped.ended]).toEqual([taken, 4, taken - 4]);
    expect([bytesIn, bytesOut]).toEqual([3 * taken, 12]);
    await far.close();
  });

  it('still gives what had come when the link vanished, in its time', async () => {
    const { link, far, clock } = bench({ fromLink: { delayMs: 50 } });
    const here = collect(link);
    far.write(packet(1));
    await turns();
    await far.close();
    await turns();
    expect(() => link.write(packet(9))).toThrow(/other end/);
    expect(here).toMatchObject({ numbers: [], ends: [] });
    clock.advance(50);
    await turns();
    expect(here.numbers).toEqual([1]);
    expect(here.ends).toMatchObject([{ code: 'VNIC_DEVICE_GONE' }]);
    expect(link.closed).toBe(true);
  });

  it('tells a writer that waits when the link vanishes, also while something is left to read', async () => {
    const { link, far } = bench({ fromLink: { delayMs: 50 } }, 4);
    const here = collect(link);
    far.write(packet(1));
    let sent = 0;
    while (link.write(packet(sent)) === 1) sent++;
    const room = link.writable();
    await turns();
    await far.close();
    await room;
    expect(() => link.write(packet(9))).toThrow(/other end/);
    expect(here.ends).toEqual([]);
    await link.close();
  });

  it('takes what is due out of a full queue before it puts something in', async () => {
    const timers = createVirtualClock();
    // Time goes on without its timers, as that of the system does while something else runs.
    let nowMs = 0;
    const clock = { nowMs: () => nowMs, setTimer: timers.setTimer };
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const link = impair(inner, { clock, fromLink: { delayMs: 10, queuePackets: 4 } });
    const here = collect(link);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 4; i++) far.write(packet(4 * round + i));
      await turns();
      nowMs += 10;
    }
    timers.advance(1000);
    await turns();
    expect(here.numbers).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(link.fromLink.dropped['queue-full']).toBe(0);
    await link.close();
  });

  it('does not read a link whose packets nobody fetches', async () => {
    const { link, far } = bench({}, 32);
    const here = collect(link);
    here.stop();
    let sent = 0;
    while (far.write(packet(sent)) === 1) sent++;
    await turns();
    expect(far.write(packet(sent))).toBe(0);
    const again = collect(link);
    await turns();
    expect(again.numbers).toEqual(Array.from({ length: sent }, (_, i) => i));
    await link.close();
  });

  it('is closed with the link that it wraps', async () => {
    const { link, inner } = bench({});
    const here = collect(link);
    await inner.close();
    await turns();
    expect(here.ends).toEqual([undefined]);
    expect(link.closed).toBe(true);
  });

  it('counts what the link drops later as not written', async () => {
    const { link, clock } = bench({ toLink: { delayMs: 10 } });
    // Longer than the pair takes, and short enough to be a frame with tags.
    const [ethernet] = createLinkPair({ medium: 'ethernet', mtu: 100 });
    const tagged = impair(ethernet, { clock, toLink: { delayMs: 10 } });
    expect(tagged.write(new Uint8Array(122))).toBe(1);
    expect(tagged.counters.packetsWritten).toBe(1);
    clock.advance(10);
    expect(tagged.counters).toMatchObject({ packetsWritten: 0, writeDropped: { 'too-long': 1 } });
    await Promise.all([link.close(), tagged.close()]);
  });

  it('makes no packet of a forwarding vanish from its counters', async () => {
    const { link, far } = bench({ toLink: { loss: 0.3 } });
    const [source, sink] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const forwarding = forward(sink, link);
    const there = collect(far);
    for (let i = 0; i < 200; i++) source.write(packet(i));
    await turns(20);
    await forwarding.close();
    expect(forwarding.aToB).toMatchObject({ packets: 200, dropped: { ended: 0 } });
    expect(there.numbers.length + link.toLink.dropped.loss).toBe(200);
    await Promise.all([link.close(), source.close()]);
  });

  it('refuses wrong settings, later ones too, and changes nothing then', async () => {
    expect(() => bench({ toLink: { loss: 2 } })).toThrow(/loss/);
    expect(() => bench({ seed: 0.5 })).toThrow(/seed/);
    const { link } = bench({});
    expect(() => link.setImpairment({ toLink: { loss: 1 }, fromLink: { loss: 2 } })).toThrow(/loss/);
    link.write(packet(1));
    expect(link.toLink.dropped.loss).toBe(0);
    await link.close();
  });
});

describe('a shaped link', () => {
  it('has a rate for each direction', async () => {
    const clock = createVirtualClock();
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const slow = { rateBitsPerSecond: 24_000, burstBytes: 3 };
    const link = shape(inner, { toLink: slow, clock });
    const [there, here] = [collect(far), collect(link)];
    for (let i = 0; i < 5; i++) link.write(packet(i));
    for (let i = 0; i < 5; i++) far.write(packet(i));
    await turns();
    expect([there.numbers.length, here.numbers.length]).toEqual([1, 5]);
    // 3 bytes at 24 kbit/s are a millisecond.
    for (let ms = 1; ms < 5; ms++) {
      clock.advance(1);
      await turns();
      expect(there.numbers.length).toBe(ms + 1);
    }
    await link.close();
  });
});

describe('packets longer than the MTU', () => {
  it('are for the link behind to judge, whether they wait or not', async () => {
    for (const delayMs of [0, 10]) {
      const clock = createVirtualClock();
      const [wide, farther] = createLinkPair({ medium: 'ip', mtu: 65_535 });
      // A device of the kernel takes what is longer than its MTU.
      const device = new Proxy(wide, {
        get: (target, name): unknown => {
          const value: unknown = name === 'mtu' ? 1500 : Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
      const impaired = impair(device, { clock, toLink: { delayMs } });
      for (const length of [1400, 9000, 65_000]) expect(impaired.write(new Uint8Array(length))).toBe(1);
      clock.advance(20);
      const lengths: number[] = [];
      while (lengths.length < 3) for (const bytes of (await farther.read()) ?? []) lengths.push(bytes.length);
      expect(lengths).toEqual([1400, 9000, 65_000]);
      await Promise.all([impaired.close(), farther.close()]);
    }
  });
});
