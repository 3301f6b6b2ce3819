import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  anyFlow,
  buildPacket,
  dataFlags,
  type Flow,
  flowOn,
  located,
  payloadOf,
  type Segment,
  tcpOptions,
} from '../../test/offload/packets.ts';
import {
  checksumsRight,
  coalescePackets,
  flowOf,
  frameWith,
  locate,
  type Medium,
  putPartialChecksum,
  splitFrame,
} from '../../test/offload/twin.ts';
import { PacketBatch, type PacketBatchOptions } from '../link/index.ts';
import { emitVirtioNetHeader, IpProtocol, putU16, TcpFlag, u16, VirtioNetGso } from '../wire/index.ts';
import { nativeCore } from './binding.ts';
import { COALESCE_STATE_WORDS, CoalesceWord, SPLIT_STATE_WORDS, SplitWord } from './offload.ts';

const core = nativeCore();
const vnetLen = 10;

interface SplitResult {
  readonly packets: Uint8Array[];
  readonly malformed: number;
  readonly superPackets: number;
  readonly rounds: number;
}

/** Splits a frame natively, in as many rounds as the batch needs. */
function split(frame: Uint8Array, medium: Medium, options: PacketBatchOptions = { capacity: 2048 }): SplitResult {
  const batch = new PacketBatch(options);
  const state = new Uint32Array(SPLIT_STATE_WORDS);
  state[SplitWord.vnetHeaderLen] = vnetLen;
  state[SplitWord.medium] = medium === 'ip' ? 0 : 1;
  state[SplitWord.headroom] = batch.headroom;
  const packets: Uint8Array[] = [];
  let rounds = 0;
  do {
    batch.clear();
    state[SplitWord.count] = 0;
    state[SplitWord.free] = 0;
    batch.count = core.segment(frame, batch.bytes, batch.descriptors, state);
    for (const packet of batch) packets.push(packet.slice());
    rounds++;
  } while (state[SplitWord.pendingLen] !== 0 && rounds < 100_000);
  const word = (index: number): number => state[index] as number;
  return { packets, malformed: word(SplitWord.malformed), superPackets: word(SplitWord.superPackets), rounds };
}

/** Coalesces packets natively; the rest that does not fit into the output goes on in the next round. */
function coalesce(
  packets: readonly Uint8Array[],
  medium: Medium,
  { allowed = 15, outCapacity = packets.length, outLen = 4 << 20 } = {},
): Uint8Array[] {
  const bytesLen = packets.reduce((sum, packet) => sum + packet.length + 8, 8);
  const batch = new PacketBatch({ capacity: Math.max(1, packets.length), bytesLen });
  for (const packet of packets) batch.append(packet);
  const out = new PacketBatch({ capacity: Math.max(1, outCapacity), bytesLen: outLen });
  const state = new Uint32Array(COALESCE_STATE_WORDS);
  state[CoalesceWord.vnetHeaderLen] = vnetLen;
  state[CoalesceWord.medium] = medium === 'ip' ? 0 : 1;
  state[CoalesceWord.allowed] = allowed;
  const frames: Uint8Array[] = [];
  for (let from = 0; from < batch.count; ) {
    state[CoalesceWord.free] = 0;
    state[CoalesceWord.count] = 0;
    const { bytes, descriptors } = batch;
    const taken = core.coalesce(bytes, descriptors, from, batch.count, out.bytes, out.descriptors, state);
    out.count = state[CoalesceWord.count] as number;
    for (const frame of out) frames.push(frame.slice());
    from += taken;
    if (taken === 0 && out.count === 0) throw new RangeError('no progress');
  }
  return frames;
}

const hex = (packets: readonly Uint8Array[]): string[] => packets.map((packet) => Buffer.from(packet).toString('hex'));

