import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { parseBpdu } from '../wire/index.ts';
import { SpanningTree, type SpanningTreeOptions } from './spanning-tree.ts';
import type { SpanningTreePortSettings } from './spanning-tree-port.ts';

const DELAY_MS = 1;

/** A port of a bridge. */
interface Plug {
  readonly bridge: number;
  readonly port: number;
}

/** A frame on its way. */
interface Flight {
  readonly atMs: number;
  readonly to: Plug;
  readonly frame: Uint8Array;
}

/** A segment that joins two or more ports, or is cut. */
interface Segment {
  readonly plugs: readonly Plug[];
  isUp: boolean;
}

/** Bridges and segments in virtual time. After every event it is seen that there is no loop. */
class Network {
  readonly trees: SpanningTree[] = [];
  readonly segments: Segment[] = [];
  readonly flushed: Plug[] = [];
  nowMs = 0;
  sent = 0;
  readonly #inFlight: Flight[] = [];
  readonly #portCounts: number[] = [];
  readonly #dead = new Set<number>();

  bridge(options: Partial<SpanningTreeOptions> = {}): number {
    const id = this.trees.length;
    const mac = Uint8Array.of(2, 0, 0, 0, id >> 8, id & 0xff);
    const output = {
      transmit: (port: number, frame: Uint8Array): void => this.#send({ bridge: id, port }, frame.slice()),
      flush: (port: number): void => void this.flushed.push({ bridge: id, port }),
      changed: (): void => undefined,
    };
    this.trees.push(new SpanningTree({ mac, output, ...options }));
    this.#portCounts.push(0);
    return id;
  }

  /** Joins bridges by a new port of each. */
  join(bridges: readonly number[], settings: SpanningTreePortSettings = {}): Segment {
    const plugs = bridges.map((bridge): Plug => {
      const port = this.#portCounts[bridge] as number;
      this.#portCounts[bridge] = port + 1;
      return { bridge, port };
    });
    const segment = { plugs, isUp: true };
    this.segments.push(segment);
    for (const { bridge, port } of plugs) {
      this.tree(bridge).addPort(port, { isPointToPoint: bridges.length <= 2, ...settings }, this.nowMs);
    }
    return segment;
  }

  /** Each side sees that its link is down, or up again. */
  set(segment: Segment, state: 'up' | 'down'): void {
    segment.isUp = state === 'up';
    for (const { bridge, port } of segment.plugs) this.tree(bridge).setPortUp(port, state, this.nowMs);
  }

  /** It says nothing any more, and its neighbours are not told. */
  kill(bridge: number): void {
    this.#dead.add(bridge);
  }

  tree(bridge: number): SpanningTree {
    return this.trees[bridge] as SpanningTree;
  }

