/** Deletes what vnic makes: TUN/TAP devices, bridges and veth pairs, and no other interface. */

import { isVnicError, VnicError } from '../base/index.ts';
import type { LinkInfo, LinkSelector, Netlink } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { describeHolders, findHolders } from '../tun/index.ts';
import { interfaceKind, withNetlink } from './describe.ts';

/** How far deleting goes. */
export interface DeleteDevicesOptions extends NetnsOptions {
  /**
   * Delete devices that a process holds as well, whose reads then end with an error, and bridges that have ports.
   * Default false.
   */
  readonly force?: boolean;
}

/**
 * Deletes TUN/TAP devices, bridges, and veth pairs by either end, whoever made them. All are checked before the first is
 * deleted.
 * @throws VNIC_NO_SUCH_INTERFACE, VNIC_NOT_TUNTAP (of another kind), VNIC_DEVICE_BUSY (held, or with ports, without
 *   `force`), VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export async function deleteDevices(
  selectors: readonly LinkSelector[],
  options: DeleteDevicesOptions = {},
): Promise<void> {
  await withNetlink(options, async (netlink) => {
    const all = await netlink.links.list();
    const links = new Map<number, LinkInfo>();
    for (const selector of selectors) {
      const link = await netlink.links.get(selector);
      checkDeletable(link, all, options);
      links.set(link.index, link);
    }
    for (const link of links.values()) await deleteUnlessGone(netlink, link, links);
  });
}

/** One end of a veth pair takes the other with it, which may be the next to be deleted. */
async function deleteUnlessGone(
  netlink: Netlink,
  link: LinkInfo,
  chosen: ReadonlyMap<number, LinkInfo>,
): Promise<void> {
  try {
    await netlink.links.delete(link.index);
  } catch (error) {
    const goesWithPeer = link.kind === 'veth' && link.netnsId === undefined && chosen.has(link.link ?? 0);
    if (!goesWithPeer || !isVnicError(error, 'VNIC_NO_SUCH_INTERFACE')) throw error;
  }
}

/** That the interface is a TUN/TAP device. @throws VNIC_NOT_TUNTAP */
export function requireTunTap(link: LinkInfo, attempted: string, hint: string): NonNullable<LinkInfo['tun']> {
  if (link.tun !== undefined) return link.tun;
  const reason = `${link.name} is an interface of kind ${interfaceKind(link)}, not a TUN/TAP device`;
  throw new VnicError('VNIC_NOT_TUNTAP', { attempted, reason, hint });
}

function checkDeletable(link: LinkInfo, all: readonly LinkInfo[], options: DeleteDevicesOptions): void {
  const attempted = `delete ${link.name}`;
  const { kind } = link;
  if (kind === 'veth') return;
  if (kind === 'bridge') {
    if (!options.force) requireNoPorts(link, all, attempted);
    return;
  }
  const tun = requireTunTap(
    link,
    attempted,
    `vnic deletes TUN/TAP devices, bridges and veth pairs; \`ip link delete ${link.name}\` deletes other virtual interfaces.`,
  );
  if (options.force) return;
  const holders = describeHolders(findHolders(link.name, options));
  // Without persistence a device lives only as long as somebody holds it, also when /proc does not say who.
  if (holders === undefined && tun.persist) return;
  throw new VnicError('VNIC_DEVICE_BUSY', {
    attempted,
    reason: `${link.name} is held by ${holders ?? 'a process that this user may not look into'}`,
    hint: 'End that process, or delete the device under it with `--force`.',
  });
}

function requireNoPorts(link: LinkInfo, all: readonly LinkInfo[], attempted: string): void {
  const ports = all.filter(({ master }) => master === link.index).map(({ name }) => name);
  if (ports.length === 0) return;
  throw new VnicError('VNIC_DEVICE_BUSY', {
    attempted,
    reason: `${link.name} has the ports ${ports.join(', ')}`,
    hint: 'Take them out with `vnic set PORT --no-master`, or delete the bridge under them with `--force`.',
  });
}
