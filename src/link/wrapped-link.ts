/**
 * A link around another one. All is that of the inner link, but for what a subclass overrides; what is read passes `onRead`.
 *
 * The inner link belongs to the wrapper: nobody else may read it, and `close()` closes both. Batches are those of the inner link.
 */

import type { PacketBatch } from './packet-batch.ts';
import type { LinkCounters, LinkEvents, Medium, PacketLink, WaitOptions, WebStreams } from './packet-link.ts';
import { toWebStreams } from './web-streams.ts';

export abstract class WrappedLink implements PacketLink {
  protected readonly inner: PacketLink;

  constructor(inner: PacketLink) {
    this.inner = inner;
  }

  /** Hot. Sees what was read, before the reader does, and may edit it; false leaves nothing for the reader. */
  protected abstract onRead(batch: PacketBatch): boolean;

  abstract write(source: Uint8Array | PacketBatch, from?: number, to?: number): number;

  get name(): string {
    return this.inner.name;
  }

  get medium(): Medium {
    return this.inner.medium;
  }

  get mtu(): number {
    return this.inner.mtu;
  }

  get offload(): boolean {
    return this.inner.offload;
  }

  get counters(): LinkCounters {
    return this.inner.counters;
  }

  get closed(): boolean {
    return this.inner.closed;
  }

  async read(options?: WaitOptions): Promise<PacketBatch | undefined> {
    for (;;) {
      const batch = await this.inner.read(options);
      if (batch === undefined || this.onRead(batch)) return batch;
    }
  }

  async *batches(options?: WaitOptions): AsyncIterableIterator<PacketBatch> {
    for await (const batch of this.inner.batches(options)) if (this.onRead(batch)) yield batch;
  }

  /** As `batches()`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<PacketBatch> {
    return this.batches();
  }

  onBatch(handler: (batch: PacketBatch) => void, onEnd?: (error?: unknown) => void): () => void {
    return this.inner.onBatch((batch) => {
      if (this.onRead(batch)) handler(batch);
    }, onEnd);
  }

  writable(options?: WaitOptions): Promise<void> {
    return this.inner.writable(options);
  }

  toWeb(): WebStreams {
    return toWebStreams(this);
  }

  on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    return this.inner.on(event, handler);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
