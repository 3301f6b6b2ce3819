/**
 * IP and MAC addresses as values: strict text in, canonical text out.
 *
 * IPv4 text is four decimal octets without leading zeros (RFC 6943 section 3.1.1 lists what the lax forms
 * break). IPv6 text is RFC 4291 section 2.2 in, RFC 5952 out. Scope ids (`%eth0`) are refused: where a scope
 * is needed it travels beside the address, as an interface.
 */

import { VnicError } from './errors.ts';

/** Version of the internet protocol. */
export type IpFamily = 4 | 6;

/** An IPv4 or IPv6 address. Immutable; `bytes` is owned by the value and must not be written to. */
export class IpAddress {
  readonly family: IpFamily;
  /** Network byte order; 4 or 16 bytes. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.family = bytes.length === 4 ? 4 : 6;
    this.bytes = bytes;
  }

  /** From 4 or 16 bytes in network order, which are copied. */
  static fromBytes(bytes: Uint8Array): IpAddress {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw badAddress('an address of 4 or 16 bytes', `${bytes.length} bytes`);
    }
    return new IpAddress(bytes.slice());
  }

  /** @throws VNIC_INVALID_ADDRESS unless `text` is one IPv4 or IPv6 address. */
  static parse(text: string): IpAddress {
    const bytes = parseIpv4Bytes(text) ?? parseIpv6Bytes(text);
    if (bytes === undefined) throw badAddress('an IPv4 or IPv6 address such as 10.0.0.2 or fd00::2', text);
    return new IpAddress(bytes);
  }

  get isMulticast(): boolean {
    const first = this.bytes[0] as number;
    return this.family === 4 ? first >> 4 === 0xe : first === 0xff;
  }

  /** 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 section 2.5.6). */
  get isLinkLocal(): boolean {
    const [a, b] = this.bytes as Uint8Array & [number, number];
    return this.family === 4 ? a === 169 && b === 254 : a === 0xfe && (b & 0xc0) === 0x80;
  }

  get isLoopback(): boolean {
    if (this.family === 4) return this.bytes[0] === 127;
    return this.bytes[15] === 1 && this.bytes.subarray(0, 15).every((byte) => byte === 0);
  }

  get isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  /** True for the same family and bytes. */
  equals(other: IpAddress): boolean {
    return this.family === other.family && this.bytes.every((byte, i) => byte === other.bytes[i]);
  }

  /** Dotted decimal, or the canonical form of RFC 5952. */
  toString(): string {
    return this.family === 4 ? this.bytes.join('.') : formatIpv6(this.bytes);
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString();
  }
}

/** An address with a prefix length: `10.0.0.1/24`. Host bits are kept, as on an interface. */
export class Cidr {
  readonly address: IpAddress;
  /** 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefixLen: number;

  constructor(address: IpAddress, prefixLen: number) {
    const bits = address.bytes.length * 8;
    if (!Number.isInteger(prefixLen) || prefixLen < 0 || prefixLen > bits) {
      throw badAddress(`a prefix length from 0 to ${bits}`, `${address}/${prefixLen}`);
    }
    this.address = address;
    this.prefixLen = prefixLen;
  }

  /**
   * `ADDRESS/LENGTH`, or `ADDRESS` alone for a single host (/32, /128).
   * @throws VNIC_INVALID_ADDRESS
   */
  static parse(text: string): Cidr {
    const slash = text.indexOf('/');
    const address = IpAddress.parse(slash < 0 ? text : text.slice(0, slash));
    if (slash < 0) return new Cidr(address, address.bytes.length * 8);
    const digits = text.slice(slash + 1);
    if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) throw badAddress('a CIDR such as 10.0.0.1/24 or fd00::1/64', text);
    return new Cidr(address, Number(digits));
  }

  get family(): IpFamily {
    return this.address.family;
  }

  /** True when the prefix covers exactly one address. */
  get isHost(): boolean {
    return this.prefixLen === this.address.bytes.length * 8;
  }

  /** The same prefix with all host bits clear: `10.0.0.0/24`. */
  get network(): Cidr {
    return new Cidr(IpAddress.fromBytes(this.withHostBits(0)), this.prefixLen);
  }

  /** The directed broadcast address; undefined for IPv6 and for /31 (RFC 3021) and /32. */
  get broadcast(): IpAddress | undefined {
    if (this.family === 6 || this.prefixLen > 30) return undefined;
    return IpAddress.fromBytes(this.withHostBits(0xff));
  }

  /** True when the address is of this family and its leading bits are those of the prefix. */
  contains(address: IpAddress): boolean {
    return address.family === this.family && this.containsBytes(address.bytes, 0);
  }

  /** Hot: true when the address of this family at `bytes[offset]` lies in the prefix. Allocates nothing. */
  containsBytes(bytes: Uint8Array, offset: number): boolean {
    const own = this.address.bytes;
    const whole = this.prefixLen >> 3;
    for (let i = 0; i < whole; i++) if (bytes[offset + i] !== own[i]) return false;
    const rest = this.prefixLen & 7;
    if (rest === 0) return true;
    const mask = 0xff << (8 - rest);
    return (((bytes[offset + whole] as number) ^ (own[whole] as number)) & mask & 0xff) === 0;
  }

  /** True for the same address, host bits included, and prefix length. */
  equals(other: Cidr): boolean {
    return this.prefixLen === other.prefixLen && this.address.equals(other.address);
  }

  /** `ADDRESS/LENGTH`, host bits kept. */
  toString(): string {
    return `${this.address}/${this.prefixLen}`;
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString();
  }

  private withHostBits(fill: 0 | 0xff): Uint8Array {
    return this.address.bytes.map((byte, i) => {
      const keep = Math.min(8, Math.max(0, this.prefixLen - i * 8));
      const mask = (0xff << (8 - keep)) & 0xff;
      return (byte & mask) | (fill & ~mask & 0xff);
    });
  }
}

