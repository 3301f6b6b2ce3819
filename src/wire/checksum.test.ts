import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { putU16, putU32, u16, u32 } from './bytes.ts';
import {
  finishSum,
  foldSum,
  internetChecksum,
  pseudoHeaderSum,
  pseudoHeaderSumAt,
  sumBytes,
  updateChecksum16,
  updateChecksum32,
  updateChecksumRange,
} from './checksum.ts';

/** RFC 1071 section 1 word for word: add 16-bit words, an odd last octet as a high half, fold, invert. */
function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return 0xffff - sum;
}

const octets = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });

/** 0 and 0xffff are the two zeros of one's complement; an update may give either. */
const oneZero = (checksum: number): number => (checksum === 0xffff ? 0 : checksum);

test('the example of RFC 1071 section 3 sums to 0xddf2', () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  expect(sumBytes(bytes, 0, 8)).toBe(0xddf2);
  expect(internetChecksum(bytes, 0, 8)).toBe(0x220d);
});

test('the example of RFC 1624 section 4 updates 0xdd2f to 0x0000, not to 0xffff', () => {
  expect(updateChecksum16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
});

test('the fast sum equals the slow one at every offset and length', () => {
  fc.assert(
    fc.property(octets(200), fc.nat(9), (bytes, offset) => {
      const shifted = new Uint8Array(offset + bytes.length + 3).fill(0xaa);
      shifted.set(bytes, offset);
      expect(internetChecksum(shifted, offset, bytes.length)).toBe(slowChecksum(bytes));
    }),
    { numRuns: 500 },
  );
});

test('the sum of 65,535 octets of ones does not overflow', () => {
  const bytes = new Uint8Array(65_535).fill(0xff);
  expect(internetChecksum(bytes, 0, bytes.length)).toBe(slowChecksum(bytes));
});

test('a sum can be continued after an even range', () => {
  fc.assert(
    fc.property(octets(64), octets(65), (head, tail) => {
      const even = head.subarray(0, head.length & ~1);
      const sum = sumBytes(tail, 0, tail.length, sumBytes(even, 0, even.length));
      expect(finishSum(sum)).toBe(slowChecksum(Uint8Array.of(...even, ...tail)));
    }),
  );
});

test('foldSum keeps what is folded and folds large sums', () => {
  expect([foldSum(0xffff), foldSum(0x1_0000), foldSum(0x1_fffe), foldSum(2 ** 40)]).toEqual([0xffff, 1, 0xffff, 256]);
});

test('updating a 16-bit word equals summing anew', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 64 }), fc.nat(31), fc.nat(0xffff), (bytes, word, value) => {
      const at = (word * 2) % (bytes.length & ~1);
      const checksum = slowChecksum(bytes);
      const before = u16(bytes, at);
      putU16(bytes, at, value);
      expect(oneZero(updateChecksum16(checksum, before, value))).toBe(oneZero(slowChecksum(bytes)));
    }),
    { numRuns: 500 },
  );
});

test('updating a 32-bit field equals summing anew', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.nat(0xffff_ffff), (bytes, value) => {
      const checksum = slowChecksum(bytes);
      const before = u32(bytes, 4);
      putU32(bytes, 4, value);
      expect(oneZero(updateChecksum32(checksum, before, value))).toBe(oneZero(slowChecksum(bytes)));
    }),
    { numRuns: 500 },
  );
});

test('updating an address equals summing anew', () => {
  const address = fc
    .constantFrom(4, 6, 16)
    .chain((length) =>
      fc.tuple(...Array.from({ length: 2 }, () => fc.uint8Array({ minLength: length, maxLength: length }))),
    );
  fc.assert(
    fc.property(address, octets(20), ([before, after], rest) => {
      const checksum = slowChecksum(Uint8Array.of(...(before as Uint8Array), ...rest));
      const updated = updateChecksumRange(
        checksum,
        before as Uint8Array,
        0,
        after as Uint8Array,
        0,
        (after as Uint8Array).length,
      );
      expect(oneZero(updated)).toBe(oneZero(slowChecksum(Uint8Array.of(...(after as Uint8Array), ...rest))));
    }),
    { numRuns: 500 },
  );
});

test('the pseudo header of IPv4 is addresses, zero, protocol and length (RFC 768)', () => {
  const [source, destination] = [IpAddress.parse('10.0.0.1'), IpAddress.parse('10.0.0.2')];
  const pseudo = Uint8Array.of(...source.bytes, ...destination.bytes, 0, 17, 0x12, 0x34);
  expect(finishSum(pseudoHeaderSum(source, destination, 17, 0x1234))).toBe(slowChecksum(pseudo));
  expect(finishSum(pseudoHeaderSumAt(pseudo, 0, 4, 17, 0x1234))).toBe(slowChecksum(pseudo));
});

test('the pseudo header of IPv6 has a 32-bit length and a next header (RFC 8200 section 8.1)', () => {
  const [source, destination] = [IpAddress.parse('fd00::1'), IpAddress.parse('ff02::1:ff00:2')];
  const pseudo = Uint8Array.of(...source.bytes, ...destination.bytes, 0, 1, 0x12, 0x34, 0, 0, 0, 58);
  expect(finishSum(pseudoHeaderSum(source, destination, 58, 0x1_1234))).toBe(slowChecksum(pseudo));
  expect(finishSum(pseudoHeaderSumAt(pseudo, 0, 16, 58, 0x1_1234))).toBe(slowChecksum(pseudo));
});
