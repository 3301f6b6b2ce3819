import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MAX_FRAME_LEN, PacketBatch } from '../link/index.ts';
import {
  bareIpFraming,
  cobsFraming,
  type Framing,
  framings,
  hdlcFraming,
  lengthFraming,
  slipFraming,
} from './index.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function encodeAll(framing: Framing, packets: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(packets.reduce((sum, packet) => sum + framing.encodedLen(packet.length), 0));
  let at = 0;
  for (const packet of packets) at = framing.encode(packet, 0, packet.length, out, at);
  return out.subarray(0, at);
}

/** Feeds chunks, through batches of this capacity. */
function decodeAll(framing: Framing, chunks: readonly Uint8Array[], capacity = 64, maxLen = 2000) {
  const decoder = framing.decoder(maxLen);
  const batch = new PacketBatch({ capacity });
  const packets: Buffer[] = [];
  for (const chunk of chunks) {
    for (let at = 0; ; ) {
      batch.clear();
      const next = decoder.decode(chunk, at, batch);
      packets.push(...[...batch].map((packet) => Buffer.from(packet)));
      if (decoder.lost || (next === chunk.length && batch.count < capacity)) break;
      at = next;
    }
  }
  return { packets, decoder };
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const length = lengths.length === 0 ? bytes.length : (lengths[i % lengths.length] as number);
    chunks.push(bytes.slice(at, at + length));
    at += length;
  }
  return chunks;
}

/** Bytes that the framings treat in a way of their own are frequent. */
const byte = fc.oneof(fc.constantFrom(0, 0xc0, 0xdb, 0xdc, 0xdd, 0x7e, 0x7d, 0x5e, 0x11, 0xff), fc.nat(255));
const packet = fc.oneof(
  fc.array(byte, { minLength: 1, maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
  fc.integer({ min: 250, max: 520 }).map((length) => new Uint8Array(length).fill(7)),
  fc.uint8Array({ minLength: 1, maxLength: 1500 }),
);

/** With the length where a header has it. */
function asIp(payload: Uint8Array): Uint8Array {
  const ip = new Uint8Array((payload.length % 2 === 0 ? 20 : 40) + payload.length);
  ip.set(payload, ip.length - payload.length);
  const view = new DataView(ip.buffer);
  ip[0] = payload.length % 2 === 0 ? 0x45 : 0x60;
  if (payload.length % 2 === 0) view.setUint16(2, ip.length);
  else view.setUint16(4, payload.length);
  return ip;
}

describe.each(Object.values(framings))('the framing $name', (framing) => {
  const suited = (packets: readonly Uint8Array[]): Uint8Array[] =>
    framing === bareIpFraming ? packets.map(asIp) : [...packets];

  it('gives back every packet, whole and in order, however the stream is cut and the batches fill', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(packet, { maxLength: 30 }),
        lengths,
        fc.integer({ min: 1, max: 9 }),
        (some, cuts, capacity) => {
          const packets = suited(some);
          const { packets: found, decoder } = decodeAll(framing, cut(encodeAll(framing, packets), cuts), capacity);
          expect(found.map((one) => one.toString('hex'))).toEqual(
            packets.map((one) => Buffer.from(one).toString('hex')),
          );
          expect(decoder.counters).toEqual({ tooLong: 0, malformed: 0 });
        },
      ),
    );
  });

  it('carries a million packets of random sizes, cut at random', { timeout: 120_000 }, () => {
    const total = 1_000_000;
    const decoder = framing.decoder(MAX_FRAME_LEN);
    const batch = new PacketBatch();
    const wide = new Uint8Array(64);
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const make = (number: number): Uint8Array => {
      const length = 4 + ((Math.imul(number, 2_654_435_761) >>> 8) % 36);
      for (let i = 0; i < length; i++) wide[i] = (number >>> (8 * (i & 3))) ^ (i * 37);
      return framing === bareIpFraming ? asIp(wide.subarray(0, length)) : wide.subarray(0, length);
    };
    const stream = new Uint8Array(1 << 16);
    let [sent, received, length] = [0, 0, 0];
    while (received < total) {
      while (sent < total && length < stream.length - 256) {
        const one = make(sent++);
        length = framing.encode(one, 0, one.length, stream, length);
      }
      const chunk = stream.subarray(0, Math.min(length, 1 + random(4000)));
      batch.clear();
      const at = decoder.decode(chunk, 0, batch);
      for (const one of batch) {
        if (Buffer.compare(one, make(received)) !== 0) expect.fail(`packet ${received} differs`);
        received++;
      }
      stream.copyWithin(0, at, length);
      length -= at;
      if (at === 0 && batch.count === 0) expect.fail(`stuck at packet ${received}`);
    }
    expect(decoder.counters).toEqual({ tooLong: 0, malformed: 0 });
  });

  it('takes garbage as data: nothing is thrown, and nothing longer than agreed comes out', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 10 }), (chunks) => {
        const { packets } = decodeAll(framing, chunks, 4, 100);
        for (const { length } of packets) expect(length).toBeLessThanOrEqual(100);
      }),
    );
  });

  it('counts what is too long, and goes on where the framing can', () => {
    const [long, short] = suited([new Uint8Array(120).fill(9), Uint8Array.of(1, 2, 3, 4)]) as [Uint8Array, Uint8Array];
    const { packets, decoder } = decodeAll(framing, [encodeAll(framing, [long, short])], 4, 100);
    expect(decoder.counters).toEqual({ tooLong: 1, malformed: 0 });
    if (decoder.lost) expect(packets).toEqual([]);
    else expect(packets).toEqual([Buffer.from(short)]);
  });
});

