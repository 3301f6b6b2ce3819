/** What an end carries by itself. */

import type { Medium } from '../link/index.ts';
import { endKinds } from './end-kinds.ts';
import { type EndSpec, readOption } from './end-spec.ts';
import { mediumOfInterfaceEnd } from './kinds/interface.ts';
import { isPlayed, mediumOfPlayed } from './kinds/pcap.ts';

/** Undefined for an end that carries what the other does. @throws VNIC_INVALID_END; what a look at a file or an interface throws */
export function ownMedium(spec: EndSpec): Medium | undefined {
  const { medium } = endKinds[spec.kind];
  if (medium === 'ip' || medium === 'ethernet') return medium;
  if (spec.kind === 'if') return mediumOfInterfaceEnd(spec);
  if (isPlayed(spec)) return mediumOfPlayed(spec);
  return readOption(spec, 'medium', 'ip or ethernet', (text) =>
    text === 'ip' || text === 'ethernet' ? text : undefined,
  );
}
