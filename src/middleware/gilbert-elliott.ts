/**
 * Loss in bursts: the model of Gilbert and Elliott, a Markov chain of two states with a chance of loss in each (Gilbert 1960,
 * Elliott 1963; the names are those of Hasslinger and Hohlfeld 2008, which `tc netem loss gemodel` has too).
 *
 * ```
 *            p                 share of packets in the bad state    p / (p + r)
 *   good --------> bad         mean length of a stay there          1 / r packets
 *     ^             |          share of packets lost                ((1 - k) r + (1 - h) p) / (p + r)
 *     +-------------+
 *            r
 * ```
 */

import type { Random } from '../base/index.ts';

/** The chances of the model, each 0 to 1, per packet. */
export interface BurstLoss {
  /** From the good state to the bad one. */
  readonly p: number;
  /** From the bad state back to the good one. */
  readonly r: number;
  /** That a packet gets through in the bad state; default 0. */
  readonly h?: number;
  /** That a packet gets through in the good state; default 1. */
  readonly k?: number;
}

/** The chain; begins in the good state. */
export class GilbertElliott {
  readonly #model: Required<BurstLoss>;
  #isBad = false;

  constructor(model: BurstLoss) {
    this.#model = { h: 0, k: 1, ...model };
  }

  /** Hot: goes on by a packet, with two numbers of chance. @returns true when it is lost */
  step(random: Random): boolean {
    const { p, r, h, k } = this.#model;
    const chance = random();
    this.#isBad = this.#isBad ? chance >= r : chance < p;
    return random() >= (this.#isBad ? h : k);
  }
}
