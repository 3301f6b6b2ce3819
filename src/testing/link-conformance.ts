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
import type { LinkConformanceCase } from './link-conformance-case.ts';
import { endCases } from './link-conformance-end.ts';
import { readCases } from './link-conformance-read.ts';
import { streamCases } from './link-conformance-streams.ts';
import { writeCases } from './link-conformance-write.ts';

/** The whole suite. */
export const linkConformanceCases: readonly LinkConformanceCase[] = [
  ...readCases,
  ...writeCases,
  ...endCases,
  ...streamCases,
  ...backPressureCases,
];
