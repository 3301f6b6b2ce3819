import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { createLinkPair, PacketBatch, type PacketLink } from './index.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function numbered(length: number, value: number): Uint8Array {
  const packet = new Uint8Array(length).fill(value);
  packet[0] = 0x45;
  return packet;
}

async function readCount(link: PacketLink, count: number): Promise<Uint8Array[]> {
  const packets: Uint8Array[] = [];
  while (packets.length < count) {
    const batch = await link.read();
    if (batch === undefined) break;
    packets.push(...[...batch].map((packet) => packet.slice()));
  }
  return packets;
}

describe('createLinkPair', () => {
  it('takes as many packets as its capacity, then none until the other end has read', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', capacityPackets: 3 });
    const batch = new PacketBatch();
    for (let i = 0; i < 5; i++) batch.append(numbered(40, i));
    expect(a.write(batch)).toBe(3);
    expect(a.write(batch, 3)).toBe(0);
    await b.read();
    await a.writable();
    expect(a.write(batch, 3)).toBe(2);
    expect((await readCount(b, 2)).map((packet) => packet[1])).toEqual([3, 4]);
  });

  it('queues as many packets of full length as it says when they are at most 2 KiB', () => {
    const [a] = createLinkPair({ medium: 'ethernet', mtu: 1500, capacityPackets: 64 });
    for (let i = 0; i < 64; i++) expect(a.write(numbered(1518, i))).toBe(1);
    expect(a.write(numbered(60, 0))).toBe(0);
  });

  it.each([
    ['ip', 1500],
    ['ethernet', 1518],
  ] as const)(
    'on %s takes packets of up to %i bytes at MTU 1500 and drops longer ones as too-long',
    async (medium, longest) => {
      const [a, b] = createLinkPair({ medium });
      const events: string[] = [];
      a.on('writeDropped', ({ reason, error }) => events.push(`${reason} ${error.code}`));
      const batch = new PacketBatch();
      for (const length of [longest + 1, longest, longest + 1, 40]) batch.append(numbered(length, 1));
      expect(a.write(batch)).toBe(4);
      expect((await readCount(b, 2)).map((packet) => packet.length)).toEqual([longest, 40]);
      expect(a.counters.writeDropped['too-long']).toBe(2);
      expect(a.counters.packetsWritten).toBe(2);
      expect(events).toEqual(['too-long VNIC_PACKET_REFUSED']);
    },
  );

  it('keeps every byte of packets of many lengths through thousands of turns of its ring', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', mtu: 3000, capacityPackets: 7 });
    let sent = 0;
    let got = 0;
    const lengthOf = (i: number): number => 1 + ((i * 7919) % 3000);
    while (got < 5000) {
      while (sent < 5000 && a.write(new Uint8Array(lengthOf(sent)).fill(sent)) === 1) sent++;
      const batch = (await b.read()) as PacketBatch;
      for (const packet of batch) {
        expect(packet.length).toBe(lengthOf(got));
        expect(packet.every((byte) => byte === (got & 0xff))).toBe(true);
        got++;
      }
    }
  });

  it('copies out of sparse batches, where packets were shortened or dropped', async () => {
    const [a, b] = createLinkPair({ medium: 'ip' });
    const batch = new PacketBatch({ headroom: 20 });
    for (let i = 0; i < 6; i++) batch.append(numbered(50, i));
    batch.setLength(1, 20);
    batch.drop(3);
    a.write(batch);
    const packets = await readCount(b, 5);
    expect(packets.map((packet) => [packet[1], packet.length])).toEqual([
      [0, 50],
      [1, 20],
      [2, 50],
      [4, 50],
      [5, 50],
    ]);
  });

  it('lets the other end read what is queued when one end is closed, then ends it as gone', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', names: ['left', 'right'] });
    a.write(numbered(40, 1));
    await a.close();
    await nextTurn();
    expect((await readCount(b, 1)).length).toBe(1);
    await expect(b.read()).rejects.toMatchObject({
      code: 'VNIC_DEVICE_GONE',
      message: expect.stringContaining('left'),
    });
    expect(b.closed).toBe(true);
  });

  it('refuses writes to a closed end at once, with packets still to read', async () => {
    const [a, b] = createLinkPair({ medium: 'ip' });
    a.write(numbered(40, 1));
    await a.close();
    expect(() => b.write(numbered(40, 1))).toThrow(expect.objectContaining({ code: 'VNIC_DEVICE_GONE' }));
    expect(b.closed).toBe(false);
  });

  it('tells an end without a reader that the other was closed', async () => {
    const [a, b] = createLinkPair({ medium: 'ip' });
    const gone = new Promise((resolve) => void b.on('gone', resolve));
    await a.close();
    expect(isVnicError(await gone, 'VNIC_DEVICE_GONE')).toBe(true);
  });

  it('wakes a writer that waits for room when the other end is closed', async () => {
    const [a, b] = createLinkPair({ medium: 'ip', capacityPackets: 1 });
    a.write(numbered(40, 1));
    a.write(numbered(40, 2));
    const waiting = a.writable();
    await b.close();
    await expect(waiting).rejects.toMatchObject({ code: 'VNIC_DEVICE_GONE' });
  });

  it('does not recurse and lets timers run when two ends answer each other without end', async () => {
    const [a, b] = createLinkPair({ medium: 'ip' });
    let answers = 0;
    const answer =
      (link: PacketLink) =>
      (batch: PacketBatch): void => {
        answers += link.write(batch);
      };
    const stops = [a.onBatch(answer(a)), b.onBatch(answer(b))];
    a.write(numbered(40, 1));
    await new Promise((resolve) => setTimeout(resolve, 0));
    await nextTurn();
    expect(answers).toBeGreaterThan(0);
    for (const stop of stops) stop();
  });

  it.each([
    [{ medium: 'tun' as 'ip' }],
    [{ medium: 'ip', mtu: 0 }],
    [{ medium: 'ip', mtu: 65_536 }],
    [{ medium: 'ip', mtu: 1.5 }],
    [{ medium: 'ip', capacityPackets: 0 }],
    [{ medium: 'ip', capacityPackets: Number.POSITIVE_INFINITY }],
  ] as const)('refuses %j', (options) => {
    expect(() => createLinkPair(options)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});
