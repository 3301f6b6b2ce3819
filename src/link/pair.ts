/**
 * An in-memory pair of links: what is written to one end is read from the other. The network cable of tests
 * and examples, under the same contract as a kernel device.
 *
 * Theory of operation
 *
 * Each end owns a bounded `PacketRing` of what the other has written and it has not read yet. Nothing grows:
 * a full ring is back-pressure, `write` takes fewer packets and `writable()` resolves after the other end has
 * read some.
 *
 *   wake-ups   through `setImmediate`, at most one pending for an end. A direct call would recurse without
 *              bound between two ends that answer each other, a microtask would keep timers from running.
 *   closing    To the other end a closed end is a device that was deleted: it reads what is queued, then its
 *              reader ends with VNIC_DEVICE_GONE. Its writes throw that error at once. An end with an empty
 *              queue is told on the next turn of the event loop, reader or not.
 *   exit       A pair keeps no process alive, waiting readers or not.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import { BaseLink } from './base-link.ts';
import type { PacketBatch } from './packet-batch.ts';
import type { Medium, PacketLink } from './packet-link.ts';
import { PacketRing } from './packet-ring.ts';

/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;

/** Ring memory a packet beyond the one of full length; small packets use less, so more of them fit. */
const TYPICAL_PACKET_LEN = 2048;

/** What the two ends have in common. */
export interface LinkPairOptions {
  readonly medium: Medium;
  /** Longest payload in bytes, 1 to 65535; default 1500. Longer packets are dropped as `too-long`. */
  readonly mtu?: number;
  /** How many packets each direction queues at most; default 256. */
  readonly capacityPackets?: number;
  /** Names of the two ends; default `pair-a`, `pair-b`. */
  readonly names?: readonly [string, string];
}

/**
 * Creates two links that are joined in memory. Fixed memory a direction: room for `capacityPackets` packets
 * of 2 KiB (or of full length, if that is less) and one of full length.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function createLinkPair(options: LinkPairOptions): [PacketLink, PacketLink] {
  const { medium, mtu = 1500, capacityPackets = 256, names = ['pair-a', 'pair-b'] } = options;
  if (medium !== 'ip' && medium !== 'ethernet') {
    throw invalidArgument('create a link pair', "a medium of 'ip' or 'ethernet'", medium);
  }
  if (!Number.isInteger(mtu) || mtu < 1 || mtu > 65_535) {
    throw invalidArgument('create a link pair', 'an MTU from 1 to 65535', mtu);
  }
  if (!Number.isInteger(capacityPackets) || capacityPackets < 1 || capacityPackets > 1_048_576) {
    throw invalidArgument('create a link pair', 'a capacity of 1 to 1048576 packets', capacityPackets);
  }
  const a = new PairEnd(names[0], medium, mtu, capacityPackets);
  const b = new PairEnd(names[1], medium, mtu, capacityPackets);
  a.join(b);
  b.join(a);
  return [a, b];
}

class PairEnd extends BaseLink {
  override readonly mtu: number;
  readonly #maxFrameLen: number;
  readonly #incoming: PacketRing;
  #peer: PairEnd = this;
  #peerClosed = false;
  #writeBlocked = false;
  #wantsReadable = false;
  #wantsWritable = false;
  #turnPending = false;

  constructor(name: string, medium: Medium, mtu: number, capacity: number) {
    super({ name, medium });
    this.mtu = mtu;
    this.#maxFrameLen = mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
    const typicalLen = Math.min(TYPICAL_PACKET_LEN, (this.#maxFrameLen + 7) & ~7);
    this.#incoming = new PacketRing(capacity, capacity * typicalLen + ((this.#maxFrameLen + 7) & ~7));
  }

  join(peer: PairEnd): void {
    this.#peer = peer;
  }

  protected override readNow(batch: PacketBatch): number {
    const count = this.#incoming.shift(batch);
    if (count === 0) {
      if (this.#peerClosed) this.fail(this.#goneError());
      return 0;
    }
    this.counters.packetsRead += count;
    for (let i = 0; i < count; i++) this.counters.bytesRead += batch.length(i);
    this.#peer.#onRoom();
    return count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    if (this.#peerClosed) throw this.#goneError();
    const ring = this.#peer.#incoming;
    let next = from;
    while (next < to) {
      const stop = ring.push(bytes, descriptors, next, to, this.#maxFrameLen);
      this.#countWritten(descriptors, next, stop);
      next = stop;
      if (next === to) break;
      const length = descriptors[next * 4 + 1] as number;
      if (length <= this.#maxFrameLen) break;
      this.countWriteDrop('too-long', () => this.#tooLongError(length));
      next++;
    }
    this.#writeBlocked = next < to;
    if (ring.count > 0) this.#peer.#onPackets();
    return next - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    this.#wantsWritable = writable;
    if (this.#readReady || this.#writeReady) this.#scheduleTurn();
  }

  protected override closeCarrier(): void {
    this.#wantsReadable = false;
    this.#wantsWritable = false;
    this.#peer.#onPeerClosed();
  }

  protected override hasBackPressure(): boolean {
    return this.#writeBlocked;
  }

  get #readReady(): boolean {
    return this.#wantsReadable && (this.#incoming.count > 0 || this.#peerClosed);
  }

  get #writeReady(): boolean {
    return this.#wantsWritable && !this.#writeBlocked;
  }

  #countWritten(descriptors: Uint32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * 4 + 1] as number;
      if (length === 0) continue;
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
  }

  #onPackets(): void {
    if (this.#readReady) this.#scheduleTurn();
  }

  #onRoom(): void {
    this.#writeBlocked = false;
    if (this.#writeReady) this.#scheduleTurn();
  }

  #onPeerClosed(): void {
    if (this.#peerClosed || this.closed) return;
    this.#peerClosed = true;
    this.#writeBlocked = false;
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turnPending = false;
    if (this.closed) return;
    if (this.#peerClosed && this.#incoming.count === 0) {
      this.fail(this.#goneError());
      return;
    }
    if (this.#writeReady) this.wakeWriter();
    if (this.#readReady) this.wakeReader();
    // A pushing reader leaves the rest for later, so that timers and other links get their turn.
    if (this.#readReady) this.#scheduleTurn();
  };

  #goneError(): VnicError {
    return new VnicError('VNIC_DEVICE_GONE', {
      attempted: `use ${this.name}`,
      reason: `the other end, ${this.#peer.name}, was closed`,
      hint: 'Create a new pair: an end cannot be joined again.',
    });
  }

  #tooLongError(length: number): VnicError {
    return new VnicError('VNIC_PACKET_REFUSED', {
      attempted: `write ${length} bytes to ${this.name}`,
      reason: `longer than the ${this.#maxFrameLen} bytes that an MTU of ${this.mtu} allows`,
      hint: 'Send shorter packets, or create the pair with a larger MTU.',
    });
  }
}
