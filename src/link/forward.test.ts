/**
 *   left <- pair -> a <- forward -> b <- pair -> right
 */

import { describe, expect, it } from 'vitest';

import { seededRandom, VnicError } from '../base/index.ts';
import { BaseLink, createLinkPair, type ForwardPolicy, forward, type PacketBatch, type PacketLink } from './index.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await nextTurn();
};

interface Ends {
  left: PacketLink;
  a: PacketLink;
  b: PacketLink;
  right: PacketLink;
}

const ends = (leftCapacity: number, rightCapacity: number): Ends => {
  const [left, a] = createLinkPair({ medium: 'ip', capacityPackets: leftCapacity, names: ['left', 'a'] });
  const [b, right] = createLinkPair({ medium: 'ip', capacityPackets: rightCapacity, names: ['b', 'right'] });
  return { left, a, b, right };
};

/** Packet number `value`, its length and every byte a function of it. */
const numbered = (value: number): Uint8Array => {
  const packet = new Uint8Array(20 + ((value * 7919) % 1400)).fill(value);
  new DataView(packet.buffer).setUint32(0, value);
  packet[4] = 0x45;
  return packet;
};

const numberOf = (packet: Uint8Array): number => new DataView(packet.buffer, packet.byteOffset).getUint32(0);

const send = async (link: PacketLink, from: number, to: number): Promise<void> => {
  for (let i = from; i < to; i++) while (link.write(numbered(i)) === 0) await link.writable();
};

/** Packets that come within some turns of the event loop, as their numbers. */
const received = async (link: PacketLink, most = Number.POSITIVE_INFINITY): Promise<number[]> => {
  const numbers: number[] = [];
  const stop = link.onBatch((batch) => numbers.push(...[...batch].map(numberOf)));
  for (let idle = 0, last = 0; idle < 20 && numbers.length < most; idle++, last = numbers.length) {
    await nextTurn();
    if (numbers.length > last) idle = 0;
  }
  stop();
  return numbers;
};

const sum = (dropped: Readonly<Record<string, number>>): number => Object.values(dropped).reduce((x, y) => x + y, 0);
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const policies: readonly ForwardPolicy[] = ['wait', 'drop-newest', 'drop-oldest'];
const ignore = (): void => undefined;

const outcome = (done: Promise<void>): Promise<string> =>
  done.then(
    () => 'closed',
    (error: VnicError) => error.code,
  );

/** A carrier moved by the test: it takes `room` packets, and its writers are woken by `give`. */
class ValveLink extends BaseLink {
  override readonly mtu = 1500;
  override readonly offload: boolean;
  readonly taken: number[] = [];
  reading = false;
  room = 0;
  vanishesOnWrite = false;

  constructor(name: string, options: { offload?: boolean; medium?: 'ip' | 'ethernet' } = {}) {
    super({ name, medium: options.medium ?? 'ip' });
    this.offload = options.offload ?? false;
  }

  give(room: number): void {
    this.room = room;
    this.wakeWriter();
  }

  vanish(): VnicError {
    const error = new VnicError('VNIC_DEVICE_GONE', { attempted: `use ${this.name}`, hint: 'Open it again.' });
    this.fail(error);
    return error;
  }

  protected override readNow(_batch: PacketBatch): number {
    return 0;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    if (this.vanishesOnWrite) throw this.vanish();
    const taken = Math.min(to - from, this.room);
    for (let i = from; i < from + taken; i++) {
      this.taken.push(numberOf(bytes.subarray(descriptors[i * 4] as number)));
      this.counters.packetsWritten++;
    }
    this.room -= taken;
    return taken;
  }

  protected override setInterest(readable: boolean, _writable: boolean): void {
    this.reading = readable;
  }

  protected override closeCarrier(): void {
    this.reading = false;
  }
}

