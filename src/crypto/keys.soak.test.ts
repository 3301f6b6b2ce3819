import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

import { type Aead, AeadLayout, createAead } from './index.ts';

const layout = new AeadLayout({ payloadOffset: 16, counter: { offset: 8, length: 8 }, tag: 'end' });
const kinds = [
  { algorithm: 'chacha20-poly1305', backend: 'low-level' },
  { algorithm: 'chacha20-poly1305', backend: 'evp' },
  { algorithm: 'aes-256-gcm', backend: 'evp' },
] as const;

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Keys that have sealed and opened once, so that OpenSSL has allocated for both directions. */
function makeKeys(count: number, done: (key: Aead) => void): void {
  const bytes = new Uint8Array(100);
  const descriptors = new Uint32Array(4);
  for (let i = 0; i < count; i++) {
    const key = createAead({ ...(kinds[i % kinds.length] as (typeof kinds)[number]), key: new Uint8Array(32) });
    descriptors.set([0, 60, 0, 0]);
    key.sealBatch(bytes, descriptors, 0, 1, layout);
    if (key.openBatch(bytes, descriptors, 0, 1, layout) !== 1) throw new TypeError('a key does not open');
    done(key);
  }
}

async function residentGrowth(run: () => void): Promise<number> {
  collectGarbage();
  await new Promise(setImmediate);
  const before = process.memoryUsage.rss();
  for (let part = 0; part < 10; part++) {
    run();
    collectGarbage();
    await new Promise(setImmediate); // finalizers run from the event loop
  }
  return process.memoryUsage.rss() - before;
}

describe('keys', () => {
  it.each([
    ['closed', (key: Aead) => key.close()],
    ['forgotten', () => undefined],
  ])('that are %s leave no memory behind, 100,000 of them', async (_, done) => {
    // Heap and allocator take a while until they have their size; a leak goes on.
    const growths = [];
    for (let round = 0; round < 5; round++) growths.push(await residentGrowth(() => makeKeys(10_000, done)));
    expect(Math.min(...growths.slice(1))).toBeLessThan(4 * 2 ** 20);
  });
});
