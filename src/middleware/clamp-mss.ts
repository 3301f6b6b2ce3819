/**
 * A link that lowers the MSS of TCP connections through it, both ways, to what its MTU allows.
 *
 * Nothing is copied: batches are those of the wrapped link, edited in place when they are read. What is written belongs to its
 * writer, so that only the rare packet that has to be changed is copied.
 */

import { invalidArgument } from '../base/index.ts';
import { PacketBatch, type PacketLink, WrappedLink } from '../link/index.ts';
import { findMss, lowerMss, MSS_OVERHEAD_V4, MSS_OVERHEAD_V6 } from './mss.ts';
import { requirePlainPackets } from './staged-link.ts';

/** What the MSS is lowered to. */
export interface ClampMssOptions {
  /** Bytes that segments may have, 88 to 65,495; default what the MTU leaves behind the headers, which is 40 less for IPv4 and 60 for IPv6. */
  readonly mss?: number;
  /** Another link on the way, whose MTU counts too when it is smaller. */
  readonly besides?: Pick<PacketLink, 'mtu'>;
}

/** A link that clamps. */
export interface ClampedLink extends PacketLink {
  /** SYN packets that were changed. */
  readonly clamped: { readonly toLink: number; readonly fromLink: number };
}

/** The least that Linux takes (`net.ipv4.tcp_min_snd_mss` counts options too), and an IPv4 packet's most. */
const MSS_MIN = 88;
const MSS_MAX = 65_495;

/**
 * Wraps a link in one that lowers the MSS option of TCP SYN packets, IPv4 and IPv6, never raises it, and mends the checksum.
 * Each call looks at the MTU anew. The wrapped link belongs to it: nobody else may read it, and `close()` closes both.
 * @throws VNIC_INVALID_ARGUMENT also when the link carries super-packets
 */
export function clampMss(link: PacketLink, options: ClampMssOptions = {}): ClampedLink {
  requirePlainPackets(link, `clamp the MSS on ${link.name}`);
  const { mss } = options;
  if (mss !== undefined && !(Number.isInteger(mss) && mss >= MSS_MIN && mss <= MSS_MAX)) {
    throw invalidArgument(`clamp the MSS on ${link.name}`, `an MSS from ${MSS_MIN} to ${MSS_MAX}`, mss);
  }
  return new Clamped(link, options);
}

class Clamped extends WrappedLink implements ClampedLink {
  readonly clamped = { toLink: 0, fromLink: 0 };
  readonly #options: ClampMssOptions;
  #copy = new Uint8Array(0);

  constructor(inner: PacketLink, options: ClampMssOptions) {
    super(inner);
    this.#options = options;
  }

  protected override onRead(batch: PacketBatch): boolean {
    this.#lowerAll(batch);
    return true;
  }

  override write(source: Uint8Array | PacketBatch, from?: number, to?: number): number {
    if (!(source instanceof PacketBatch)) return this.#writeOne(source, this.#lowered(source));
    const first = from ?? 0;
    const end = to ?? source.count;
    // The wrapped link says what is wrong with the range.
    if (first < 0 || end > source.count) return this.inner.write(source, first, end);
    let next = first;
    for (let i = first; i < end; i++) {
      if (!this.#hasMss(source, i)) continue;
      const packet = source.packet(i);
      const lowered = this.#lowered(packet);
      if (lowered === packet) continue;
      if (i > next) next += this.inner.write(source, next, i);
      if (next < i || this.#writeOne(packet, lowered) === 0) return next - first;
      next = i + 1;
    }
    if (next > first && next === end) return next - first;
    return next - first + this.inner.write(source, next, end);
  }

  #writeOne(packet: Uint8Array, lowered: Uint8Array): number {
    const taken = this.inner.write(lowered);
    if (lowered !== packet) this.clamped.toLink += taken;
    return taken;
  }

  #mtu(): number {
    const { mtu } = this.inner;
    return Math.min(mtu, this.#options.besides?.mtu ?? mtu);
  }

  /** Hot. */
  #lowerAll(batch: PacketBatch): void {
    const { bytes, count } = batch;
    for (let i = 0; i < count; i++) if (this.#lower(bytes, batch.offset(i), batch.length(i))) this.clamped.fromLink++;
  }

  #lower(bytes: Uint8Array, offset: number, length: number): boolean {
    const { mss = 0 } = this.#options;
    const mtu = mss === 0 ? this.#mtu() : 0;
    const mssV4 = mss === 0 ? Math.max(MSS_MIN, mtu - MSS_OVERHEAD_V4) : mss;
    const mssV6 = mss === 0 ? Math.max(MSS_MIN, mtu - MSS_OVERHEAD_V6) : mss;
    return lowerMss(bytes, offset, length, this.medium, mssV4, mssV6);
  }

  /** Hot. */
  #hasMss(batch: PacketBatch, index: number): boolean {
    return findMss(batch.bytes, batch.offset(index), batch.length(index), this.medium) >= 0;
  }

  /** The packet, or a copy of it with a smaller MSS that is valid until the next call. */
  #lowered(packet: Uint8Array): Uint8Array {
    if (findMss(packet, 0, packet.length, this.medium) < 0) return packet;
    if (this.#copy.length < packet.length) this.#copy = new Uint8Array(packet.length);
    const copy = this.#copy.subarray(0, packet.length);
    copy.set(packet);
    return this.#lower(copy, 0, copy.length) ? copy : packet;
  }
}
