/** The search on simulated paths, in virtual time. */

import { describe, expect, it } from 'vitest';

import { type Random, seededRandom } from '../base/index.ts';
import { PathMtuSearch, type PathMtuSearchOptions } from './index.ts';

const sizes = { minSize: 548, baseSize: 1200, maxSize: 1452 };

/** What lies between, and what is at the other side. */
interface Path {
  /** Longest payload; longer ones are lost. */
  mtu: number;
  /** Lost ones are told of by the path. */
  tells?: boolean;
  /** Share of probes and acknowledgements that are lost. */
  loss?: number;
  isDead?: boolean;
}

/** Runs a search over a path that can be changed meanwhile. */
class Simulation {
  nowMs = 0;
  probes = 0;
  readonly search: PathMtuSearch;
  readonly path: Path;
  readonly #random: Random;
  readonly #events: { atMs: number; run: () => void }[] = [];

  constructor(path: Path, options: Partial<PathMtuSearchOptions> = {}, seed = 1) {
    this.path = path;
    this.#random = seededRandom(seed);
    this.search = new PathMtuSearch({ ...sizes, firstSequence: 0xffff_fffe, ...options }, 0);
  }

  /** Lets so much time pass; `check` sees every moment at which something happens. */
  run(ms: number, check: () => void = () => undefined): void {
    const endMs = this.nowMs + ms;
    for (let steps = 0; ; steps++) {
      if (steps > 1_000_000) throw new Error('the search spins');
      for (let probe = this.search.poll(this.nowMs); probe !== undefined; probe = this.search.poll(this.nowMs)) {
        this.#send(probe.size, probe.sequence);
      }
      check();
      this.#events.sort((x, y) => x.atMs - y.atMs);
      const next = Math.min(this.search.nextWakeupMs, this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY);
      if (next > endMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      while ((this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY) <= this.nowMs) this.#events.shift()?.run();
    }
    this.nowMs = endMs;
  }

  #send(size: number, sequence: number): void {
    this.probes++;
    const { mtu, tells, loss = 0, isDead } = this.path;
    const later = (run: () => void): void => void this.#events.push({ atMs: this.nowMs + 40, run });
    if (size > mtu) {
      if (tells) later(() => this.search.tooBig(mtu, this.nowMs));
      return;
    }
    if (isDead || this.#random() < loss || this.#random() < loss) return;
    later(() => this.search.acknowledged(sequence, this.nowMs));
  }
}

describe('a path that takes what is hoped for', () => {
  it('needs two probes, and no step down', () => {
    const simulation = new Simulation({ mtu: 1452 }, { assumedSize: 1452 });
    simulation.run(1000, () => expect(simulation.search.size).toBe(1452));
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1452 });
    expect(simulation.probes).toBe(2);
  });

  it('is asked again only to confirm it', () => {
    const simulation = new Simulation({ mtu: 9000 });
    simulation.run(3_600_000);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1452 });
    expect(simulation.probes).toBeLessThan(365);
  });
});

describe('a narrower path', () => {
  it('that says so is found with three probes', () => {
    const simulation = new Simulation({ mtu: 1333, tells: true }, { assumedSize: 1452 });
    simulation.run(1000);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1333 });
    expect(simulation.probes).toBe(3);
  });

  it.each(Array.from({ length: 60 }, (_, i) => 548 + i * 15 + (i % 7)))(
    'of %i bytes that is silent is found exactly, and never exceeded once a probe was lost',
    (mtu) => {
      const simulation = new Simulation({ mtu });
      simulation.run(60_000, () => {
        if (simulation.search.state === 'complete') expect(simulation.search.size).toBeLessThanOrEqual(mtu);
      });
      expect(simulation.search).toMatchObject({ state: 'complete', size: Math.min(mtu, 1452) });
      // Base, error, and ten halvings of three probes each, at most.
      expect(simulation.probes).toBeLessThan(3 + 1 + 30 + 8);
    },
  );

  it('below what is believed is not used any more after the first probe that is lost', () => {
    const simulation = new Simulation({ mtu: 1300 }, { assumedSize: 1452 });
    simulation.run(1100);
    expect(simulation.search.size).toBe(1200);
  });
});

