import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it, onTestFinished } from 'vitest';

import { PacketBatch, type PacketLink } from '../link/index.ts';
import type { CaptureFormat } from './format.ts';
import { LinkType } from './link-type.ts';
import { pcapFormat } from './pcap.ts';
import { pcapngFormat } from './pcapng-writer.ts';
import { captureMedium } from './peek.ts';
import { openPlayer, type PlayedFile, type PlayerOptions } from './player-link.ts';

interface Packet {
  readonly bytes: Uint8Array;
  readonly originalLength?: number;
  readonly seconds?: number;
  readonly nanoseconds?: number;
}

function fileOf(
  packets: readonly Packet[],
  linkType: number = LinkType.raw,
  format: CaptureFormat = pcapngFormat,
): string {
  const parts = [format.header({ linkType, name: 'x', snapLen: 262_144 })];
  for (const { bytes, originalLength = bytes.length, seconds = 1, nanoseconds = 0 } of packets) {
    const out = new Uint8Array(format.recordLen(bytes.length));
    const packet = { bytes, offset: 0, length: bytes.length, originalLength, direction: undefined };
    format.encode(out, new DataView(out.buffer), 0, { seconds, nanoseconds }, packet);
    parts.push(out);
  }
  return written(Buffer.concat(parts));
}

function written(bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-player-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a.pcapng');
  writeFileSync(path, bytes);
  return path;
}

const packet = (number: number, length = 40): Uint8Array => {
  const bytes = new Uint8Array(length).fill(number & 0xff);
  bytes[0] = 0x45;
  return bytes;
};

async function play(options: PlayerOptions): Promise<{ packets: Uint8Array[]; played: PlayedFile[]; error: unknown }> {
  const played: PlayedFile[] = [];
  const link = await openPlayer({ ...options, onPlayed: (file) => played.push(file) });
  const packets: Uint8Array[] = [];
  let error: unknown;
  try {
    for await (const batch of link) packets.push(...[...batch].map((bytes) => bytes.slice()));
  } catch (thrown) {
    error = thrown;
  }
  expect(link.closed).toBe(true);
  await link.close();
  return { packets, played, error };
}

