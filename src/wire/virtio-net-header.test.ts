import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { emitVirtioNetHeader, parseVirtioNetHeader, VirtioNetGso, virtioNetHeaderLen } from './virtio-net-header.ts';

const fields = fc.record({
  needsChecksum: fc.boolean(),
  dataValid: fc.boolean(),
  gsoType: fc.integer({ min: 0, max: 0x7f }),
  ecn: fc.boolean(),
  headerLen: fc.integer({ min: 0, max: 0xffff }),
  gsoSize: fc.integer({ min: 0, max: 0xffff }),
  checksumStart: fc.integer({ min: 0, max: 0xffff }),
  checksumOffset: fc.integer({ min: 0, max: 0xffff }),
});

describe('virtio-net header', () => {
  it('reads the fields where linux/virtio_net.h has them', () => {
    // TCP with CWR in segments of 1448 bytes, headers of 52 bytes, checksum at 20 + 16.
    const bytes = Uint8Array.of(0x01, 0x81, 0x34, 0x00, 0xa8, 0x05, 0x14, 0x00, 0x10, 0x00);
    expect(parseVirtioNetHeader(bytes)).toEqual({
      needsChecksum: true,
      dataValid: false,
      gsoType: VirtioNetGso.tcp4,
      ecn: true,
      headerLen: 52,
      gsoSize: 1448,
      checksumStart: 20,
      checksumOffset: 16,
    });
  });

  it('reads what it has written, at any offset', () => {
    fc.assert(
      fc.property(fields, fc.integer({ min: 0, max: 5 }), (header, offset) => {
        const out = new Uint8Array(virtioNetHeaderLen + 5).fill(0xee);
        expect(emitVirtioNetHeader(header, out, offset)).toBe(virtioNetHeaderLen);
        expect(parseVirtioNetHeader(out.subarray(offset))).toEqual(header);
        expect(out.filter((byte, i) => byte !== 0xee && (i < offset || i >= offset + virtioNetHeaderLen))).toEqual(
          new Uint8Array(0),
        );
      }),
    );
  });

  it('is 0 in all that is left out', () => {
    const out = new Uint8Array(virtioNetHeaderLen).fill(0xee);
    emitVirtioNetHeader({}, out, 0);
    expect(out).toEqual(new Uint8Array(virtioNetHeaderLen));
  });

  it.each(Array.from({ length: virtioNetHeaderLen }, (_, length) => length))('is truncated at %i bytes', (length) => {
    expect(parseVirtioNetHeader(new Uint8Array(length))).toBe('truncated');
  });

  it('refuses to write numbers that do not fit, or beyond the end', () => {
    const out = new Uint8Array(virtioNetHeaderLen);
    const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
    expect(() => emitVirtioNetHeader({ gsoSize: 0x1_0000 }, out, 0)).toThrow(refused);
    expect(() => emitVirtioNetHeader({ gsoType: 0x80 }, out, 0)).toThrow(refused);
    expect(() => emitVirtioNetHeader({}, out, 1)).toThrow(refused);
  });
});
