import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type Attributes, align4, MessageBuilder, parseAttributes, parseBody, splitMessages } from './message.ts';

const attributesOf = (bytes: Uint8Array): Attributes => {
  const parsed = parseAttributes(bytes);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};

/** `ip link set mtu 1400 dev t0`, as strace shows it for index 2 on a little-endian host. */
const setMtu = '28000000 1300 0500 07000000 00000000 00 00 0000 02000000 00000000 00000000 0800 0400 78050000';

describe('MessageBuilder', () => {
  it('writes the bytes that the kernel expects', () => {
    const message = new MessageBuilder(19, 5).fixed(16, (view) => view.setInt32(4, 2, true)).u32(4, 1400);
    expect(Buffer.from(message.finish(7)).toString('hex')).toBe(setMtu.replaceAll(' ', ''));
  });

  it('pads each attribute to 4 bytes and gives nests their own length', () => {
    const message = new MessageBuilder(16, 0).text(3, 't0').nested(18, (inner) => inner.text(1, 'tun').u8(9, 1));
    expect(Buffer.from(message.finish(0).subarray(16)).toString('hex')).toBe(
      ['07000300', '74300000', '14001280', '08000100', '74756e00', '05000900', '01000000'].join(''),
    );
  });

  it('refuses an attribute that its length cannot hold', () => {
    expect(() => new MessageBuilder(16, 0).bytes(1, new Uint8Array(65_532))).toThrow('at most 65531 bytes');
    expect(new MessageBuilder(16, 0).bytes(1, new Uint8Array(65_531)).finish(0).length).toBe(16 + 65_536);
  });
});

describe('splitMessages', () => {
  const two = (): Uint8Array =>
    Uint8Array.from([
      ...new MessageBuilder(16, 2).text(3, 'a').finish(1),
      ...new MessageBuilder(3, 2).fixed(4, () => undefined).finish(1),
    ]);

  it('splits a multi-part datagram', () => {
    const { messages, fault } = splitMessages(two());
    expect(fault).toBeUndefined();
    expect(messages.map(({ type, flags, sequence, body }) => [type, flags, sequence, body.length])).toEqual([
      [16, 2, 1, 8],
      [3, 2, 1, 4],
    ]);
  });

  it('gives what came before a truncation at every length', () => {
    const whole = two();
    for (let length = 0; length < whole.length; length++) {
      const { messages, fault } = splitMessages(whole.slice(0, length));
      expect(messages.length).toBe(length >= 24 ? 1 : 0);
      expect(fault === undefined).toBe(length === 0 || length === 24);
    }
  });

  it.each([
    [0, 'bad-length'],
    [15, 'bad-length'],
    [25, 'length-past-end'],
    [0xffff_ffff, 'length-past-end'],
  ])('ends at a message that says it has %i bytes', (length, fault) => {
    const bytes = new MessageBuilder(16, 0).text(3, 'a').finish(1).slice();
    new DataView(bytes.buffer).setUint32(0, length, true);
    expect(splitMessages(bytes)).toEqual({ messages: [], fault });
  });
});

describe('parseAttributes', () => {
  it('reads what the builder wrote, of any types and lengths', () => {
    const attribute = fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 20 }), (list) => {
        const builder = new MessageBuilder(16, 0);
        for (const [type, value] of list) builder.bytes(type, value);
        const attributes = attributesOf(builder.finish(0).slice(16));
        expect(attributes.size).toBe(list.length);
        for (const [type] of list) {
          const values = list.filter(([other]) => other === type).map(([, value]) => value);
          expect(attributes.all(type).map((value) => [...value])).toEqual(values.map((value) => [...value]));
          expect([...(attributes.bytes(type) ?? [])]).toEqual([...(values.at(-1) ?? [])]);
        }
      }),
    );
  });

  it.each([
    ['0300 0100', 'bad-length'],
    ['0000 0100', 'bad-length'],
    ['0900 0100 00000000', 'length-past-end'],
    ['ffff 0100 00000000', 'length-past-end'],
    ['0400 01', 'truncated'],
  ])('finds %s to be %s', (hex, fault) => {
    expect(parseAttributes(new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex')))).toBe(fault);
  });

  it('gives undefined for a value shorter than its type, and reads a longer one', () => {
    const message = new MessageBuilder(16, 0).bytes(1, Uint8Array.of(1, 2, 3)).bytes(2, Uint8Array.of(1, 0, 0, 0, 9));
    const attributes = attributesOf(message.finish(0).slice(16));
    expect([attributes.u32(1), attributes.i32(1), attributes.u8(1), attributes.u32(2), attributes.u32(3)]).toEqual([
      undefined,
      undefined,
      1,
      1,
      undefined,
    ]);
    expect(attributes.nested(1)).toBeUndefined();
    expect(attributes.nested(3)).toBeUndefined();
  });

  it('ignores the flag bits of a type, and reads text with and without its NUL', () => {
    const message = new MessageBuilder(16, 0).bytes(0x8003, Uint8Array.of(0x61, 0x62)).text(4, 'é\0after');
    const attributes = attributesOf(message.finish(0).slice(16));
    expect([attributes.text(3), attributes.text(4)]).toEqual(['ab', 'é']);
  });
});

describe('any bytes', () => {
  it('neither throw nor hang', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, fixedLen) => {
        for (const message of splitMessages(bytes).messages) parseBody(message.body, fixedLen);
        const parsed = parseBody(bytes, fixedLen);
        if (typeof parsed !== 'string') expect(parsed.attributes.size).toBeLessThanOrEqual(bytes.length / 4);
      }),
      { numRuns: 5000 },
    );
  });

  it('are aligned upwards', () => {
    expect([0, 1, 3, 4, 5].map(align4)).toEqual([0, 4, 4, 4, 8]);
  });
});
