/**
 * Bridge protocol data units of spanning tree (IEEE 802.1D-2004 clause 9; before it 802.1D-1998), as whole Ethernet frames.
 *
 * ```
 * octet 0            6            12       14         17           19       20     21      22      30       34        42
 *       +------------+------------+--------+----------+------------+--------+------+-------+-------+--------+---------+
 *       | 01:80:c2:  | source (6) | length | LLC      | protocol   | ver-   | type | flags | root  | cost   | bridge  |
 *       | 00:00:00   |            |        | 42 42 03 | = 0        | sion   |      |       | (8)   | (4)    | (8)     |
 *       +------------+------------+--------+----------+------------+--------+------+-------+-------+--------+---------+
 *       42      44            46        48      50              52
 *       +-------+-------------+---------+-------+---------------+---------------------------------+
 *       | port  | message age | max age | hello | forward delay | version 1 length = 0 (RST only) |
 *       +-------+-------------+---------+-------+---------------+---------------------------------+
 * ```
 * A topology change notification ends after its type. Times on the wire are in units of 1/256 s; here they are in milliseconds.
 *
 * Not supported: MST (version 3), read as the RST that it begins with; PVST+.
 */

import { putU16, putU32, u8, u16, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom } from './emit-check.ts';

/** Octets of the longest frame that `emitBpdu` writes. */
export const bpduFrameLen = 53;

/** What a bridge says of itself and its root. A bridge identifier is its priority, 16 bits, before its address, 48 bits. */
export interface BpduFields {
  /** `config` and `tcn` are of version 0, `rst` of version 2. */
  readonly kind: 'config' | 'tcn' | 'rst';
  readonly topologyChange: boolean;
  readonly topologyChangeAck: boolean;
  /** Of `rst`; of a `config` false. */
  readonly proposal: boolean;
  readonly agreement: boolean;
  readonly learning: boolean;
  readonly forwarding: boolean;
  /** Role of the sending port; of a `config` designated. `unknown` is 0, as of a port that an MST bridge has for its own. */
  readonly role: 'unknown' | 'alternate-backup' | 'root' | 'designated';
  readonly rootId: bigint;
  readonly rootPathCost: number;
  readonly bridgeId: bigint;
  readonly portId: number;
  readonly messageAgeMs: number;
  readonly maxAgeMs: number;
  readonly helloTimeMs: number;
  readonly forwardDelayMs: number;
}

const lengthAt = 12;
const llcAt = 14;
const protocolAt = 17;
const versionAt = 19;
const typeAt = 20;
const flagsAt = 21;
const rootAt = 22;
const costAt = 30;
const bridgeAt = 34;
const portAt = 42;
const messageAgeAt = 44;
const maxAgeAt = 46;
const helloAt = 48;
const forwardDelayAt = 50;
const version1LenAt = 52;

const llcLen = 3;
const tcnLen = 4;
const configLen = 35;
const rstLen = 36;
const typeOf = { config: 0x00, rst: 0x02, tcn: 0x80 } as const;
const roles = ['unknown', 'alternate-backup', 'root', 'designated'] as const;
const group = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00] as const;

const noTcn: BpduFields = {
  kind: 'tcn',
  topologyChange: false,
  topologyChangeAck: false,
  proposal: false,
  agreement: false,
  learning: false,
  forwarding: false,
  role: 'unknown',
  rootId: 0n,
  rootPathCost: 0,
  bridgeId: 0n,
  portId: 0,
  messageAgeMs: 0,
  maxAgeMs: 0,
  helloTimeMs: 0,
  forwardDelayMs: 0,
};

/** Reads the frame at `bytes[at]`; what its length does not count is padding (802.1D-2004 9.3.4). */
export function parseBpdu(bytes: Uint8Array, at: number, length: number): BpduFields | DropReason {
  if (length < typeAt + 1 || at + length > bytes.length) return 'truncated';
  const payloadLen = u16(bytes, at + lengthAt);
  if (payloadLen > length - llcAt) return 'truncated';
  if (u8(bytes, at + llcAt) !== 0x42 || u8(bytes, at + llcAt + 1) !== 0x42 || u8(bytes, at + llcAt + 2) !== 3)
    return 'bad-type';
  if (u16(bytes, at + protocolAt) !== 0) return 'bad-type';
  const bpduLen = payloadLen - llcLen;
  const version = u8(bytes, at + versionAt);
  const type = u8(bytes, at + typeAt);
  if (bpduLen < tcnLen) return 'bad-length';
  if (type === typeOf.tcn) return noTcn;
  const isRst = type === typeOf.rst && version >= 2;
  if (!isRst && type !== typeOf.config) return 'bad-type';
  if (bpduLen < (isRst ? rstLen : configLen)) return 'bad-length';
  return fieldsAt(bytes, at, isRst ? 'rst' : 'config');
}

