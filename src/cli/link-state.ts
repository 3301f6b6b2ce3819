/** What `vnic up` and `vnic down` share. */

import type { NetnsOptions } from '../netns/index.ts';

/** Brings interfaces up or down, once all of them are known to exist. */
export async function setState(
  names: readonly string[],
  state: { readonly up: boolean },
  options: NetnsOptions = {},
): Promise<void> {
  const { withNetlink } = await import('../netdev/index.ts');
  await withNetlink(options, async (netlink) => {
    for (const name of names) await netlink.links.get(name);
    for (const name of names) await netlink.links.set(name, state);
  });
}
