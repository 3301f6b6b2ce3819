import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import type { VnicError } from '../base/index.ts';
import { createLinkPair, PacketBatch, type PacketLink } from '../link/index.ts';
import { CaptureDecoder } from './capture-decoder.ts';
import type { CaptureSink } from './capture-sink.ts';
import { captureLink } from './captured-link.ts';
import { type CaptureDirection, createCaptureRecord } from './format.ts';
import { pcapngFormat } from './pcapng-writer.ts';
import { openRecorder, Recorder } from './recorder.ts';

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'vnic-recorder-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
};

interface Packet {
  readonly bytes: number[];
  readonly originalLength: number;
  readonly direction: CaptureDirection | undefined;
  readonly timeMs: number;
}

/** The packets of a file, which must be whole. */
function packetsOf(file: Uint8Array): Packet[] {
  const decoder = new CaptureDecoder();
  const record = createCaptureRecord();
  decoder.append(file);
  decoder.end();
  const packets: Packet[] = [];
  while (decoder.next(record) === 'record') {
    const { bytes, offset, length, originalLength, direction, seconds, nanoseconds } = record;
    packets.push({
      bytes: [...bytes.subarray(offset, offset + length)],
      originalLength,
      direction,
      timeMs: seconds * 1000 + nanoseconds / 1e6,
    });
  }
  expect(decoder.damage).toBeUndefined();
  return packets;
}

const batchOf = (...packets: readonly number[][]): PacketBatch => {
  const batch = new PacketBatch();
  for (const packet of packets) expect(batch.append(Uint8Array.from(packet))).toBe(true);
  return batch;
};

