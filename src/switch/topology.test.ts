/** A whole network in memory: a hundred and twenty switches in a random mesh, with loops, hosts at some of them, in virtual time. */

import { afterEach, describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { type Clock, createLinkPair, type PacketLink } from '../link/index.ts';
import { PacketSwitch } from './packet-switch.ts';

const SWITCHES = 120;
const LINKS_MORE = 80;
const HOSTS = 24;

/** Time that goes on when it is told to. */
class ManualClock implements Clock {
  now = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly fn: () => void }>();

  nowMs(): number {
    return this.now;
  }

  setTimer(delayMs: number, fn: () => void): () => void {
    const timer = { atMs: this.now + delayMs, fn };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** To the next timer and through all that are due then; false when it is later than that. */
  step(untilMs: number): boolean {
    const next = Math.min(...[...this.#timers].map(({ atMs }) => atMs));
    if (next > untilMs) return false;
    this.now = next;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > next || !this.#timers.delete(timer)) continue;
      timer.fn();
    }
    return true;
  }
}

class Mesh {
  readonly clock = new ManualClock();
  readonly switches: PacketSwitch[] = [];
  readonly hosts: { readonly link: PacketLink; readonly heard: string[] }[] = [];
  readonly cables: { readonly between: readonly [number, number]; readonly ends: readonly [PacketLink, PacketLink] }[] =
    [];

  constructor(random: () => number) {
    const upTo = (count: number): number => Math.floor(random() * count);
    for (let i = 0; i < SWITCHES; i++) {
      const mac = Uint8Array.of(2, 0, 0, 1, i >> 8, i & 0xff);
      this.switches.push(new PacketSwitch({ clock: this.clock, spanningTree: { mac, priority: 4096 * upTo(16) } }));
    }
    for (let i = 1; i < SWITCHES; i++) this.#join(i, upTo(i));
    for (let i = 0; i < LINKS_MORE; i++) {
      const a = upTo(SWITCHES);
      this.#join(a, (a + 1 + upTo(SWITCHES - 1)) % SWITCHES);
    }
    for (let i = 0; i < HOSTS; i++) this.#plugHost(upTo(SWITCHES));
  }

  /** Until nothing is under way at this moment. */
  async settle(): Promise<void> {
    const frames = (): number =>
      this.switches.reduce((sum, { ports }) => sum + ports.reduce((all, port) => all + port.counters.framesIn, 0), 0);
    for (let quiet = 0, before = -1; quiet < 5; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = frames();
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
  }

  async run(ms: number): Promise<void> {
    const untilMs = this.clock.now + ms;
    await this.settle();
    while (this.clock.step(untilMs)) await this.settle();
    this.clock.now = untilMs;
  }

  /** Says something from one host to another, or to all, and gives who has heard it, and how often. */
  async say(from: number, to: number | 'all'): Promise<Map<number, number>> {
    for (const { heard } of this.hosts) heard.length = 0;
    const target = to === 'all' ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 2, 0, to];
    this.hosts[from]?.link.write(Uint8Array.of(...target, 2, 0, 0, 2, 0, from, 0x88, 0xb5, ...new Uint8Array(46)));
    await this.settle();
    return new Map(this.hosts.flatMap(({ heard }, i) => (heard.length === 0 ? [] : [[i, heard.length]])));
  }

  async close(): Promise<void> {
    for (const one of this.switches) await one.close();
    for (const { ends } of this.cables) for (const end of ends) await end.close();
    for (const { link } of this.hosts) await link.close();
  }

  #join(a: number, b: number): void {
    const ends = createLinkPair({ medium: 'ethernet' });
    this.cables.push({ between: [a, b], ends });
    this.switches[a]?.addPort(ends[0]);
    this.switches[b]?.addPort(ends[1]);
  }

  #plugHost(at: number): void {
    const [near, far] = createLinkPair({ medium: 'ethernet' });
    const heard: string[] = [];
    this.switches[at]?.addPort(near, { isEdge: true });
    far.onBatch(
      (batch) => {
        // What bridges say to each other is said to hosts as well.
        for (const frame of batch) if (frame[0] !== 0x01) heard.push(Buffer.from(frame).toString('hex'));
      },
      () => undefined,
    );
    this.hosts.push({ link: far, heard });
  }
}

const meshes: Mesh[] = [];
afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh.close();
});

describe('a mesh of switches', () => {
  it('is a tree that reaches everybody once, also after some cables are gone', async () => {
    const random = seededRandom(7);
    const mesh = new Mesh(random);
    meshes.push(mesh);
    await mesh.run(40_000);
    const all = (except: number): Map<number, number> =>
      new Map(mesh.hosts.flatMap((_, i) => (i === except ? [] : [[i, 1]])));
    expect(await mesh.say(0, 'all')).toEqual(all(0));
    expect(await mesh.say(9, 'all')).toEqual(all(9));
    expect(await mesh.say(9, 0)).toEqual(new Map([[0, 1]]));
    const roots = new Set(mesh.switches.map(({ spanningTree }) => spanningTree?.status(mesh.clock.now).rootId));
    expect(roots.size).toBe(1);
    // A tenth of the cables that are more than a way to everybody.
    for (let i = 0; i < LINKS_MORE / 10; i++) {
      const cable = mesh.cables[SWITCHES - 1 + Math.floor(random() * LINKS_MORE)];
      await cable?.ends[0].close();
    }
    await mesh.run(40_000);
    expect(await mesh.say(3, 'all')).toEqual(all(3));
    expect(await mesh.say(0, 'all')).toEqual(all(0));
    expect(await mesh.say(3, 0)).toEqual(new Map([[0, 1]]));
  }, 60_000);
});
