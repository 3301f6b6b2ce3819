import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

import { nativeCandidates } from '../native/index.ts';

/**
 * Runs in a process of its own, whose memory it reads through /proc/self/mem. Keys are sequences that are computed
 * where they are compared, so that only those who hold one have it in memory.
 */
const program = `
const { openSync, readFileSync, readSync } = require('node:fs');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

const byteOf = (seed, i) => ((i * 167 + seed) ^ (i * i * 31 + seed * 7)) & 255;

function makeKey(path, algorithm, lowLevel, seed) {
  const core = require(path);
  const length = algorithm === 1 ? 16 : 32;
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for (let i = 0; i < length; i++) bytes[i] = byteOf(seed, i);
  const nonce = Uint32Array.of(4, 8, 0, 1000, 0);
  const key = core.aeadCreate(core.aeadLibrary(), algorithm, lowLevel, bytes, new Uint8Array(12), nonce);
  bytes.fill(0);
  const layout = Uint32Array.of(16, 0, 0, 0xffffffff, 8, 8, 0);
  const descriptors = Uint32Array.of(0, 1400, 0, 0);
  const packet = new Uint8Array(1500);
  const sealed = core.aeadSeal(key, packet, descriptors, 0, 1, layout, 0, 0);
  const opened = core.aeadOpen(key, packet, descriptors, 0, 1, layout);
  if (sealed !== 1 || opened !== 1) throw new TypeError('the key does not work');
  return () => core.aeadClose(key);
}

function copiesInMemory(seed, length) {
  const memory = openSync('/proc/self/mem', 'r');
  const chunk = Buffer.allocUnsafeSlow(2 ** 20);
  const first = byteOf(seed, 0);
  let copies = 0;
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\\n')) {
    const region = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
    if (region === null) continue;
    const end = parseInt(region[2], 16);
    // Chunks overlap, so that no copy lies across two of them.
    for (let at = parseInt(region[1], 16); at < end; at += chunk.length - 64) {
      let n = 0;
      try {
        n = readSync(memory, chunk, 0, Math.min(chunk.length, end - at), at);
      } catch {}
      for (let i = chunk.indexOf(first); i >= 0 && i + length <= n; i = chunk.indexOf(first, i + 1)) {
        let same = 1;
        while (same < length && chunk[i + same] === byteOf(seed, same)) same++;
        if (same === length) copies++;
      }
      chunk.fill(0);
    }
  }
  return copies;
}

async function main(path) {
  const found = [];
  let seed = 40;
  for (const [algorithm, lowLevel] of [[0, 1], [0, 0], [1, 0], [2, 0]]) {
    const length = algorithm === 1 ? 16 : 32;
    const close = makeKey(path, algorithm, lowLevel, ++seed);
    const open = copiesInMemory(seed, length);
    close();
    const closed = copiesInMemory(seed, length);

    const worker = new Worker(process.env.PROGRAM, { eval: true, workerData: { path, algorithm, lowLevel, seed: ++seed } });
    await new Promise((resolve) => worker.once('message', resolve));
    const running = copiesInMemory(seed, length);
    await worker.terminate();
    found.push({ open: open > 0, closed, running: running > 0, terminated: copiesInMemory(seed, length) });
  }
  console.log(JSON.stringify(found));
}

if (isMainThread) main(process.argv[1]);
else {
  globalThis.close = makeKey(workerData.path, workerData.algorithm, workerData.lowLevel, workerData.seed);
  parentPort.postMessage('made');
  setInterval(() => undefined, 1000);
}`;

describe('the key in native memory', () => {
  it('is gone after close, and with the worker that held it, whatever the backend', () => {
    const core = nativeCandidates()[0] as string;
    const printed = execFileSync(process.execPath, ['-e', program, core], {
      env: { ...process.env, PROGRAM: program },
    });
    const gone = { open: true, closed: 0, running: true, terminated: 0 };
    expect(JSON.parse(printed.toString())).toEqual([gone, gone, gone, gone]);
  });
});
