/**
 * The packets of a connection without its control packets, which are handed to a listener; nobody who writes packets can forge one.
 * Batches are those of the link underneath, edited in place.
 */

import { isVnicError, Listeners } from '../base/index.ts';
import {
  type LinkCounters,
  type LinkEvents,
  type Medium,
  PacketBatch,
  type PacketLink,
  toWebStreams,
  type WaitOptions,
  type WebStreams,
} from '../link/index.ts';
import { type ControlMessage, emitControl, isControl } from './control-message.ts';

/** What is told of a connection beside its packets. */
interface ControlEvents {
  /** Anything came: the other side lives. */
  heard: undefined;
  /** A control packet came; the bytes are valid during the call. */
  control: Uint8Array;
}

/** A link that carries packets and control messages. Closing it closes the link underneath. */
export class ControlledLink implements PacketLink {
  /** May change before packets are carried: the two sides agree on it. */
  offload: boolean;
  readonly #inner: PacketLink;
  readonly #control: Listeners<ControlEvents> = new Listeners();
  /** Packets that were to be written and begin as a control packet does. */
  forged = 0;

  /** @param superPackets packets have a virtio-net header in front, which the link underneath does not know of */
  constructor(inner: PacketLink, superPackets = false) {
    this.#inner = inner;
    this.offload = superPackets;
  }

  get name(): string {
    return this.#inner.name;
  }

  get medium(): Medium {
    return this.#inner.medium;
  }

  get mtu(): number {
    return this.#inner.mtu;
  }

  get counters(): LinkCounters {
    return this.#inner.counters;
  }

  get closed(): boolean {
    return this.#inner.closed;
  }

  /** Adds a handler of control packets, or of signs of life. */
  onControl<Name extends keyof ControlEvents>(event: Name, handler: (value: ControlEvents[Name]) => void): () => void {
    return this.#control.on(event, handler);
  }

  /** Sends a message; false when the link takes nothing now, or has ended. */
  send(message: ControlMessage): boolean {
    try {
      return !this.#inner.closed && this.#inner.write(emitControl(message)) === 1;
    } catch (error) {
      if (isEnded(error)) return false;
      throw error;
    }
  }

  async read(options: WaitOptions = {}): Promise<PacketBatch | undefined> {
    for (;;) {
      const batch = await this.#inner.read(options);
      if (batch === undefined || this.#strip(batch) > 0) return batch;
    }
  }

  async *batches(options: WaitOptions = {}): AsyncIterableIterator<PacketBatch> {
    for await (const batch of this.#inner.batches(options)) if (this.#strip(batch) > 0) yield batch;
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.#inner.onBatch((batch) => {
      if (this.#strip(batch) > 0) handler(batch);
    }, onEnd);
  }

  write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof PacketBatch) {
      const end = to ?? source.count;
      for (let i = from; i < end; i++) {
        if (!isControl(source.bytes, source.offset(i), source.length(i))) continue;
        this.forged++;
        source.drop(i);
      }
      return this.#inner.write(source, from, end);
    }
    if (!isControl(source, 0, source.length)) return this.#inner.write(source);
    this.forged++;
    return 1;
  }

  writable(options: WaitOptions = {}): Promise<void> {
    return this.#inner.writable(options);
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    return this.#inner.on(event, handler);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Hot. Hands control packets over and takes them out; returns how many packets are left. */
  #strip(batch: PacketBatch): number {
    this.#control.emit('heard', undefined);
    let packets = 0;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.length(i);
      if (length === 0) continue;
      if (!isControl(batch.bytes, batch.offset(i), length)) {
        packets++;
        continue;
      }
      this.#control.emit('control', batch.packet(i));
      batch.drop(i);
    }
    return packets;
  }
}

/** True for the errors of a link that was closed, or whose other side has vanished: its reader is told as well. */
export function isEnded(error: unknown): boolean {
  return isVnicError(error, 'VNIC_LINK_CLOSED') || isVnicError(error, 'VNIC_DEVICE_GONE');
}
