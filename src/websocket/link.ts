/**
 * Packets in WebSocket messages as a packet link.
 *
 * Theory of operation
 *
 *   reading   What comes waits in an inbox until it is read. With `PAUSE_AT` packets in it, the channel reads no more until it is
 *             empty; what a chunk of the socket still holds (64 KiB) is all that can come on top.
 *   writing   Packets are copied into a slab, from which their messages are sent. A slab is free again when the last of them is with
 *             the kernel; when none is free, the link takes no packets.
 *   channels  As the streams of a `StreamLink`: with `keep` the link waits for the next one, and what is written meanwhile is lost
 *             (`link-down`), else it is gone with the first.
 */

import { isVnicError, VnicError } from '../base/index.ts';
import { BaseLink, DESCRIPTOR_WORDS, type Medium, type PacketBatch } from '../link/index.ts';
import type { WebSocketChannel } from './channel.ts';

/** What a link carries. */
export interface WebSocketLinkOptions {
  /** For people and logs, for example `wss vpn.example:443`. */
  readonly name: string;
  readonly medium: Medium;
  /** Longest payload in bytes, link header not counted; longer packets are dropped both ways. Default 1500. */
  readonly mtu?: number;
  /** Stay open without a channel. Default false: the link is gone when its channel ends. */
  readonly keep?: boolean;
}

/** What the channels of a link have brought so far that was no packet. */
export interface WebSocketLinkCounters {
  /** Channels attached. */
  readonly channels: number;
  /** Binary messages longer than the MTU allows. */
  readonly tooLong: number;
  /** Text messages. */
  readonly text: number;
}

const DEFAULT_MTU = 1500;
/** Ethernet header and one 802.1Q tag, which the MTU does not count. */
const ETHERNET_OVERHEAD_LEN = 18;
const SLABS = 4;
const SLAB_LEN = 65_536;
const PAUSE_AT = 256;

/** A packet link over WebSockets, which it closes with itself. */
export class WebSocketLink extends BaseLink {
  override readonly mtu: number;
  readonly #maxLen: number;
  readonly #keep: boolean;
  readonly #freeSlabs: Uint8Array[];
  readonly #ended = new Set<(error: VnicError) => void>();
  readonly #totals = { channels: 0, tooLong: 0, text: 0 };
  #channel: WebSocketChannel | undefined;
  #inbox: Uint8Array[] = [];
  #next = 0;
  #isPaused = false;
  /** The channel has ended, and something of it is still to be read. */
  #isEnding = false;
  #cause: Error | undefined;
  #blocked = false;
  #wantsReadable = false;
  #wantsWritable = false;
  #turnPending = false;

