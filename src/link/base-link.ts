/**
 * BaseLink: everything of the PacketLink contract that does not depend on the carrier.
 *
 * A carrier offers two calls that never wait, `readNow` and `writeNow`, and wakes the link when one of them is
 * worth calling again. `BatchPump` turns that into promises, iterators and callbacks.
 */

import { Listeners, type VnicError } from '../base/index.ts';
import { BatchPump } from './batch-pump.ts';
import { DESCRIPTOR_WORDS, PacketBatch } from './packet-batch.ts';
import type { LinkEvents, Medium, PacketLink, WaitOptions, WebStreams, WriteDropReason } from './packet-link.ts';
import { toWebStreams } from './web-streams.ts';
import { endOfRange, type MutableCounters, WriteDrops, zeroLinkCounters } from './write-drops.ts';

export interface BaseLinkOptions {
  readonly name: string;
  readonly medium: Medium;
  /** Memory for reads; default `new PacketBatch()`. */
  readonly batch?: PacketBatch;
  /**
   * Opt-in for latency: for up to so many microseconds after the last packet, a reader asks for more once a turn of
   * the event loop instead of waiting for a wake-up. One processor is busy meanwhile, and the process stays alive.
   * 0 to 1,000,000; default 0, off: an idle link costs nothing.
   */
  readonly busyPollUs?: number;
  /** Where totals are kept, for example in shared memory; default in an object of the link's own. */
  readonly counters?: MutableCounters;
}

export abstract class BaseLink implements PacketLink {
  abstract readonly mtu: number;
  readonly name: string;
  readonly medium: Medium;
  readonly offload: boolean = false;
  readonly counters: MutableCounters;

  protected readonly events: Listeners<LinkEvents> = new Listeners();

  readonly #pump: BatchPump<PacketBatch>;
  // A single packet is written as a batch of one over its own memory.
  readonly #single = new Uint32Array(DESCRIPTOR_WORDS);
  readonly #drops: WriteDrops;

  protected constructor(options: BaseLinkOptions) {
    this.name = options.name;
    this.medium = options.medium;
    this.counters = options.counters ?? zeroLinkCounters();
    this.#drops = new WriteDrops(this.counters, this.events);
    this.#pump = new BatchPump({
      name: options.name,
      batch: options.batch ?? new PacketBatch(),
      busyPollUs: options.busyPollUs,
      readNow: (batch) => this.readNow(batch),
      setInterest: (readable, writable) => this.setInterest(readable, writable),
      hasBackPressure: () => this.hasBackPressure(),
      close: () => this.closeCarrier(),
      announce: (error) => this.events.emit('gone', error),
      isHeard: () => this.events.count('gone') > 0,
    });
  }

  /** Fills the batch without waiting. Returns how many packets it holds now; 0 means: none for now. */
  protected abstract readNow(batch: PacketBatch): number;
  /**
   * Takes packets `from` to `to` without waiting, counting them and what was dropped.
   * Returns how many were taken; fewer than asked for means: wake me when there is room.
   */
  protected abstract writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number;
  /** Sets which of `wakeReader` and `wakeWriter` the carrier shall call. */
  protected abstract setInterest(readable: boolean, writable: boolean): void;
  /** Frees the carrier. Called once. */
  protected abstract closeCarrier(): void | Promise<void>;

  get closed(): boolean {
    return this.#pump.closed;
  }

  read(options: WaitOptions = {}): Promise<PacketBatch | undefined> {
    return this.#pump.read(options);
  }

  batches(options: WaitOptions = {}): AsyncIterableIterator<PacketBatch> {
    return this.#pump.batches(options);
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.#pump.onBatch(handler, onEnd);
  }

  write(source: Uint8Array | PacketBatch, from?: number, to?: number): number {
    this.#pump.requireOpen('write a packet');
    if (source instanceof PacketBatch) {
      const first = from ?? 0;
      const end = endOfRange(this.name, source, first, to);
      return first >= end ? 0 : this.writeNow(source.bytes, source.descriptors, first, end);
    }
    this.#single[1] = source.length;
    return this.writeNow(source, this.#single, 0, 1);
  }

  writable(options: WaitOptions = {}): Promise<void> {
    return this.#pump.writable(options);
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    return this.events.on(event, handler);
  }

  close(): Promise<void> {
    return this.#pump.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** True when the last write was not taken whole. The carrier may know better. */
  protected hasBackPressure(): boolean {
    return true;
  }

  /** Switches busy polling off for good. */
  protected endBusyPoll(): void {
    this.#pump.endBusyPoll();
  }

  /** The carrier says that `readNow` will find packets. */
  protected wakeReader(): void {
    this.#pump.wakeReader();
  }

  /** The carrier says that `writeNow` will take packets. */
  protected wakeWriter(): void {
    this.#pump.wakeWriter();
  }

  /** The carrier has vanished: everything that waits ends with this error, as do later calls. */
  protected fail(error: VnicError): void {
    this.#pump.fail(error);
  }

  /** Counts a packet that was taken and then dropped; `explain` is called only when somebody gets to see it. */
  protected countWriteDrop(reason: WriteDropReason, explain: () => VnicError): void {
    this.#drops.count(reason, 1, explain);
  }
}
