/**
 * How packets get from and to the descriptor of a device, depending on what stands before them there. Each call
 * reads or writes a batch without waiting and tells the device what came of it.
 */

import { DESCRIPTOR_WORDS, MAX_FRAME_LEN, PacketBatch } from '../link/index.ts';
import { errno, nativeCore } from '../native/index.ts';
import type { RingLoad } from './packet-io.ts';

/** What a device is told; bytes are those of packets, without what stands before them. */
export interface FrameReport {
  read(packets: number, bytes: number): void;
  written(packets: number, bytes: number): void;
  /** Packets that the kernel did not take. Throws when there can be no further write. */
  dropped(error: number, packets: number, bytes: Uint8Array, descriptors: Uint32Array, index: number): void;
}

/** Hot: both calls once a batch. */
export interface FrameIo {
  /** Why the last read found no more: an errno, or 0. */
  readonly readError: number;
  /** True when the next read finds packets although the descriptor has none. */
  readonly pending: boolean;
  /** Fills an empty batch; returns how many packets it holds. */
  read(batch: PacketBatch): number;
  /** Returns how many packets were taken; fewer than asked for means that the rest must wait. */
  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number;
}

/** Packets as they are; with a prefix, `skip` of the bytes before each are left out of what is counted. */
export class PlainIo implements FrameIo {
  readonly pending: boolean = false;
  readonly #fd: number;
  readonly #report: FrameReport;
  readonly #ring: RingLoad;
  readonly #skip: number;
  readonly #core = nativeCore();
  // What the native core reports of each batch: errno, bytes, packets.
  readonly #status = new Uint32Array(3);

  constructor(fd: number, report: FrameReport, ring: RingLoad, skip = 0) {
    this.#fd = fd;
    this.#report = report;
    this.#ring = ring;
    this.#skip = skip;
  }

  get readError(): number {
    return this.#status[0] as number;
  }

  read(batch: PacketBatch): number {
    const { bytes, descriptors, capacity, headroom } = batch;
    const { expected } = this.#ring;
    const status = this.#status;
    const count = this.#core.readBatch(
      this.#fd,
      bytes,
      descriptors,
      capacity,
      MAX_FRAME_LEN,
      headroom,
      status,
      expected,
    );
    if (expected > 0 && status[0] === errno.EOPNOTSUPP) this.#ring.end();
    else this.#ring.found(count);
    if (count > 0) this.#report.read(count, (status[1] as number) - count * this.#skip);
    return count;
  }

  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const status = this.#status;
    let { atOnce } = this.#ring;
    let at = from;
    while (at < to) {
      at += this.#core.writeBatch(this.#fd, bytes, descriptors, at, to, status, atOnce);
      const packets = status[2] as number;
      if (packets > 0) this.#report.written(packets, (status[1] as number) - packets * this.#skip);
      const error = status[0] as number;
      if (error === 0) break;
      if (atOnce === 1) {
        // Many at once would be tried again and again for each that fails.
        atOnce = 0;
        if (error === errno.EAGAIN || error === errno.EOPNOTSUPP) {
          // Of a device that sometimes takes no more, a later packet must not overtake the one that waits.
          this.#ring.end();
          continue;
        }
      }
      if (error === errno.EAGAIN) break;
      this.#report.dropped(error, 1, bytes, descriptors, at);
      at++;
    }
    return at - from;
  }
}

/**
 * Packets behind `struct tun_pi`, and behind a virtio-net header where there is one: reads skip them, writes copy
 * each packet behind an empty one, since the bytes before a packet belong to its neighbour.
 */
export class PacketInfoIo implements FrameIo {
  readonly pending: boolean = false;
  readonly #plain: PlainIo;
  readonly #prefixLen: number;
  readonly #medium: 'ip' | 'ethernet';
  #copies: PacketBatch | undefined;

  constructor(fd: number, report: FrameReport, ring: RingLoad, prefix: { len: number; medium: 'ip' | 'ethernet' }) {
    this.#plain = new PlainIo(fd, report, ring, prefix.len);
    this.#prefixLen = prefix.len;
    this.#medium = prefix.medium;
  }

  get readError(): number {
    return this.#plain.readError;
  }

  read(batch: PacketBatch): number {
    const count = this.#plain.read(batch);
    const { descriptors } = batch;
    for (let i = 0; i < count; i++) {
      const word = i * DESCRIPTOR_WORDS;
      descriptors[word] = (descriptors[word] as number) + this.#prefixLen;
      descriptors[word + 1] = Math.max(0, (descriptors[word + 1] as number) - this.#prefixLen);
    }
    return count;
  }

  write(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#copies ??= new PacketBatch();
    const out = this.#copies;
    let at = from;
    while (at < to) {
      out.clear();
      const first = at;
      for (; at < to; at++) {
        const start = descriptors[at * DESCRIPTOR_WORDS] as number;
        const length = descriptors[at * DESCRIPTOR_WORDS + 1] as number;
        const place = out.reserve(length === 0 ? 0 : length + this.#prefixLen);
        if (place < 0) break;
        if (length > 0) this.#copy(bytes.subarray(start, start + length), out.bytes, place);
      }
      const taken = this.#plain.write(out.bytes, out.descriptors, 0, out.count);
      if (taken < out.count) return first + taken - from;
    }
    return at - from;
  }

  #copy(packet: Uint8Array, out: Uint8Array, place: number): void {
    out.fill(0, place, place + this.#prefixLen);
    out.set(packet, place + this.#prefixLen);
    if (this.#medium !== 'ip') return;
    // A TUN device takes the protocol from `struct tun_pi`, which comes before the virtio-net header.
    const etherType = (packet[0] as number) >> 4 === 6 ? 0x86dd : 0x0800;
    out[place + 2] = etherType >> 8;
    out[place + 3] = etherType & 0xff;
  }
}