/** An EUI-48 hardware address. Immutable. */
export class MacAddress {
  /** 6 bytes, owned by the value. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** From 6 bytes, which are copied. */
  static fromBytes(bytes: Uint8Array): MacAddress {
    if (bytes.length !== 6) throw badAddress('a MAC address of 6 bytes', `${bytes.length} bytes`);
    return new MacAddress(bytes.slice());
  }

  /** Six hexadecimal octets joined by `:` or `-`. @throws VNIC_INVALID_ADDRESS */
  static parse(text: string): MacAddress {
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) && !/^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/i.test(text)) {
      throw badAddress('a MAC address such as 02:00:00:00:00:01', text);
    }
    return new MacAddress(Uint8Array.from(text.split(/[:-]/), (octet) => Number.parseInt(octet, 16)));
  }

  /** The group bit: multicast or broadcast (IEEE 802). */
  get isMulticast(): boolean {
    return ((this.bytes[0] as number) & 1) === 1;
  }

  get isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  /** True for the same six bytes. */
  equals(other: MacAddress): boolean {
    return this.bytes.every((byte, i) => byte === other.bytes[i]);
  }

  /** Six lower-case octets joined by colons. */
  toString(): string {
    return formatMac(this.bytes, 0);
  }

  /** As `toString`. */
  toJSON(): string {
    return this.toString();
  }
}

/** The IPv4 address at `bytes[offset]` as dotted decimal. */
export function formatIpv4(bytes: Uint8Array, offset = 0): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** The MAC address at `bytes[offset]` as six lower-case octets. */
export function formatMac(bytes: Uint8Array, offset = 0): string {
  let text = '';
  for (let i = 0; i < 6; i++) {
    text += (i === 0 ? '' : ':') + (bytes[offset + i] as number).toString(16).padStart(2, '0');
  }
  return text;
}

/** The IPv6 address at `bytes[offset]` in the canonical form of RFC 5952. */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  const words = Array.from({ length: 8 }, (_, i) => wordAt(bytes, offset + i * 2));
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) {
    return `::ffff:${formatIpv4(bytes, offset + 12)}`;
  }
  const [start, length] = longestZeroRun(words);
  const hex = words.map((word) => word.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

function longestZeroRun(words: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    let length = 0;
    while (words[i + length] === 0) length++;
    if (length > best[1]) best = [i, length];
    i += length;
  }
  return best;
}

function wordAt(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

function parseIpv4Bytes(text: string): Uint8Array | undefined {
  const octet = '(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])';
  const match = new RegExp(`^${octet}\\.${octet}\\.${octet}\\.${octet}$`).exec(text);
  return match === null ? undefined : Uint8Array.from(match.slice(1), Number);
}

function parseIpv6Bytes(text: string): Uint8Array | undefined {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const count = head.length + tail.length;
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  const words = [...head, ...new Array<number>(8 - count).fill(0), ...tail];
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

/** 16-bit groups of one side of `::`; the last may be dotted decimal where it ends the address. */
function groupsOf(side: string, endsAddress: boolean): number[] | undefined {
  if (side === '') return [];
  const groups: number[] = [];
  const parts = side.split(':');
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const dotted = endsAddress && i === parts.length - 1 ? parseIpv4Bytes(part) : undefined;
    if (dotted === undefined) return undefined;
    groups.push(wordAt(dotted, 0), wordAt(dotted, 2));
  }
  return groups;
}

function badAddress(expected: string, got: string): VnicError {
  return new VnicError('VNIC_INVALID_ADDRESS', {
    attempted: `read ${JSON.stringify(got.length > 60 ? `${got.slice(0, 57)}...` : got)} as an address`,
    reason: `expected ${expected}`,
    hint: `Write ${expected}.`,
  });
}
