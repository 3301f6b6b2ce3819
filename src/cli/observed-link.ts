/** A link that shows every packet to an observer, for commands that print them. Not for hot paths. */

import type {
  LinkCounters,
  LinkEvents,
  Medium,
  PacketBatch,
  PacketLink,
  WaitOptions,
  WebStreams,
} from '../link/index.ts';

/** Called with views that are valid during the call only. */
export interface PacketObserver {
  /** A packet was read from the link; it has not been handled yet. */
  onRead(packet: Uint8Array): void;
  /** A packet was taken by the link. */
  onWritten(packet: Uint8Array): void;
}

/** The same link, seen through an observer. Readers that pull, and streams, are not observed. */
export class ObservedLink implements PacketLink {
  readonly #link: PacketLink;
  readonly #observer: PacketObserver;

  constructor(link: PacketLink, observer: PacketObserver) {
    this.#link = link;
    this.#observer = observer;
  }

  get name(): string {
    return this.#link.name;
  }

  get medium(): Medium {
    return this.#link.medium;
  }

  get mtu(): number {
    return this.#link.mtu;
  }

  get offload(): boolean {
    return this.#link.offload;
  }

  get counters(): LinkCounters {
    return this.#link.counters;
  }

  get closed(): boolean {
    return this.#link.closed;
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.#link.onBatch((batch) => {
      for (const packet of batch) this.#observer.onRead(packet);
      handler(batch);
    }, onEnd);
  }

  write(source: Uint8Array | PacketBatch, from = 0, to?: number): number {
    if (source instanceof Uint8Array) {
      const taken = this.#link.write(source);
      if (taken === 1) this.#observer.onWritten(source);
      return taken;
    }
    const taken = this.#link.write(source, from, to ?? source.count);
    for (let i = from; i < from + taken; i++) {
      if (source.length(i) > 0) this.#observer.onWritten(source.packet(i));
    }
    return taken;
  }

  read(options?: WaitOptions): Promise<PacketBatch | undefined> {
    return this.#link.read(options);
  }

  batches(options?: WaitOptions): AsyncIterableIterator<PacketBatch> {
    return this.#link.batches(options);
  }

  [Symbol.asyncIterator](): AsyncIterator<PacketBatch> {
    return this.batches();
  }

  writable(options?: WaitOptions): Promise<void> {
    return this.#link.writable(options);
  }

  toWeb(): WebStreams {
    return this.#link.toWeb();
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    return this.#link.on(event, handler);
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
