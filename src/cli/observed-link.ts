/** A link that shows every packet to an observer, for commands that print them. Not for hot paths. */

import { type PacketBatch, type PacketLink, WrappedLink } from '../link/index.ts';

/** Called with views that are valid during the call only. */
export interface PacketObserver {
  /** A packet was read from the link; it has not been handled yet. */
  onRead(packet: Uint8Array): void;
  /** A packet was taken by the link. */
  onWritten(packet: Uint8Array): void;
}

/** The same link, seen through an observer. */
export class ObservedLink extends WrappedLink {
  readonly #observer: PacketObserver;

  constructor(link: PacketLink, observer: PacketObserver) {
    super(link);
    this.#observer = observer;
  }

  protected override onRead(batch: PacketBatch): boolean {
    for (const packet of batch) this.#observer.onRead(packet);
    return true;
  }

  override write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof Uint8Array) {
      const taken = this.inner.write(source);
      if (taken === 1) this.#observer.onWritten(source);
      return taken;
    }
    const taken = this.inner.write(source, from, to ?? source.count);
    for (let i = from; i < from + taken; i++) {
      if (source.length(i) > 0) this.#observer.onWritten(source.packet(i));
    }
    return taken;
  }
}
