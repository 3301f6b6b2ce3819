/** What `vnic up` and `vnic down` share. */

/** Brings interfaces up or down, once all of them are known to exist. */
export async function setState(names: readonly string[], state: { readonly up: boolean }): Promise<void> {
  const { openNetlink } = await import('../netlink/index.ts');
  const netlink = await openNetlink();
  try {
    for (const name of names) await netlink.links.get(name);
    for (const name of names) await netlink.links.set(name, state);
  } finally {
    await netlink.close();
  }
}