  constructor({ name, medium, mtu = DEFAULT_MTU, keep = false }: WebSocketLinkOptions) {
    super({ name, medium });
    this.mtu = mtu;
    this.#keep = keep;
    this.#maxLen = mtu + (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
    const slabLen = Math.max(SLAB_LEN, this.#maxLen);
    this.#freeSlabs = Array.from({ length: SLABS }, () => new Uint8Array(slabLen));
  }

  /** Whether a channel is attached. */
  get isUp(): boolean {
    return this.#channel !== undefined;
  }

  /** Totals over all channels. */
  get channelCounters(): WebSocketLinkCounters {
    return { ...this.#totals };
  }

  /** Carries packets over the channel from now on, which is the link's own; one before it is destroyed. */
  attach(channel: WebSocketChannel): void {
    if (this.closed) {
      channel.destroy();
      return;
    }
    this.#forget()?.destroy();
    this.#channel = channel;
    this.#totals.channels++;
    channel.start({
      onMessage: (bytes) => this.#onMessage(channel, bytes),
      onText: () => {
        this.#totals.text++;
      },
      onEnd: (error) => this.#onChannelEnd(channel, error),
    });
    this.events.emit('up', undefined);
    this.#onRoom();
  }

  /** Calls back whenever a channel has ended, with the reason; the returned function stops that. */
  onStreamEnd(handler: (error: VnicError) => void): () => void {
    this.#ended.add(handler);
    return () => void this.#ended.delete(handler);
  }

  /** Ends the link for good: whoever waits, or calls later, gets this error. */
  override fail(error: VnicError): void {
    super.fail(error);
  }

  protected override readNow(batch: PacketBatch): number {
    batch.clear();
    while (this.#next < this.#inbox.length) {
      const bytes = this.#inbox[this.#next] as Uint8Array;
      if (!batch.append(bytes)) break;
      this.counters.bytesRead += bytes.length;
      this.#next++;
    }
    if (this.#next === this.#inbox.length) {
      this.#inbox = [];
      this.#next = 0;
      this.#resume();
    }
    this.counters.packetsRead += batch.count;
    if (this.#isEnding && batch.count === 0) this.#finishChannel();
    else if (this.#wantsReadable && (this.#inbox.length > 0 || this.#isEnding)) this.#wakeNextTurn();
    return batch.count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const channel = this.#channel;
    let next = from;
    while (next < to) {
      if (channel === undefined) {
        next = this.#lose(descriptors, next, to);
        break;
      }
      const slab = this.#freeSlabs.pop();
      if (slab === undefined) break;
      next = this.#send(channel, slab, bytes, descriptors, next, to);
    }
    this.#blocked = next < to;
    return next - from;
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    this.#wantsWritable = writable;
    if ((readable && this.#inbox.length > 0) || (writable && !this.#blocked)) this.#wakeNextTurn();
  }

  protected override hasBackPressure(): boolean {
    return this.#blocked;
  }

  protected override closeCarrier(): void {
    this.#ended.clear();
    this.#forget()?.close();
  }

  /** Sends packets out of the slab; returns the index of the first that has found no room. */
  #send(
    channel: WebSocketChannel,
    slab: Uint8Array,
    bytes: Uint8Array,
    descriptors: Uint32Array,
    from: number,
    to: number,
  ): number {
    let end = 0;
    let onTheirWay = 1;
    const onSent = (): void => {
      if (--onTheirWay > 0) return;
      this.#freeSlabs.push(slab);
      this.#onRoom();
    };
    channel.cork();
    let i = from;
    for (; i < to; i++) {
      const start = descriptors[i * DESCRIPTOR_WORDS] as number;
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length === 0) continue;
      if (length > this.#maxLen) {
        this.countWriteDrop('too-long', () => refused(this.name, `${length} bytes`, tooLong(this.#maxLen)));
        continue;
      }
      if (end + length > slab.length) break;
      slab.set(bytes.subarray(start, start + length), end);
      onTheirWay++;
      channel.send(slab.subarray(end, end + length), onSent);
      end += length;
      this.counters.packetsWritten++;
      this.counters.bytesWritten += length;
    }
    channel.uncork();
    if (end === 0) this.#freeSlabs.push(slab);
    else onSent();
    return i;
  }

  #lose(descriptors: Uint32Array, from: number, to: number): number {
    for (let i = from; i < to; i++) {
      if (descriptors[i * DESCRIPTOR_WORDS + 1] !== 0) {
        this.countWriteDrop('link-down', () => refused(this.name, 'a packet', NO_CHANNEL));
      }
    }
    return to;
  }

  #onMessage(channel: WebSocketChannel, bytes: Uint8Array): void {
    if (this.closed || channel !== this.#channel || bytes.length === 0) return;
    if (bytes.length > this.#maxLen) {
      this.#totals.tooLong++;
      return;
    }
    this.#inbox.push(bytes);
    if (this.#inbox.length >= PAUSE_AT && !this.#isPaused) {
      this.#isPaused = true;
      channel.pause();
    }
    if (this.#wantsReadable) this.#wakeNextTurn();
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#channel?.resume();
  }

  #onRoom(): void {
    this.#blocked = false;
    if (this.#wantsWritable && !this.closed) this.wakeWriter();
  }

  #onChannelEnd(channel: WebSocketChannel, cause: Error | undefined): void {
    if (this.#channel !== channel || this.closed) return;
    this.#cause ??= cause;
    // What has come before the end is read first.
    if (this.#inbox.length > 0) this.#isEnding = true;
    else this.#finishChannel();
  }

  #finishChannel(): void {
    const error = isVnicError(this.#cause) ? this.#cause : channelEnded(this.name, this.#cause);
    this.#forget()?.destroy();
    this.events.emit('down', undefined);
    for (const handler of this.#ended) handler(error);
    if (!this.#keep) super.fail(error);
    else this.#onRoom();
  }

  #forget(): WebSocketChannel | undefined {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#inbox = [];
    this.#next = 0;
    this.#isPaused = false;
    this.#isEnding = false;
    this.#cause = undefined;
    return channel;
  }

  /** At most one wake-up is under way, so that the messages of a chunk make a batch. */
  #wakeNextTurn(): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(() => {
      this.#turnPending = false;
      if (this.closed) return;
      if (this.#wantsWritable && !this.#blocked) this.wakeWriter();
      if (this.#wantsReadable) this.wakeReader();
    });
  }
}

function channelEnded(name: string, cause: Error | undefined): VnicError {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return new VnicError('VNIC_DEVICE_GONE', {
    attempted: `use ${name}`,
    reason: cause === undefined ? 'the other side has ended the connection' : cause.message,
    hint: 'Open it again, once the other side is there.',
    ...(code !== undefined && /^E[A-Z]+$/.test(code) && { errno: code }),
    ...(cause !== undefined && { cause }),
  });
}

const tooLong = (maxLen: number): readonly [reason: string, hint: string] => [
  `longer than the ${maxLen} bytes that it carries`,
  'Send shorter packets, or open it with a larger MTU.',
];
const NO_CHANNEL = ['nobody is connected at present', 'Wait for the event `up`.'] as const;

function refused(name: string, what: string, [reason, hint]: readonly [reason: string, hint: string]): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', { attempted: `write ${what} to ${name}`, reason, hint });
}
