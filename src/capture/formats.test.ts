import { describe, expect, it } from 'vitest';

import { type Random, seededRandom } from '../base/index.ts';
import { CaptureDecoder } from './capture-decoder.ts';
import { type CaptureDamageReason, captureDamageReasons } from './damage.ts';
import { type CaptureDirection, type CaptureFormat, createCaptureRecord } from './format.ts';
import { LinkType, mediumOfLinkType, packetStart } from './link-type.ts';
import { pcapFormat } from './pcap.ts';
import { pcapngFormat } from './pcapng-writer.ts';

interface Packet {
  readonly bytes: readonly number[];
  readonly originalLength: number;
  readonly linkType: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly direction: CaptureDirection | undefined;
}

interface Read {
  readonly packets: Packet[];
  readonly damage: CaptureDamageReason | undefined;
  readonly offset: number | undefined;
}

/** Reads a file that comes in chunks of `chunkLen` bytes. */
function read(file: Uint8Array, chunkLen = file.length): Read {
  const decoder = new CaptureDecoder();
  const record = createCaptureRecord();
  const packets: Packet[] = [];
  let at = 0;
  for (;;) {
    const step = decoder.next(record);
    if (step === 'end') break;
    if (step === 'more') {
      if (at >= file.length) decoder.end();
      else decoder.append(file.subarray(at, at + chunkLen));
      at += chunkLen;
      continue;
    }
    const { bytes, offset, length, ...rest } = record;
    packets.push({ ...rest, bytes: [...bytes.subarray(offset, offset + length)] });
  }
  return { packets, damage: decoder.damage?.reason, offset: decoder.damage?.offset };
}

/** Octets in hexadecimal, spaces and lines as one likes. */
function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (octet) => Number.parseInt(octet, 16));
}

/** The same 32-bit words in the other byte order; halves of 16 bits are given. */
const words = (little: boolean, ...values: readonly (number | readonly [number, number])[]): number[] =>
  values.flatMap((value) => {
    const octets =
      typeof value === 'number'
        ? [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]
        : little
          ? [value[1] >> 8, value[1] & 255, value[0] >> 8, value[0] & 255]
          : [value[0] >> 8, value[0] & 255, value[1] >> 8, value[1] & 255];
    return little ? octets.reverse() : octets;
  });

describe.each([true, false])('pcap, little-endian: %s', (little) => {
  const header = (magic: number, linkType = 1): number[] => words(little, magic, [2, 4], 0, 0, 65_535, linkType);

  it('of microseconds and of nanoseconds is read', () => {
    const record = [...words(little, 1_600_000_000, 123_456, 3, 60), 7, 8, 9];
    const { packets, damage } = read(Uint8Array.from([...header(0xa1b2c3d4), ...record]));
    expect(damage).toBeUndefined();
    expect(packets).toEqual([
      {
        bytes: [7, 8, 9],
        originalLength: 60,
        linkType: 1,
        seconds: 1_600_000_000,
        nanoseconds: 123_456_000,
        direction: undefined,
      },
    ]);
    const fine = read(Uint8Array.from([...header(0xa1b23c4d, 101), ...record]));
    expect(fine.packets[0]).toMatchObject({ nanoseconds: 123_456, linkType: 101 });
  });

  it('has its frame check sequence taken off, where it says that there is one', () => {
    const record = [...words(little, 1, 0, 8, 8), 1, 2, 3, 4, 5, 6, 7, 8];
    const { packets } = read(Uint8Array.from([...header(0xa1b2c3d4, 0x2400_0001), ...record]));
    expect(packets[0]).toMatchObject({ bytes: [1, 2, 3, 4], originalLength: 4, linkType: 1 });
  });

  it('with a fraction of a second or more, and with a length of 0, is read', () => {
    const { packets } = read(
      Uint8Array.from([...header(0xa1b2c3d4), ...words(little, 5, 2_500_000, 0, 0), ...words(little, 6, 0, 1, 0), 9]),
    );
    expect(packets[0]).toMatchObject({ seconds: 7, nanoseconds: 500_000_000, bytes: [] });
    // Captured more than there was: some programs write that.
    expect(packets[1]).toMatchObject({ bytes: [9], originalLength: 1 });
  });

  it.each([
    ['packet-too-long', words(little, 1, 0, 0xffff_ffff, 0xffff_ffff)],
    ['packet-too-long', words(little, 1, 0, 262_145, 1)],
    ['truncated', words(little, 1, 0, 262_144, 1)],
  ] as const)('ends with %s', (reason, record) => {
    const { packets, damage, offset } = read(
      Uint8Array.from([...header(0xa1b2c3d4), ...words(little, 1, 0, 1, 1), 42, ...record]),
    );
    expect(packets.map(({ bytes }) => bytes)).toEqual([[42]]);
    expect([damage, offset]).toEqual([reason, 24 + 17]);
  });

  it('of another version is not read', () => {
    const damage = read(Uint8Array.from(words(little, 0xa1b2c3d4, [3, 0], 0, 0, 65_535, 1))).damage;
    expect(damage).toBe('unsupported-version');
  });
});

