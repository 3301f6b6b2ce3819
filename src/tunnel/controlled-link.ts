/**
 * The packets of a connection without its control packets, which are handed to a listener; nobody who writes packets can forge one.
 * Batches are those of the link underneath, edited in place.
 */

import { isVnicError, Listeners } from '../base/index.ts';
import { PacketBatch, type PacketLink, WrappedLink } from '../link/index.ts';
import { type ControlMessage, emitControl, isControl } from './control-message.ts';

/** What is told of a connection beside its packets. */
interface ControlEvents {
  /** Anything came: the other side lives. */
  heard: undefined;
  /** A control packet came; the bytes are valid during the call. */
  control: Uint8Array;
}

/** A link that carries packets and control messages. Closing it closes the link underneath. */
export class ControlledLink extends WrappedLink {
  #offload: boolean;
  readonly #control: Listeners<ControlEvents> = new Listeners();
  /** Packets that were to be written and begin as a control packet does. */
  forged = 0;

  /** @param superPackets packets have a virtio-net header in front, which the link underneath does not know of */
  constructor(inner: PacketLink, superPackets = false) {
    super(inner);
    this.#offload = superPackets;
  }

  /** May change before packets are carried: the two sides agree on it. */
  override get offload(): boolean {
    return this.#offload;
  }

  override set offload(superPackets: boolean) {
    this.#offload = superPackets;
  }

  /** Adds a handler of control packets, or of signs of life. */
  onControl<Name extends keyof ControlEvents>(event: Name, handler: (value: ControlEvents[Name]) => void): () => void {
    return this.#control.on(event, handler);
  }

  /** Sends a message; false when the link takes nothing now, or has ended. */
  send(message: ControlMessage): boolean {
    try {
      return !this.inner.closed && this.inner.write(emitControl(message)) === 1;
    } catch (error) {
      if (isEnded(error)) return false;
      throw error;
    }
  }

  protected override onRead(batch: PacketBatch): boolean {
    return this.#strip(batch) > 0;
  }

  override write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof PacketBatch) {
      const end = to ?? source.count;
      for (let i = from; i < end; i++) {
        if (!isControl(source.bytes, source.offset(i), source.length(i))) continue;
        this.forged++;
        source.drop(i);
      }
      return this.inner.write(source, from, end);
    }
    if (!isControl(source, 0, source.length)) return this.inner.write(source);
    this.forged++;
    return 1;
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
