/**
 * What the kernel keeps of a packet outside of its bytes, and tells under `PACKET_AUXDATA`: a `cmsghdr`, then
 * `struct tpacket_auxdata` of `include/uapi/linux/if_packet.h`, all in host byte order.
 *
 *     cmsg_len      size_t, 4 or 8 bytes
 *     cmsg_level    i32, SOL_PACKET
 *     cmsg_type     i32, PACKET_AUXDATA
 *     tp_status     u32, TP_STATUS_*
 *     tp_len        u32, length of the packet
 *     tp_snaplen    u32
 *     tp_mac        u16
 *     tp_net        u16
 *     tp_vlan_tci   u16, priority, drop eligibility and VLAN id of the tag that was taken out
 *     tp_vlan_tpid  u16, its EtherType; since Linux 3.14
 */

import { PacketSocketOption } from './packet-address.ts';

/** A VLAN tag: the EtherType that announces it, then its control information. */
export const VLAN_TAG_LEN = 4;

/** The destination and the source address, which stand before the tag. */
export const ADDRESSES_LEN = 12;
const ETH_P_8021Q = 0x8100;

const TP_STATUS_CSUMNOTREADY = 1 << 3;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;

const SIZE_WORDS = process.arch === 'arm' || process.arch === 'ia32' ? 1 : 2;
const LEVEL_AT = SIZE_WORDS;
const TYPE_AT = LEVEL_AT + 1;
const STATUS_AT = TYPE_AT + 1;
const TAG_AT = STATUS_AT + 4;
const CONTROL_WORDS = TAG_AT + 1;

/** Memory for the metadata of one packet, used again for the next. Hot: nothing is allocated after construction. */
export class PacketMetadata {
  /** For the kernel to fill in. */
  readonly control: Uint8Array;
  /** What `receiveMessage` reports: bytes in `control`, flags of the message. */
  readonly received: Uint32Array = new Uint32Array(2);
  // With room for the padding at the end.
  readonly #words = new Uint32Array(CONTROL_WORDS + 1);
  readonly #halfWords: Uint16Array;

  constructor() {
    this.control = new Uint8Array(this.#words.buffer);
    this.#halfWords = new Uint16Array(this.#words.buffer);
  }

  /** True when the sender left the checksum of the transport header to the network card. */
  get checksumPending(): boolean {
    return (this.#status & TP_STATUS_CSUMNOTREADY) !== 0;
  }

  /** True when the kernel has taken a VLAN tag out of the frame. */
  get hasTag(): boolean {
    return (this.#status & TP_STATUS_VLAN_VALID) !== 0;
  }

  /**
   * Puts the tag back into a frame that lies at `offset`, and moves what stands behind the addresses.
   * @param length bytes of the frame without the tag, at least `ADDRESSES_LEN`
   * @param room bytes that it may have with it, more than the addresses and a tag; what goes beyond is cut off
   * @returns its length with the tag
   */
  restoreTag(bytes: Uint8Array, offset: number, length: number, room: number): number {
    const tagged = Math.min(length + VLAN_TAG_LEN, room);
    const tagAt = offset + ADDRESSES_LEN;
    // Not the addresses to the front: the frame would start off its alignment, or in the headroom.
    bytes.copyWithin(tagAt + VLAN_TAG_LEN, tagAt, offset + tagged - VLAN_TAG_LEN);
    const tpid = (this.#status & TP_STATUS_VLAN_TPID_VALID) !== 0 ? this.#half(1) : ETH_P_8021Q;
    const tci = this.#half(0);
    bytes[tagAt] = tpid >> 8;
    bytes[tagAt + 1] = tpid;
    bytes[tagAt + 2] = tci >> 8;
    bytes[tagAt + 3] = tci;
    return tagged;
  }

  /** `tp_status`; 0 when the kernel told nothing. */
  get #status(): number {
    if ((this.received[0] as number) < CONTROL_WORDS * 4) return 0;
    const { level, auxdata } = PacketSocketOption;
    if (this.#words[LEVEL_AT] !== level || this.#words[TYPE_AT] !== auxdata) return 0;
    return this.#words[STATUS_AT] as number;
  }

  #half(index: 0 | 1): number {
    return this.#halfWords[TAG_AT * 2 + index] as number;
  }
}
