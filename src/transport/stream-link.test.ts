import { Duplex } from 'node:stream';

import { describe, expect, it, vi } from 'vitest';

import { qemuFraming } from '../framing/index.ts';
import { StreamLink } from './stream-link.ts';

describe('StreamLink', () => {
  it('hands over all that has come at once, though nothing follows', async () => {
    const FRAMES = 2000;
    const LENGTH = 30;
    const chunk = Buffer.alloc(FRAMES * (4 + LENGTH));
    for (let i = 0; i < FRAMES; i++) chunk.writeUInt32BE(LENGTH, i * (4 + LENGTH));
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const link = new StreamLink({ name: 'test', medium: 'ip', framing: qemuFraming });
    link.attach(stream);
    let read = 0;
    const ended = vi.fn();
    link.onBatch((batch) => {
      read += batch.count;
    }, ended);
    stream.push(chunk);
    await vi.waitFor(() => expect(read).toBe(FRAMES));
    stream.push(chunk);
    stream.push(null);
    await vi.waitFor(() => expect(ended).toHaveBeenCalledOnce());
    expect(read).toBe(2 * FRAMES);
    await link.close();
  });
});
