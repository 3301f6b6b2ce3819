/** The in-memory pair under the link conformance suite. */

import { describe, it } from 'vitest';

import { linkConformanceCases, linkPairHarness } from '../../src/testing/index.ts';

describe.each([
  { medium: 'ip', mtu: 1500 },
  { medium: 'ethernet', mtu: 1500 },
  { medium: 'ip', mtu: 65_535, capacityPackets: 16 },
] as const)('an in-memory pair with $medium, MTU $mtu', (options) => {
  it.each(linkConformanceCases)('$title', ({ run }) => run(() => Promise.resolve(linkPairHarness(options))));
});