describe.each([true, false])('pcapng, little-endian: %s', (little) => {
  const block = (type: number, ...body: readonly number[]): number[] => {
    const length = body.length + 12;
    return [...words(little, type, length), ...body, ...words(little, length)];
  };
  const section = block(0x0a0d_0d0a, ...words(little, 0x1a2b3c4d, [1, 0], 0xffff_ffff, 0xffff_ffff));
  const link = (linkType: number, ...options: readonly number[]): number[] =>
    block(1, ...words(little, [linkType, 0], 0), ...options);
  const option = (code: number, ...value: readonly number[]): number[] => [
    ...words(little, [code, value.length]),
    ...value,
    ...new Array<number>(-value.length & 3).fill(0),
  ];
  const packet = (id: number, high: number, low: number, ...bytes: readonly number[]): number[] =>
    block(
      6,
      ...words(little, id, high, low, bytes.length, bytes.length),
      ...bytes,
      ...new Array<number>(-bytes.length & 3).fill(0),
    );
  const file = (...blocks: readonly (readonly number[])[]): Uint8Array => Uint8Array.from(blocks.flat());

  it('has several interfaces and sections, and blocks that are skipped', () => {
    const { packets, damage } = read(
      file(
        section,
        link(1),
        block(0x0bad, ...new Array<number>(1000).fill(1)),
        link(101, ...option(9, 9)),
        packet(1, 0x18a5_2a3f, 0x1234_5678, 69, 0, 0),
        packet(0, 0, 1_500_000, 1),
        section,
        link(228),
        packet(0, 0, 0),
      ),
      7,
    );
    expect(damage).toBeUndefined();
    const ticks = (0x18a5_2a3fn << 32n) | 0x1234_5678n;
    expect(packets).toMatchObject([
      {
        linkType: 101,
        bytes: [69, 0, 0],
        seconds: Number(ticks / 1_000_000_000n),
        nanoseconds: Number(ticks % 1_000_000_000n),
      },
      { linkType: 1, seconds: 1, nanoseconds: 500_000_000 },
      { linkType: 228, bytes: [] },
    ]);
  });

  it.each([
    ['powers of 2', [0x94], 3 * 2 ** 20 + 2 ** 19, 3, 500_000_000],
    ['seconds', [0], 7, 7, 0],
    ['picoseconds', [12], 4_000_000_001, 0, 4_000_000],
    ['a power of 2 that is finer than nanoseconds', [0x80 + 31], 2 ** 31 + 2 ** 30, 1, 500_000_000],
  ] as const)('has times in %s', (_name, resolution, low, seconds, nanoseconds) => {
    const { packets } = read(file(section, link(1, ...option(9, ...resolution)), packet(0, 0, low)));
    expect(packets[0]).toMatchObject({ seconds, nanoseconds });
  });

  it('has times that begin elsewhere, before 1970 too', () => {
    const offset = [...words(little, 0xffff_ffff, 0xffff_fff6)];
    const value = little ? [...offset.slice(4), ...offset.slice(0, 4)] : offset;
    const { packets } = read(file(section, link(1, ...option(14, ...value)), packet(0, 0, 3_000_000)));
    expect(packets[0]).toMatchObject({ seconds: -7, nanoseconds: 0 });
  });

  it('says which way a packet went, and has simple and obsolete packets', () => {
    const flags = [...words(little, 0, 0, 0, 1, 1), 5, 0, 0, 0, ...option(1, 65), ...option(2, ...words(little, 2))];
    const obsolete = [...words(little, [0, 3], 0, 9_000_000, 2, 2), 1, 2, 0, 0];
    const simple = [...words(little, 5), 1, 2, 3, 4, 5, 0, 0, 0];
    const { packets } = read(file(section, link(1), block(6, ...flags), block(2, ...obsolete), block(3, ...simple)));
    expect(packets).toMatchObject([
      { bytes: [5], direction: 'out' },
      { bytes: [1, 2], seconds: 9 },
      { bytes: [1, 2, 3, 4, 5], originalLength: 5, seconds: 0 },
    ]);
  });

  const good = packet(0, 0, 0, 42);
  const cases: readonly [reason: CaptureDamageReason, blocks: readonly (readonly number[])[]][] = [
    ['bad-block-length', [[...words(little, 6, 0)]]],
    ['bad-block-length', [[...words(little, 6, 0xffff_fffc + 1)]]],
    ['bad-block-length', [[...words(little, 99, 14), 0, 0, 0, 0, 0, 0]]],
    ['bad-block-length', [[...words(little, 6, 24), ...new Array<number>(16).fill(0)]]],
    ['bad-block-length', [[...good.slice(0, -4), ...words(little, good.length + 4)]]],
    ['bad-block-length', [[...block(99, 1, 2, 3, 4).slice(0, -4), 9, 9, 9, 9]]],
    ['block-too-long', [[...words(little, 6, 0x7fff_fffc)]]],
    ['truncated', [[...words(little, 99, 0xffff_fffc), 1, 2, 3]]],
    ['unknown-interface', [packet(1, 0, 0, 1)]],
    ['packet-too-long', [block(6, ...words(little, 0, 0, 0, 0xffff_ffff, 1), 1, 2, 3, 4)]],
    ['packet-beyond-block', [block(6, ...words(little, 0, 0, 0, 5, 5), 1, 2, 3, 4)]],
    ['bad-option', [block(6, ...words(little, 0, 0, 0, 0, 0), ...words(little, [2, 400]))]],
    ['bad-option', [link(1, ...words(little, [9, 40]))]],
    ['bad-byte-order', [block(0x0a0d_0d0a, ...words(little, 0x1a2b3c00, [1, 0], 0, 0))]],
    ['unsupported-version', [block(0x0a0d_0d0a, ...words(little, 0x1a2b3c4d, [2, 0], 0, 0))]],
    ['too-many-interfaces', new Array<number[]>(1024).fill(link(1))],
  ];
  it.each(cases)('ends with %s, and keeps what was before', (reason, blocks) => {
    const { packets, damage } = read(file(section, link(1), good, ...blocks), 512);
    expect(damage).toBe(reason);
    expect(packets.map(({ bytes }) => bytes)).toEqual([[42]]);
  });

  it('may change the byte order with a section', () => {
    const other = little ? 'big' : 'little';
    const swapped = read(
      Uint8Array.from([
        ...file(section, link(1), good),
        ...encodeEmpty(other === 'little'),
        ...file(section, link(1), good),
      ]),
    );
    expect(swapped).toMatchObject({ damage: undefined, packets: [{ bytes: [42] }, { bytes: [42] }] });
  });
});