function fieldsAt(bytes: Uint8Array, at: number, kind: 'config' | 'rst'): BpduFields {
  const flags = u8(bytes, at + flagsAt);
  const isRst = kind === 'rst';
  const ms = (offset: number): number => (u16(bytes, at + offset) * 1000) / 256;
  return {
    kind,
    topologyChange: (flags & 0x01) !== 0,
    topologyChangeAck: (flags & 0x80) !== 0,
    proposal: isRst && (flags & 0x02) !== 0,
    agreement: isRst && (flags & 0x40) !== 0,
    learning: isRst && (flags & 0x10) !== 0,
    forwarding: isRst && (flags & 0x20) !== 0,
    role: isRst ? (roles[(flags >> 2) & 3] as BpduFields['role']) : 'designated',
    rootId: u64(bytes, at + rootAt),
    rootPathCost: u32(bytes, at + costAt),
    bridgeId: u64(bytes, at + bridgeAt),
    portId: u16(bytes, at + portAt),
    messageAgeMs: ms(messageAgeAt),
    maxAgeMs: ms(maxAgeAt),
    helloTimeMs: ms(helloAt),
    forwardDelayMs: ms(forwardDelayAt),
  };
}

/**
 * Writes a frame at the start of `out`. Returns its length, without padding.
 * @param source 6 bytes
 * @throws VNIC_INVALID_ARGUMENT when there is no room
 */
export function emitBpdu(fields: BpduFields, source: Uint8Array, out: Uint8Array): number {
  const { kind } = fields;
  const bpduLen = { tcn: tcnLen, config: configLen, rst: rstLen }[kind];
  const length = protocolAt + bpduLen;
  requireRoom('a BPDU', out, 0, length);
  out.fill(0, 0, length);
  out.set(group, 0);
  out.set(source, 6);
  putU16(out, lengthAt, llcLen + bpduLen);
  out.set([0x42, 0x42, 0x03], llcAt);
  out[versionAt] = kind === 'rst' ? 2 : 0;
  out[typeAt] = typeOf[kind];
  if (kind === 'tcn') return length;
  out[flagsAt] = flagsOf(fields);
  putU64(out, rootAt, fields.rootId);
  putU32(out, costAt, fields.rootPathCost);
  putU64(out, bridgeAt, fields.bridgeId);
  putU16(out, portAt, fields.portId);
  const units = (ms: number): number => Math.min(0xffff, Math.round((ms * 256) / 1000));
  putU16(out, messageAgeAt, units(fields.messageAgeMs));
  putU16(out, maxAgeAt, units(fields.maxAgeMs));
  putU16(out, helloAt, units(fields.helloTimeMs));
  putU16(out, forwardDelayAt, units(fields.forwardDelayMs));
  if (kind === 'rst') out[version1LenAt] = 0;
  return length;
}

function flagsOf(fields: BpduFields): number {
  const bit = (is: boolean, mask: number): number => (is ? mask : 0);
  const common = bit(fields.topologyChange, 0x01) | bit(fields.topologyChangeAck, 0x80);
  if (fields.kind !== 'rst') return common;
  return (
    common |
    bit(fields.proposal, 0x02) |
    (roles.indexOf(fields.role) << 2) |
    bit(fields.learning, 0x10) |
    bit(fields.forwarding, 0x20) |
    bit(fields.agreement, 0x40)
  );
}

function u64(bytes: Uint8Array, offset: number): bigint {
  return (BigInt(u32(bytes, offset)) << 32n) | BigInt(u32(bytes, offset + 4));
}

function putU64(bytes: Uint8Array, offset: number, value: bigint): void {
  putU32(bytes, offset, Number(value >> 32n));
  putU32(bytes, offset + 4, Number(value & 0xffff_ffffn));
}
