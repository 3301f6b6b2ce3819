/** What two ends carry, by what they say and by a look at files and interfaces; loaded when two ends are joined. */

import { invalidArgument } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import type { EndSpec } from './end-spec.ts';
import { mediumOfInterfaceEnd } from './kinds/interface.ts';
import { mediumOfPlayed } from './kinds/pcap.ts';
import { isPlayed, mediumMismatch, writtenMedium } from './medium.ts';
import { refuseProxy, type SegmentSettings, segmentSettings } from './segment.ts';

/** What both carry, and which of them does so by a proxy. @throws VNIC_MEDIUM_MISMATCH, VNIC_INVALID_END */
export async function agreeOnMedium(a: EndSpec, b: EndSpec): Promise<{ medium: Medium; segment?: SegmentSettings }> {
  if (a.text === b.text && a === b) throw invalidArgument('join two ends', 'two of them', 'the same one twice');
  const [one, other] = [ownMedium(a), ownMedium(b)];
  if (one === undefined || other === undefined || one === other) {
    refuseProxy(a);
    refuseProxy(b);
    return { medium: one ?? other ?? 'ip' };
  }
  const [ip, ethernet] = one === 'ip' ? [a, b] : [b, a];
  refuseProxy(ethernet);
  const segment = await segmentSettings(ip);
  if (segment === undefined) throw mediumMismatch(ip, ethernet);
  return { medium: 'ethernet', segment };
}

/** Undefined for an end that carries what the other does. */
function ownMedium(spec: EndSpec): Medium | undefined {
  if (spec.kind === 'if') return mediumOfInterfaceEnd(spec);
  return isPlayed(spec) ? mediumOfPlayed(spec) : writtenMedium(spec);
}
