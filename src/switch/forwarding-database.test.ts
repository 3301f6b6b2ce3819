import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MacAddress } from '../base/index.ts';
import { ForwardingDatabase, NO_PORT } from './forwarding-database.ts';

function mac(number: number): Uint8Array {
  const bytes = Uint8Array.of(2, 0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(2, number);
  return bytes;
}

/** The same, slow and readable, for an ageing of a second. */
class Twin {
  readonly entries = new Map<string, { readonly port: number; readonly seenMs: number }>();

  find(key: string, nowMs: number): number {
    const entry = this.entries.get(key);
    return entry !== undefined && nowMs - entry.seenMs <= 1000 ? entry.port : NO_PORT;
  }

  flush(port: number): void {
    for (const [key, entry] of this.entries) if (entry.port === port) this.entries.delete(key);
  }

  count(nowMs: number): number {
    return [...this.entries.values()].filter(({ seenMs }) => nowMs - seenMs <= 1000).length;
  }
}

describe('ForwardingDatabase', () => {
  it('knows stations by VLAN, and forgets those that were silent', () => {
    const fdb = new ForwardingDatabase({ ageingMs: 1000 });
    expect(fdb.learn(1, mac(7), 0, 3, 0)).toBe('new');
    expect(fdb.learn(1, mac(7), 0, 3, 500)).toBe('known');
    expect(fdb.find(1, mac(7), 0, 1500)).toBe(3);
    expect(fdb.find(2, mac(7), 0, 1500)).toBe(NO_PORT);
    expect(fdb.find(1, mac(7), 0, 1501)).toBe(NO_PORT);
    expect(fdb.learn(1, mac(7), 0, 4, 2000)).toBe('new');
    fdb.flush(4);
    expect(fdb.find(1, mac(7), 0, 2000)).toBe(NO_PORT);
  });

  it('tells a station that has moved from one that flaps', () => {
    const fdb = new ForwardingDatabase();
    fdb.learn(0, mac(1), 0, 0, 0);
    expect(fdb.learn(0, mac(1), 0, 1, 5000)).toBe('moved');
    expect(fdb.learn(0, mac(1), 0, 0, 5100)).toBe('flapping');
    expect(fdb.learn(0, mac(1), 0, 1, 9000)).toBe('moved');
    expect(fdb.find(0, mac(1), 0, 9000)).toBe(1);
  });

  it.each([2 ** 31 + 1, 2 ** 32 + 500, 2 ** 33 + 500])('knows nobody again after %i ms', (later) => {
    const fdb = new ForwardingDatabase({ ageingMs: 1000 });
    fdb.learn(0, mac(1), 0, 1, 400);
    fdb.learn(0, mac(2), 0, 1, later);
    expect(fdb.find(0, mac(1), 0, later)).toBe(NO_PORT);
    fdb.learn(0, mac(3), 0, 1, 2 ** 32 + 2 ** 31);
    expect(fdb.find(0, mac(1), 0, 2 ** 32 + 500)).toBe(NO_PORT);
  });

  it('learns no group address', () => {
    const fdb = new ForwardingDatabase();
    fdb.learn(0, Uint8Array.of(1, 0, 0x5e, 0, 0, 1), 0, 1, 0);
    expect([...fdb.entries(0)]).toEqual([]);
  });

  it('is bounded and keeps the stations that talk, whatever is invented meanwhile', () => {
    const fdb = new ForwardingDatabase({ capacity: 1024 });
    const regulars = Array.from(
      { length: 20 },
      (_, i) => MacAddress.parse(`02:aa:00:00:00:${(16 + i).toString(16)}`).bytes,
    );
    let missed = 0;
    for (let i = 0; i < 1_000_000; i++) {
      fdb.learn(0, mac(i * 2654435761), 0, 9, i / 1000);
      if (i % 50 !== 0) continue;
      for (const station of regulars) {
        if (fdb.find(0, station, 0, i / 1000) !== 1) missed++;
        fdb.learn(0, station, 0, 1, i / 1000);
      }
    }
    // Each is missed once, at the beginning.
    expect(missed).toBeLessThan(100);
    expect([...fdb.entries(1000)].length).toBeLessThanOrEqual(2048);
    expect(fdb.evicted).toBeGreaterThan(900_000);
  });

  it('agrees with a plain map, as long as there is room', () => {
    const step = fc.record({
      vlan: fc.constantFrom(0, 1, 4094),
      station: fc.integer({ min: 0, max: 40 }),
      port: fc.integer({ min: 0, max: 3 }),
      ms: fc.integer({ min: 0, max: 400 }),
      isFlush: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const fdb = new ForwardingDatabase({ capacity: 4096, ageingMs: 1000 });
        const twin = new Twin();
        let nowMs = 0;
        for (const { vlan, station, port, ms, isFlush } of steps) {
          nowMs += ms;
          if (isFlush && station === 0) {
            fdb.flush(port);
            twin.flush(port);
            continue;
          }
          expect(fdb.find(vlan, mac(station), 0, nowMs)).toBe(twin.find(`${vlan} ${station}`, nowMs));
          fdb.learn(vlan, mac(station), 0, port, nowMs);
          twin.entries.set(`${vlan} ${station}`, { port, seenMs: nowMs });
        }
        expect([...fdb.entries(nowMs)].length).toBe(twin.count(nowMs));
      }),
    );
  });
});
