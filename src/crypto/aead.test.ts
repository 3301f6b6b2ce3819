import { createCipheriv } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { isVnicError, seededRandom } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import {
  type Aead,
  type AeadAlgorithm,
  type AeadBackend,
  AeadLayout,
  type AeadLayoutOptions,
  aeadBackends,
  createAead,
  type NonceFormat,
} from './index.ts';

const wireguard = new AeadLayout({ payloadOffset: 16, counter: { offset: 8, length: 8 }, tag: 'end' });
const openvpn = new AeadLayout({
  payloadOffset: 24,
  aad: { offset: 0, length: 8 },
  counter: { offset: 4, length: 4, endian: 'big' },
  tag: 8,
});
const openvpnNonce: NonceFormat = {
  iv: Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
  counterOffset: 0,
  counterLength: 4,
  endian: 'big',
};

const every = Object.entries(aeadBackends()).flatMap(([algorithm, backends]) =>
  backends.map((backend) => ({ algorithm: algorithm as AeadAlgorithm, backend })),
);

function makeKey(algorithm: AeadAlgorithm, backend: AeadBackend, nonce?: NonceFormat): Aead {
  const key = randomBytes(7, algorithm === 'aes-128-gcm' ? 16 : 32);
  return createAead({ algorithm, backend, key, ...(nonce && { nonce }) });
}

function randomBytes(seed: number, length: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length }, () => random() * 256);
}

/** Packets of these lengths, random bytes, with room for a tag behind each. */
function packets(lengths: readonly number[], seed = 1): PacketBatch {
  const total = lengths.reduce((sum, length) => sum + length + 24, 16);
  const batch = new PacketBatch({ capacity: Math.max(1, lengths.length), bytesLen: total, headroom: 16 });
  for (const length of lengths) batch.reserve(length);
  batch.bytes.set(randomBytes(seed, total));
  return batch;
}

function seal(key: Aead, batch: PacketBatch, layout: AeadLayout, counter = 0): number {
  return key.sealBatch(batch.bytes, batch.descriptors, 0, batch.count, layout, counter);
}

function open(key: Aead, batch: PacketBatch, layout: AeadLayout): number {
  return key.openBatch(batch.bytes, batch.descriptors, 0, batch.count, layout);
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isVnicError(error) ? error.code : String(error);
  }
  return 'no error';
}

