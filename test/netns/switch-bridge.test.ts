/**
 * The switch beside the kernel's bridge: the same frames into both, the same frames out of the same ports, while ports come, go, are
 * isolated and learn anew. VLANs are held to the standard by a twin in src/switch; few kernels filter them.
 *
 *     TapDevice ── t0 ─┐                 pair ── port 0 ─┐
 *     TapDevice ── t1 ─┤ br0             pair ── port 1 ─┤ PacketSwitch
 *     …               ─┘                 …              ─┘
 */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../src/base/index.ts';
import { createLinkPair, type PacketLink } from '../../src/link/index.ts';
import { PacketSwitch } from '../../src/switch/index.ts';
import { TapDevice } from '../../src/tun/index.ts';
import { ip, ipNames } from './iproute2.ts';
import { requirePrivateNetns } from './private-netns.ts';

const PORTS = 5;
/** One more, by which markers come: once a port has seen one, it has seen all before. */
const MARKER = PORTS;
const ROUNDS = 150;
const FRAMES = 12;
const WAIT_MS = 5000;

const opened: { close(): Promise<void> }[] = [];

beforeAll(() => requirePrivateNetns());
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
  for (const name of ipNames()) if (name !== 'lo') ip(`link delete ${name}`);
});

/** Cables into a switch, whichever, and what has come out of them. */
class Side {
  readonly cables: PacketLink[];
  readonly seen: string[][];
  #wake: () => void = () => undefined;

  constructor(cables: PacketLink[]) {
    this.cables = cables;
    this.seen = cables.map(() => []);
    for (const [i, cable] of cables.entries()) {
      cable.onBatch(
        (batch) => {
          for (const packet of batch) this.seen[i]?.push(Buffer.from(packet).toString('hex'));
          this.#wake();
        },
        () => undefined,
      );
    }
  }

  /** Waits until every port of these but the marker's own has seen this frame, and gives what all have seen. */
  async until(marker: string, ports: readonly number[]): Promise<string[][]> {
    const isThere = (): boolean => ports.every((port) => this.seen[port]?.includes(marker));
    const endMs = performance.now() + WAIT_MS;
    while (!isThere()) {
      if (performance.now() > endMs) throw new Error(`the marker ${marker} has not come`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
    const all = this.seen.map((list) => list.filter((frame) => frame !== marker));
    for (const list of this.seen) list.length = 0;
    return all;
  }
}

async function bridge(): Promise<Side> {
  ip('link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0');
  const taps: PacketLink[] = [];
  // Routers and neighbours that are looked for would be frames of their own.
  const withoutIpv6 = (name: string): void => writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  withoutIpv6('br0');
  for (let i = 0; i <= PORTS; i++) {
    const tap = await TapDevice.open({ name: `t${i}` });
    opened.push(tap);
    withoutIpv6(`t${i}`);
    ip(`link set t${i} master br0 up`);
    taps.push(tap);
  }
  ip('link set br0 up');
  return new Side(taps);
}

function ours(): { readonly side: Side; readonly under: PacketSwitch; readonly near: PacketLink[] } {
  const under = new PacketSwitch();
  const pairs = Array.from({ length: PORTS + 1 }, () => createLinkPair({ medium: 'ethernet', capacityPackets: 1024 }));
  for (const [near] of pairs) under.addPort(near);
  opened.push(under, ...pairs.flat());
  return { side: new Side(pairs.map(([, far]) => far)), under, near: pairs.map(([near]) => near) };
}

const groups = ['ffffffffffff', '01005e000001', '333300000001', '0180c2000000', '0180c2000001', '0180c200000e'];

function frameMaker(upTo: (count: number) => number): () => Uint8Array {
  let number = 0;
  const station = (): string => `02aa0000000${upTo(8)}`;
  return () => {
    const to = upTo(4) === 0 ? (groups[upTo(groups.length)] as string) : station();
    const from = upTo(40) === 0 ? 'ffffffffffff' : station();
    const tag = upTo(5) === 0 ? `8100000${upTo(4)}` : '';
    number++;
    return new Uint8Array(Buffer.from(`${to}${from}${tag}88b5${number.toString(16).padStart(80, '0')}`, 'hex'));
  };
}

describe('the switch and the bridge of the kernel', () => {
  it.each([1, 2, 3])('send the same frames the same ways, seed %i', async (seed) => {
    const random = seededRandom(seed);
    const upTo = (count: number): number => Math.floor(random() * count);
    const kernel = await bridge();
    const { side, under, near } = ours();
    const newFrame = frameMaker(upTo);
    const present = new Set(Array.from({ length: PORTS }, (_, i) => i));
    const isolated = new Set<number>();
    const change = [
      // Out, and in again, with nothing learned and nothing set.
      () => {
        const port = upTo(PORTS);
        if (present.size > 2 && present.delete(port)) {
          ip(`link set t${port} nomaster`);
          under.removePort(port);
        } else if (!present.has(port) && ![...Array(PORTS).keys()].some((one) => one < port && !present.has(one))) {
          ip(`link set t${port} master br0`);
          expect(under.addPort(near[port] as PacketLink).id).toBe(port);
          present.add(port);
          isolated.delete(port);
        }
      },
      () => {
        const port = upTo(PORTS);
        if (!present.has(port)) return;
        const isIsolated = upTo(2) === 0;
        execFileSync('bridge', ['link', 'set', 'dev', `t${port}`, 'isolated', isIsolated ? 'on' : 'off']);
        under.setPort(port, { isIsolated });
      },
      () => {
        execFileSync('ip', ['link', 'set', 'br0', 'type', 'bridge', 'fdb_flush']);
        under.core.fdb.flush();
      },
    ];
    let passed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      if (upTo(3) === 0) change[upTo(change.length)]?.();
      for (let i = 0; i < FRAMES; i++) {
        const frame = newFrame();
        // What is written to a cable that lies on the floor would wait there.
        const port = [...present][upTo(present.size)] as number;
        // One by one: over two cables there is no order.
        kernel.cables[port]?.write(frame);
        side.cables[port]?.write(frame);
        const marker = Buffer.from(
          `ffffffffffff02bb0000000088b6${(round * FRAMES + i).toString(16).padStart(80, '0')}`,
          'hex',
        );
        kernel.cables[MARKER]?.write(new Uint8Array(marker));
        await turns();
        side.cables[MARKER]?.write(new Uint8Array(marker));
        const text = marker.toString('hex');
        const there = [...present];
        const expected = await kernel.until(text, there);
        const got = await side.until(text, there);
        const told = `seed ${seed}, round ${round}, frame ${i} by port ${port}: ${Buffer.from(frame).toString('hex')}`;
        for (const one of present) expect(got[one], `${told}, at port ${one}`).toEqual(expected[one]);
        passed += expected.flat().length;
      }
    }
    expect(passed).toBeGreaterThan(ROUNDS);
  });
});

/** What was written to a pair comes out some turns later. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
