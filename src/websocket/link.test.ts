import { describe, expect, it, vi } from 'vitest';

import type { WebSocketChannel, WebSocketChannelEvents } from './channel.ts';
import { WebSocketLink } from './link.ts';

class Channel implements WebSocketChannel {
  events: WebSocketChannelEvents | undefined;
  isPaused = false;

  start(events: WebSocketChannelEvents): void {
    this.events = events;
  }

  send(_bytes: Uint8Array, onSent?: () => void): void {
    queueMicrotask(() => onSent?.());
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  cork(): void {}
  uncork(): void {}
  close(): void {}
  destroy(): void {}
}

describe('WebSocketLink', () => {
  it('hands over all that has come at once, though nothing follows', async () => {
    for (const [count, length] of [
      [300, 60_000],
      [2000, 100],
    ] as const) {
      const link = new WebSocketLink({ name: 'test', medium: 'ip', mtu: 65_535 });
      const channel = new Channel();
      link.attach(channel);
      let read = 0;
      const ended = vi.fn();
      link.onBatch((batch) => {
        read += batch.count;
      }, ended);
      for (let i = 0; i < count; i++) channel.events?.onMessage(new Uint8Array(length));
      expect(channel.isPaused).toBe(true);
      await vi.waitFor(() => expect(read).toBe(count));
      expect(channel.isPaused).toBe(false);
      // As is what came before the end, and then the end.
      for (let i = 0; i < count; i++) channel.events?.onMessage(new Uint8Array(length));
      channel.events?.onEnd(undefined);
      await vi.waitFor(() => expect(ended).toHaveBeenCalledOnce());
      expect(read).toBe(2 * count);
      expect(ended.mock.calls[0]?.[0]).toMatchObject({ code: 'VNIC_DEVICE_GONE' });
    }
  });
});
