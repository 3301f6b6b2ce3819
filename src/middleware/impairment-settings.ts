/** What an impairment is told, checked. */

import { invalidArgument } from '../base/index.ts';
import type { BurstLoss } from './gilbert-elliott.ts';
import { type JitterDistribution, jitterDistributions } from './jitter.ts';

/** What a bad link does to the packets of one direction. Chances are 0 to 1, per packet. */
export interface ImpairmentSettings {
  /** How long each packet is under way; 0 to 3,600,000, default 0. */
  readonly delayMs?: number;
  /**
   * How much that varies, see `distribution`; 0 to 3,600,000, default 0. Packets overtake each other where it is larger than
   * the time between them. No delay is less than 0.
   */
  readonly jitterMs?: number;
  /** Default `uniform`: up to `jitterMs` earlier or later. Of the others it is the standard deviation. */
  readonly distribution?: JitterDistribution;
  /** Chance that a packet is lost; default 0. */
  readonly loss?: number;
  /** Loss in bursts, besides `loss`; default undefined. */
  readonly burstLoss?: BurstLoss | undefined;
  /** Chance that a packet comes twice, each copy with a delay of its own; default 0. */
  readonly duplicate?: number;
  /** Chance that a packet is not delayed, so that it overtakes those under way. Needs a delay. Default 0. */
  readonly reorder?: number;
  /** Chance that one bit of a packet is flipped, wherever it is; default 0. */
  readonly corrupt?: number;
  /** Bits a second that the link carries, link headers counted; 0, the default, for no limit. Else 1 to 10^12. */
  readonly rateBitsPerSecond?: number;
  /**
   * Packets that wait and are under way together, beyond which new ones are lost; 1 to 1,000,000, default 1000. No more than
   * 256 MiB hold, counted in packets of full length.
   */
  readonly queuePackets?: number;
}

/** The settings with their defaults. */
export type ImpairmentConfig = Required<ImpairmentSettings>;

/** A link that does nothing to its packets. */
export const noImpairment: ImpairmentConfig = {
  delayMs: 0,
  jitterMs: 0,
  distribution: 'uniform',
  loss: 0,
  burstLoss: undefined,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
  rateBitsPerSecond: 0,
  queuePackets: 1000,
};

/** The longest delay and the largest jitter: an hour. */
export const DELAY_MS_MAX = 3_600_000;
/** The fastest rate: a terabit a second. */
export const RATE_MAX = 1e12;
/** The longest queue. */
export const QUEUE_PACKETS_MAX = 1_000_000;

/**
 * The settings on top of others.
 * @throws VNIC_INVALID_ARGUMENT
 */
export function checkImpairment(
  settings: ImpairmentSettings,
  before: ImpairmentConfig = noImpairment,
): ImpairmentConfig {
  const config = { ...before, ...settings };
  requireNumber('delayMs', config.delayMs, 0, DELAY_MS_MAX);
  requireNumber('jitterMs', config.jitterMs, 0, DELAY_MS_MAX);
  for (const name of ['loss', 'duplicate', 'reorder', 'corrupt'] as const) requireNumber(name, config[name], 0, 1);
  if (!jitterDistributions.includes(config.distribution)) {
    throw invalidArgument('impair a link', `a distribution of ${jitterDistributions.join(', ')}`, config.distribution);
  }
  if (config.burstLoss !== undefined) {
    const { p, r, h = 0, k = 1 } = config.burstLoss;
    for (const [name, value] of Object.entries({ p, r, h, k })) requireNumber(`burstLoss.${name}`, value, 0, 1);
  }
  requireNumber('rateBitsPerSecond', config.rateBitsPerSecond, 0, RATE_MAX);
  if (config.rateBitsPerSecond > 0) requireNumber('rateBitsPerSecond', config.rateBitsPerSecond, 1, RATE_MAX);
  requireNumber('queuePackets', config.queuePackets, 1, QUEUE_PACKETS_MAX);
  if (!Number.isInteger(config.queuePackets)) {
    throw invalidArgument('impair a link', 'queuePackets as a whole number', config.queuePackets);
  }
  return config;
}

function requireNumber(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw invalidArgument('impair a link', `${name} as a number from ${min} to ${max}`, value);
}
