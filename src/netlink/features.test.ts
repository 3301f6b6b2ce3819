/** Bitsets of ethtool, as `Documentation/networking/ethtool-netlink.rst` describes them. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EthtoolBit, EthtoolBitset, EthtoolFeatures } from './constants.ts';
import { parseBitset } from './features.ts';
import { Attributes, MessageBuilder, parseAttributes, parseBody, splitMessages } from './message.ts';

const BIT_INDEX = 1;

/** A bitset as the kernel sends it: each bit with its number and its name. */
function bitset(bits: readonly [name: string, isSet: boolean][], options: { readonly isList: boolean }): Attributes {
  const message = new MessageBuilder(0, 0).nested(EthtoolFeatures.ACTIVE, (set) => {
    if (options.isList) set.bytes(EthtoolBitset.NOMASK, new Uint8Array(0));
    set.nested(EthtoolBitset.BITS, (list) => {
      for (const [index, [name, isSet]] of bits.entries()) {
        list.nested(EthtoolBitset.BITS_BIT, (bit) => {
          bit.u32(BIT_INDEX, index).text(EthtoolBit.NAME, name);
          if (isSet) bit.bytes(EthtoolBit.VALUE, new Uint8Array(0));
        });
      }
    });
  });
  const body = splitMessages(message.finish(1)).messages[0]?.body as Uint8Array;
  const parsed = parseBody(body, 0);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed.attributes.nested(EthtoolFeatures.ACTIVE) as Attributes;
}

describe('parseBitset', () => {
  it('takes all that a list names', () => {
    const list = bitset(
      [
        ['tx-scatter-gather', false],
        ['rx-gro', false],
      ],
      { isList: true },
    );
    expect([...parseBitset(list)]).toEqual(['tx-scatter-gather', 'rx-gro']);
  });

  it('takes of a mask only the bits that are set', () => {
    const masked = bitset(
      [
        ['tx-scatter-gather', false],
        ['rx-gro', true],
      ],
      { isList: false },
    );
    expect([...parseBitset(masked)]).toEqual(['rx-gro']);
  });

  it('leaves out bits that have no name, as the kernel has some', () => {
    expect(parseBitset(bitset([['', true]], { isList: true })).size).toBe(0);
  });

  it('is empty without a bitset, and throws on no bytes whatever', () => {
    expect(parseBitset(undefined).size).toBe(0);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
        const attributes = parseAttributes(bytes);
        if (typeof attributes !== 'string') parseBitset(attributes);
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        parseBitset(new Attributes(view, [EthtoolBitset.BITS, 0, bytes.length]));
      }),
    );
  });
});