function encodeEmpty(little: boolean): number[] {
  const body = words(little, 0x1a2b3c4d, [1, 0], 0xffff_ffff, 0xffff_ffff);
  return [...words(little, 0x0a0d_0d0a, body.length + 12), ...body, ...words(little, body.length + 12)];
}

describe('a file that is none', () => {
  it.each([
    ['nothing', '', 'not-a-capture'],
    ['three octets', 'd4 c3 b2', 'not-a-capture'],
    ['zeros', '00 00 00 00 00 00', 'not-a-capture'],
    ['what gzip makes', '1f 8b 08 00 00 00 00 00', 'not-a-capture'],
    ['the start of a header', 'd4 c3 b2 a1 02 00', 'truncated'],
  ])('such as %s is told', (_name, octets, reason) => {
    expect(read(hex(octets)).damage).toBe(reason);
  });
});

const formats: readonly (readonly [name: string, format: CaptureFormat, unitNs: number])[] = [
  ['pcap', pcapFormat(), 1000],
  ['pcap in nanoseconds', pcapFormat({ nanoseconds: true }), 1],
  ['pcapng', pcapngFormat, 1],
];

function randomPackets(random: Random, count: number): Packet[] {
  return Array.from({ length: count }, () => {
    const length = Math.floor(random() * 80);
    return {
      bytes: Array.from({ length }, () => Math.floor(random() * 256)),
      originalLength: length + Math.floor(random() * 3) * 100,
      linkType: LinkType.ethernet,
      seconds: Math.floor(random() * 4e9),
      nanoseconds: Math.floor(random() * 1e9),
      direction: (['in', 'out', undefined] as const)[Math.floor(random() * 3)],
    };
  });
}

function write(format: CaptureFormat, packets: readonly Packet[]): Uint8Array {
  const header = format.header({ linkType: LinkType.ethernet, name: 'tap0', snapLen: 262_144 });
  const out = new Uint8Array(
    header.length + packets.reduce((sum, { bytes }) => sum + format.recordLen(bytes.length), 0),
  );
  const view = new DataView(out.buffer);
  out.fill(0xee);
  out.set(header);
  let at = header.length;
  for (const { bytes, ...packet } of packets) {
    const whole = { ...packet, bytes: Uint8Array.from([9, ...bytes]), offset: 1, length: bytes.length };
    const next = format.encode(out, view, at, packet, whole);
    expect(format.writtenLen(view, at)).toBe(next - at);
    at = next;
  }
  expect(at).toBe(out.length);
  return out;
}

