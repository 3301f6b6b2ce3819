/**
 * PacketLink: the contract of everything that carries packets, be it a kernel device, one end of an in-memory
 * pair, a UDP carrier, a tunnel peer or a switch port. One conformance suite (`vnic/testing`) holds all of
 * them to it.
 */

import type { VnicError } from '../base/index.ts';
import type { PacketBatch } from './packet-batch.ts';

/** `ip`: each packet starts with an IPv4 or IPv6 header. `ethernet`: each starts with an Ethernet header. */
export type Medium = 'ip' | 'ethernet';

/** Why a link did not deliver a packet that it took from the writer. */
export type WriteDropReason =
  /** The device is down (`EIO`). */
  | 'link-down'
  /** The kernel found it malformed for this device (`EINVAL`): too short, or not IP on a TUN. */
  | 'refused'
  /** Longer than the link can carry. */
  | 'too-long'
  /** A bounded queue on the way was full. */
  | 'queue-full';

/** Totals since the link was opened. Numbers stay exact up to 2^53. */
export interface LinkCounters {
  readonly packetsRead: number;
  readonly bytesRead: number;
  readonly packetsWritten: number;
  readonly bytesWritten: number;
  /** Packets taken from the writer and then dropped, by reason. */
  readonly writeDropped: Readonly<Record<WriteDropReason, number>>;
}

/** What happens to a link beside packets. */
export interface LinkEvents {
  /** The link carries packets (again). */
  up: undefined;
  /** The link carries no packets for now. */
  down: undefined;
  /** The MTU changed; the new one in bytes. */
  mtu: number;
  /** The carrier has vanished for good, for example a device that was deleted. Readers end with this error. */
  gone: VnicError;
  /** A packet was dropped on write, with what to do about it; at most one event per reason and second. */
  writeDropped: { readonly reason: WriteDropReason; readonly error: VnicError };
}

/** What every call that waits takes. */
export interface WaitOptions {
  /** Ends the wait with `VNIC_ABORTED`. */
  readonly signal?: AbortSignal;
}

/** A pair of web streams of whole packets, one chunk a packet; each chunk is the consumer's own copy. */
export interface WebStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * A packet link. At most one reader at a time: `read`, an iterator, `onBatch` or `toWeb().readable`.
 *
 * @throws VNIC_READER_BUSY on a second reader, VNIC_LINK_CLOSED on use after `close()`,
 *   VNIC_DEVICE_GONE when the carrier has vanished.
 */
export interface PacketLink extends AsyncIterable<PacketBatch>, AsyncDisposable {
  /** For people and logs, for example `tun0`. */
  readonly name: string;
  readonly medium: Medium;
  /** Longest payload in bytes, link headers not counted. */
  readonly mtu: number;
  /** True when packets may be super-packets behind a virtio-net header. */
  readonly offload: boolean;
  readonly counters: LinkCounters;
  /** True once `close()` was called or the carrier has vanished. */
  readonly closed: boolean;

  /**
   * Waits for packets and gives all that are there, up to the batch's capacity.
   * The batch belongs to the link and is valid until the next read.
   * @returns undefined when the link was closed.
   */
  read(options?: WaitOptions): Promise<PacketBatch | undefined>;

  /** `read` until the link is closed. Leaving the loop stops reading and keeps the link open. */
  batches(options?: WaitOptions): AsyncIterableIterator<PacketBatch>;

  /**
   * The hot path: calls `handler` with every batch, straight from the event loop, no promise in between.
   * The batch is valid during the call only; packets may be edited in place and the batch written back.
   * @param onEnd called once when reading ends: without error after `close()`, with it otherwise. What the
   *   handler throws ends reading and is handed over here too. Left out, such an error is thrown into the event
   *   loop, unless a `gone` listener was told of it.
   * @returns a function that stops reading and keeps the link open.
   */
  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void;

  /**
   * Writes one packet without waiting.
   * @returns 1 when it was taken, 0 when the link can take none now: `await writable()` and try again.
   */
  write(packet: Uint8Array): number;
  /**
   * Writes the packets `from` (included) to `to` (excluded) of a batch without waiting; dropped ones are skipped.
   * @returns how many were taken. Fewer than asked for means back-pressure: `await writable()`, then go on there.
   *   A packet taken and then refused by the carrier is counted in `counters.writeDropped`.
   */
  write(batch: PacketBatch, from?: number, to?: number): number;

  /** Resolves when a write is worth trying. Resolves at once when there is no back-pressure. */
  writable(options?: WaitOptions): Promise<void>;

  /** The link as web streams, so that it can be piped. Cancelling the reader keeps the link open. */
  toWeb(): WebStreams;

  /** Adds a handler for one kind of event; the returned function removes it. */
  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void;

  /** Wakes waiting readers and writers and frees everything. Idempotent. */
  close(): Promise<void>;
}