describe('a player', () => {
  it.each([
    ['pcapng', pcapngFormat],
    ['pcap', pcapFormat()],
  ] as const)('gives every packet of a %s file in order, and then ends', async (_name, format) => {
    const all = Array.from({ length: 5000 }, (_, i) => packet(i, 40 + (i % 1400)));
    const path = fileOf(
      all.map((bytes) => ({ bytes })),
      LinkType.raw,
      format,
    );
    const { packets, played, error } = await play({ path, speed: Number.POSITIVE_INFINITY });
    expect(packets.map(({ length }) => length)).toEqual(all.map(({ length }) => length));
    expect(Buffer.concat(packets).equals(Buffer.concat(all))).toBe(true);
    expect([error, played]).toMatchObject([undefined, [{ packets: 5000 }]]);
  });

  it('keeps the times of the file, divided by the speed', async () => {
    const at = [10, 10.1, 9, 10.3].map((seconds) => ({
      bytes: packet(1),
      seconds: Math.floor(seconds),
      nanoseconds: Math.round((seconds % 1) * 1e9),
    }));
    const link = await openPlayer({ path: fileOf(at), speed: 2 });
    const startMs = performance.now();
    const arrived: number[] = [];
    for await (const batch of link) for (const _ of batch) arrived.push(performance.now() - startMs);
    // Never early; how late is the machine's business.
    expect(arrived).toHaveLength(4);
    for (const [i, dueMs] of [0, 50, 50, 150].entries()) expect(arrived[i]).toBeGreaterThanOrEqual(dueMs - 5);
  });

  it('leaves out what is not whole, of the other medium, or no packet, and says so', async () => {
    const path = fileOf([
      { bytes: packet(1) },
      { bytes: packet(2), originalLength: 100 },
      { bytes: new Uint8Array(0) },
      { bytes: Uint8Array.of(0x15, 1, 2) },
      { bytes: packet(3, 66_000) },
      { bytes: packet(4) },
    ]);
    const { packets, played } = await play({ path, speed: Number.POSITIVE_INFINITY });
    expect(packets).toEqual([packet(1), packet(4)]);
    const skipped = { cut: 2, 'not-ip': 1, 'too-long': 1, 'other-medium': 0 };
    expect(played).toEqual([{ packets: 2, skipped }]);
  });

  it('takes cooked packets out of what stands before them', async () => {
    const cooked = Uint8Array.of(...new Uint8Array(14), 0x08, 0x00, ...packet(7));
    const { packets } = await play({ path: fileOf([{ bytes: cooked }], LinkType.linuxSll) });
    expect(packets).toEqual([packet(7)]);
  });

  it('fails at damage, after what stands before it', async () => {
    const whole = fileOf([{ bytes: packet(1) }, { bytes: packet(2) }]);
    const path = written(readFileSync(whole).subarray(0, -3));
    const { packets, error, played } = await play({ path });
    expect(packets).toEqual([packet(1)]);
    expect(error).toMatchObject({
      code: 'VNIC_CAPTURE_DAMAGED',
      reason: expect.stringContaining('(truncated, at byte'),
    });
    expect(played).toHaveLength(1);
  });

  it('begins again with `loop`, until it is closed', async () => {
    const played: PlayedFile[] = [];
    const path = fileOf([{ bytes: packet(1) }, { bytes: packet(2) }]);
    const options = { path, loop: true, speed: Number.POSITIVE_INFINITY };
    const link = await openPlayer({ ...options, onPlayed: (file) => played.push(file) });
    let packets = 0;
    for await (const batch of link) {
      packets += batch.count;
      if (packets >= 10) break;
    }
    expect(played).toHaveLength(1);
    expect(link.counters.packetsRead).toBe(packets);
    const waiting = link.read();
    await link.close();
    await waiting;
    // A file without packets would never come to an end.
    expect((await play({ path: fileOf([]), loop: true })).packets).toEqual([]);
  });

  it('takes and discards what is written', async () => {
    const link: PacketLink = await openPlayer({ path: fileOf([{ bytes: packet(1) }]) });
    const batch = new PacketBatch();
    batch.append(packet(1));
    batch.append(packet(2));
    expect([link.write(batch), link.write(packet(3))]).toEqual([2, 1]);
    expect(link.counters).toMatchObject({ packetsWritten: 3, bytesWritten: 120 });
    await link.writable();
    await link.close();
  });

  it.each([{ speed: 0 }, { speed: Number.NaN }, { mtu: 10 }])('refuses %o', async (options) => {
    const opened = openPlayer({ path: fileOf([]), ...options });
    await expect(opened).rejects.toMatchObject({ code: 'VNIC_INVALID_ARGUMENT' });
  });
});

describe('the medium of a file', () => {
  it('is that of its first interface', () => {
    expect(captureMedium(fileOf([]))).toBe('ip');
    expect(captureMedium(fileOf([], LinkType.ethernet, pcapFormat()))).toBe('ethernet');
  });

  it('is not known of what is none', () => {
    const code = (path: string): string | undefined => {
      try {
        captureMedium(path);
        return undefined;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(code(fileOf([], 105))).toBe('VNIC_UNSUPPORTED');
    expect(code(written(new Uint8Array(0)))).toBe('VNIC_CAPTURE_DAMAGED');
    expect(code(written(new TextEncoder().encode('no capture at all')))).toBe('VNIC_CAPTURE_DAMAGED');
    expect(code('/nonexistent')).toBe('VNIC_SYSTEM_CALL');
    const folder = mkdtempSync(join(tmpdir(), 'vnic-player-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, 'a'));
    expect(code(join(folder, 'a'))).toBe('VNIC_INVALID_ARGUMENT');
    expect(code('/dev/null')).toBe('VNIC_INVALID_ARGUMENT');
    // A section, and no interface.
    const header = pcapngFormat.header({ linkType: 1, name: '', snapLen: 1 });
    expect(code(written(header.subarray(0, 44)))).toBe('VNIC_UNSUPPORTED');
  });
});
