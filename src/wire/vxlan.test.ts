import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { emitVxlan, maxVni, parseVxlan, readVni, vxlanHeaderLen } from './vxlan.ts';

describe('the VXLAN header', () => {
  it('is that of RFC 7348 section 5', () => {
    const out = new Uint8Array(vxlanHeaderLen).fill(0xee);
    emitVxlan({ vni: 0x12_34_56 }, out, 0);
    expect(out).toEqual(Uint8Array.of(0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0));
  });

  it('reads what it has written, at any offset', () => {
    fc.assert(
      fc.property(fc.nat(maxVni), fc.nat(5), (vni, offset) => {
        const out = new Uint8Array(vxlanHeaderLen + 5).fill(0xee);
        expect(emitVxlan({ vni }, out, offset)).toBe(vxlanHeaderLen);
        expect(parseVxlan(out.subarray(offset))).toEqual({ vni });
        expect(readVni(out, offset, vxlanHeaderLen)).toBe(vni);
        expect(out.subarray(0, offset).every((byte) => byte === 0xee)).toBe(true);
        expect(out.subarray(offset + vxlanHeaderLen).every((byte) => byte === 0xee)).toBe(true);
      }),
    );
  });

  it('does not look at what is reserved, and needs the flag of the VNI', () => {
    expect(parseVxlan(Uint8Array.of(0xff, 1, 2, 3, 0, 0, 7, 9))).toEqual({ vni: 7 });
    expect(parseVxlan(Uint8Array.of(0xf7, 0, 0, 0, 0, 0, 7, 0))).toBe('bad-type');
    expect(readVni(Uint8Array.of(0xf7, 0, 0, 0, 0, 0, 7, 0), 0, 8)).toBe(-1);
  });

  it.each(Array.from({ length: vxlanHeaderLen }, (_, length) => length))('is truncated at %i bytes', (length) => {
    const bytes = new Uint8Array(length).fill(0x08);
    expect(parseVxlan(bytes)).toBe('truncated');
    expect(readVni(bytes, 0, length)).toBe(-1);
  });

  it('refuses to write numbers that do not fit, or beyond the end', () => {
    const out = new Uint8Array(vxlanHeaderLen);
    const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
    expect(() => emitVxlan({ vni: maxVni + 1 }, out, 0)).toThrow(refused);
    expect(() => emitVxlan({ vni: 1 }, out, 1)).toThrow(refused);
  });
});
