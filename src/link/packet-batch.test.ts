import { describe, expect, it } from 'vitest';

import { DESCRIPTOR_WORDS, PACKET_ALIGNMENT, PacketBatch } from './index.ts';

const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe('PacketBatch', () => {
  it('gives back the packets that were appended, in order and with their lengths', () => {
    const batch = new PacketBatch({ capacity: 4 });
    expect(batch.append(bytesOf(1, 2, 3))).toBe(true);
    expect(batch.append(bytesOf(4))).toBe(true);
    expect(batch.count).toBe(2);
    expect([...batch].map((packet) => [...packet])).toEqual([[1, 2, 3], [4]]);
    expect([batch.length(0), batch.length(1)]).toEqual([3, 1]);
  });

  it('starts every packet on the alignment', () => {
    const batch = new PacketBatch({ capacity: 8 });
    for (let length = 1; length <= 8; length++) batch.append(new Uint8Array(length));
    for (let i = 0; i < 8; i++) expect(batch.offset(i) % PACKET_ALIGNMENT).toBe(0);
  });

  it('refuses a packet when it holds as many as it can, and changes nothing', () => {
    const batch = new PacketBatch({ capacity: 1 });
    batch.append(bytesOf(1));
    expect(batch.append(bytesOf(2))).toBe(false);
    expect(batch.count).toBe(1);
    expect([...batch.packet(0)]).toEqual([1]);
  });

  it('refuses a packet when its memory does not hold it, and takes a shorter one after that', () => {
    const batch = new PacketBatch({ capacity: 4, bytesLen: 24 });
    expect(batch.append(new Uint8Array(10))).toBe(true);
    expect(batch.append(new Uint8Array(9))).toBe(false);
    expect(batch.append(new Uint8Array(8))).toBe(true);
  });

  it('keeps the headroom free before every packet', () => {
    const batch = new PacketBatch({ capacity: 2, headroom: 32 });
    batch.append(bytesOf(1));
    batch.append(bytesOf(2));
    expect(batch.offset(0)).toBe(32);
    expect(batch.offset(1)).toBeGreaterThanOrEqual(batch.offset(0) + 1 + 32);
  });

  it('leaves dropped packets out of the iteration and keeps the places of the others', () => {
    const batch = new PacketBatch({ capacity: 3 });
    for (const value of [1, 2, 3]) batch.append(bytesOf(value));
    batch.drop(1);
    expect(batch.count).toBe(3);
    expect([...batch].map((packet) => packet[0])).toEqual([1, 3]);
  });

  it('does not hand out the memory of a packet that was shortened', () => {
    const batch = new PacketBatch({ capacity: 3 });
    batch.append(bytesOf(1, 2, 3, 4, 5, 6, 7, 8, 9));
    batch.setLength(0, 1);
    batch.append(bytesOf(10));
    batch.setLength(0, 9);
    expect([...batch.packet(0)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('appends behind packets whose descriptors a reader filled in', () => {
    const batch = new PacketBatch({ capacity: 3 });
    batch.bytes.set([7, 7, 7], 16);
    batch.descriptors.set([16, 3], 0);
    batch.count = 1;
    batch.append(bytesOf(8));
    expect([...batch].map((packet) => [...packet])).toEqual([[7, 7, 7], [8]]);
  });

  it('clears the words beside offset and length when it reserves', () => {
    const batch = new PacketBatch({ capacity: 1 });
    batch.descriptors.fill(9);
    batch.reserve(4);
    expect([...batch.descriptors.subarray(2, DESCRIPTOR_WORDS)]).toEqual([0, 0]);
  });

  it('shares memory between packet() and bytes', () => {
    const batch = new PacketBatch({ capacity: 1 });
    batch.append(bytesOf(1));
    batch.packet(0)[0] = 5;
    expect(batch.bytes[batch.offset(0)]).toBe(5);
  });

  it('is empty after clear()', () => {
    const batch = new PacketBatch({ capacity: 1 });
    batch.append(bytesOf(1));
    batch.clear();
    expect([...batch]).toEqual([]);
    expect(batch.append(bytesOf(2))).toBe(true);
  });

  it.each([[{ capacity: 0 }], [{ capacity: 1.5 }], [{ headroom: -1 }], [{ bytesLen: -1 }], [{ bytesLen: Number.NaN }]])(
    'refuses the options %j',
    (options) => {
      expect(() => new PacketBatch(options)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
    },
  );
});
