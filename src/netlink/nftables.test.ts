import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { IpFamily } from '../base/index.ts';
import { type NetlinkMessage, splitMessages } from './message.ts';
import {
  be64,
  type MasqueradeMatch,
  NFPROTO_INET,
  NftaRule,
  NftMsg,
  nftMessage,
  parseMasquerade,
  putMasquerade,
} from './nftables.ts';

/** A rule as the kernel tells it: with a handle. */
function ruleOf(match: MasqueradeMatch): Uint8Array {
  const message = nftMessage(NftMsg.NEWRULE, 0, NFPROTO_INET).bytes(NftaRule.HANDLE, be64(7n));
  return putMasquerade(message, match).finish(1);
}

function bodyOf(bytes: Uint8Array): Uint8Array {
  const { messages, fault } = splitMessages(bytes);
  expect([messages.length, fault]).toEqual([1, undefined]);
  return (messages[0] as NetlinkMessage).body;
}

/** A prefix whose bits behind the length are 0. */
const anyMatch = fc
  .tuple(
    fc.constantFrom<IpFamily>(4, 6),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.nat(128),
    fc.option(fc.record({ name: fc.stringMatching(/^[a-z0-9]{1,15}$/), equal: fc.boolean() }), { nil: undefined }),
  )
  .map(([family, random, len, oifname]): MasqueradeMatch => {
    const bytes = random.slice(0, family === 4 ? 4 : 16);
    const prefixLen = Math.min(len, bytes.length * 8);
    for (let bit = prefixLen; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3] = (bytes[bit >> 3] as number) & ~(0x80 >> (bit & 7));
    }
    return { family, source: { bytes, prefixLen }, oifname };
  });

describe('a masquerading rule', () => {
  it('is read back as it was written, for any prefix and interface', () => {
    fc.assert(
      fc.property(anyMatch, (match) => {
        expect(parseMasquerade(bodyOf(ruleOf(match)))).toEqual({ ...match, handle: 7n, packets: 0n, bytes: 0n });
      }),
    );
  });

  it('cut at any length is no rule or a fault, and never an exception', () => {
    const match: MasqueradeMatch = {
      family: 6,
      source: { bytes: Uint8Array.of(0xfd, ...new Array<number>(15).fill(0)), prefixLen: 9 },
      oifname: { name: 'tap0', equal: false },
    };
    const body = bodyOf(ruleOf(match));
    for (let length = 0; length < body.length; length++) {
      expect(['truncated', 'bad-length', 'length-past-end', undefined]).toContain(
        parseMasquerade(body.slice(0, length)),
      );
    }
  });

  it('with any bytes changed neither throws nor hangs', () => {
    const change = fc.tuple(fc.nat(1000), fc.nat(255));
    fc.assert(
      fc.property(anyMatch, fc.array(change, { minLength: 1, maxLength: 8 }), (match, changes) => {
        const body = bodyOf(ruleOf(match)).slice();
        for (const [at, value] of changes) body[at % body.length] = value;
        expect(() => parseMasquerade(body)).not.toThrow();
      }),
      { numRuns: 5000 },
    );
  });
});