describe.each(formats)('%s', (_name, format, unitNs) => {
  it('is read as it was written, however it is cut into chunks', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const packets = randomPackets(random, 20);
      const expected = packets.map((packet) => ({
        ...packet,
        nanoseconds: packet.nanoseconds - (packet.nanoseconds % unitNs),
        direction: format.name === 'pcap' ? undefined : packet.direction,
      }));
      const file = write(format, packets);
      expect(read(file, 1 + Math.floor(random() * 100)), `seed ${seed}`).toEqual({
        packets: expected,
        damage: undefined,
        offset: undefined,
      });
    }
  });

  it('cut anywhere gives every packet before the cut, and says that it is cut', () => {
    const packets = randomPackets(seededRandom(7), 12);
    const file = write(format, packets);
    const whole = read(file).packets;
    const ends = [format.header({ linkType: 1, name: 'tap0', snapLen: 262_144 }).length];
    for (const { bytes } of packets) ends.push((ends.at(-1) ?? 0) + format.recordLen(bytes.length));
    for (let end = 4; end < file.length; end++) {
      const { packets: got, damage } = read(file.subarray(0, end), 50);
      expect(got).toEqual(whole.slice(0, Math.max(0, ends.filter((at) => at <= end).length - 1)));
      // Also whole: the section header without the interface.
      const isWhole = ends.includes(end) || (format.name === 'pcapng' && end === 44);
      expect(damage, `cut at ${end}`).toBe(isWhole ? undefined : 'truncated');
    }
  });

  it('damaged at any octet is read up to the damage, or differs only there, and never does worse', () => {
    const file = write(format, randomPackets(seededRandom(8), 6));
    for (let at = 0; at < file.length; at++) {
      for (const value of [0x00, 0xff, (file[at] as number) ^ 1, (file[at] as number) ^ 0x80]) {
        const damaged = file.slice();
        damaged[at] = value;
        const { packets, damage } = read(damaged, 64);
        expect(packets.length).toBeLessThanOrEqual(20);
        if (damage !== undefined) expect(captureDamageReasons).toHaveProperty([damage]);
        for (const { bytes, originalLength, nanoseconds } of packets) {
          expect(bytes.length).toBeLessThanOrEqual(originalLength);
          expect(nanoseconds).toBeLessThan(1e9);
        }
      }
    }
  });

  it('writes a time before 1970 as 1970', () => {
    const file = write(format, [
      { bytes: [1], originalLength: 1, linkType: 1, seconds: -5, nanoseconds: 7, direction: 'in' },
    ]);
    expect(read(file).packets[0]).toMatchObject({ seconds: 0, nanoseconds: 0 });
  });
});

describe('link types', () => {
  it('are told apart by medium', () => {
    expect([1, 101, 113, 228, 229, 276].map(mediumOfLinkType)).toEqual(['ethernet', 'ip', 'ip', 'ip', 'ip', 'ip']);
    expect([0, 105, 192].map(mediumOfLinkType)).toEqual([undefined, undefined, undefined]);
  });

  it('say where a packet begins, if there is one', () => {
    const ip = [0x45, 0, 0, 20];
    const sll = [...new Array<number>(14).fill(0), 8, 0, ...ip];
    const arp = [...new Array<number>(14).fill(0), 8, 6, ...ip];
    const sll2 = [0x86, 0xdd, ...new Array<number>(18).fill(0), 0x60];
    const start = (linkType: number, bytes: readonly number[]): number =>
      packetStart(linkType, Uint8Array.from([0, ...bytes]), 1, bytes.length);
    expect(start(LinkType.raw, ip)).toBe(0);
    expect(start(LinkType.raw, [0x15])).toBe(-1);
    expect(start(LinkType.raw, [])).toBe(-1);
    expect(start(LinkType.linuxSll, sll)).toBe(16);
    expect(start(LinkType.linuxSll, arp)).toBe(-1);
    expect(start(LinkType.linuxSll2, sll2)).toBe(20);
    expect(start(LinkType.linuxSll2, sll2.slice(0, 20))).toBe(-1);
    expect(start(LinkType.ethernet, new Array<number>(13).fill(0))).toBe(-1);
    expect(start(9, ip)).toBe(-1);
  });
});
