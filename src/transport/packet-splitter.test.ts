import { endianness } from 'node:os';

import { describe, expect, it } from 'vitest';

import { PacketBatch } from '../link/index.ts';
import { countingBytes, ethernetFrame, udpPacket } from '../testing/index.ts';
import { emitVirtioNetHeader, pseudoHeaderSumAt, summarizePacket, u16, VirtioNetGso } from '../wire/index.ts';
import { PacketMetadata } from './packet-metadata.ts';
import { PacketSplitter } from './packet-splitter.ts';

const VNET_HEADER_LEN = 10;
const OUTGOING = 4;

/** What the kernel tells of a frame whose tag it has taken out. */
function metadataWith(tag: number | undefined): PacketMetadata {
  const metadata = new PacketMetadata();
  const view = new DataView(metadata.control.buffer);
  const isLittle = endianness() === 'LE';
  view.setBigUint64(0, 36n, isLittle);
  view.setInt32(8, 263, isLittle);
  view.setInt32(12, 8, isLittle);
  view.setUint32(16, tag === undefined ? 0 : 0x50, isLittle);
  view.setUint16(32, tag ?? 0, isLittle);
  view.setUint16(34, 0x8100, isLittle);
  metadata.received[0] = 40;
  return metadata;
}

/** A UDP frame as it is sent: its checksum is the sum of the pseudo header, the rest is left to the card. */
function unfinished(payloadLen: number): Uint8Array {
  const ends = { source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1, destinationPort: 2 };
  const packet = udpPacket({ ...ends, payload: countingBytes(payloadLen) });
  const sum = pseudoHeaderSumAt(packet, 12, 4, 17, payloadLen + 8);
  packet[26] = sum >> 8;
  packet[27] = sum & 0xff;
  return ethernetFrame({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' }, packet);
}

/** Puts it where the kernel puts it. @returns its length as the kernel says it */
function fill(splitter: PacketSplitter, frame: Uint8Array, gsoSize = 0): number {
  const isSuper = gsoSize > 0;
  emitVirtioNetHeader(
    {
      needsChecksum: true,
      gsoType: isSuper ? VirtioNetGso.udp : VirtioNetGso.none,
      headerLen: 42,
      gsoSize,
      checksumStart: 34,
      checksumOffset: 6,
    },
    splitter.frame,
    0,
  );
  splitter.frame.set(frame, VNET_HEADER_LEN);
  return VNET_HEADER_LEN + frame.length;
}

describe.each([
  ['without a tag', undefined, 0],
  ['whose tag is put back', 0x2005, 4],
] as const)('a frame %s', (_name, tag, tagLen) => {
  it('has its checksum completed', () => {
    const splitter = new PacketSplitter('ethernet');
    const batch = new PacketBatch({ headroom: 16 });
    splitter.begin(batch);
    splitter.split(batch, fill(splitter, unfinished(99)), metadataWith(tag), OUTGOING);
    batch.count = splitter.count;
    const [frame = new Uint8Array(0)] = [...batch];
    expect([batch.count, frame.length, splitter.bytes]).toEqual([1, 14 + tagLen + 28 + 99, frame.length]);
    expect(summarizePacket(frame, 'ethernet').udp?.checksum).toBe('ok');
    if (tag !== undefined) expect([u16(frame, 12), u16(frame, 14)]).toEqual([0x8100, tag]);
    expect([...batch.descriptors.subarray(2, 4)]).toEqual([OUTGOING, frame.length]);
  });

  it('that is a super-packet becomes its packets, however small the batches are', () => {
    const splitter = new PacketSplitter('ethernet');
    const packets: Uint8Array[] = [];
    const batch = new PacketBatch({ capacity: 3 });
    splitter.begin(batch);
    splitter.split(batch, fill(splitter, unfinished(7777), 1000), metadataWith(tag), OUTGOING);
    for (;;) {
      batch.count = splitter.count;
      packets.push(...[...batch].map((packet) => packet.slice()));
      if (splitter.count === 0) break;
      splitter.begin(batch);
    }
    const lengths = packets.map(({ length }) => length - tagLen - 42);
    expect(lengths).toEqual([1000, 1000, 1000, 1000, 1000, 1000, 1000, 777]);
    expect(packets.every((packet) => summarizePacket(packet, 'ethernet').udp?.checksum === 'ok')).toBe(true);
    expect(packets.flatMap((packet) => [...packet.subarray(tagLen + 42)])).toEqual([...countingBytes(7777)]);
    expect([splitter.malformed, splitter.isFull]).toEqual([0, false]);
  });
});

describe('a frame that is none', () => {
  it('is dropped and counted', () => {
    const splitter = new PacketSplitter('ethernet');
    const batch = new PacketBatch();
    splitter.begin(batch);
    const length = fill(splitter, unfinished(100), 50);
    splitter.split(batch, length - 3, metadataWith(undefined), 0);
    splitter.split(batch, 100_000, metadataWith(undefined), 0);
    splitter.split(batch, VNET_HEADER_LEN, metadataWith(undefined), 0);
    expect([splitter.count, splitter.malformed]).toEqual([0, 3]);
  });

  it('is sent as it is when it is too long for any link', () => {
    const long = new Uint8Array(70_000);
    expect(new PacketSplitter('ip').withHeader(long)).toBe(long);
  });
});
