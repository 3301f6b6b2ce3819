/**
 * VLAN tag (IEEE 802.1Q clause 9; 802.1ad for stacked tags).
 *
 * ```
 * octet 0                               2           4
 *       +-----------+-------+-----------+-----------+---------
 *       | PCP (3b)  |DEI(1b)| VID (12b) | type (2)  | payload
 *       +-----------+-------+-----------+-----------+---------
 * ```
 * The tag stands behind a type field that holds a tag protocol identifier (TPID): 0x8100, 0x88a8 or 0x9100.
 * Its own type field is the EtherType of what follows, or the TPID of a further tag.
 *
 * Not supported: 802.1ah (I-TAG), more than `maxVlanTags` tags.
 */

import { noBytes, putU16, u8, u16 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';
import { EtherType } from './protocol-numbers.ts';

const tciAt = 0;
const typeAt = 2;

/** Octets of one tag, counted from its control information to the type behind it. */
export const vlanTagLen = 4;
/** The most stacked tags that `VlanStack` reads. */
export const maxVlanTags = 8;

/** True when this EtherType announces a VLAN tag. */
export function isVlanTpid(etherType: number): boolean {
  return etherType === EtherType.vlan || etherType === EtherType.serviceVlan || etherType === EtherType.oldStackedVlan;
}

/** A checked tag; reusable, see `wrap`. */
export class VlanView {
  bytes: Uint8Array = noBytes;
  offset = 0;
  end = 0;

  /** A view of the tag at the start of `bytes`, that is, behind the TPID. */
  static from(bytes: Uint8Array): VlanView | DropReason {
    const view = new VlanView();
    return view.wrap(bytes, 0, bytes.length) ?? view;
  }

  /** Hot: points this view at a tag and what follows it, `length` octets together. */
  wrap(bytes: Uint8Array, offset: number, length: number): DropReason | undefined {
    if (length < vlanTagLen || offset + length > bytes.length) return 'truncated';
    this.bytes = bytes;
    this.offset = offset;
    this.end = offset + length;
    return undefined;
  }

  get headerLen(): number {
    return vlanTagLen;
  }

  get payloadOffset(): number {
    return this.offset + vlanTagLen;
  }

  get payloadLen(): number {
    return this.end - this.offset - vlanTagLen;
  }

  /** Priority code point, 0 to 7. */
  get priority(): number {
    return u8(this.bytes, this.offset) >> 5;
  }

  get dropEligible(): boolean {
    return (u8(this.bytes, this.offset) & 0x10) !== 0;
  }

  /** 0 (priority tag only) to 4095 (reserved). */
  get vlanId(): number {
    return u16(this.bytes, this.offset + tciAt) & 0x0fff;
  }

  get etherType(): number {
    return u16(this.bytes, this.offset + typeAt);
  }
}

/** Skips all tags of a frame; reusable, allocates nothing. */
export class VlanStack {
  /** EtherType behind the last tag. */
  etherType = 0;
  /** Where the payload behind the last tag begins. */
  payloadOffset = 0;
  tagCount = 0;
  /** VLAN of the outermost tag; 0 without a tag. */
  vlanId = 0;

  /**
   * Hot: walks the tags that `etherType` announces.
   * @param offset where the header in which `etherType` stands ends
   * @param end exclusive end of the frame
   */
  walk(bytes: Uint8Array, etherType: number, offset: number, end: number): DropReason | undefined {
    this.etherType = etherType;
    this.payloadOffset = offset;
    this.tagCount = 0;
    this.vlanId = 0;
    while (isVlanTpid(this.etherType)) {
      if (this.tagCount === maxVlanTags) return 'too-many-headers';
      if (end - this.payloadOffset < vlanTagLen) return 'truncated';
      if (this.tagCount === 0) this.vlanId = u16(bytes, offset) & 0x0fff;
      this.etherType = u16(bytes, this.payloadOffset + typeAt);
      this.payloadOffset += vlanTagLen;
      this.tagCount++;
    }
    return undefined;
  }
}

/** The tag as plain data. */
export interface VlanFields {
  readonly priority: number;
  readonly dropEligible: boolean;
  readonly vlanId: number;
  /** EtherType of what follows, or the TPID of a further tag. */
  readonly etherType: number;
}

/** Reads the tag at the start of `bytes`, that is, behind the TPID. */
export function parseVlan(bytes: Uint8Array): VlanFields | DropReason {
  const view = VlanView.from(bytes);
  if (typeof view === 'string') return view;
  const { priority, dropEligible, vlanId, etherType } = view;
  return { priority, dropEligible, vlanId, etherType };
}

/**
 * Writes the four octets of a tag; the type field before `offset` must hold the TPID.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitVlan(fields: VlanFields, out: Uint8Array, offset: number): number {
  requireUint('VLAN tag', 'priority', fields.priority, 7);
  requireUint('VLAN tag', 'vlanId', fields.vlanId, 0x0fff);
  requireUint('VLAN tag', 'etherType', fields.etherType, 0xffff);
  requireRoom('VLAN tag', out, offset, vlanTagLen);
  putU16(out, offset + tciAt, (fields.priority << 13) | (fields.dropEligible ? 0x1000 : 0) | fields.vlanId);
  putU16(out, offset + typeAt, fields.etherType);
  return vlanTagLen;
}
