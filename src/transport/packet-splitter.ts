/**
 * Packets of a packet socket with a virtio-net header (`PACKET_VNET_HDR`): super-packets become the packets they stand for, and
 * checksums that were left to the network card are completed, in the native core.
 *
 * Not supported: super-packets inside a tunnel (VXLAN, GRE), which are dropped as malformed, and those longer than 64 KiB.
 */

import { DESCRIPTOR_WORDS, MAX_FRAME_LEN, type Medium, type PacketBatch } from '../link/index.ts';
import { nativeCore, SPLIT_STATE_WORDS, SplitWord } from '../native/index.ts';
import { packetTypeWord } from './packet-descriptor.ts';
import { ADDRESSES_LEN, type PacketMetadata, VLAN_TAG_LEN } from './packet-metadata.ts';

/** `struct virtio_net_hdr`; numbers are in host byte order. */
const VNET_HEADER_LEN = 10;
const HEADER_LEN_WORD = 1;
const CHECKSUM_START_WORD = 3;

/** Reads into fixed memory; nothing is allocated for a packet but its view. */
export class PacketSplitter {
  /** For the kernel: header and packet. */
  readonly frame: Uint8Array;
  /** Packets in the batch, and their bytes. */
  count = 0;
  bytes = 0;
  readonly #core = nativeCore();
  readonly #isEthernet: boolean;
  readonly #state = new Uint32Array(SPLIT_STATE_WORDS);
  // With room for a tag that is put back.
  readonly #memory = new Uint8Array(VNET_HEADER_LEN + MAX_FRAME_LEN + VLAN_TAG_LEN);
  readonly #header = new Uint16Array(this.#memory.buffer, 0, VNET_HEADER_LEN / 2);
  readonly #out = new Uint8Array(VNET_HEADER_LEN + MAX_FRAME_LEN);
  #frameLen = 0;
  #type = 0;
  #tooLong = 0;
  #capacity = 0;

  constructor(medium: Medium) {
    this.#isEthernet = medium === 'ethernet';
    this.frame = this.#memory.subarray(0, VNET_HEADER_LEN + MAX_FRAME_LEN);
    this.#state[SplitWord.vnetHeaderLen] = VNET_HEADER_LEN;
    this.#state[SplitWord.medium] = this.#isEthernet ? 1 : 0;
  }

  /** Packets dropped. */
  get malformed(): number {
    return (this.#state[SplitWord.malformed] as number) + this.#tooLong;
  }

  /** True when no further frame can be split into the batch. */
  get isFull(): boolean {
    return this.#state[SplitWord.pendingLen] !== 0 || this.count >= this.#capacity;
  }

  /** Starts an empty batch, with what the last one had no room for. */
  begin(batch: PacketBatch): void {
    const state = this.#state;
    state[SplitWord.headroom] = batch.headroom;
    state[SplitWord.count] = 0;
    state[SplitWord.free] = 0;
    state[SplitWord.bytes] = 0;
    this.#capacity = batch.capacity;
    this.count = 0;
    this.bytes = 0;
    if (state[SplitWord.pendingLen] !== 0) this.#add(batch);
  }

  /**
   * Hot. Adds the packets of what stands in `frame`.
   * @param length as the kernel told it, the header counted; more than `frame` has for a packet that was cut
   */
  split(batch: PacketBatch, length: number, metadata: PacketMetadata, type: number): void {
    if (length > this.frame.length || length <= VNET_HEADER_LEN) {
      this.#tooLong++;
      return;
    }
    this.#type = type;
    this.#frameLen = length;
    const packetLen = length - VNET_HEADER_LEN;
    if (this.#isEthernet && packetLen >= ADDRESSES_LEN && metadata.hasTag) {
      const room = this.#memory.length - VNET_HEADER_LEN;
      this.#frameLen = VNET_HEADER_LEN + metadata.restoreTag(this.#memory, VNET_HEADER_LEN, packetLen, room);
      // The kernel counts without the tag.
      this.#moveBehindTag(HEADER_LEN_WORD);
      this.#moveBehindTag(CHECKSUM_START_WORD);
    }
    this.#add(batch);
  }

  /** Hot. The packet behind an empty header, as the socket wants it; valid until the next call. */
  withHeader(packet: Uint8Array): Uint8Array {
    if (packet.length > MAX_FRAME_LEN) return packet;
    this.#out.set(packet, VNET_HEADER_LEN);
    return this.#out.subarray(0, VNET_HEADER_LEN + packet.length);
  }

  #add(batch: PacketBatch): void {
    const { bytes, descriptors } = batch;
    const state = this.#state;
    const before = this.count;
    this.#core.segment(this.#memory.subarray(0, this.#frameLen), bytes, descriptors, state);
    this.count = state[SplitWord.count] as number;
    this.bytes = state[SplitWord.bytes] as number;
    for (let word = before * DESCRIPTOR_WORDS; word < this.count * DESCRIPTOR_WORDS; word += DESCRIPTOR_WORDS) {
      descriptors[word + 2] = packetTypeWord(this.#type, false);
      descriptors[word + 3] = descriptors[word + 1] as number;
    }
  }

  #moveBehindTag(word: number): void {
    const value = this.#header[word] as number;
    if (value !== 0) this.#header[word] = value + VLAN_TAG_LEN;
  }
}
