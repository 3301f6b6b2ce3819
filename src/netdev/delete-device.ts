/** Deletes TUN/TAP devices, and nothing else. */

import { VnicError } from '../base/index.ts';
import { type LinkInfo, type LinkSelector, openNetlink } from '../netlink/index.ts';
import { describeHolders, findHolders } from '../tun/index.ts';
import { interfaceKind } from './describe.ts';

/** How far deleting goes. */
export interface DeleteDevicesOptions {
  /** Delete devices that a process holds as well; its reads then end with an error. Default false. */
  readonly force?: boolean;
}

/**
 * Deletes TUN/TAP devices, whoever made them. All are checked before the first is deleted.
 * @throws VNIC_NO_SUCH_INTERFACE, VNIC_NOT_TUNTAP, VNIC_DEVICE_BUSY (held, without `force`), VNIC_NO_PRIVILEGE
 */
export async function deleteDevices(
  selectors: readonly LinkSelector[],
  options: DeleteDevicesOptions = {},
): Promise<void> {
  const netlink = await openNetlink();
  try {
    const links = new Map<number, LinkInfo>();
    for (const selector of selectors) {
      const link = await netlink.links.get(selector);
      checkDeletable(link, options);
      links.set(link.index, link);
    }
    for (const link of links.values()) await netlink.links.delete(link.name);
  } finally {
    await netlink.close();
  }
}

/** That the interface is a TUN/TAP device. @throws VNIC_NOT_TUNTAP */
export function requireTunTap(link: LinkInfo, attempted: string, hint: string): NonNullable<LinkInfo['tun']> {
  if (link.tun !== undefined) return link.tun;
  const reason = `${link.name} is an interface of kind ${interfaceKind(link)}, not a TUN/TAP device`;
  throw new VnicError('VNIC_NOT_TUNTAP', { attempted, reason, hint });
}

function checkDeletable(link: LinkInfo, options: DeleteDevicesOptions): void {
  const attempted = `delete ${link.name}`;
  const tun = requireTunTap(
    link,
    attempted,
    `If you mean it, \`ip link delete ${link.name}\` deletes other virtual interfaces.`,
  );
  if (options.force) return;
  const holders = describeHolders(findHolders(link.name));
  // Without persistence a device lives only as long as somebody holds it, also when /proc does not say who.
  if (holders === undefined && tun.persist) return;
  throw new VnicError('VNIC_DEVICE_BUSY', {
    attempted,
    reason: `${link.name} is held by ${holders ?? 'a process that this user may not look into'}`,
    hint: 'End that process, or delete the device under it with `--force`.',
  });
}
