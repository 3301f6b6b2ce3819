/** How delays vary: samples around 0 whose unit is the jitter. Chance is handed in. */

import type { Random } from '../base/index.ts';

/** `uniform`: from -1 to 1. `normal` and `pareto`: mean 0, standard deviation 1, the second with a long tail of late ones. */
export type JitterDistribution = 'uniform' | 'normal' | 'pareto';

/** What a distribution may be. */
export const jitterDistributions: readonly JitterDistribution[] = ['uniform', 'normal', 'pareto'];

/** Where the tails are cut, in units of the jitter; the tables of `tc netem` end there too. */
export const JITTER_MAX = 4;

/** Of a Pareto distribution with shape 3 and scale 1: mean 3/2, variance 3/4. */
const PARETO_SHAPE = 3;
const PARETO_MEAN = 1.5;
const PARETO_DEVIATION = Math.sqrt(0.75);

/** Hot: the next sample, -`JITTER_MAX` to `JITTER_MAX`. */
export function sampleJitter(distribution: JitterDistribution, random: Random): number {
  switch (distribution) {
    case 'uniform':
      return random() * 2 - 1;
    case 'normal':
      return cut(sampleNormal(random));
    case 'pareto':
      return cut(((1 - random()) ** (-1 / PARETO_SHAPE) - PARETO_MEAN) / PARETO_DEVIATION);
  }
}

/** Box and Muller's transform; always two numbers, so that a run stays the same whatever they are. */
function sampleNormal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

function cut(sample: number): number {
  return Math.max(-JITTER_MAX, Math.min(JITTER_MAX, sample));
}
