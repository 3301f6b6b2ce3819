/** What nobody should send: garbage, runts, jumbo frames, stacked tags, lying lengths, floods of addresses. */

import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { createLinkPair, PacketBatch, type PacketLink } from '../link/index.ts';
import { PacketSwitch } from './packet-switch.ts';

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** Beginnings that lead far into what looks at frames. */
const beginnings = [
  '0180c2000000 020000000001 0026 424203 0000 02 02 3c',
  '0180c2000000 020000000001 ffff 424203 0000 00 00 00',
  '01005e010203 020000000001 0800 46c0 0020 0000 0000 0102',
  '01005e010203 020000000001 8100 0005 0800 4600 ffff 0000 0000 0102',
  '333300000016 020000000001 86dd 60000000 0024 0001 fe80',
  '333300000016 020000000001 86dd 60000000 ffff 0001',
  'ffffffffffff 020000000001 8100 0001 8100 0002 88a8 0003 8100 0004 8100 0005 8100 0006 8100 0007 8100 0008 0800',
  '020000000002 020000000001 8100',
  '020000000002 020000000001',
].map((text) => Buffer.from(text.replaceAll(' ', ''), 'hex'));

interface Lab {
  readonly under: PacketSwitch;
  readonly cables: readonly PacketLink[];
  /** How many frames that end in 0x77 have come out of each. */
  readonly heard: number[];
}

/** A switch of four ports with all that looks into frames. */
function everythingOn(): Lab {
  const mac = Uint8Array.of(2, 0, 0, 0, 9, 9);
  const under = new PacketSwitch({
    vlanAware: true,
    capacity: 1024,
    spanningTree: { mac },
    snooping: { capacity: 64, querier: { mac, ipv4: Uint8Array.of(10, 0, 0, 1), ipv6: new Uint8Array(16).fill(1) } },
  });
  const heard: number[] = [0, 0, 0, 0];
  const cables = heard.map((_, i) => {
    const [near, far] = createLinkPair({ medium: 'ethernet', mtu: 65_535 });
    under.addPort(near, { vlans: 'all', isEdge: true });
    far.onBatch(
      (batch) => {
        for (const packet of batch) if (packet.at(-1) === 0x77 && packet.length === 60) heard[i] = (heard[i] ?? 0) + 1;
      },
      () => undefined,
    );
    return far;
  });
  return { under, cables, heard };
}

function garbage(upTo: (count: number) => number): Uint8Array {
  const start = beginnings[upTo(beginnings.length)] as Buffer;
  const tail = new Uint8Array(upTo(20) === 0 ? upTo(60_000) : upTo(80)).map(() => upTo(256));
  const whole = new Uint8Array(Buffer.concat([start, tail]));
  const frame = upTo(3) === 0 ? whole.subarray(0, 1 + upTo(70)) : whole;
  // Any octet may be another.
  if (upTo(2) === 0) frame[upTo(frame.length)] = upTo(256);
  return frame;
}

describe('hostile frames', () => {
  it.each([1, 2, 3])('hurt nobody, whatever is switched on, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const upTo = (count: number): number => Math.floor(random() * count);
    const { under, cables, heard } = everythingOn();
    const batch = new PacketBatch({ bytesLen: 1 << 20 });
    for (let round = 0; round < 100; round++) {
      batch.clear();
      for (let i = 0; i < 20; i++) batch.append(garbage(upTo));
      cables[1 + upTo(3)]?.write(batch);
      await turns();
    }
    // Who has shut itself out of the tree is out of it; the others talk.
    const frame = new Uint8Array(60).fill(0x77);
    frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xaa, 0, 0, 0, 1]);
    const open = under.ports.filter(({ id }) => under.spanningTree?.port(id)?.state === 'forwarding');
    expect(open.map(({ id }) => id)).toContain(0);
    cables[0]?.write(frame);
    await turns();
    for (const { id } of open) if (id !== 0) expect(heard[id]).toBe(1);
    expect([...under.core.fdb.entries(performance.now())].length).toBeLessThanOrEqual(2048);
    expect(under.snooping?.groups(performance.now()).length).toBeLessThanOrEqual(64);
    const counted = under.ports.map(({ counters }) =>
      Object.values(counters.dropped).reduce((sum, count) => sum + count, 0),
    );
    expect(counted.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(100);
    await under.close();
    for (const cable of cables) await cable.close();
  });

  it('of a million invented stations leave those reachable that talk', async () => {
    const under = new PacketSwitch({ capacity: 4096 });
    const pairs = Array.from({ length: 3 }, () => createLinkPair({ medium: 'ethernet', capacityPackets: 4096 }));
    const seen: number[] = [0, 0, 0];
    for (const [i, [near, far]] of pairs.entries()) {
      under.addPort(near);
      far.onBatch(
        (batch) => {
          for (const packet of batch) if (packet[14] === 0x55) seen[i] = (seen[i] ?? 0) + 1;
        },
        () => undefined,
      );
    }
    const frame = (to: number[], from: number[], mark: number): Uint8Array =>
      Uint8Array.of(...to, ...from, 0x88, 0xb5, mark, ...new Uint8Array(45));
    const [a, b] = [
      [2, 0, 0, 0, 0, 1],
      [2, 0, 0, 0, 0, 2],
    ];
    const flood = frame(b as number[], [4, 0, 0, 0, 0, 0], 0);
    const view = new DataView(flood.buffer);
    // Straight into the core, as from port 2: a million frames of a pair would take longer than they need to.
    for (let i = 0; i < 1_000_000; i++) {
      view.setUint32(8, i);
      under.core.forward(2, flood, 0, flood.length, i / 1000);
      if (i % 500 === 0) {
        pairs[0]?.[1].write(frame(b as number[], a as number[], 0));
        pairs[1]?.[1].write(frame(a as number[], b as number[], 0));
        under.core.forward(0, frame(b as number[], a as number[], 0), 0, 60, i / 1000);
        under.core.forward(1, frame(a as number[], b as number[], 0), 0, 60, i / 1000);
      }
    }
    await turns();
    pairs[0]?.[1].write(frame(b as number[], a as number[], 0x55));
    await turns();
    expect(seen).toEqual([0, 1, 0]);
    await under.close();
    for (const pair of pairs) for (const end of pair) await end.close();
  });
});