describe('a path that changes', () => {
  it('to narrower, in silence, is noticed within a confirmation and its probes', () => {
    const simulation = new Simulation({ mtu: 1452 });
    simulation.run(5000);
    simulation.path.mtu = 1250;
    simulation.run(10_000 + 3000 + 100);
    expect(simulation.search.size).toBeLessThanOrEqual(1250);
    simulation.run(40_000);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1250 });
  });

  it('to narrower, and says so, is followed at once', () => {
    const simulation = new Simulation({ mtu: 1452, tells: true });
    simulation.run(5000);
    simulation.path.mtu = 1250;
    // A datagram of somebody was answered by a router.
    simulation.search.tooBig(1250, simulation.nowMs);
    expect(simulation.search.size).toBe(1250);
    simulation.run(500);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1250 });
  });

  it('to wider is noticed when it is time to raise', () => {
    const simulation = new Simulation({ mtu: 1250 });
    simulation.run(100_000);
    simulation.path.mtu = 1400;
    simulation.run(700_000);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1400 });
  });

  it.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'at random, with loss (seed %i), is followed and never overrun for long',
    (seed) => {
      const random = seededRandom(seed);
      const between = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
      const simulation = new Simulation({ mtu: 1452, loss: 0.15 }, {}, seed);
      for (let change = 0; change < 20; change++) {
        simulation.path.mtu = between(548, 1500);
        simulation.path.tells = random() < 0.5;
        simulation.run(100_000);
        const { size } = simulation.search;
        if (size !== undefined && simulation.search.state === 'complete') {
          expect(size, `change ${change}`).toBeLessThanOrEqual(simulation.path.mtu);
        }
      }
      simulation.path.loss = 0;
      simulation.run(1_300_000);
      expect(simulation.search).toMatchObject({ state: 'complete', size: Math.min(1452, simulation.path.mtu) });
    },
  );
});

describe('a peer that is silent', () => {
  it('is left alone, and the kernel is believed', () => {
    const simulation = new Simulation({ mtu: 1452, isDead: true }, { assumedSize: 1452 });
    simulation.run(3000, () => expect(simulation.search.size).toBe(1452));
    simulation.run(10_000);
    expect(simulation.search).toMatchObject({ state: 'disabled', size: undefined });
    simulation.run(3_600_000);
    // Six probes in 36 seconds.
    expect(simulation.probes).toBeLessThan(620);
  });

  it('after a while is not taken for a narrow path', () => {
    const simulation = new Simulation({ mtu: 1452 });
    simulation.run(5000);
    simulation.path.isDead = true;
    simulation.run(60_000, () => expect(simulation.search.size ?? 1452).toBe(1452));
    expect(simulation.search.size).toBeUndefined();
    simulation.path.isDead = false;
    simulation.search.heard(simulation.nowMs);
    simulation.run(1000);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1452 });
  });
});

describe('what is not to be believed', () => {
  it('acknowledgements of probes that were not sent, or long ago', () => {
    const search = new PathMtuSearch(sizes, 0);
    const base = search.poll(0);
    expect(base?.size).toBe(1200);
    search.acknowledged(7, 10);
    expect(search.state).toBe('base');
    search.acknowledged(base?.sequence ?? -1, 20);
    const longest = search.poll(20);
    expect(longest?.size).toBe(1452);
    search.acknowledged(base?.sequence ?? -1, 30);
    expect(search.state).toBe('searching');
  });

  it('"too big" with sizes that no path has, or wider ones than are known', () => {
    const simulation = new Simulation({ mtu: 1300 });
    simulation.run(60_000);
    for (const size of [0, 100, 547, 1300, 1301, 1452, 65_535]) simulation.search.tooBig(size, simulation.nowMs);
    expect(simulation.search).toMatchObject({ state: 'complete', size: 1300 });
  });

  it('a forged "too big" lasts until longer ones are tried again', () => {
    const simulation = new Simulation({ mtu: 1452 });
    simulation.run(5000);
    simulation.search.tooBig(600, simulation.nowMs);
    simulation.run(1000);
    expect(simulation.search.size).toBe(600);
    simulation.run(601_000);
    expect(simulation.search.size).toBe(1452);
  });
});

it('what this machine refuses needs no time', () => {
  const search = new PathMtuSearch(sizes, 0);
  let probes = 0;
  for (let probe = search.poll(0); probe !== undefined; probe = search.poll(0)) {
    probes++;
    if (probe.size > 1400) search.refused(probe.size, 0);
    else search.acknowledged(probe.sequence, 0);
  }
  expect(search).toMatchObject({ state: 'complete', size: 1400 });
  expect(probes).toBeLessThan(12);
});

it.each([
  { minSize: 0, baseSize: 1200, maxSize: 1452 },
  { minSize: 1300, baseSize: 1200, maxSize: 1452 },
  { minSize: 500, baseSize: 1200, maxSize: 1100 },
  { minSize: 500, baseSize: 1200.5, maxSize: 1452 },
  { minSize: 500, baseSize: 1200, maxSize: 70_000 },
])('sizes that make no sense are refused: %o', (options) => {
  expect(() => new PathMtuSearch(options, 0)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
});
