/** What two ends carry: IP packets or Ethernet frames. */

import { invalidArgument, VnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, readOption } from './end-spec.ts';

/** What both carry. @throws VNIC_MEDIUM_MISMATCH, VNIC_INVALID_END */
export function mediumOf(a: EndSpec, b: EndSpec): Medium {
  if (a.text === b.text && a === b) throw invalidArgument('join two ends', 'two of them', 'the same one twice');
  const [one, other] = [ownMedium(a), ownMedium(b)];
  if (one !== undefined && other !== undefined && one !== other) {
    const [ip, ethernet] = one === 'ip' ? [a, b] : [b, a];
    throw new VnicError('VNIC_MEDIUM_MISMATCH', {
      attempted: `join ${a.text} and ${b.text}`,
      reason: `${ip.text} carries IP packets, and ${ethernet.text} Ethernet frames`,
      hint: 'Use tun: at both ends, or tap: at both.',
    });
  }
  return one ?? other ?? 'ip';
}

function ownMedium(spec: EndSpec): Medium | undefined {
  const { medium } = endKinds[spec.kind];
  if (medium !== 'any') return medium;
  return readOption(spec, 'medium', 'ip or ethernet', (text) =>
    text === 'ip' || text === 'ethernet' ? text : undefined,
  );
}
