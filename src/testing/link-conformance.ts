/**
 * The link conformance suite: what every PacketLink must do, whatever carries it.
 *
 * It runs under any test runner:
 *
 *     for (const { title, needs, run } of linkConformanceCases) it(title, () => run(openHarness));
 *
 * where a case with `needs` is registered only for carriers that have what it names. Packets that the
 * harness has not marked are ignored, so a device that other senders use passes too.
 */

import { backPressureCases } from './link-conformance-back-pressure.ts';
import { endCases } from './link-conformance-end.ts';
import { readCases } from './link-conformance-read.ts';
import { streamCases } from './link-conformance-streams.ts';
import { writeCases } from './link-conformance-write.ts';
import type { LinkHarness } from './link-harness.ts';

/** Opens a fresh link for one case. */
export type OpenLinkHarness = () => Promise<LinkHarness>;

/** What a case asks of the carrier beyond the contract: `remove()`, or back-pressure. */
export type LinkAbility = 'remove' | 'backPressure';

/** One behaviour that a link must show. */
export interface LinkConformanceCase {
  /** The behaviour as a sentence. */
  readonly title: string;
  readonly needs: LinkAbility | undefined;
  /** Opens a harness, checks, and closes it. Rejects with an `AssertionError` where the link fails. */
  run(open: OpenLinkHarness): Promise<void>;
}

/** The whole suite. */
export const linkConformanceCases: readonly LinkConformanceCase[] = [
  ...readCases,
  ...writeCases,
  ...endCases,
  ...streamCases,
  ...backPressureCases,
];