describe('forward', () => {
  it.each([1, 2, 3, 4, 5])('carries every packet unchanged and in order both ways, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const capacity = (): number => 1 + Math.floor(random() * 40);
    const { left, a, b, right } = ends(capacity(), capacity());
    const wire = forward(a, b);
    const count = 2000;
    const check = async (link: PacketLink): Promise<void> => {
      for (let next = 0; next < count; ) {
        const batch = (await link.read()) as PacketBatch;
        for (const packet of batch) expect(Buffer.compare(packet, numbered(next++))).toBe(0);
        if (random() < 0.2) await turns(Math.floor(random() * 10));
      }
    };
    await Promise.all([send(left, 0, count), send(right, 0, count), check(left), check(right)]);
    for (const direction of [wire.aToB, wire.bToA]) {
      expect(direction).toMatchObject({ packets: count, bytes: left.counters.bytesWritten, queued: 0 });
      expect(sum(direction.dropped)).toBe(0);
    }
    await wire.close();
    await wire.done;
  });

  it('stops reading while the sink is full, and loses nothing', async () => {
    const { left, a, b, right } = ends(4, 2);
    const wire = forward(a, b);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) while (left.write(numbered(sent)) === 0) await left.writable();
    })();
    await turns(50);
    // What fits: two in b, at most one batch of a's four in the wire, four in a.
    const stalledAt = sent;
    expect(stalledAt).toBeLessThanOrEqual(10);
    expect(wire.aToB.queued).toBeLessThanOrEqual(4);
    await turns(50);
    expect(sent).toBe(stalledAt);
    expect(await received(right, 100)).toEqual(range(0, 100));
    await sending;
    expect(wire.aToB.stalls).toBeGreaterThan(0);
    await wire.close();
  });

  it.each([
    ['drop-newest', range(0, 10)],
    ['drop-oldest', [...range(0, 2), ...range(92, 100)]],
  ] as const)('with %s keeps as many packets as asked for, and counts the others', async (policy, kept) => {
    const { left, a, b, right } = ends(4, 2);
    const wire = forward(a, b, { policy, queuePackets: 8 });
    await send(left, 0, 100);
    await turns(20);
    expect(wire.aToB).toMatchObject({ packets: 2, queued: 8, stalls: 1 });
    expect(wire.aToB.dropped).toEqual({ 'link-down': 0, refused: 0, 'too-long': 0, 'queue-full': 90, ended: 0 });
    expect(await received(right, 10)).toEqual(kept);
    expect(wire.aToB).toMatchObject({ packets: 10, queued: 0 });
    // Flowing again.
    await send(left, 100, 102);
    expect(await received(right, 2)).toEqual([100, 101]);
    await wire.close();
  });

  it.each(['drop-newest', 'drop-oldest'] as const)(
    'with %s accounts for every packet and keeps order, whenever the sink stalls',
    async (policy) => {
      for (let seed = 0; seed < 20; seed++) {
        const random = seededRandom(seed);
        const { left, a, b, right } = ends(1 + Math.floor(random() * 30), 1 + Math.floor(random() * 30));
        const wire = forward(a, b, { policy, queuePackets: 1 + Math.floor(random() * 100) });
        const seen: number[] = [];
        let sent = 0;
        for (let step = 0; step < 100; step++) {
          const burst = Math.floor(random() * 20);
          await send(left, sent, sent + burst);
          sent += burst;
          if (random() < 0.4) seen.push(...(await received(right, 1)));
        }
        await turns(5);
        seen.push(...(await received(right)));
        expect(seen).toEqual([...new Set(seen)].toSorted((x, y) => x - y));
        expect(wire.aToB.packets, `seed ${seed}`).toBe(seen.length);
        expect(seen.length + sum(wire.aToB.dropped), `seed ${seed}`).toBe(sent);
        await wire.close();
      }
    },
  );

  it.each(policies)('with %s lets one direction flow while the other is stalled', async (policy) => {
    const { left, a, b, right } = ends(8, 2);
    const wire = forward(a, b, { policy });
    for (let i = 0; i < 100; i++) {
      left.write(numbered(i));
      await nextTurn();
    }
    expect(wire.aToB.queued).toBeGreaterThan(0);
    const arriving = received(left, 500);
    await send(right, 0, 500);
    expect(await arriving).toEqual(range(0, 500));
    expect(wire.aToB.queued).toBeGreaterThan(0);
    await wire.close();
  });

  it('holds a long queue that the sink takes in small pieces in order', async () => {
    const [left, a] = createLinkPair({ medium: 'ip' });
    const b = new ValveLink('b');
    const wire = forward(a, b, { policy: 'drop-newest', queuePackets: 300 });
    await send(left, 0, 310);
    await turns(20);
    expect(wire.aToB).toMatchObject({ packets: 0, queued: 300 });
    for (let given = 0; given < 300; given += 7) {
      b.give(7);
      await turns(3);
    }
    expect(b.taken).toEqual(range(0, 300));
    expect(wire.aToB).toMatchObject({ packets: 300, queued: 0, stalls: 1 });
    await wire.close();
  });

  it('counts what the sink drops as lost on the way', async () => {
    const [left, a] = createLinkPair({ medium: 'ip', mtu: 1500 });
    const [b, right] = createLinkPair({ medium: 'ip', mtu: 1000 });
    const wire = forward(a, b);
    left.write(new Uint8Array(1400));
    left.write(new Uint8Array(1000));
    expect(await received(right)).toHaveLength(1);
    expect(wire.aToB).toMatchObject({ packets: 1, bytes: 1000, dropped: { 'too-long': 1 } });
    await wire.close();
  });

  it('leaves the links open and readable on close, and closes them when asked to', async () => {
    const { left, a, b, right } = ends(8, 8);
    const wire = forward(a, b);
    await Promise.all([wire.close(), wire.close()]);
    await wire.done;
    expect([a.closed, b.closed]).toEqual([false, false]);
    left.write(numbered(1));
    expect(await received(right)).toEqual([]);
    expect(await received(a)).toEqual([1]);
    {
      await using closing = forward(a, b, { closeLinks: true });
      expect(closing.aToB.packets).toBe(0);
    }
    expect([a.closed, b.closed]).toEqual([true, true]);
  });

  it.each(['a', 'b'] as const)('is done when %s is closed', async (name) => {
    const links = ends(8, 8);
    const wire = forward(links.a, links.b, { closeLinks: true });
    await links[name].close();
    await wire.done;
    expect([links.a.closed, links.b.closed]).toEqual([true, true]);
  });

  it.each(['a', 'b'] as const)('is done when %s is closed while a direction waits', async (name) => {
    const links = ends(8, 1);
    const wire = forward(links.a, links.b);
    for (let i = 0; i < 8; i++) links.left.write(numbered(i));
    await turns(10);
    expect(wire.aToB.queued).toBe(7);
    await links[name].close();
    await wire.done;
    expect(wire.aToB).toMatchObject({ packets: 1, queued: 0, dropped: { ended: 7 } });
  });

  it.each(policies)('with %s fails with the error of a link that vanishes while packets are queued', async (policy) => {
    for (const vanishing of ['source', 'sink'] as const) {
      const [left, a] = createLinkPair({ medium: 'ip' });
      const b = new ValveLink('b');
      const wire = forward(a, b, { policy });
      await send(left, 0, 10);
      await turns(5);
      expect(wire.aToB.queued).toBe(10);
      const failed = expect(wire.done).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
      if (vanishing === 'sink') b.vanish();
      else await left.close();
      await failed;
      expect(wire.aToB).toMatchObject({ queued: 0, dropped: { ended: 10 } });
      await wire.close();
    }
  });

  it('fails once, and throws nothing into the event loop, when a write finds that the sink has vanished', async () => {
    for (const queued of [false, true]) {
      const [left, a] = createLinkPair({ medium: 'ip' });
      const b = new ValveLink('b');
      const wire = forward(a, b);
      const failed = expect(wire.done).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
      b.vanishesOnWrite = !queued;
      await send(left, 0, 3);
      await turns(5);
      b.vanishesOnWrite = true;
      if (queued) b.give(3);
      await failed;
      expect(wire.aToB).toMatchObject({ packets: 0, queued: 0, dropped: { ended: 3 } });
    }
  });

  it('ends for good at any moment, without a packet unaccounted for', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = seededRandom(seed);
      const { left, a, b, right } = ends(1 + Math.floor(random() * 20), 1 + Math.floor(random() * 20));
      const policy = policies[seed % policies.length] as ForwardPolicy;
      const wire = forward(a, b, { policy, queuePackets: 5 });
      const settled = outcome(wire.done);
      if (random() < 0.5) right.onBatch(ignore, ignore);
      for (let step = 0, steps = random() * 40; step < steps; step++) {
        left.write(numbered(step));
        if (random() < 0.5) await nextTurn();
      }
      const ending = Math.floor(random() * 5);
      await [wire, left, a, b, right][ending]?.close();
      // To its peer, a closed link is one that has vanished.
      const expected = ending === 1 || ending === 4 ? 'VNIC_DEVICE_GONE' : 'closed';
      expect(await settled, `seed ${seed}`).toBe(expected);
      const { packets, dropped, queued } = wire.aToB;
      expect(packets + sum(dropped) + queued, `seed ${seed}`).toBe(a.counters.packetsRead);
      await Promise.all([left, a, b, right].map((link) => link.close()));
    }
  });

  it('refuses links that do not fit together, naming both', () => {
    const ip = new ValveLink('tun0');
    const ethernet = new ValveLink('tap0', { medium: 'ethernet' });
    const offload = new ValveLink('tun1', { offload: true });
    const refused = (run: () => unknown): string => {
      try {
        run();
      } catch (error) {
        expect(error).toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
        return (error as VnicError).message;
      }
      return 'not refused';
    };
    expect(refused(() => forward(ip, ethernet))).toMatch(/tun0.*ip.*tap0.*ethernet/);
    expect(refused(() => forward(ip, offload))).toMatch(/tun1 carries super-packets and tun0 does not/);
    expect(refused(() => forward(ip, ip))).toMatch(/twice/);
    expect(refused(() => forward(ip, new ValveLink('x'), { policy: 'never' as 'wait' }))).toMatch(/never/);
    for (const queuePackets of [0, 1.5, -1, 2 ** 21]) {
      expect(refused(() => forward(ip, new ValveLink('x'), { queuePackets }))).toMatch(/queue/);
    }
    expect([ip.reading, ethernet.reading, offload.reading]).toEqual([false, false, false]);
  });

  it('leaves the first link unread when the second has a reader', async () => {
    const { a, b } = ends(8, 8);
    b.onBatch(() => undefined);
    expect(() => forward(a, b)).toThrow(expect.objectContaining({ code: 'VNIC_READER_BUSY' }));
    a.onBatch(() => undefined)();
    await a.close();
    expect(() => forward(a, ends(1, 1).b)).toThrow(expect.objectContaining({ code: 'VNIC_LINK_CLOSED' }));
  });

  it('lets the event loop turn when a sink promises room and takes nothing', async () => {
    const [left, a] = createLinkPair({ medium: 'ip' });
    const b = new ValveLink('b');
    b.writable = () => Promise.resolve();
    const wire = forward(a, b);
    await send(left, 0, 3);
    await turns(20);
    expect(wire.aToB.queued).toBe(3);
    b.room = 3;
    await turns(5);
    expect(b.taken).toEqual([0, 1, 2]);
    await wire.close();
  });
});