  alive(): number[] {
    return this.trees.map((_, i) => i).filter((i) => !this.#dead.has(i));
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const wakeups = this.alive().map((i) => this.tree(i).nextWakeupMs);
      const next = Math.min(...wakeups, ...this.#inFlight.map(({ atMs }) => atMs));
      if (next > endMs) break;
      this.nowMs = next;
      const due = this.#inFlight.findIndex(({ atMs }) => atMs <= next);
      if (due >= 0) {
        const { to, frame } = this.#inFlight.splice(due, 1)[0] as Flight;
        if (!this.#dead.has(to.bridge)) this.tree(to.bridge).receive(to.port, frame, 0, frame.length, next);
      } else {
        const woken = this.alive().find((i) => this.tree(i).nextWakeupMs <= next) as number;
        this.tree(woken).advance(next);
      }
      this.expectNoLoop();
    }
    this.nowMs = endMs;
  }

  forwards({ bridge, port }: Plug): boolean {
    return !this.#dead.has(bridge) && this.tree(bridge).port(port)?.state === 'forwarding';
  }

  /** How many islands there are, each a tree of bridges and segments; throws where one is none. */
  islands(): number {
    const parents = new Map<string, string>();
    const find = (node: string): string => {
      let root = node;
      for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next;
      return root;
    };
    let count = this.alive().length;
    for (const [i, { plugs, isUp }] of this.segments.entries()) {
      const on = isUp ? plugs.filter((plug) => this.forwards(plug)) : [];
      if (on.length > 0) count++;
      for (const { bridge } of on) {
        const [a, b] = [find(`segment ${i}`), find(`bridge ${bridge}`)];
        if (a === b) throw new Error(`a loop at ${this.nowMs} ms`);
        parents.set(a, b);
        count--;
      }
    }
    return count;
  }

  expectNoLoop(): void {
    this.islands();
  }

  rolesOf(bridge: number): string[] {
    return Array.from({ length: this.#portCounts[bridge] as number }, (_, port) => {
      const { role, state } = this.tree(bridge).port(port) as { role: string; state: string };
      return `${role} ${state}`;
    });
  }

  #send(from: Plug, frame: Uint8Array): void {
    this.sent++;
    const segment = this.segments.find(({ plugs }) =>
      plugs.some(({ bridge, port }) => bridge === from.bridge && port === from.port),
    );
    for (const to of segment?.isUp ? segment.plugs : []) {
      if (to.bridge !== from.bridge || to.port !== from.port)
        this.#inFlight.push({ atMs: this.nowMs + DELAY_MS, to, frame });
    }
  }
}

/** Bridges of any priority, some way to everybody, and as many segments more, some of them of three bridges. */
function randomNetwork(seed: number): { readonly network: Network; upTo(count: number): number } {
  const random = seededRandom(seed);
  const upTo = (count: number): number => Math.floor(random() * count);
  const network = new Network();
  const count = 4 + upTo(20);
  for (let i = 0; i < count; i++) network.bridge({ priority: 4096 * upTo(16) });
  for (let i = 1; i < count; i++) network.join([i, upTo(i)], { pathCost: 1 + upTo(40_000) });
  for (let i = 0; i < count; i++) {
    const others = upTo(5) === 0 ? [1, 2] : [1 + upTo(count - 1)];
    network.join([i, ...others.map((other) => (i + other) % count)], { stpPriority: 16 * upTo(16) });
  }
  return { network, upTo };
}

/** All ports are edges no more once they have heard of each other; until then nothing forwards without an agreement. */
function triangle(): Network {
  const network = new Network();
  for (let i = 0; i < 3; i++) network.bridge();
  network.join([0, 1]);
  network.join([1, 2]);
  network.join([2, 0]);
  return network;
}

describe('SpanningTree', () => {
  it('breaks a loop of three, at once', () => {
    const network = triangle();
    network.run(100);
    expect(network.rolesOf(0)).toEqual(['designated forwarding', 'designated forwarding']);
    expect(network.rolesOf(1)).toEqual(['root forwarding', 'designated forwarding']);
    expect(network.rolesOf(2)).toEqual(['alternate discarding', 'root forwarding']);
    expect(network.islands()).toBe(1);
    expect(network.tree(2).status(100)).toMatchObject({
      bridgeId: '8000.02:00:00:00:00:02',
      rootId: '8000.02:00:00:00:00:00',
      rootPathCost: 20_000,
      rootPort: 1,
    });
  });

  it('goes another way within a moment when a link is cut, and back', () => {
    const network = triangle();
    network.run(10_000);
    network.flushed.length = 0;
    const toRoot = network.segments[2];
    if (toRoot === undefined) throw new RangeError('no segment');
    network.set(toRoot, 'down');
    network.run(50);
    expect(network.rolesOf(2)[0]).toBe('root forwarding');
    expect(network.islands()).toBe(1);
    expect(network.flushed.length).toBeGreaterThan(0);
    network.set(toRoot, 'up');
    network.run(50);
    expect(network.rolesOf(2)).toEqual(['alternate discarding', 'root forwarding']);
    expect(network.islands()).toBe(1);
  });

  it('takes the next best when the root falls silent, after three hellos', () => {
    const network = triangle();
    network.run(10_000);
    network.kill(0);
    network.run(4000);
    expect(network.tree(1).status(network.nowMs).rootId).toContain('00:00');
    network.run(6000);
    expect(network.tree(1).status(network.nowMs).rootPort).toBeUndefined();
    expect(network.tree(2).status(network.nowMs).rootId).toBe('8000.02:00:00:00:00:01');
    expect(network.islands()).toBe(1);
  });

  it.each(Array.from({ length: 25 }, (_, seed) => seed))(
    'makes a tree of any network, and never a loop, seed %i',
    (seed) => {
      const { network, upTo } = randomNetwork(seed);
      network.run(60_000);
      const roots = (): Set<string> => new Set(network.alive().map((i) => network.tree(i).status(0).rootId));
      expect(network.islands()).toBe(1);
      expect(roots().size).toBe(1);
      const least = network.trees.map((tree) => tree.status(0).bridgeId).toSorted()[0];
      expect(roots().has(least as string)).toBe(true);
      for (let turn = 0; turn < 6; turn++) {
        const segment = network.segments[upTo(network.segments.length)] as Segment;
        network.set(segment, segment.isUp ? 'down' : 'up');
        network.run(upTo(5000));
      }
      for (const segment of network.segments) if (!segment.isUp) network.set(segment, 'up');
      network.run(60_000);
      expect(network.islands()).toBe(1);
      expect(roots().size).toBe(1);
      const sent = network.sent;
      network.run(20_000);
      // A hello of each designated port every two seconds, and nothing else.
      expect(network.sent - sent).toBeLessThanOrEqual(11 * network.segments.length);
    },
  );

  it('finds an edge by itself, and waits for nobody where it is told of one', () => {
    const network = new Network();
    network.bridge();
    network.join([0]);
    network.join([0], { isEdge: true });
    network.run(10);
    expect(network.rolesOf(0)).toEqual(['designated discarding', 'designated forwarding']);
    network.run(3500);
    expect(network.rolesOf(0)[0]).toBe('designated forwarding');
    expect(network.tree(0).port(0)?.isEdge).toBe(true);
    expect(network.tree(0).status(0).topologyChanges).toBe(0);
  });

  it('takes an edge for none once a bridge is there, and shuts the port where it is on its guard', () => {
    const network = new Network();
    for (let i = 0; i < 4; i++) network.bridge();
    network.join([0, 1], { isEdge: true });
    const guarded = network.join([2, 3], { isEdge: true, bpduGuard: true });
    network.run(100);
    expect(network.tree(0).port(0)).toMatchObject({ isEdge: false, isGuarded: false });
    expect(network.tree(2).port(0)).toMatchObject({ role: 'disabled', state: 'discarding', isGuarded: true });
    for (const { bridge, port } of guarded.plugs) network.tree(bridge).setPort(port, {}, network.nowMs);
    network.run(20_000);
    expect(network.rolesOf(3)).toEqual(['root forwarding']);
  });

  it('speaks version 0 to who knows no other, and acknowledges changes', () => {
    const network = new Network();
    const sent: Uint8Array[] = [];
    const output = {
      transmit: (_port: number, frame: Uint8Array): void => void sent.push(frame.slice()),
      flush: (): void => undefined,
      changed: (): void => undefined,
    };
    const tree = new SpanningTree({ mac: Uint8Array.of(2, 0, 0, 0, 0, 1), priority: 0, output });
    tree.addPort(0, {}, 0);
    // An old bridge that believes to be root, every two seconds.
    const hello = configOf(0x8000_0200_0000_0009n);
    for (let ms = 0; ms <= 40_000; ms += 500) {
      if (ms % 2000 === 0) tree.receive(0, hello, 0, hello.length, ms);
      tree.advance(ms);
    }
    expect(tree.port(0)).toMatchObject({ role: 'designated', state: 'forwarding', isLegacy: true, isEdge: false });
    expect(parseBpdu(sent.at(-1) as Uint8Array, 0, 52)).toMatchObject({ kind: 'config', rootPathCost: 0 });
    const notification = Uint8Array.of(1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 7, 0x42, 0x42, 3, 0, 0, 0, 0x80);
    sent.length = 0;
    tree.receive(0, notification, 0, notification.length, 41_000);
    for (let ms = 41_000; ms < 44_000; ms += 500) tree.advance(ms);
    const answers = sent.map((frame) => parseBpdu(frame, 0, frame.length));
    expect(answers).toContainEqual(
      expect.objectContaining({ kind: 'config', topologyChangeAck: true, topologyChange: true }),
    );
    expect(network.nowMs).toBe(0);
  });

  it('counts what is no BPDU', () => {
    const network = new Network();
    network.bridge();
    network.join([0]);
    const tree = network.tree(0);
    expect(tree.receive(0, new Uint8Array(60), 0, 60, 0)).toBe('bad-type');
    expect(tree.receive(0, new Uint8Array(10), 0, 10, 0)).toBe('truncated');
    expect(tree.receive(7, new Uint8Array(10), 0, 10, 0)).toBe('no-port');
    expect(tree.status(0).dropped).toEqual({ 'bad-type': 1, truncated: 1, 'no-port': 1 });
  });

  it.each([
    [{ priority: 100 }, /multiple of 4096/],
    [{ helloTime: 0 }, /hello time/],
    [{ maxAge: 40, forwardDelay: 15 }, /forward delay - 1/],
    [{ mac: Uint8Array.of(1, 2, 3, 4, 5, 6) }, /station address/],
  ])('refuses %j', (options, text) => {
    expect(() => new Network().bridge(options)).toThrow(text);
  });
});

/** A configuration BPDU of a bridge that takes itself for root. */
function configOf(id: bigint): Uint8Array {
  const frame = new Uint8Array(52);
  frame.set([1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 38, 0x42, 0x42, 3]);
  const view = new DataView(frame.buffer);
  view.setBigUint64(22, id);
  view.setBigUint64(34, id);
  view.setUint16(42, 0x8001);
  view.setUint16(46, 20 * 256);
  view.setUint16(48, 2 * 256);
  view.setUint16(50, 15 * 256);
  return frame;
}
