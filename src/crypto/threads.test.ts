import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { type AeadAlgorithm, type AeadBackend, AeadLayout, aeadBackends, createAead } from './index.ts';

const layout = new AeadLayout({ payloadOffset: 16, counter: { offset: 8, length: 8 }, tag: 'end' });
const secret = new Uint8Array(32).fill(9);
const slot = 2048;

interface Memory {
  readonly bytes: Uint8Array;
  readonly descriptors: Uint32Array;
  readonly count: number;
}

function sharedPackets(count: number, length = 1400): Memory {
  const bytes = new Uint8Array(new SharedArrayBuffer(count * slot)).map((_, i) => i * 31);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const descriptors = new Uint32Array(new SharedArrayBuffer(count * 16));
  for (let i = 0; i < count; i++) descriptors.set([i * slot, length], i * 4);
  return { bytes: shared, descriptors, count };
}

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return isVnicError(error) ? error.code : String(error);
  }
  return 'no error';
}

/** The core that this process has loaded, which may be the one with sanitizers. */
function loadedCore(): string {
  return /\/\S+vnic\.node/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0] as string;
}

function startWorker(code: string, workerData: object): Worker {
  return new Worker(code, { eval: true, workerData: { core: loadedCore(), ...workerData } });
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

const native = Object.entries(aeadBackends()).flatMap(([algorithm, backends]) =>
  backends.filter((backend) => backend !== 'node').map((backend) => ({ algorithm, backend })),
) as { algorithm: AeadAlgorithm; backend: AeadBackend }[];

const keyOf = (algorithm: AeadAlgorithm): Uint8Array => secret.subarray(0, algorithm === 'aes-128-gcm' ? 16 : 32);

describe.each(native)('$algorithm by $backend on the pool', ({ algorithm, backend }) => {
  const options = { algorithm, backend, key: keyOf(algorithm) };

  it('seals and opens as on the calling thread', async () => {
    const [one, two] = [sharedPackets(64), sharedPackets(64)];
    using key = createAead(options);
    using twin = createAead(options);
    expect(await key.sealBatchAsync(one.bytes, one.descriptors, 0, 64, layout, 5)).toBe(64);
    expect(twin.sealBatch(two.bytes, two.descriptors, 0, 64, layout, 5)).toBe(64);
    expect(Buffer.compare(one.bytes, two.bytes)).toBe(0);
    expect(one.descriptors).toEqual(two.descriptors);
    one.bytes[slot + 100] = (one.bytes[slot + 100] as number) ^ 1;
    expect(await key.openBatchAsync(one.bytes, one.descriptors, 0, 64, layout)).toBe(63);
    expect([one.descriptors[1], one.descriptors[5]]).toEqual([1400, 0]);
  });

  it('refuses a second call in the same direction until the first has ended', async () => {
    const [one, two, three] = [sharedPackets(512), sharedPackets(4), sharedPackets(4)];
    using key = createAead(options);
    key.sealBatch(three.bytes, three.descriptors, 0, 4, layout, 0);
    const sealing = key.sealBatchAsync(one.bytes, one.descriptors, 0, 512, layout, 100);
    expect(await code(key.sealBatchAsync(two.bytes, two.descriptors, 0, 4, layout, 1000))).toBe('VNIC_KEY_BUSY');
    expect(() => key.sealBatch(two.bytes, two.descriptors, 0, 4, layout, 1000)).toThrow(/another thread/);
    expect(key.openBatch(three.bytes, three.descriptors, 0, 4, layout)).toBe(4);
    expect(await sealing).toBe(512);
    expect(key.sealBatch(two.bytes, two.descriptors, 0, 4, layout, 1000)).toBe(4);
  });

  it('ends what is under way when the key is closed or forgotten', async () => {
    const memory = sharedPackets(512);
    const key = createAead(options);
    const sealing = key.sealBatchAsync(memory.bytes, memory.descriptors, 0, 512, layout);
    key.close();
    expect(await code(key.openBatchAsync(memory.bytes, memory.descriptors, 0, 1, layout))).toBe('VNIC_KEY_CLOSED');
    expect(await sealing).toBe(512);
    const opening = createAead(options).openBatchAsync(memory.bytes, memory.descriptors, 0, 512, layout);
    collectGarbage();
    expect(await opening).toBe(512);
    collectGarbage();
  });
});

describe('packets in memory that threads share', () => {
  it('are taken by every backend, and others are refused', async () => {
    for (const backend of aeadBackends()['chacha20-poly1305']) {
      using key = createAead({ algorithm: 'chacha20-poly1305', key: secret, backend });
      const { bytes, descriptors } = sharedPackets(2);
      const [ownBytes, ownDescriptors] = [new Uint8Array(bytes), new Uint32Array(descriptors)];
      const seals = [
        key.sealBatchAsync(ownBytes, descriptors, 0, 2, layout),
        key.sealBatchAsync(bytes, ownDescriptors, 0, 2, layout),
        key.openBatchAsync(ownBytes, ownDescriptors, 0, 2, layout),
      ];
      for (const seal of seals) expect(await code(seal)).toBe('VNIC_INVALID_ARGUMENT');
      expect(await key.sealBatchAsync(bytes, descriptors, 0, 2, layout)).toBe(2);
      expect(await key.openBatchAsync(bytes, descriptors, 0, 2, layout)).toBe(2);
    }
  });

  it('may be changed by another thread at any moment without harm beyond them', async () => {
    const { bytes, descriptors, count } = sharedPackets(64);
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const scribbler = startWorker(
      `const { descriptors, stop } = require('node:worker_threads').workerData;
       const values = [0, 1, 15, 16, 1400, 2032, 2048, 2 ** 17, 2 ** 30, 2 ** 32 - 1];
       require('node:worker_threads').parentPort.postMessage('started');
       for (let i = 0; Atomics.load(stop, 0) === 0 && i < 5e8; i++) {
         descriptors[(i * 7) % descriptors.length] = values[(i * 3 + (i >> 8)) % values.length];
       }`,
      { descriptors, stop },
    );
    const exit = once(scribbler, 'exit');
    await once(scribbler, 'message');
    using key = createAead({ algorithm: 'chacha20-poly1305', key: secret });
    const outcomes = new Set<string>();
    let counter = 0;
    for (let round = 0; round < 3000; round++) {
      for (let i = 0; i < count; i++) descriptors.set([i * slot, 1400], i * 4);
      try {
        key.sealBatch(bytes, descriptors, 0, count, layout, counter);
        key.openBatch(bytes, descriptors, 0, count, layout);
        outcomes.add('done');
      } catch (error) {
        outcomes.add(isVnicError(error) ? error.code : String(error));
      }
      counter += count;
    }
    Atomics.store(stop, 0, 1);
    await exit;
    expect([...outcomes].filter((outcome) => outcome !== 'done' && outcome !== 'VNIC_INVALID_ARGUMENT')).toEqual([]);
    for (let i = 0; i < count; i++) descriptors.set([i * slot, 1400], i * 4);
    expect(key.sealBatch(bytes, descriptors, 0, count, layout, counter)).toBe(count);
    expect(key.openBatch(bytes, descriptors, 0, count, layout)).toBe(count);
  });
});

describe('a worker', () => {
  const workerCode = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { core: path, bytes, descriptors, count, words } = workerData;
    const core = require(path);
    const key = core.aeadCreate(
      core.aeadLibrary(), 0, 0, new Uint8Array(32).fill(9), new Uint8Array(12), Uint32Array.of(4, 8, 0, 1e9, 0));
    const lengths = () => { for (let i = 0; i < count; i++) descriptors[i * 4 + 1] = 1400; };
    (async () => {
      for (let counter = 0; counter < 1e8; counter += count) {
        lengths();
        const sealing = core.aeadSealAsync(key, bytes, descriptors, 0, count, words, counter, 0);
        if (counter === 0) parentPort.postMessage('started');
        await sealing;
      }
    })();`;

  it('can be terminated while it seals on the pool, and its keys go with it', async () => {
    for (let round = 0; round < 12; round++) {
      const { bytes, descriptors, count } = sharedPackets(round % 2 === 0 ? 1024 : 4);
      const worker = startWorker(workerCode, { bytes, descriptors, count, words: layout.words });
      await once(worker, 'message');
      await worker.terminate();
      // Nothing of it runs on: what this thread seals here stays what it is.
      for (let i = 0; i < count; i++) descriptors.set([i * slot, 1400], i * 4);
      using key = createAead({ algorithm: 'chacha20-poly1305', key: secret });
      expect(key.sealBatch(bytes, descriptors, 0, count, layout, 7)).toBe(count);
      expect(key.openBatch(bytes, descriptors, 0, count, layout)).toBe(count);
    }
  });
});
