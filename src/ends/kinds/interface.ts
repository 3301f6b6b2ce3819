/** Ends that are existing interfaces, used as they are. */

import type { Medium } from '../../link/index.ts';
import { type InterfaceOptions, interfaceMedium, openInterface } from '../../transport/index.ts';
import type { OpenEnd } from '../end.ts';
import type { EndSpec } from '../end-spec.ts';

/** What the interface carries. @throws what `openInterface` throws */
export function mediumOfInterfaceEnd(spec: EndSpec): Medium {
  return interfaceMedium(optionsOf(spec));
}

/** Opens `if`. @throws what `openInterface` throws */
export async function openInterfaceEnd(spec: EndSpec): Promise<OpenEnd> {
  const options = optionsOf(spec);
  const { netns } = options;
  // What this machine itself sends there is not for the other end, and least of all what came from it.
  const link = await openInterface({ ...options, outgoing: false, split: true });
  const where = typeof netns === 'string' ? ` in ${netns}` : '';
  return { link, label: `interface ${spec.where}${where}`, close: () => link.close() };
}

function optionsOf(spec: EndSpec): InterfaceOptions {
  const netns = spec.options.get('netns')?.at(-1);
  return { name: spec.where, promiscuous: spec.options.has('promisc'), ...(netns !== undefined && { netns }) };
}
