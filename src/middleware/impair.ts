/** A bad link out of a good one: delay, jitter, loss, duplicates, reordering, corruption, rate; seeded, and by a schedule. */

import { invalidArgument, type Random, seededRandom } from '../base/index.ts';
import { type Clock, type PacketLink, systemClock } from '../link/index.ts';
import { Impairment, type ImpairmentCounters } from './impairment.ts';
import type { ImpairmentStep } from './impairment-schedule.ts';
import { checkImpairment, type ImpairmentSettings } from './impairment-settings.ts';
import { maxFrameLenOf, requirePlainPackets, StagedLink } from './staged-link.ts';

/** How a link is impaired. */
export interface ImpairOptions {
  /** What is written to the link. */
  readonly toLink?: ImpairmentSettings;
  /** What is read from the link. */
  readonly fromLink?: ImpairmentSettings;
  /**
   * Where the chance of each direction begins; an integer of which the low 32 bits count, default 1. The same seed loses the
   * same packets, counted from the first of that direction.
   */
  readonly seed?: number;
  /** Chance for both directions in place of a seed. */
  readonly random?: Random;
  /** Changes in time, counted from when the middleware is made; see `parseImpairmentSchedule`. */
  readonly schedule?: readonly ImpairmentStep[];
  /** Default that of the system. Timers of the system are exact to a millisecond, and so are delays. */
  readonly clock?: Clock;
}

/** An impaired link. */
export interface ImpairedLink extends PacketLink {
  /** Of what is written. */
  readonly toLink: ImpairmentCounters;
  /** Of what is read. */
  readonly fromLink: ImpairmentCounters;
  /**
   * Changes what is given and leaves the rest; packets under way keep their times.
   * @throws VNIC_INVALID_ARGUMENT
   */
  setImpairment(changes: { readonly toLink?: ImpairmentSettings; readonly fromLink?: ImpairmentSettings }): void;
}

/** What the seed of the other direction is mixed with, so that both do not lose the same packets. */
const OTHER_SEED = 0x9e37_79b9;

/**
 * Wraps a link in a bad one. It keeps the contract of a `PacketLink`, save that packets come late, wrong, twice, in another
 * order or not at all. The wrapped link belongs to it: nobody else may read it, and `close()` closes both.
 * @throws VNIC_INVALID_ARGUMENT also when the link carries super-packets
 */
export function impair(link: PacketLink, options: ImpairOptions = {}): ImpairedLink {
  requirePlainPackets(link, `impair ${link.name}`);
  const { seed = 1, random } = options;
  if (!Number.isInteger(seed)) throw invalidArgument(`impair ${link.name}`, 'a whole number as seed', seed);
  const maxLen = maxFrameLenOf(link);
  const toLink = new Impairment(options.toLink ?? {}, random ?? seededRandom(seed), maxLen);
  const fromLink = new Impairment(options.fromLink ?? {}, random ?? seededRandom(seed ^ OTHER_SEED), maxLen);
  for (const { settings } of options.schedule ?? []) checkImpairment(settings);
  return new Impaired(link, toLink, fromLink, options);
}

class Impaired extends StagedLink implements ImpairedLink {
  readonly #toLink: Impairment;
  readonly #fromLink: Impairment;
  readonly #clock: Clock;
  readonly #startMs: number;
  #cancelStep: () => void = () => undefined;

  constructor(link: PacketLink, toLink: Impairment, fromLink: Impairment, options: ImpairOptions) {
    const { clock = systemClock, schedule = [] } = options;
    super(link, { toLink, fromLink, clock });
    this.#toLink = toLink;
    this.#fromLink = fromLink;
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#follow(schedule.toSorted((a, b) => a.atMs - b.atMs));
  }

  get toLink(): ImpairmentCounters {
    return this.#toLink.counters;
  }

  get fromLink(): ImpairmentCounters {
    return this.#fromLink.counters;
  }

  setImpairment({ toLink = {}, fromLink = {} }: { toLink?: ImpairmentSettings; fromLink?: ImpairmentSettings }): void {
    // Both are checked before one is changed.
    checkImpairment(fromLink, this.#fromLink.config);
    this.#toLink.set(toLink);
    this.#fromLink.set(fromLink);
  }

  protected override closeCarrier(): Promise<void> {
    this.#cancelStep();
    return super.closeCarrier();
  }

  /** Takes the steps whose time has come, and waits for the next. */
  #follow(steps: readonly ImpairmentStep[]): void {
    const elapsedMs = this.#clock.nowMs() - this.#startMs;
    let done = 0;
    for (; done < steps.length; done++) {
      const { atMs, direction, settings } = steps[done] as ImpairmentStep;
      if (atMs > elapsedMs) break;
      if (direction !== 'in') this.#toLink.set(settings);
      if (direction !== 'out') this.#fromLink.set(settings);
    }
    const next = steps[done];
    if (next === undefined) return;
    const rest = steps.slice(done);
    const waitMs = Math.min(TIMER_MS_MAX, next.atMs - elapsedMs);
    this.#cancelStep = this.#clock.setTimer(waitMs, () => this.#follow(rest));
  }
}

/** The longest that timers of the system wait: 24 days. */
const TIMER_MS_MAX = 0x7fff_ffff;
