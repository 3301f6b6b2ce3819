/**
 * Forwarding: joins two links into a wire. What is read from one is written to the other, unchanged, both ways.
 *
 * Theory of operation
 *
 * Each direction is a machine of its own, so that a stalled one never holds up the other:
 *
 *   flowing  a batch arrives -> sink.write(batch) -> all taken: nothing is copied, nothing kept
 *                                                 -> the rest into the queue: stalled
 *   stalled  sink.writable() -> the queue is written -> empty: flowing
 *
 * While stalled, `wait` stops reading: the source fills up and its senders see the back-pressure. The dropping
 * policies go on reading, into a bounded queue that loses its newest or its oldest packets. A queue is made when a
 * direction stalls for the first time; a wire between kernel devices, which take everything, has none.
 *
 *   end      a link is closed or vanishes, or `close()`. Packets still queued are counted as `ended`.
 *   too long What is longer than the sink's MTU is given to `onTooLong` before the sink sees it. Its answers are written back to
 *            the source; its fragments follow the batch, and wait in the queue like any packet. Super-packets are exempt.
 *
 * A link whose reader has been stopped does not say that it was closed. While a direction waits, the link it reads
 * from is therefore looked at every `CLOSED_CHECK_INTERVAL_MS`.
 */

import { invalidArgument, isVnicError, VnicError } from '../base/index.ts';
import { ForwardQueue } from './forward-queue.ts';
import { DESCRIPTOR_WORDS, type PacketBatch } from './packet-batch.ts';
import type { PacketLink, WriteDropReason } from './packet-link.ts';
import { type TooLongHandler, TooLongSorter } from './too-long.ts';

const CLOSED_CHECK_INTERVAL_MS = 100;

const DEFAULT_QUEUE_PACKETS = 256;
const MAX_QUEUE_PACKETS = 1_048_576;

/**
 * What a direction does while its sink takes nothing. `wait`: it stops reading, so that the senders see
 * back-pressure and nothing is lost here. `drop-newest`, `drop-oldest`: it reads on into a queue and, once that is
 * full, loses what arrives or what has waited longest.
 */
export type ForwardPolicy = 'wait' | 'drop-newest' | 'drop-oldest';

/** Why a packet that was read did not get through: `ended` means it was still queued when the forwarding ended. */
export type ForwardDropReason = WriteDropReason | 'ended';

/** How two links are joined. */
export interface ForwardOptions {
  /**
   * Asked about packets that are longer than the MTU which their sink has at that moment, so that their senders are told. Left out,
   * the sink drops what it cannot carry.
   */
  readonly onTooLong?: TooLongHandler;

  /** Default `wait`. */
  readonly policy?: ForwardPolicy;
  /**
   * Packets that a dropping policy queues a direction, 1 to 1048576; default 256. The memory is 2 KiB a packet and
   * 64 KiB, so that fewer long ones fit. `wait` needs no more than one batch.
   */
  readonly queuePackets?: number;
  /** Closes both links when the forwarding ends; default false. */
  readonly closeLinks?: boolean;
}

/** Totals of one direction since it was joined. */
export interface ForwardCounters {
  /** Packets and bytes that the sink has delivered. */
  readonly packets: number;
  readonly bytes: number;
  /** How often the sink took less than it was given. */
  readonly stalls: number;
  /** Packets waiting for the sink now. */
  readonly queued: number;
  /** Packets lost on the way, in the queue here or in the sink. */
  readonly dropped: Readonly<Record<ForwardDropReason, number>>;
  /** Answers to packets that were too long, which the source has taken. */
  readonly replies: number;
  /** Fragments made of packets that were too long; they count in `packets` when they are delivered. */
  readonly fragments: number;
}

/** Two joined links. */
export interface Forwarding extends AsyncDisposable {
  readonly aToB: ForwardCounters;
  readonly bToA: ForwardCounters;
  /**
   * Resolves when one of the links was closed or `close` was called; rejects with the link's error, such as
   * VNIC_DEVICE_GONE, when it failed. With `closeLinks`, both are closed by then.
   */
  readonly done: Promise<void>;
  /** Stops forwarding; without `closeLinks` both links stay open. Idempotent. */
  close(): Promise<void>;
}

/**
 * Joins two links both ways until one ends or `close` is called. Super-packets pass untouched when both links carry
 * them. Without `onTooLong` packets are not looked at: a longer one than the other link's MTU is that link's to drop and to count.
 *
 * @throws VNIC_INVALID_ARGUMENT when the links differ in medium or `offload`, or are the same one
 * @throws VNIC_READER_BUSY when a link has a reader
 * @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE when a link has ended already
 */
export function forward(a: PacketLink, b: PacketLink, options: ForwardOptions = {}): Forwarding {
  checkLinks(a, b);
  checkOptions(options);
  return new Wire(a, b, options);
}

