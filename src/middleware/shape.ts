/** A link with a rate of its own in each direction. */

import { type Clock, type PacketLink, systemClock } from '../link/index.ts';
import { Shaper, type ShapeSettings } from './shaper.ts';
import { createPassStage, type StageCounters } from './stage.ts';
import { maxFrameLenOf, requirePlainPackets, StagedLink } from './staged-link.ts';

/** How a link is shaped; a direction that is left out has no limit. */
export interface ShapeOptions {
  /** What is written to the link. */
  readonly toLink?: ShapeSettings;
  /** What is read from the link. */
  readonly fromLink?: ShapeSettings;
  /** Default that of the system, whose timers are exact to a millisecond: what is due meanwhile leaves together. */
  readonly clock?: Clock;
}

/** A shaped link. */
export interface ShapedLink extends PacketLink {
  /** Of what is written. */
  readonly toLink: StageCounters;
  /** Of what is read. */
  readonly fromLink: StageCounters;
}

/**
 * Wraps a link in one that carries no more than its rates. The wrapped link belongs to it: nobody else may read it, and
 * `close()` closes both.
 * @throws VNIC_INVALID_ARGUMENT also when the link carries super-packets
 */
export function shape(link: PacketLink, options: ShapeOptions): ShapedLink {
  requirePlainPackets(link, `shape ${link.name}`);
  return new Shaped(link, options);
}

class Shaped extends StagedLink implements ShapedLink {
  readonly toLink: StageCounters;
  readonly fromLink: StageCounters;

  constructor(link: PacketLink, { clock = systemClock, ...settings }: ShapeOptions) {
    const stage = (of: ShapeSettings | undefined): Shaper | ReturnType<typeof createPassStage> =>
      of === undefined ? createPassStage() : new Shaper(of, maxFrameLenOf(link));
    const [toLink, fromLink] = [stage(settings.toLink), stage(settings.fromLink)];
    super(link, { toLink, fromLink, clock });
    this.toLink = toLink.counters;
    this.fromLink = fromLink.counters;
  }
}
