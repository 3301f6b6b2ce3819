/** What ends carry by what is written of them, without a look at the machine. */

import { VnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, readOption } from './end-spec.ts';

/** True for a capture file that is read. */
export function isPlayed({ kind, options }: EndSpec): boolean {
  return kind === 'pcap' && !options.has('record');
}

/** Undefined for an end that carries what the other does, or what is only seen when it is opened. @throws VNIC_INVALID_END */
export function writtenMedium(spec: EndSpec): Medium | undefined {
  const { medium } = endKinds[spec.kind];
  if (medium === 'ip' || medium === 'ethernet') return medium;
  if (spec.kind === 'if' || isPlayed(spec)) return undefined;
  // Only IP packets are put on a segment.
  if (spec.options.has('proxy') && !spec.options.has('medium')) return 'ip';
  return readOption(spec, 'medium', 'ip or ethernet', (text) =>
    text === 'ip' || text === 'ethernet' ? text : undefined,
  );
}

/**
 * What two ends carry when they are joined, as far as that is written: Ethernet frames, where an IP end says which addresses are
 * behind it. @throws VNIC_MEDIUM_MISMATCH, VNIC_INVALID_END
 */
export function mediumOf(a: EndSpec, b: EndSpec): Medium {
  const [one, other] = [writtenMedium(a), writtenMedium(b)];
  if (one === undefined || other === undefined || one === other) return one ?? other ?? 'ip';
  const [ip, ethernet] = one === 'ip' ? [a, b] : [b, a];
  if (!ip.options.has('proxy') && !ip.options.has('address')) throw mediumMismatch(ip, ethernet);
  return 'ethernet';
}

/** Which end carries what, and how they are joined nevertheless. */
export function mediumMismatch(ip: EndSpec, ethernet: EndSpec): VnicError {
  return new VnicError('VNIC_MEDIUM_MISMATCH', {
    attempted: `join ${ip.text} and ${ethernet.text}`,
    reason: `${ip.text} carries IP packets, and ${ethernet.text} Ethernet frames`,
    hint: `Say which addresses are behind the first, to be answered for on the Ethernet: ${ip.kind} with proxy=10.0.0.2; or use ends of one medium.`,
  });
}