class Wire implements Forwarding {
  readonly aToB: Direction;
  readonly bToA: Direction;
  readonly done: Promise<void>;
  readonly #links: readonly PacketLink[];
  readonly #closeLinks: boolean;
  readonly #finished: Promise<void>;
  #resolveFinished: () => void = () => undefined;
  #settleDone: (error: unknown) => void = () => undefined;
  #ended = false;

  constructor(a: PacketLink, b: PacketLink, options: ForwardOptions) {
    this.#links = [a, b];
    this.#closeLinks = options.closeLinks ?? false;
    this.#finished = new Promise((resolve) => {
      this.#resolveFinished = resolve;
    });
    this.done = new Promise((resolve, reject) => {
      this.#settleDone = (error) => (error === undefined ? resolve() : reject(error));
    });
    const onEnd = (error?: unknown): void => void this.#end(error);
    this.aToB = new Direction(a, b, options, onEnd);
    this.bToA = new Direction(b, a, options, onEnd);
    this.aToB.start();
    try {
      this.bToA.start();
    } catch (error) {
      this.aToB.stop();
      throw error;
    }
  }

  close(): Promise<void> {
    void this.#end(undefined);
    return this.#finished;
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The first reason counts: stopping one direction, or closing its link, may call this again. */
  async #end(error: unknown): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.aToB.stop();
    this.bToA.stop();
    if (this.#closeLinks) await Promise.allSettled(this.#links.map((link) => link.close()));
    this.#resolveFinished();
    this.#settleDone(isVnicError(error, 'VNIC_LINK_CLOSED') ? undefined : error);
  }
}

class Direction implements ForwardCounters {
  packets = 0;
  bytes = 0;
  stalls = 0;
  readonly dropped: Record<ForwardDropReason, number> = {
    'link-down': 0,
    refused: 0,
    'too-long': 0,
    'queue-full': 0,
    ended: 0,
  };
  replies = 0;
  fragments = 0;

  readonly #source: PacketLink;
  readonly #sink: PacketLink;
  readonly #policy: ForwardPolicy;
  readonly #queuePackets: number;
  readonly #onEnd: (error?: unknown) => void;
  readonly #tooLong: TooLongSorter | undefined;
  readonly #stopped = new AbortController();
  #arrived = 0;
  #queue: ForwardQueue | undefined;
  #stalled = false;
  #stopReading: (() => void) | undefined;
  #stopListening: (() => void) | undefined;

  constructor(source: PacketLink, sink: PacketLink, options: ForwardOptions, onEnd: (error?: unknown) => void) {
    this.#source = source;
    this.#sink = sink;
    this.#policy = options.policy ?? 'wait';
    this.#queuePackets = options.queuePackets ?? DEFAULT_QUEUE_PACKETS;
    this.#onEnd = onEnd;
    const { onTooLong } = options;
    this.#tooLong = onTooLong === undefined || source.offload ? undefined : new TooLongSorter(source.medium, onTooLong);
  }

  get queued(): number {
    return this.#queue?.count ?? 0;
  }

  start(): void {
    this.#read();
    // A reader that has been stopped is not told.
    this.#stopListening = this.#source.on('gone', this.#onEnd);
  }

