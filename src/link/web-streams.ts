/** A packet link as web streams, one chunk a packet. */

import type { PacketLink, WebStreams } from './packet-link.ts';

/**
 * Both directions of a link. Chunks read are copies, because a stream may queue them; back-pressure is kept
 * both ways: the link is read only when the consumer pulls, and a write ends when the link has taken it.
 */
export function toWebStreams(link: PacketLink): WebStreams {
  return { readable: readableOf(link), writable: writableOf(link) };
}

function readableOf(link: PacketLink): ReadableStream<Uint8Array> {
  const cancel = new AbortController();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller): Promise<void> {
        try {
          await pullPackets(link, controller, cancel.signal);
        } catch (error) {
          if (!cancel.signal.aborted) throw error;
        }
      },
      cancel(): void {
        cancel.abort();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Enqueues at least one packet, since a stream whose `pull` brought nothing is not pulled again. */
async function pullPackets(
  link: PacketLink,
  controller: ReadableStreamDefaultController<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  for (let enqueued = 0; enqueued === 0; ) {
    const batch = await link.read({ signal });
    if (batch === undefined) {
      controller.close();
      return;
    }
    for (const packet of batch) {
      controller.enqueue(packet.slice());
      enqueued++;
    }
  }
}

function writableOf(link: PacketLink): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(packet, controller): Promise<void> {
      // The signal: an abort of the stream must not wait for a link that never takes packets again.
      const { signal } = controller as WritableStreamDefaultController & { readonly signal: AbortSignal };
      while (link.write(packet) === 0) await link.writable({ signal });
    },
  });
}