describe('on the stream', () => {
  it.each<[string, Framing, string, string]>([
    ['a length of two bytes', lengthFraming, '0a0b0c', '0003 0a0b0c'],
    ['a length of four bytes', framings['qemu'] as Framing, '0a0b0c', '00000003 0a0b0c'],
    ['the escapes of RFC 1055', slipFraming, '01c002db03', 'c0 01dbdc02dbdd03 c0'],
    ['an escape at the end', slipFraming, '01c0', 'c0 01dbdc c0'],
    // The check value of CRC-16/X-25, the least significant byte first.
    ['flags and check sequence of RFC 1662', hdlcFraming, '313233343536373839', '7e 313233343536373839 6e90 7e'],
    ['no zero', cobsFraming, '11223300', '04112233 01 00'],
    ['zeros in the middle', cobsFraming, '11220033', '031122 0233 00'],
    ['nothing but zeros', cobsFraming, '0000', '010101 00'],
  ])('is %s', (_what, framing, packetText, streamText) => {
    const bytes = encodeAll(framing, [hex(packetText)]);
    expect(Buffer.from(bytes).toString('hex')).toBe(streamText.replaceAll(' ', ''));
    expect(decodeAll(framing, [bytes]).packets).toEqual([Buffer.from(hex(packetText))]);
  });

  it('flags, escapes and control characters are escaped by HDLC', () => {
    const bytes = encodeAll(hdlcFraming, [hex('7e7d11')]);
    expect(Buffer.from(bytes).toString('hex')).toMatch(/^7e7d5e7d5d7d31.{4,8}7e$/);
    expect(decodeAll(hdlcFraming, [bytes]).packets).toEqual([Buffer.from(hex('7e7d11'))]);
  });

  it('a damaged frame of HDLC is found, and the next is whole', () => {
    const bytes = encodeAll(hdlcFraming, [hex('0102030405'), hex('0607')]);
    for (let bit = 0; bit < 8 * 5; bit++) {
      const damaged = Uint8Array.from(bytes);
      const at = 2 + 2 * (bit >> 3);
      damaged[at] = (damaged[at] as number) ^ (1 << (bit & 7));
      const { packets, decoder } = decodeAll(hdlcFraming, [damaged]);
      expect(packets.at(-1)).toEqual(Buffer.from(hex('0607')));
      expect(packets).not.toContainEqual(Buffer.from(hex('0102030405')));
      expect(decoder.counters.malformed).toBeGreaterThan(0);
    }
  });

  it('an escape that RFC 1055 does not know makes a frame malformed', () => {
    const { packets, decoder } = decodeAll(slipFraming, [hex('c0 01db01 c0 02 c0')]);
    expect(packets).toEqual([Buffer.from([2])]);
    expect(decoder.counters).toEqual({ tooLong: 0, malformed: 1 });
  });

  it('a length that cannot be ends it', () => {
    const { packets, decoder } = decodeAll(lengthFraming, [hex('0001aa ffff 01')], 4, 1000);
    expect(packets).toEqual([Buffer.from([0xaa])]);
    expect(decoder).toMatchObject({ lost: true, counters: { tooLong: 1 } });
  });

  it('bare IP packets of no known version end it', () => {
    const { decoder } = decodeAll(bareIpFraming, [new Uint8Array(20).fill(0x15)]);
    expect(decoder).toMatchObject({ lost: true, counters: { malformed: 1 } });
  });
});
