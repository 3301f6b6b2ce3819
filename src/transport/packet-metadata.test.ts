import { endianness } from 'node:os';
import { describe, expect, it } from 'vitest';

import { PacketMetadata } from './packet-metadata.ts';

const SOL_PACKET = 263;
const PACKET_AUXDATA = 8;
const CSUMNOTREADY = 0x08;
const VLAN_VALID = 0x10;
const TPID_VALID = 0x40;

/** As a 64-bit kernel fills it in. */
function metadataWith(fields: { status: number; tci?: number; tpid?: number; type?: number; length?: number }) {
  const metadata = new PacketMetadata();
  const view = new DataView(metadata.control.buffer);
  const isLittle = endianness() === 'LE';
  view.setBigUint64(0, 36n, isLittle);
  view.setInt32(8, SOL_PACKET, isLittle);
  view.setInt32(12, fields.type ?? PACKET_AUXDATA, isLittle);
  view.setUint32(16, fields.status, isLittle);
  view.setUint16(32, fields.tci ?? 0, isLittle);
  view.setUint16(34, fields.tpid ?? 0, isLittle);
  metadata.received[0] = fields.length ?? 40;
  return metadata;
}

const frame = Uint8Array.from({ length: 20 }, (_, i) => i + 1);

/** The frame at offset 8 of a memory of 255s, with the tag put back; and the length that it has then. */
function restored(metadata: PacketMetadata, room: number): { length: number; memory: number[] } {
  const memory = new Uint8Array(40).fill(255);
  memory.set(frame, 8);
  const length = metadata.restoreTag(memory, 8, frame.length, room);
  return { length, memory: [...memory] };
}

const addresses = frame.subarray(0, 12);
const rest = frame.subarray(12);
const before = Array<number>(8).fill(255);

describe('a tag', () => {
  it('is put back behind the addresses, and nothing around the frame changes', () => {
    const metadata = metadataWith({ status: VLAN_VALID | TPID_VALID, tci: 0xb007, tpid: 0x88a8 });
    expect(metadata.hasTag).toBe(true);
    expect(restored(metadata, 32)).toEqual({
      length: 24,
      memory: [...before, ...addresses, 0x88, 0xa8, 0xb0, 0x07, ...rest, ...before],
    });
  });

  it('is one of 802.1Q where the kernel does not tell its type', () => {
    const metadata = metadataWith({ status: VLAN_VALID, tci: 7 });
    expect(restored(metadata, 32).memory.slice(20, 24)).toEqual([0x81, 0, 0, 7]);
  });

  it.each([23, 22, 21, 20, 17, 16])('pushes the end of the frame out of a room of %i', (room) => {
    const metadata = metadataWith({ status: VLAN_VALID, tci: 7 });
    const { length, memory } = restored(metadata, room);
    expect(length).toBe(room);
    const whole = [...addresses, 0x81, 0, 0, 7, ...rest];
    expect(memory.slice(8, 8 + room)).toEqual(whole.slice(0, room));
    if (room >= frame.length) expect(memory.slice(8 + room)).toEqual(Array(32 - room).fill(255));
  });
});

describe('a packet without metadata', () => {
  it.each([
    ['no control message', { status: 0xff, length: 0 }],
    ['one of another type', { status: 0xff, type: 9 }],
    ['one that is cut off', { status: 0xff, length: 35 }],
    ['one that says nothing', { status: 1 }],
  ])('has neither a tag nor a pending checksum: %s', (_, fields) => {
    const { hasTag, checksumPending } = metadataWith(fields);
    expect({ hasTag, checksumPending }).toEqual({ hasTag: false, checksumPending: false });
  });
});

it('a pending checksum is told', () => {
  const { hasTag, checksumPending } = metadataWith({ status: 1 | CSUMNOTREADY });
  expect({ hasTag, checksumPending }).toEqual({ hasTag: false, checksumPending: true });
});
