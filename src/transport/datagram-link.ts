/**
 * Packets in Unix datagrams, one in each: the data sockets of VDE switches, and QEMU's `-netdev dgram`.
 *
 * Theory of operation
 *
 *   carriers   `attach` gives the link a socket that is connected, or will be. While there is none that is, what is written is lost
 *              (`link-down`). With `keep` the link waits for the next when one has ended, else it is gone.
 *   pressure   The kernel queues few datagrams for a reader (`net.unix.max_dgram_qlen`). A full queue is told by EAGAIN, and
 *              readiness by poll, since the socket is connected.
 *   ends       A Unix datagram socket does not hear of its peer's end; a send is refused. The carrier is told, and decides.
 *   lengths    Reads leave room for the longest packet; a longer datagram is cut by the kernel to what is there, which is more than
 *              any packet, so it is found by its length and left out.
 */

import { VnicError } from '../base/index.ts';
import { BaseLink, DESCRIPTOR_WORDS, MAX_FRAME_LEN, type Medium, type PacketBatch } from '../link/index.ts';
import { errno, errnoName, nativeCore, Poll, PollEvent } from '../native/index.ts';

/** A socket that carries datagrams. */
export interface DatagramCarrier {
  readonly fd: number;
  /** Whether somebody is there to be sent to, as far as is known. */
  readonly isConnected: boolean;
  /** Nobody has taken what was sent. */
  onRefused(): void;
  /** Something has come while nobody was known to be there. */
  onHeard?(): void;
  /** Closes the socket. */
  close(): void;
}

/** How packets are put into datagrams. */
export interface DatagramLinkOptions {
  readonly name: string;
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. Default 1500. */
  readonly mtu?: number;
  /** Stay open without a carrier. Default false: the link is gone when its carrier ends. */
  readonly keep?: boolean;
}

/** What came in and is no packet. */
export interface DatagramLinkDrops {
  /** Longer than the MTU allows. */
  readonly tooLong: number;
  /** Empty, or shorter than an Ethernet header. */
  readonly malformed: number;
}

const DEFAULT_MTU = 1500;
const ETHERNET_HEADER_LEN = 14;
/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
/** Reads that bring nothing of use, before others get their turn. */
const MAX_VAIN_READS = 64;

/** A packet link over datagram sockets, which it closes with itself. */
export class DatagramLink extends BaseLink {
  override readonly mtu: number;
  /** Totals of what was received and left out. */
  readonly readDropped: { -readonly [Key in keyof DatagramLinkDrops]: number } = { tooLong: 0, malformed: 0 };

  readonly #core = nativeCore();
  readonly #maxLen: number;
  readonly #minLen: number;
  readonly #keep: boolean;
  readonly #status = new Uint32Array(3);
  readonly #ended = new Set<(error: VnicError) => void>();
  #carrier: DatagramCarrier | undefined;
  #poll: Poll | undefined;
  #interest: number = PollEvent.none;
  #blocked = false;

  constructor({ name, medium, mtu = DEFAULT_MTU, keep = false }: DatagramLinkOptions) {
    super({ name, medium });
    this.mtu = mtu;
    this.#keep = keep;
    this.#maxLen = mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
    this.#minLen = medium === 'ethernet' ? ETHERNET_HEADER_LEN : 1;
  }

  /** Whether a carrier is attached. */
  get isUp(): boolean {
    return this.#carrier !== undefined;
  }

  /** Carries packets over the socket from now on, which is the link's own; one before it is closed. */
  attach(carrier: DatagramCarrier): void {
    if (this.closed) {
      carrier.close();
      return;
    }
    this.#detach();
    this.#carrier = carrier;
    this.#poll = new Poll(carrier.fd, (error, events) => this.#onReady(error, events));
    this.#poll.watch(this.#interest);
    if (carrier.isConnected) this.noteUp(true);
  }