describe.each(every)('$algorithm by $backend', ({ algorithm, backend }) => {
  it('seals what node:crypto seals, byte for byte, and opens it again, at every length from 0 to 2000', () => {
    const lengths = Array.from({ length: 2001 }, (_, length) => 16 + length);
    const batch = packets(lengths);
    const before = batch.bytes.slice();
    const counter = 2 ** 31;
    expect(seal(makeKey(algorithm, backend), batch, wireguard, counter)).toBe(lengths.length);
    for (const [i, length] of lengths.entries()) {
      const at = batch.offset(i);
      const nonce = Buffer.alloc(12);
      nonce.writeBigUInt64LE(BigInt(counter + i), 4);
      const bytes = algorithm === 'aes-128-gcm' ? 16 : 32;
      const cipher = createCipheriv(algorithm as 'aes-256-gcm', randomBytes(7, bytes), nonce, { authTagLength: 16 });
      const sealed = Buffer.concat([
        before.subarray(at, at + 8),
        nonce.subarray(4),
        cipher.update(before.subarray(at + 16, at + length)),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      if (Buffer.compare(batch.packet(i), sealed) !== 0) expect.fail(`length ${length - 16} differs`);
    }
    expect(open(makeKey(algorithm, backend), batch, wireguard)).toBe(lengths.length);
    for (const [i, length] of lengths.entries()) {
      const at = batch.offset(i);
      expect(batch.length(i)).toBe(length);
      if (Buffer.compare(batch.packet(i).subarray(16), before.subarray(at + 16, at + length)) !== 0) {
        expect.fail(`length ${length - 16} does not come back`);
      }
    }
  });

  it.each([
    ['WireGuard', wireguard, undefined],
    ['OpenVPN', openvpn, openvpnNonce],
  ] as const)('rejects every flipped bit of a packet of %s and leaves zeros', (_, layout, nonce) => {
    const whole = packets([layout.payloadOffset + 40]);
    const key = makeKey(algorithm, backend, nonce);
    seal(key, whole, layout, 77);
    const sealed = whole.bytes.slice();
    const [at, length] = [whole.offset(0), whole.length(0)];
    const end = layout.tag === 'end' ? length - 16 : length;
    const unread = layout.aad.length === 0 ? 8 : 0; // WireGuard's type and receiver are not authenticated
    for (let bit = unread * 8; bit < length * 8; bit++) {
      whole.bytes.set(sealed);
      whole.descriptors.set([at, length, 1, 1]);
      const byte = at + (bit >> 3);
      whole.bytes[byte] = (whole.bytes[byte] as number) ^ (1 << (bit & 7));
      expect([bit, open(key, whole, layout), whole.length(0)]).toEqual([bit, 0, 0]);
      const left = whole.bytes.subarray(at + layout.payloadOffset, at + end);
      if (left.some((value) => value !== 0)) expect.fail(`bit ${bit} leaves plaintext`);
      expect(Buffer.compare(whole.bytes.subarray(0, at), sealed.subarray(0, at))).toBe(0);
    }
    whole.bytes.set(sealed);
    whole.descriptors.set([at, length, 0, 0]);
    expect([open(key, whole, layout), [...whole.descriptors]]).toEqual([1, [at, end, 77, 0]]);
  });

  it('takes tags that are nearly right for wrong', () => {
    const key = makeKey(algorithm, backend);
    const batch = packets([16 + 33]);
    seal(key, batch, wireguard);
    const [at, length] = [batch.offset(0), batch.length(0)];
    const sealed = batch.bytes.slice();
    const tagAt = at + length - 16;
    const tag = sealed.slice(tagAt, tagAt + 16);
    const wrong = [
      tag.map(() => 0),
      tag.map(() => 0xff),
      tag.map((value) => value ^ 0xff),
      tag.map((value) => value ^ 0x80),
      tag.toReversed(),
      tag.map((value, i) => (i < 8 ? value : 0)),
      tag.map((value, i) => (i < 8 ? 0 : value)),
      tag.map((value, i) => (i === 0 ? value ^ 1 : i === 15 ? value ^ 0x80 : value)),
    ];
    for (const other of wrong) {
      batch.bytes.set(sealed);
      batch.bytes.set(other, tagAt);
      batch.setLength(0, length);
      expect([open(key, batch, wireguard), batch.length(0)]).toEqual([0, 0]);
    }
  });

  it('drops what is too short to have header and tag, and opens the packets around it', () => {
    const key = makeKey(algorithm, backend);
    const batch = packets([16 + 5, 16 + 6, 16, 16 + 8]);
    expect(seal(key, batch, wireguard)).toBe(4);
    for (let length = 1; length < 32; length++) {
      const copy = new PacketBatch({ capacity: 4, bytesLen: batch.bytes.length });
      copy.bytes.set(batch.bytes);
      copy.descriptors.set(batch.descriptors);
      copy.count = 4;
      copy.setLength(1, length);
      expect(open(key, copy, wireguard)).toBe(3);
      expect([0, 1, 2, 3].map((i) => copy.length(i))).toEqual([21, 0, 16, 24]);
    }
  });

  it('skips dropped packets, which take no counter', () => {
    const key = makeKey(algorithm, backend);
    const batch = packets([30, 30, 30, 30]);
    batch.drop(1);
    const kept = batch.bytes.slice(batch.offset(1), batch.offset(1) + 30);
    expect(seal(key, batch, wireguard, 5)).toBe(3);
    expect([0, 2, 3].map((i) => batch.descriptors[i * 4 + 2])).toEqual([5, 6, 7]);
    batch.drop(2);
    expect(open(key, batch, wireguard)).toBe(2);
    expect([0, 1, 2, 3].map((i) => batch.length(i))).toEqual([30, 0, 0, 30]);
    expect(batch.bytes.subarray(batch.offset(1), batch.offset(1) + 30)).toEqual(kept);
  });

  it('refuses packets outside the memory, over each other or without a header, and touches nothing', () => {
    const key = makeKey(algorithm, backend);
    const memory = randomBytes(3, 200);
    const refused: [string, number[]][] = [
      ['no room for the tag', [0, 185]],
      ['past the end', [0, 201]],
      ['offset past the end', [201, 20]],
      ['both at their largest', [0xffff_ffff, 0xffff_ffff]],
      ['a sum that wraps', [0xffff_fff0, 32]],
      ['shorter than the header', [0, 15]],
      ['over the next', [0, 40, 55, 40]],
      ['over the one before', [60, 40, 5, 40]],
      ['inside another, out of order', [100, 20, 0, 20, 40, 20, 110, 20]],
    ];
    for (const [what, pairs] of refused) {
      const good = [140, 16, 0, 0];
      const words = pairs.flatMap((value, i) => (i % 2 === 0 ? [value, pairs[i + 1] as number, 0, 0] : []));
      const descriptors = Uint32Array.from([...(what === 'no room for the tag' ? [] : good), ...words]);
      const bytes = memory.slice();
      const table = descriptors.slice();
      const run = () => key.sealBatch(bytes, descriptors, 0, descriptors.length / 4, wireguard, 0);
      expect([what, code(run)]).toEqual([what, 'VNIC_INVALID_ARGUMENT']);
      expect([what, bytes, descriptors]).toEqual([what, memory, table]);
    }
    expect(code(() => key.openBatch(memory, Uint32Array.of(190, 11, 0, 0), 0, 1, wireguard))).toBe(
      'VNIC_INVALID_ARGUMENT',
    );
    const touching = Uint32Array.of(36, 20, 0, 0, 0, 20, 0, 0, 72, 20, 0, 0);
    expect(key.sealBatch(memory, touching, 0, 3, wireguard, 0)).toBe(3);
  });

  it('refuses arguments of the wrong type and ranges outside the descriptors', () => {
    const key = makeKey(algorithm, backend);
    const bytes = new Uint8Array(100);
    const table = Uint32Array.of(0, 20, 0, 0);
    const wrong: (() => unknown)[] = [
      () => key.sealBatch(bytes, table, 0, 2, wireguard),
      () => key.sealBatch(bytes, table, 1, 0, wireguard),
      () => key.sealBatch(bytes, table, -1, 1, wireguard),
      () => key.sealBatch(bytes, table, 0, 0.5, wireguard),
      () => key.sealBatch(bytes, table, 0, 1, wireguard, 2 ** 32),
      () => key.sealBatch(bytes, table, 0, 1, wireguard, 0, -1),
      () => key.sealBatch(bytes, table, 0, 1, {} as AeadLayout),
      () => key.sealBatch(table as unknown as Uint8Array, table, 0, 1, wireguard),
      () => key.openBatch(bytes, bytes as unknown as Uint32Array, 0, 1, wireguard),
      () => key.openBatch(bytes, table, 0, Number.NaN, wireguard),
    ];
    for (const run of wrong) expect(code(run)).toBe('VNIC_INVALID_ARGUMENT');
    structuredClone(bytes, { transfer: [bytes.buffer] });
    expect(code(() => key.sealBatch(bytes, table, 0, 1, wireguard))).toBe('VNIC_INVALID_ARGUMENT');
    expect(bytes.length).toBe(0);
  });

  it('never uses a nonce twice', () => {
    const key = makeKey(algorithm, backend);
    const fresh = () => packets([20, 20, 20]);
    expect(seal(key, fresh(), wireguard, 10)).toBe(3);
    for (const counter of [0, 10, 12])
      expect(code(() => seal(key, fresh(), wireguard, counter))).toBe('VNIC_NONCE_REUSED');
    expect(seal(key, fresh(), wireguard, 13)).toBe(3);
    const inDescriptors = new AeadLayout({
      payloadOffset: 16,
      counter: { offset: 8, length: 8 },
      tag: 'end',
      counters: 'descriptors',
    });
    const batch = fresh();
    const counters = (...three: number[]) => {
      for (const [i, value] of three.entries()) batch.descriptors.set([value, 0], i * 4 + 2);
    };
    counters(20, 30, 30);
    const before = batch.bytes.slice();
    expect(code(() => seal(key, batch, inDescriptors))).toBe('VNIC_NONCE_REUSED');
    expect(batch.bytes).toEqual(before);
    counters(20, 30, 31);
    expect([seal(key, batch, inDescriptors), open(key, batch, wireguard)]).toEqual([3, 3]);
  });

  it('stops before the counter ends, with nothing sealed', () => {
    const last = packets([20, 20, 20]);
    const before = last.bytes.slice();
    const wide = makeKey(algorithm, backend);
    const run = (key: Aead, low: number, high: number, to: number) =>
      key.sealBatch(last.bytes, last.descriptors, 0, to, wireguard, low, high);
    expect(code(() => run(wide, 0xffff_fffd, 0xffff_ffff, 3))).toBe('VNIC_KEY_EXHAUSTED');
    expect(code(() => run(wide, 0xffff_ffff, 0xffff_ffff, 1))).toBe('VNIC_KEY_EXHAUSTED');
    expect(last.bytes).toEqual(before);
    expect(run(wide, 0xffff_fffd, 0xffff_ffff, 2)).toBe(2);

    const limited = makeKey(algorithm, backend, { limit: 100n });
    for (const i of [0, 1, 2]) last.setLength(i, 20);
    expect(code(() => run(limited, 98, 0, 3))).toBe('VNIC_KEY_EXHAUSTED');
    expect(run(limited, 98, 0, 2)).toBe(2);

    const narrow = makeKey(algorithm, backend, openvpnNonce);
    const packet = packets([40, 40]);
    expect(code(() => seal(narrow, packet, openvpn, 0xffff_ffff))).toBe('VNIC_KEY_EXHAUSTED');
    expect(seal(narrow, packet, openvpn, 0xffff_fffe)).toBe(2);
    expect(open(narrow, packet, openvpn)).toBe(2);
  });

  it('drops packets with a counter from the limit on', () => {
    const batch = packets([20, 20, 20]);
    seal(makeKey(algorithm, backend), batch, wireguard, 98);
    expect(open(makeKey(algorithm, backend, { limit: 100n }), batch, wireguard)).toBe(2);
    expect([0, 1, 2].map((i) => batch.length(i))).toEqual([20, 20, 0]);
  });

  it('is of no use after close, which may come twice', () => {
    const key = makeKey(algorithm, backend);
    const batch = packets([20]);
    seal(key, batch, wireguard);
    key.close();
    key.close();
    expect(key.closed).toBe(true);
    expect(code(() => seal(key, batch, wireguard, 1))).toBe('VNIC_KEY_CLOSED');
    expect(code(() => open(key, batch, wireguard))).toBe('VNIC_KEY_CLOSED');
  });
});

const layouts: fc.Arbitrary<{ layout: AeadLayoutOptions; nonce: NonceFormat }> = fc
  .record({
    aadLength: fc.nat(40),
    counterLength: fc.integer({ min: 1, max: 8 }),
    nonceLength: fc.integer({ min: 2, max: 8 }),
    gaps: fc.tuple(fc.nat(9), fc.nat(9), fc.nat(9)),
    tagAtEnd: fc.boolean(),
    counters: fc.constantFrom('header' as const, 'descriptors' as const),
    endian: fc.constantFrom('little' as const, 'big' as const),
    nonceEndian: fc.constantFrom('little' as const, 'big' as const),
    iv: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    place: fc.nat(11),
  })
  .map(({ aadLength, counterLength, nonceLength, gaps, tagAtEnd, counters, endian, nonceEndian, iv, place }) => {
    // aad | gap | counter | gap | tag or not | gap | payload
    const counterOffset = aadLength + gaps[0];
    const tag = counterOffset + counterLength + gaps[1];
    return {
      layout: {
        aad: { offset: 0, length: aadLength },
        counter: { offset: counterOffset, length: counterLength, endian },
        tag: tagAtEnd ? 'end' : tag,
        payloadOffset: tag + (tagAtEnd ? 0 : 16) + gaps[2],
        counters,
      },
      nonce: { iv, counterOffset: place % (13 - nonceLength), counterLength: nonceLength, endian: nonceEndian },
    };
  });

describe('backends', () => {
  it('seal alike and open what each other sealed, in any layout', () => {
    const property = fc.property(
      layouts,
      fc.array(fc.nat(300), { minLength: 1, maxLength: 12 }),
      fc.nat(200),
      fc.integer(),
      ({ layout: options, nonce }, lengths, start, seed) => {
        const layout = new AeadLayout(options);
        for (const [algorithm, backends] of Object.entries(aeadBackends())) {
          const sealed = backends.map((backend) => {
            const batch = packets(
              lengths.map((length) => layout.payloadOffset + length + 1),
              seed,
            );
            for (const i of lengths.keys()) batch.descriptors.set([start + 3 * i, 0], i * 4 + 2);
            const counted = seal(makeKey(algorithm as AeadAlgorithm, backend, nonce), batch, layout, start);
            return { backend, batch, counted };
          });
          const [first] = sealed;
          for (const { backend, batch, counted } of sealed) {
            expect([backend, counted]).toEqual([backend, lengths.length]);
            expect(Buffer.compare(batch.bytes, first?.batch.bytes as Uint8Array)).toBe(0);
            expect(batch.descriptors).toEqual(first?.batch.descriptors);
          }
          for (const [i, { batch }] of sealed.entries()) {
            const other = backends[(i + 1) % backends.length] as AeadBackend;
            const key = makeKey(algorithm as AeadAlgorithm, other, nonce);
            if (layout.counters === 'header' && options.counter?.length === 1 && start + lengths.length > 256) continue;
            expect(open(key, batch, layout)).toBe(lengths.length);
          }
        }
      },
    );
    fc.assert(property, { numRuns: 200 });
  });
});