describe('a recorder', () => {
  it('writes batches and single packets, with their direction, in order and with the time', async () => {
    const path = join(folder(), 'a.pcapng');
    const sinceMs = Date.now() - 1000;
    const recorder = await openRecorder({ path, medium: 'ip' });
    const batch = batchOf([1], [2, 2], [3]);
    batch.drop(1);
    recorder.record(batch, 'in');
    recorder.record(batchOf([4], [5], [6]), 'out', 1, 2);
    recorder.record(Uint8Array.of(7), 'out');
    await recorder.close();
    const packets = packetsOf(readFileSync(path));
    expect(packets).toMatchObject([
      { bytes: [1], direction: 'in' },
      { bytes: [3], direction: 'in' },
      { bytes: [5], direction: 'out' },
      { bytes: [7], direction: 'out' },
    ]);
    for (const { timeMs } of packets) {
      expect(timeMs).toBeGreaterThan(sinceMs);
      expect(timeMs).toBeLessThan(Date.now() + 1000);
    }
    expect(recorder.counters).toEqual({ packets: 4, bytes: 4, dropped: 0 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('has what was recorded in the file at once, while it goes on', async () => {
    const path = join(folder(), 'a.pcap');
    await using recorder = await openRecorder({ path, medium: 'ethernet' });
    recorder.record(Uint8Array.of(1, 2, 3), 'in');
    await expect.poll(() => packetsOf(readFileSync(path)), { timeout: 10_000 }).toHaveLength(1);
    recorder.record(Uint8Array.of(4), 'in');
    await expect.poll(() => packetsOf(readFileSync(path)), { timeout: 10_000 }).toHaveLength(2);
  });

  it('keeps as much of each packet as it is told', async () => {
    const path = join(folder(), 'a.pcapng');
    const recorder = await openRecorder({ path, medium: 'ip', snapLen: 2 });
    recorder.record(Uint8Array.of(1, 2, 3, 4), 'in');
    await recorder.close();
    expect(packetsOf(readFileSync(path))).toMatchObject([{ bytes: [1, 2], originalLength: 4 }]);
    recorder.record(Uint8Array.of(1), 'in');
    expect(recorder.counters).toEqual({ packets: 1, bytes: 2, dropped: 1 });
  });

  it('replaces no file unless it is asked to, and nothing but files', async () => {
    const path = join(folder(), 'a.pcapng');
    writeFileSync(path, 'precious', { mode: 0o644 });
    await expect(openRecorder({ path, medium: 'ip' })).rejects.toMatchObject({ code: 'VNIC_FILE_EXISTS' });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    await (await openRecorder({ path, medium: 'ip', overwrite: true })).close();
    expect(packetsOf(readFileSync(path))).toEqual([]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const link = join(folder(), 'link.pcapng');
    symlinkSync(join(folder(), 'nowhere'), link);
    for (const overwrite of [false, true]) {
      const opened = openRecorder({ path: link, medium: 'ip', overwrite });
      await expect(opened).rejects.toMatchObject({ code: 'VNIC_FILE_EXISTS' });
    }
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });

  it.each([
    ['/nonexistent/a.pcapng', 'ENOENT'],
    ['/dev/null/a.pcapng', 'ENOTDIR'],
  ])('says why %s cannot be made', async (path, errno) => {
    const expected = { code: 'VNIC_SYSTEM_CALL', errno, hint: expect.stringMatching(/^Check the path/) };
    await expect(openRecorder({ path, medium: 'ip' })).rejects.toMatchObject(expected);
  });

  it.each([
    { snapLen: 0 },
    { snapLen: 262_145 },
    { maxFileLen: 1000 },
    { keepFiles: -1 },
    { format: 'csv' as 'pcap' },
    { path: '-', maxFileLen: 1 << 20 },
  ])('refuses %o', async (options) => {
    const opened = openRecorder({ path: join(folder(), 'a'), medium: 'ip', ...options });
    await expect(opened).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
  });

  it('begins a new file when one is full, keeps so many, and no packet is cut or lost in between', async () => {
    const path = join(folder(), 'a.pcapng');
    const recorder = await openRecorder({ path, medium: 'ip', maxFileLen: 1 << 20, keepFiles: 2 });
    const packet = new Uint8Array(60_000).fill(7);
    const sent = 90;
    for (let i = 0; i < sent; i++) {
      packet[0] = i;
      recorder.record(packet, 'in');
      // Less than a slab at a time: a slow disk must not make this lose any.
      if (i % 4 === 3) await expect.poll(() => recorder.isWriting, { interval: 1, timeout: 10_000 }).toBe(false);
    }
    await recorder.close();
    expect(recorder.counters).toMatchObject({ packets: sent, dropped: 0 });
    const files = [`${path}.2`, `${path}.1`, path].map((name) => packetsOf(readFileSync(name)));
    const numbers = files.flat().map(({ bytes }) => bytes[0] as number);
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => sent - numbers.length + i));
    for (const name of [path, `${path}.1`]) expect(statSync(name).size).toBeLessThanOrEqual(1 << 20);
    expect(existsSync(`${path}.3`)).toBe(false);
  });
});

/** A disk that is as slow as the test wants, and may fail. */
class SlowSink implements CaptureSink {
  readonly name = 'a slow disk';
  readonly writes: Uint8Array[] = [];
  keep = -1;
  closed = 0;
  #release: ((error?: VnicError) => void) | undefined;
  #keepOf: (written: number) => number = () => 0;

  write(bytes: Uint8Array, keep: (written: number) => number): Promise<void> {
    this.writes.push(bytes.slice());
    this.#keepOf = keep;
    return new Promise((resolve, reject) => {
      this.#release = (error) => (error === undefined ? resolve() : reject(error));
    });
  }

  async step(): Promise<void> {
    const before = this.writes.length;
    await expect.poll(() => this.#release !== undefined, { timeout: 10_000, interval: 1 }).toBe(true);
    const release = this.#release;
    this.#release = undefined;
    release?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(this.writes.length).toBeGreaterThanOrEqual(before);
  }

  fail(written: number): void {
    this.keep = this.#keepOf(written);
    const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
      syscall: 'write',
    });
    this.#release?.(error as unknown as VnicError);
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

describe('a recorder on a slow disk', () => {
  const packet = new Uint8Array(50_000);
  const start = (onEnd?: (error: VnicError) => void): [Recorder, SlowSink] => {
    const sink = new SlowSink();
    return [new Recorder(sink, pcapngFormat, { medium: 'ip', snapLen: 262_144, onEnd }), sink];
  };

  it('loses packets and counts them, with fixed memory, and loses none once the disk has caught up', async () => {
    const [recorder, sink] = start();
    recorder.record(packet, 'in');
    await expect.poll(() => sink.writes.length, { timeout: 10_000 }).toBe(1);
    for (let i = 0; i < 1000; i++) recorder.record(packet, 'in');
    const { packets, dropped } = recorder.counters;
    expect(packets + dropped).toBe(1001);
    // Three slabs of half a MiB are free while one is written.
    expect(packets).toBe(1 + 3 * 10);
    for (let i = 0; i < 4; i++) await sink.step();
    recorder.record(packet, 'in');
    const closed = recorder.close();
    await sink.step();
    await closed;
    expect(recorder.counters).toMatchObject({ packets: packets + 1, dropped });
    const header = pcapngFormat.header({ linkType: 101, name: 'x', snapLen: 262_144 });
    const file = Uint8Array.from([header, ...sink.writes].flatMap((bytes) => [...bytes]));
    expect(packetsOf(file)).toHaveLength(packets + 1);
  });

  it('ends with one message when it is full, keeps whole records, and goes on taking packets', async () => {
    const errors: VnicError[] = [];
    const [recorder, sink] = start((error) => errors.push(error));
    for (let i = 0; i < 5; i++) recorder.record(Uint8Array.of(i, 1, 2), 'in');
    await expect.poll(() => sink.writes.length, { timeout: 10_000 }).toBe(1);
    const recordLen = pcapngFormat.recordLen(3);
    sink.fail(recordLen * 2 + 7);
    await expect.poll(() => errors.length, { timeout: 10_000 }).toBe(1);
    expect(sink.keep).toBe(recordLen * 2);
    expect(errors[0]).toMatchObject({ code: 'VNIC_SYSTEM_CALL', errno: 'ENOSPC', reason: 'no space left on device' });
    for (let i = 0; i < 100; i++) recorder.record(packet, 'in');
    expect(recorder.counters.dropped).toBe(100);
    await recorder.close();
    await recorder.close();
    expect([errors.length, recorder.failure]).toEqual([1, errors[0]]);
  });
});

describe('a captured link', () => {
  async function captured(path: string): Promise<[link: PacketLink, peer: PacketLink, recorder: Recorder]> {
    const [link, peer] = createLinkPair({ medium: 'ip', capacityPackets: 4 });
    const recorder = await openRecorder({ path, medium: 'ip' });
    return [captureLink(link, recorder), peer, recorder];
  }

  it('records what is read in every way and what is taken, and not what is not', async () => {
    const path = join(folder(), 'a.pcapng');
    const [link, peer, recorder] = await captured(path);
    peer.write(Uint8Array.of(1));
    expect([...((await link.read()) ?? [])]).toEqual([Uint8Array.of(1)]);
    peer.write(Uint8Array.of(2));
    for await (const batch of link) {
      expect(batch.count).toBe(1);
      break;
    }
    peer.write(Uint8Array.of(3));
    await new Promise<void>((resolve) => {
      const stop = link.onBatch((batch) => {
        // Edited behind the capture point.
        batch.packet(0)[0] = 99;
        stop();
        resolve();
      });
    });
    expect(link.write(Uint8Array.of(10))).toBe(1);
    expect(link.write(batchOf([11], [12], [13], [14], [15]), 1)).toBe(3);
    expect(link.write(Uint8Array.of(16))).toBe(0);
    await link.close();
    await peer.close();
    await recorder.close();
    expect(packetsOf(readFileSync(path)).map(({ bytes, direction }) => [direction, bytes[0]])).toEqual([
      ['in', 1],
      ['in', 2],
      ['in', 3],
      ['out', 10],
      ['out', 12],
      ['out', 13],
      ['out', 14],
    ]);
  });

  it('is refused with a recorder of the other medium', async () => {
    const [link, peer] = createLinkPair({ medium: 'ethernet' });
    await using recorder = await openRecorder({ path: join(folder(), 'a.pcap'), medium: 'ip' });
    expect(() => captureLink(link, recorder)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    await Promise.all([link.close(), peer.close()]);
  });
});