  /** The carrier's owner says that it has ended. */
  endCarrier(carrier: DatagramCarrier, error: VnicError): void {
    if (carrier !== this.#carrier || this.closed) return;
    this.#detach();
    this.noteUp(false);
    for (const handler of this.#ended) handler(error);
    if (!this.#keep) this.fail(error);
  }

  /** The carrier's owner says whether somebody is there. */
  noteUp(isUp: boolean): void {
    if (this.closed) return;
    this.events.emit(isUp ? 'up' : 'down', undefined);
    this.#blocked = false;
    if ((this.#interest & PollEvent.writable) !== 0) this.wakeWriter();
  }

  /** Calls back whenever a carrier has ended, with the reason; the returned function stops that. */
  onStreamEnd(handler: (error: VnicError) => void): () => void {
    this.#ended.add(handler);
    return () => void this.#ended.delete(handler);
  }

  /** Ends the link for good, with this error for everybody who waits. */
  override fail(error: VnicError): void {
    super.fail(error);
  }

  protected override readNow(batch: PacketBatch): number {
    const { bytes, descriptors, capacity, headroom } = batch;
    for (let vain = 0; vain < MAX_VAIN_READS && this.#carrier !== undefined; vain++) {
      const { fd } = this.#carrier;
      const count = this.#core.readBatch(fd, bytes, descriptors, capacity, MAX_FRAME_LEN, headroom, this.#status, 0);
      batch.count = count;
      const error = this.#status[0] as number;
      if (count > 0 && !this.#carrier.isConnected) this.#carrier.onHeard?.();
      if (this.#admit(batch) > 0) return count;
      if (error !== 0) break;
      // Neither packet nor error: an empty datagram.
      if (count === 0) this.readDropped.malformed++;
    }
    batch.clear();
    return 0;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#blocked = false;
    let next = from;
    while (next < to) {
      const length = descriptors[next * DESCRIPTOR_WORDS + 1] as number;
      if (length > this.#maxLen) {
        this.countWriteDrop('too-long', () =>
          this.#refusal(length, `longer than the ${this.#maxLen} bytes that it carries`),
        );
        next++;
        continue;
      }
      if (this.#carrier?.isConnected !== true) {
        if (length > 0) this.countWriteDrop('link-down', () => this.#refusal(length, 'nobody is there to take it'));
        next++;
        continue;
      }
      next += this.#writeRun(this.#carrier, bytes, descriptors, next, this.#endOfRun(descriptors, next, to));
      if (this.#blocked) break;
    }
    return next - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#interest = (readable ? PollEvent.readable : 0) | (writable ? PollEvent.writable : 0);
    this.#poll?.watch(this.#interest);
    // Without a socket nothing is ready, and all that is written is lost.
    if (writable && this.#poll === undefined) setImmediate(() => !this.closed && this.wakeWriter());
  }

  protected override hasBackPressure(): boolean {
    return this.#blocked;
  }

  protected override closeCarrier(): void {
    this.#detach();
    this.#ended.clear();
  }

  #detach(): void {
    this.#poll?.close();
    this.#poll = undefined;
    this.#carrier?.close();
    this.#carrier = undefined;
    this.#blocked = false;
  }

  #admit(batch: PacketBatch): number {
    let packets = 0;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length >= this.#minLen && length <= this.#maxLen) {
        packets++;
        this.counters.bytesRead += length;
        continue;
      }
      this.readDropped[length < this.#minLen ? 'malformed' : 'tooLong']++;
      batch.drop(i);
    }
    this.counters.packetsRead += packets;
    return packets;
  }

  /** The index after the last packet from `from` on that is not too long. */
  #endOfRun(descriptors: Uint32Array, from: number, to: number): number {
    let end = from;
    while (end < to && (descriptors[end * DESCRIPTOR_WORDS + 1] as number) <= this.#maxLen) end++;
    return end;
  }

  /** Sends packets up to the first that is not taken; returns how many are done with, the lost one included. */
  #writeRun(carrier: DatagramCarrier, bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const taken = this.#core.writeBatch(carrier.fd, bytes, descriptors, from, to, this.#status, 0);
    const error = this.#status[0] as number;
    this.counters.bytesWritten += this.#status[1] as number;
    this.counters.packetsWritten += this.#status[2] as number;
    if (error === 0) return taken;
    if (error === errno.EAGAIN) {
      this.#blocked = true;
      return taken;
    }
    const length = descriptors[(from + taken) * DESCRIPTOR_WORDS + 1] as number;
    const explain = (): VnicError => this.#refusal(length, `send failed with ${errnoName(error)}`);
    if (error === errno.ENOBUFS || error === errno.ENOMEM) this.countWriteDrop('queue-full', explain);
    else if (error === errno.EMSGSIZE) this.countWriteDrop('too-long', explain);
    else {
      this.countWriteDrop('link-down', explain);
      carrier.onRefused();
    }
    return taken + 1;
  }

  #onReady(error: number, events: number): void {
    if (error !== 0) {
      // An error that waits at the socket; fetching it clears it.
      const { fd } = this.#carrier ?? { fd: -1 };
      this.#core.getsockopt(fd, SOL_SOCKET, SO_ERROR, new Uint8Array(4));
      this.#carrier?.onRefused();
      this.#poll?.watch(this.#interest);
      return;
    }
    if ((events & PollEvent.writable) !== 0) this.wakeWriter();
    if ((events & PollEvent.readable) !== 0 && !this.closed) this.wakeReader();
  }

  #refusal(length: number, reason: string): VnicError {
    return new VnicError('VNIC_PACKET_REFUSED', {
      attempted: `write ${length} bytes to ${this.name}`,
      reason,
      hint: 'See that the other side is there, and takes packets of that length.',
    });
  }
}
