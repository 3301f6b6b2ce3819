/**
 * Big-endian reads and writes on a `Uint8Array`. Hot: plain typed-array accesses that the compiler inlines.
 *
 * No bounds are checked here. A view's `wrap` has checked them for reads, `emit` for writes; reading beyond
 * the array gives a meaningless number, writing beyond it is ignored by JavaScript.
 */

/** The octet at `offset`, 0 to 255. */
export function u8(bytes: Uint8Array, offset: number): number {
  return bytes[offset] as number;
}

/** The 16-bit number at `offset`, most significant octet first. */
export function u16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

/** The unsigned 32-bit number at `offset`, most significant octet first. */
export function u32(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] as number) << 24) | ((bytes[offset + 1] as number) << 16);
  return (high | ((bytes[offset + 2] as number) << 8) | (bytes[offset + 3] as number)) >>> 0;
}

/** Writes the low 16 bits of `value` at `offset`. */
export function putU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

/** Writes the low 32 bits of `value` at `offset`. */
export function putU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Exchanges `length` octets at `a` with those at `b`; the ranges must not overlap. */
export function swapRanges(bytes: Uint8Array, a: number, b: number, length: number): void {
  for (let i = 0; i < length; i++) {
    const kept = bytes[a + i] as number;
    bytes[a + i] = bytes[b + i] as number;
    bytes[b + i] = kept;
  }
}

/** True when `length` octets at `offset` are all zero. */
export function isZero(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}

/** True when `length` octets of `a` at `aOffset` equal those of `b` at `bOffset`. */
export function equalRanges(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aOffset + i] !== b[bOffset + i]) return false;
  return true;
}

/** What a view refers to before it is wrapped. */
export const noBytes: Uint8Array = new Uint8Array(0);
