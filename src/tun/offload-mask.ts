/** The offload mask of a device (`TUNSETOFFLOAD`) as its features show it. */

import { isVnicError } from '../base/index.ts';
import { type LinkFeatures, readFeaturesSync } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { TunOffload } from './constants.ts';

/** What each feature means for the mask. */
const featureBits: Readonly<Record<string, number>> = {
  'tx-checksum-ip-generic': TunOffload.csum,
  'tx-tcp-segmentation': TunOffload.tso4,
  'tx-tcp6-segmentation': TunOffload.tso6,
  'tx-tcp-ecn-segmentation': TunOffload.tsoEcn,
  'tx-udp-segmentation': TunOffload.uso4 | TunOffload.uso6,
  'tx-udp_tnl-segmentation': TunOffload.udpTunnelGso,
  'tx-udp_tnl-csum-segmentation': TunOffload.udpTunnelGsoCsum,
};

export function maskOf(features: ReadonlySet<string>): number {
  let mask = 0;
  for (const [name, bits] of Object.entries(featureBits)) if (features.has(name)) mask |= bits;
  return mask;
}

/**
 * The masks under which these features may have been in force, the likeliest first. The driver takes tunnels only
 * together with TCP, which `ethtool -K` may have switched off since.
 */
export function masksOf(features: LinkFeatures): readonly number[] {
  const mask = maskOf(features.active);
  return [mask, mask | TunOffload.tso4 | TunOffload.tso6, 0];
}

/** What must be wanted or no longer, besides setting `mask`, which wants exactly what it has. */
export function wishesToPutBack(
  found: LinkFeatures,
  now: LinkFeatures,
  masks: { readonly ours: number; readonly mask: number },
): ReadonlyMap<string, boolean> {
  const changes = new Map<string, boolean>();
  for (const [name, bits] of Object.entries(featureBits)) {
    const isOurs = now.wanted.has(name) === ((masks.ours & bits) !== 0);
    const wanted = (isOurs ? found : now).wanted.has(name);
    if (wanted !== ((masks.mask & bits) !== 0)) changes.set(name, wanted);
  }
  return changes;
}

/** Undefined where the kernel does not tell. */
export function tryReadFeatures(link: number, options: NetnsOptions = {}): LinkFeatures | undefined {
  return unlessRefused(() => readFeaturesSync(link, options));
}

/** Undefined when the kernel refuses, or this process has no descriptor left to ask it by. */
export function unlessRefused<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (isVnicError(error)) return undefined;
    throw error;
  }
}
