/** Seeded randomness for simulation: the same seed gives the same run. Not for secrets. */

/** Gives the next number from 0 (included) to 1 (excluded). */
export type Random = () => number;

/**
 * Mulberry32, a 32-bit generator with a period of 2^32: small, fast, good enough for loss and jitter.
 * @param seed any integer; only its low 32 bits count
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