  /** Leaves the links open; what is queued is lost. */
  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#stopListening?.();
    this.#pause();
    this.#queue = undefined;
    this.#countEnded();
  }

  #read(): void {
    this.#stopReading = this.#source.onBatch(this.#onBatch, (error) => {
      // Stopping the reader calls this as well; then the source is open.
      if (error !== undefined || this.#source.closed) this.#onEnd(error);
    });
  }

  #pause(): void {
    const stop = this.#stopReading;
    this.#stopReading = undefined;
    stop?.();
  }

  /** Hot. */
  readonly #onBatch = (batch: PacketBatch): void => {
    this.#arrived += countPackets(batch, 0);
    try {
      const fragments = this.#tooLong?.hasSome(batch, this.#sink.mtu) ? this.#sortOut(batch, this.#tooLong) : undefined;
      this.#pass(batch);
      if (fragments !== undefined) this.#pass(fragments);
    } catch (error) {
      // Not thrown: a sink that vanishes has stopped this reader by now, and then nobody would be told but the event loop.
      this.#onEnd(error);
    }
  };

  /** Hot. */
  #pass(batch: PacketBatch): void {
    const taken = this.#stalled ? 0 : this.#write(batch);
    if (taken < batch.count) this.#keep(batch, taken);
  }

  #sortOut(batch: PacketBatch, tooLong: TooLongSorter): PacketBatch | undefined {
    const { dropped, fragmented, replies, fragments } = tooLong.sortOut(batch, this.#sink);
    this.dropped['too-long'] += dropped;
    this.fragments += fragments.count;
    this.#arrived += fragments.count - fragmented;
    // A source that takes nothing now loses them: the sender will try again, and be told again.
    if (replies.count > 0) this.replies += this.#source.write(replies);
    return fragments.count > 0 ? fragments : undefined;
  }

  /** Hot. */
  #write(batch: PacketBatch): number {
    this.#count(-1);
    try {
      return this.#sink.write(batch);
    } finally {
      this.#count(1);
    }
  }

  /** Writes the queue. True when all of it was taken. */
  #flush(queue: ForwardQueue): boolean {
    this.#count(-1);
    try {
      return queue.writeTo(this.#sink);
    } finally {
      this.#count(1);
    }
  }

  /** Hot. Called around a write: the sink counts packet by packet anyway, and nobody else writes in between. */
  #count(sign: 1 | -1): void {
    const { packetsWritten, bytesWritten, writeDropped } = this.#sink.counters;
    const { dropped } = this;
    this.packets += sign * packetsWritten;
    this.bytes += sign * bytesWritten;
    dropped['link-down'] += sign * writeDropped['link-down'];
    dropped.refused += sign * writeDropped.refused;
    dropped['too-long'] += sign * writeDropped['too-long'];
    dropped['queue-full'] += sign * writeDropped['queue-full'];
    if (sign === 1 && this.#stopped.signal.aborted) this.#countEnded();
  }

  /** What a sink that fails has left lying is lost like what was queued. */
  #countEnded(): void {
    const { dropped } = this;
    const counted = dropped['link-down'] + dropped.refused + dropped['too-long'] + dropped['queue-full'];
    dropped.ended = this.#arrived - this.packets - counted;
  }

  /** Keeps the packets from index `from` on for later, as far as the policy allows. */
  #keep(batch: PacketBatch, from: number): void {
    if (this.#stopped.signal.aborted) return;
    if (this.#policy === 'wait') this.#pause();
    const queue = this.#queueFor(batch);
    let at = queue.push(batch, from);
    while (this.#policy === 'drop-oldest' && at < batch.count && queue.dropOldest()) {
      this.dropped['queue-full']++;
      at = queue.push(batch, at);
    }
    this.dropped['queue-full'] += countPackets(batch, at);
    if (this.#stalled) return;
    this.#stalled = true;
    this.stalls++;
    void this.#drain(queue);
  }

  #queueFor(batch: PacketBatch): ForwardQueue {
    // A waiting direction keeps one batch, whose size is the source's choice, and the fragments that follow it.
    const extra = this.#tooLong?.fragments;
    const suits = this.#policy !== 'wait' || this.#stalled || this.#queue?.holds(batch, extra) === true;
    if (this.#queue !== undefined && suits) return this.#queue;
    this.#queue =
      this.#policy === 'wait' ? ForwardQueue.ofBatch(batch, extra) : ForwardQueue.ofPackets(this.#queuePackets);
    return this.#queue;
  }

  async #drain(queue: ForwardQueue): Promise<void> {
    const { signal } = this.#stopped;
    const watch = setInterval(() => this.#source.closed && this.#onEnd(), CLOSED_CHECK_INTERVAL_MS);
    watch.unref();
    try {
      for (let empty = false; !empty; ) {
        const before = queue.count;
        await this.#sink.writable({ signal });
        empty = this.#flush(queue);
        // A link that promises room and has none must not keep the event loop from turning.
        if (!empty && queue.count >= before) await nextTurn();
      }
      this.#stalled = false;
      if (this.#policy === 'wait' && !signal.aborted) this.#read();
    } catch (error) {
      if (!signal.aborted) this.#onEnd(error);
    } finally {
      clearInterval(watch);
    }
  }
}

function checkLinks(a: PacketLink, b: PacketLink): void {
  const attempted = `forward between ${a.name} and ${b.name}`;
  if (a === b) throw invalidArgument(attempted, 'two links', 'the same one twice');
  if (a.medium !== b.medium) {
    throw invalidArgument(attempted, 'links of one medium', `${a.name} '${a.medium}', ${b.name} '${b.medium}'`);
  }
  if (a.offload === b.offload) return;
  const [carrying, other] = a.offload ? [a, b] : [b, a];
  throw new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted,
    reason: `${carrying.name} carries super-packets and ${other.name} does not`,
    hint: `Open both with super-packets, or ${carrying.name} without: it then splits them itself.`,
  });
}

/** Hot. Packets from an index on; those of length 0 were taken out by the source. */
function countPackets({ descriptors, count }: PacketBatch, from: number): number {
  let packets = 0;
  for (let i = from; i < count; i++) if (descriptors[i * DESCRIPTOR_WORDS + 1] !== 0) packets++;
  return packets;
}

function checkOptions(options: ForwardOptions): void {
  const { policy = 'wait', queuePackets = DEFAULT_QUEUE_PACKETS } = options;
  if (policy !== 'wait' && policy !== 'drop-newest' && policy !== 'drop-oldest') {
    throw invalidArgument('forward packets', "a policy of 'wait', 'drop-newest' or 'drop-oldest'", policy);
  }
  if (!Number.isInteger(queuePackets) || queuePackets < 1 || queuePackets > MAX_QUEUE_PACKETS) {
    throw invalidArgument('forward packets', `a queue of 1 to ${MAX_QUEUE_PACKETS} packets`, queuePackets);
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