/** A super-packet that fits into 64 KiB. */
const superPacket = fc
  .record({
    flow: anyFlow,
    flags: dataFlags,
    payloadLen: fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 1, max: 65_200 })),
    gsoSize: fc.oneof(fc.integer({ min: 500, max: 1460 }), fc.integer({ min: 1, max: 9000 })),
    id: fc.integer({ min: 0, max: 0xffff }),
    sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
    more: fc.oneof(
      fc.constant({}),
      fc.record({
        options: fc.tuple(fc.nat(), fc.integer({ min: 0, max: 3 })).map((of) => tcpOptions(...of)),
        reserved: fc.nat({ max: 15 }),
      }),
    ),
  })
  .map(({ flow, flags, payloadLen, gsoSize, id, sequence, more }) => {
    const payload = payloadOf(payloadLen, id);
    const packet = buildPacket(flow, { id, sequence, acknowledgment: 77, window: 501, flags, payload, ...more });
    const where = located(packet, flow.medium);
    putPartialChecksum(packet, where);
    return { flow, gsoSize, payload, frame: frameWith(packet, where, gsoSize) };
  })
  .filter(({ frame }) => frame.length < 65_500);

describe('segment', () => {
  it('gives what its readable twin gives, with right checksums and the payload unchanged', () => {
    fc.assert(
      fc.property(superPacket, ({ frame, flow, payload }) => {
        const { packets, malformed } = split(frame, flow.medium, { capacity: 70_000, bytesLen: 16 << 20 });
        expect(malformed).toBe(0);
        expect(hex(packets)).toEqual(hex(splitFrame(frame, flow.medium) ?? []));
        for (const packet of packets) expect(checksumsRight(packet, located(packet, flow.medium))).toBe(true);
        const parts = packets.map((packet) => packet.subarray(located(packet, flow.medium).payload));
        expect(Buffer.compare(Buffer.concat(parts), payload)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('goes on in the next batch when one is full, with headroom before each packet', () => {
    fc.assert(
      fc.property(
        superPacket,
        fc.record({
          capacity: fc.integer({ min: 1, max: 9 }),
          bytesLen: fc.integer({ min: 9600, max: 30_000 }),
          headroom: fc.constantFrom(0, 16, 33),
        }),
        ({ frame, flow, gsoSize }, options) => {
          fc.pre(frame.length / gsoSize < 500);
          const { packets, rounds } = split(frame, flow.medium, options);
          expect(rounds).toBeGreaterThanOrEqual(Math.ceil(packets.length / options.capacity));
          expect(hex(packets)).toEqual(hex(splitFrame(frame, flow.medium) ?? []));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps the headroom of the batch free and aligns what follows', () => {
    const { frame } = fc.sample(superPacket, { numRuns: 1, seed: 3 })[0] as { frame: Uint8Array };
    const batch = new PacketBatch({ capacity: 64, headroom: 32, bytesLen: 1 << 20 });
    const state = new Uint32Array(SPLIT_STATE_WORDS);
    state.set([vnetLen, frame[10 + 12] === 8 || frame[10 + 12] === 0x86 || frame[10 + 12] === 0x81 ? 1 : 0, 32]);
    batch.count = core.segment(frame, batch.bytes, batch.descriptors, state);
    for (let i = 0; i < batch.count; i++) expect(batch.offset(i) % 8).toBe(0);
    expect(batch.offset(0)).toBe(32);
  });

  it('completes the checksum of a plain packet that asks for it, and leaves any other alone', () => {
    fc.assert(
      fc.property(anyFlow, fc.integer({ min: 0, max: 2000 }), (flow, payloadLen) => {
        const segment = { id: 5, sequence: 6, acknowledgment: 7, window: 8, flags: TcpFlag.ack };
        const packet = buildPacket(flow, { ...segment, payload: payloadOf(payloadLen, 1) });
        const where = located(packet, flow.medium);
        const partial = packet.slice();
        putPartialChecksum(partial, where);
        const frame = frameWith(partial, where, 0);
        frame[1] = VirtioNetGso.none;
        expect(hex(split(frame, flow.medium).packets)).toEqual(hex(splitFrame(frame, flow.medium) ?? []));
        expect(checksumsRight(split(frame, flow.medium).packets[0] as Uint8Array, where)).toBe(true);
        frame[0] = 0;
        expect(hex(split(frame, flow.medium).packets)).toEqual(hex([partial]));
      }),
    );
  });

  it('takes the destination of the pseudo header from the checksum, as a routing header needs it', () => {
    const flow = { ...plainFlow, version: 6 as const, extensions: [3, 3] };
    const segment = { id: 0, sequence: 1, acknowledgment: 2, window: 3, flags: TcpFlag.ack };
    const packet = buildPacket(flow, { ...segment, payload: payloadOf(3000, 1) });
    const where = located(packet, 'ip');
    putPartialChecksum(packet, where);
    // The first header becomes a routing header with a segment left; only its kind matters to splitting.
    packet[6] = 43;
    const final = 0x1234;
    putU16(packet, where.l4 + 16, foldedSum(u16(packet, where.l4 + 16) + final));
    const { packets } = split(frameWith(packet, where, 1000), 'ip');
    expect(packets.length).toBe(3);
    for (const part of packets) {
      // Right but for the part of the final destination.
      const wrong = u16(part, where.l4 + 16);
      putU16(part, where.l4 + 16, foldedSum(wrong + final));
      part[6] = 0;
      expect(checksumsRight(part, located(part, 'ip'))).toBe(true);
    }
  });

  const valid = (): { frame: Uint8Array; view: DataView } => {
    const segment = { id: 0, sequence: 1, acknowledgment: 2, window: 3, flags: TcpFlag.ack };
    const packet = buildPacket(plainFlow, { ...segment, payload: payloadOf(3000, 1) });
    const where = located(packet, 'ip');
    putPartialChecksum(packet, where);
    const frame = frameWith(packet, where, 1000);
    return { frame, view: new DataView(frame.buffer) };
  };

  it.each<[string, (frame: Uint8Array, view: DataView) => void]>([
    ['a GSO size of 0', (_, view) => view.setUint16(4, 0, true)],
    ['a header length beyond the packet', (_, view) => view.setUint16(2, 60_000, true)],
    ['a checksum start beyond the packet', (_, view) => view.setUint16(6, 60_000, true)],
    ['a checksum start that is not the transport header', (_, view) => view.setUint16(6, 24, true)],
    ['a checksum offset that is not the checksum', (_, view) => view.setUint16(8, 6, true)],
    ['no need of a checksum', (_, view) => view.setUint8(0, 0)],
    ['an unknown GSO type', (_, view) => view.setUint8(1, 7)],
    ['a GSO type of tunnels', (_, view) => view.setUint8(1, 0x21)],
    ['UDP fragments', (_, view) => view.setUint8(1, VirtioNetGso.udpFragments)],
    ['the GSO type of the other version', (_, view) => view.setUint8(1, VirtioNetGso.tcp6)],
    ['the GSO type of the other protocol', (_, view) => view.setUint8(1, VirtioNetGso.udp)],
    ['a total length beyond the packet', (_, view) => view.setUint16(10 + 2, 60_000)],
    ['a total length short of the packet', (_, view) => view.setUint16(10 + 2, 1000)],
    ['a header length field of 0', (_, view) => view.setUint8(10, 0x40)],
    ['a fragment', (_, view) => view.setUint16(10 + 6, 0x2000)],
    ['a TCP data offset of 0', (_, view) => view.setUint8(10 + 20 + 12, 0)],
    ['another protocol', (_, view) => view.setUint8(10 + 9, 1)],
    ['another version', (_, view) => view.setUint8(10, 0x55)],
  ])('drops and counts a super-packet with %s', (_, damage) => {
    const { frame, view } = valid();
    expect(split(frame, 'ip')).toMatchObject({ malformed: 0, superPackets: 1 });
    damage(frame, view);
    expect(split(frame, 'ip')).toEqual({ packets: [], malformed: 1, superPackets: 0, rounds: 1 });
  });

  it.each([0, 1, 9, 10])('drops and counts a frame of %i bytes', (length) => {
    expect(split(new Uint8Array(length), 'ip')).toMatchObject({ packets: [], malformed: 1 });
  });

  it('drops and counts a checksum outside of a plain packet', () => {
    const frame = new Uint8Array(10 + 40);
    for (const [checksumStart, checksumOffset] of [
      [40, 0],
      [39, 0],
      [0, 39],
      [65_535, 65_535],
    ] as const) {
      emitVirtioNetHeader({ needsChecksum: true, checksumStart, checksumOffset }, frame, 0);
      expect(split(frame, 'ip')).toMatchObject({ packets: [], malformed: 1 });
    }
    emitVirtioNetHeader({ needsChecksum: true, checksumStart: 38, checksumOffset: 0 }, frame, 0);
    expect(split(frame, 'ip')).toMatchObject({ malformed: 0 });
  });

  it('drops and counts a segment that does not fit into the whole batch', () => {
    const { frame } = valid();
    expect(split(frame, 'ip', { capacity: 4, bytesLen: 1000 })).toMatchObject({ packets: [], malformed: 1 });
  });
});

describe('coalesce', () => {
  it('makes of the packets of a super-packet the super-packet again', () => {
    fc.assert(
      fc.property(superPacket, ({ frame, flow }) => {
        const { packets } = split(frame, flow.medium, { capacity: 70_000, bytesLen: 16 << 20 });
        fc.pre(packets.length > 1 && packets.length <= (flow.protocol === 'tcp' ? 128 : 64));
        expect(hex(coalesce(packets, flow.medium))).toEqual(hex([frame]));
      }),
      { numRuns: 150 },
    );
  });

  it('gives what its readable twin gives, and nothing is lost or reordered within a flow', () => {
    fc.assert(
      fc.property(traffic, ({ medium, packets }) => {
        const frames = coalesce(packets, medium);
        expect(hex(frames)).toEqual(hex(coalescePackets(packets, medium)));
        const back = frames.flatMap((frame) => split(frame, medium).packets);
        expect(byFlow(back, medium)).toEqual(byFlow(packets, medium));
      }),
      { numRuns: 150 },
    );
  });

  it('goes on behind what it has put out when the output is full', () => {
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 4 }), ({ medium, packets }, outCapacity) => {
        const frames = coalesce(packets, medium, { outCapacity });
        const back = frames.flatMap((frame) => split(frame, medium).packets);
        expect(byFlow(back, medium)).toEqual(byFlow(packets, medium));
      }),
      { numRuns: 60 },
    );
  });

  it('merges no kind that is not allowed', () => {
    const [a, b] = [plainPacket(0), plainPacket(1)];
    expect(coalesce([a, b], 'ip', { allowed: 1 }).length).toBe(1);
    expect(coalesce([a, b], 'ip', { allowed: 14 }).length).toBe(2);
  });

  it.each<[string, (packet: Uint8Array) => void]>([
    ['a wrong TCP checksum', (packet) => putU16(packet, 40, u16(packet, 40) ^ 1)],
    ['a wrong IPv4 header checksum', (packet) => putU16(packet, 10, u16(packet, 10) ^ 1)],
  ])('leaves a packet with %s alone, as it is', (_, damage) => {
    for (const damaged of [0, 1, 2]) {
      const packets = [plainPacket(0), plainPacket(1), plainPacket(2)];
      damage(packets[damaged] as Uint8Array);
      const frames = coalesce(packets, 'ip');
      expect(hex(frames)).toContain(`${'00'.repeat(10)}${hex([packets[damaged] as Uint8Array])[0]}`);
      expect(frames.length).toBe(damaged === 1 ? 3 : 2);
    }
  });
});

describe('garbage', () => {
  it('leads nowhere outside of the buffers, whatever a frame says', () => {
    const mutation = fc.record({ at: fc.nat({ max: 120 }), value: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(superPacket, fc.array(mutation, { maxLength: 8 }), fc.nat(), ({ frame, flow }, mutations, cut) => {
        const damaged = frame.slice(0, cut % (frame.length + 1));
        for (const { at, value } of mutations) if (at < damaged.length) damaged[at] = value;
        fc.pre(u16(damaged, 4) !== 0x0100 || damaged.length < 5000);
        const { packets, malformed } = split(damaged, flow.medium, { capacity: 256, bytesLen: 70_000, headroom: 7 });
        expect(packets.length > 0 || malformed === 1).toBe(true);
        const total = packets.reduce((sum, packet) => sum + packet.length, 0);
        if (packets.length === 1) expect(total).toBe(damaged.length - vnetLen);
      }),
      { numRuns: 300 },
    );
  });

  it('passes through coalescing unchanged, packet by packet or merged', () => {
    const mutation = fc.record({ at: fc.nat({ max: 100 }), value: fc.nat({ max: 255 }), packet: fc.nat() });
    fc.assert(
      fc.property(traffic, fc.array(mutation, { maxLength: 20 }), ({ medium, packets }, mutations) => {
        for (const { at, value, packet } of mutations) {
          const target = packets[packet % packets.length];
          if (target !== undefined && at < target.length) target[at] = value;
        }
        const frames = coalesce(packets, medium);
        const back = frames.flatMap((frame) => split(frame, medium).packets);
        const sorted = (some: Uint8Array[]): string[] => some.map((packet) => withoutFreeId(packet, medium)).sort();
        expect(sorted(back)).toEqual(sorted(packets));
      }),
      { numRuns: 200 },
    );
  });

  it.each<[string, () => unknown]>([
    [
      'too few words',
      () => core.segment(new Uint8Array(20), new Uint8Array(20), new Uint32Array(4), new Uint32Array(3)),
    ],
    [
      'virtio-net header',
      () => core.segment(new Uint8Array(20), new Uint8Array(20), new Uint32Array(4), new Uint32Array(16)),
    ],
    [
      'scratch',
      () =>
        core.readSegments(
          0,
          new Uint8Array(5),
          new Uint8Array(20),
          new Uint32Array(4),
          Uint32Array.of(10, ...new Array<number>(15).fill(0)),
        ),
    ],
    [
      'outside the descriptors',
      () =>
        core.coalesce(
          new Uint8Array(20),
          new Uint32Array(4),
          0,
          2,
          new Uint8Array(9),
          new Uint32Array(4),
          Uint32Array.of(10, ...new Array<number>(15).fill(0)),
        ),
    ],
    [
      'outside the batch',
      () =>
        core.coalesce(
          new Uint8Array(20),
          Uint32Array.of(8, 13, 0, 0),
          0,
          1,
          new Uint8Array(9),
          new Uint32Array(4),
          Uint32Array.of(10, ...new Array<number>(15).fill(0)),
        ),
    ],
    [
      'file descriptor',
      () => core.writeCoalesced(-1, new Uint8Array(20), new Uint32Array(4), 0, 1, new Uint32Array(16)),
    ],
  ])('of arguments is refused: %s', (message, call) => {
    expect(call).toThrow(message);
  });
});

const plainFlow: Flow = {
  medium: 'ip',
  vlanTags: 0,
  version: 4,
  protocol: 'tcp',
  number: 9,
  trafficClass: 0,
  hopLimit: 64,
  dontFragment: true,
  extensions: [],
  optionWords: 3,
};

/** The `index`-th of a run of packets with 100 bytes of payload. */
function plainPacket(index: number): Uint8Array {
  const segment = { id: 100 + index, sequence: 1000 + index * 100, acknowledgment: 2, window: 3, flags: TcpFlag.ack };
  return buildPacket(plainFlow, { ...segment, payload: payloadOf(100, index) });
}

function foldedSum(sum: number): number {
  return sum > 0xffff ? sum - 0xffff : sum;
}

/** What may happen to the next packet of a flow; most go on where the last one ended. */
const step = fc.record({
  flow: fc.nat({ max: 4 }),
  event: fc.oneof(
    { weight: 12, arbitrary: fc.constant('next' as const) },
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        ...([
          'short',
          'long',
          'push',
          'fin',
          'syn',
          'ack',
          'window',
          'gap',
          'again',
          'ece',
          'cwr',
          'id',
          'same-id',
          'empty',
        ] as const),
        ...(['marked', 'hops', 'damaged', 'padded', 'fragment', 'other'] as const),
        ...(['urgent', 'reset', 'no-ack', 'accurate-ecn', 'stamp', 'sack', 'no-options', 'no-checksum'] as const),
      ),
    },
  ),
});

/** Packets of several flows, interleaved. */
const traffic = fc
  .constantFrom<Medium>('ip', 'ethernet')
  .chain((medium) =>
    fc.record({
      medium: fc.constant(medium),
      flows: fc.array(flowOn(medium), { minLength: 1, maxLength: 5 }),
      steps: fc.array(step, { minLength: 1, maxLength: 200 }),
      segmentLen: fc.constantFrom(1, 100, 1400),
    }),
  )
  .map(({ medium, flows, steps, segmentLen }) => {
    const start = { id: 0xfffe, sequence: 0xffff_f000, acknowledgment: 1, window: 9, reserved: 0, options: undefined };
    const states = flows.map((flow): FlowState => ({ flow, ...start }));
    const packets = steps.map(({ flow, event }, i) =>
      makePacket(states[flow % states.length] as FlowState, event, segmentLen, i),
    );
    return { medium, packets };
  });

interface FlowState {
  flow: Flow;
  id: number;
  sequence: number;
  acknowledgment: number;
  window: number;
  reserved: number;
  options: Uint8Array | undefined;
}

type Event = 'next' | string;

function makePacket(state: FlowState, event: Event, segmentLen: number, index: number): Uint8Array {
  const { medium } = state.flow;
  if (event === 'other')
    return Uint8Array.from({ length: 60 }, (_, i) => (i === 0 && medium === 'ip' ? 0x45 : index + i));
  change(state, event);
  const lengths: Record<string, number> = { short: Math.max(1, segmentLen - 1), long: segmentLen + 1, empty: 0 };
  const payload = payloadOf(lengths[event] ?? segmentLen, index);
  const flags = (event === 'no-ack' ? 0 : TcpFlag.ack) | (eventFlags[event] ?? 0);
  const { options, ...rest } = state;
  const urgent = event === 'urgent' ? 3 : 0;
  const segment: Segment = { ...rest, flags, urgent, payload, ...(options === undefined ? {} : { options }) };
  const flow = { ...state.flow };
  if (event === 'marked') flow.trafficClass = flow.trafficClass ^ 3;
  if (event === 'hops') flow.hopLimit = flow.hopLimit ^ 1;
  state.id = (state.id + 1) & 0xffff;
  state.sequence = (state.sequence + payload.length) >>> 0;
  return alter(buildPacket(flow, segment), medium, event);
}

const eventFlags: Record<string, number> = {
  push: TcpFlag.psh,
  fin: TcpFlag.fin,
  syn: TcpFlag.syn,
  ece: TcpFlag.ece,
  cwr: TcpFlag.cwr,
  urgent: TcpFlag.urg,
  reset: TcpFlag.rst,
};

function change(state: FlowState, event: Event): void {
  if (event === 'ack') state.acknowledgment++;
  if (event === 'accurate-ecn') state.reserved ^= 1;
  if (event === 'stamp') state.options = tcpOptions(state.sequence, 0);
  if (event === 'sack') state.options = tcpOptions(state.sequence, 1 + (state.id % 3));
  if (event === 'no-options') state.options = undefined;
  if (event === 'window') state.window++;
  if (event === 'gap') state.sequence = (state.sequence + 5) >>> 0;
  if (event === 'again') state.sequence = (state.sequence - 7) >>> 0;
  if (event === 'id') state.id = (state.id + 3) & 0xffff;
  if (event === 'same-id') state.id = (state.id - 1) & 0xffff;
}

function alter(packet: Uint8Array, medium: Medium, event: Event): Uint8Array {
  const where = located(packet, medium);
  if (event === 'damaged') packet[packet.length - 1] = (packet[packet.length - 1] as number) ^ 0x55;
  if (event === 'no-checksum' && where.protocol === IpProtocol.udp) putU16(packet, where.l4 + 6, 0);
  if (event === 'padded') return new Uint8Array(Buffer.concat([packet, new Uint8Array(3)]));
  if (event === 'fragment' && where.version === 4) putU16(packet, where.l3 + 6, 0x2000);
  return packet;
}

/** The packets of each flow in their order. */
function byFlow(packets: readonly Uint8Array[], medium: Medium): Record<string, string[]> {
  const flows: Record<string, string[]> = {};
  for (const packet of packets) {
    const where = locate(packet, medium);
    const key = where === undefined ? 'other' : flowOf(packet, where);
    flows[key] ??= [];
    flows[key].push(withoutFreeId(packet, medium));
  }
  return flows;
}

/** In hex, without the IPv4 id of a packet that must not be fragmented: it means nothing there. */
function withoutFreeId(original: Uint8Array, medium: Medium): string {
  const packet = original.slice();
  const l3 = medium === 'ip' ? 0 : 14 + vlanLen(packet);
  if ((packet[l3] as number) >> 4 === 4 && ((packet[l3 + 6] as number) & 0x40) !== 0) {
    putU16(packet, l3 + 4, 0);
    putU16(packet, l3 + 10, 0);
  }
  return hex([packet])[0] as string;
}

function vlanLen(packet: Uint8Array): number {
  let length = 0;
  while ([0x8100, 0x88a8].includes(u16(packet, 12 + length))) length += 4;
  return length;
}
