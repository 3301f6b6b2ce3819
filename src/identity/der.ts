/** The few forms of DER (X.690) that a certificate is made of. Pure; each gives a new array, tag and length included. */

const Tag = {
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** SEQUENCE. */
export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => tagged(Tag.sequence, ...parts);
/** SET. */
export const set = (...parts: readonly Uint8Array[]): Uint8Array => tagged(Tag.set, ...parts);
/** OCTET STRING. */
export const octetString = (bytes: Uint8Array): Uint8Array => tagged(Tag.octetString, bytes);
/** BIT STRING of whole bytes. */
export const bitString = (bytes: Uint8Array): Uint8Array => tagged(Tag.bitString, Uint8Array.of(0), bytes);
/** UTF8String. */
export const utf8String = (text: string): Uint8Array => tagged(Tag.utf8String, new TextEncoder().encode(text));
/** UTCTime `YYMMDDhhmmssZ`, which certificates use up to 2049 (RFC 5280, 4.1.2.5.1). */
export const utcTime = (text: string): Uint8Array => tagged(Tag.utcTime, new TextEncoder().encode(text));
/** GeneralizedTime `YYYYMMDDhhmmssZ`. */
export const generalizedTime = (text: string): Uint8Array =>
  tagged(Tag.generalizedTime, new TextEncoder().encode(text));
/** BOOLEAN TRUE; FALSE is a default, which DER leaves out. */
export const TRUE: Uint8Array = Uint8Array.of(0x01, 0x01, 0xff);
/** INTEGER from 0 to 127. */
export const smallInteger = (value: number): Uint8Array => Uint8Array.of(0x02, 1, value);

/** INTEGER of big-endian bytes without a sign. */
export function unsignedInteger(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? Uint8Array.of(0) : bytes.subarray(first);
  const padding = ((digits[0] as number) & 0x80) === 0 ? [] : [0];
  return tagged(0x02, Uint8Array.from(padding), digits);
}

/** Context-specific, around other elements: `[number] EXPLICIT`. */
export const explicit = (number: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  tagged(0xa0 | number, ...parts);
/** Context-specific, in place of the tag of a primitive: `[number] IMPLICIT`. */
export const implicit = (number: number, bytes: Uint8Array): Uint8Array => tagged(0x80 | number, bytes);

/** OBJECT IDENTIFIER of dotted numbers. */
export function oid(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return tagged(Tag.oid, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Uint8Array.from(Buffer.concat([Uint8Array.from([tag, ...lengthOf(length)]), ...parts]));
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}
