/** Interfaces with everything that belongs to them: addresses, routes, accounts, holders. Read only. */

import {
  type AddressInfo,
  type LinkInfo,
  type LinkSelector,
  type Netlink,
  openNetlink,
  type RouteInfo,
} from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { findAllHolders, type Holder } from '../tun/index.ts';
import { groupName, userName } from './accounts.ts';

/** A user or group. */
export interface AccountInfo {
  readonly id: number;
  /** Undefined when no account has the id. */
  readonly name: string | undefined;
}

/** An interface as one reading of the kernel's tables shows it. */
export interface InterfaceInfo {
  readonly link: LinkInfo;
  readonly addresses: readonly AddressInfo[];
  /** Of the main table, through this interface. */
  readonly routes: readonly RouteInfo[];
  /** Who may attach without CAP_NET_ADMIN; undefined when it was given to no user. */
  readonly owner: AccountInfo | undefined;
  readonly group: AccountInfo | undefined;
  /** Processes that hold a TUN/TAP device, as far as this user may look into them. */
  readonly holders: readonly Holder[];
  /** Attached queues of a TUN/TAP device; of a single-queue one known from its holders. */
  readonly queues: number;
  /** Name of the bridge or bond that the interface is a port of. */
  readonly master: string | undefined;
}

/** Which interfaces are described. */
export interface DescribeOptions extends NetnsOptions {
  /** Every interface; default TUN/TAP devices only. */
  readonly all?: boolean;
}

/**
 * Describes the interfaces of this network namespace, or of the one of `netns`, by rising index.
 * @throws VNIC_NETLINK, VNIC_SYSTEM_CALL, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export async function describeInterfaces(options: DescribeOptions = {}): Promise<InterfaceInfo[]> {
  return withNetlink(options, async (netlink) => {
    const links = await netlink.links.list();
    const chosen = links.filter((link) => options.all || link.tun !== undefined);
    return describeLinks(netlink, chosen, links, options);
  });
}

/** Describes one interface. @throws VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, and as `describeInterfaces` */
export async function describeInterface(selector: LinkSelector, options: NetnsOptions = {}): Promise<InterfaceInfo> {
  return withNetlink(options, async (netlink) => {
    const link = await netlink.links.get(selector);
    const [info] = await describeLinks(netlink, [link], await netlink.links.list(), options);
    return info as InterfaceInfo;
  });
}

/** What the interface is: `tun`, `tap`, another kind of virtual link, or the type of the hardware. */
export function interfaceKind(link: LinkInfo): string {
  return link.tun?.kind ?? link.kind ?? link.linkType;
}

/** Runs `use` with a socket of that namespace, closed afterwards. @throws what `openNetlink` and `use` throw */
export async function withNetlink<T>({ netns }: NetnsOptions, use: (netlink: Netlink) => Promise<T>): Promise<T> {
  const netlink = await openNetlink(netns === undefined ? {} : { netns });
  try {
    return await use(netlink);
  } finally {
    await netlink.close();
  }
}

async function describeLinks(
  netlink: Netlink,
  chosen: readonly LinkInfo[],
  all: readonly LinkInfo[],
  options: NetnsOptions,
): Promise<InterfaceInfo[]> {
  const addresses = await netlink.addresses.list();
  const held = chosen.some((link) => link.tun !== undefined)
    ? findAllHolders(options)
    : new Map<string, readonly Holder[]>();
  const routes = await netlink.routes.list();
  const infos: InterfaceInfo[] = [];
  for (const link of chosen) {
    const holders = held.get(link.name) ?? [];
    infos.push({
      link,
      addresses: addresses.filter(({ linkIndex }) => linkIndex === link.index),
      routes: routes.filter((route) => leavesBy(route, link.index)),
      owner: await account(link.tun?.owner, userName),
      group: await account(link.tun?.group, groupName),
      holders,
      queues: link.tun?.numQueues ?? holders.reduce((sum, { fds }) => sum + fds.length, 0),
      master: all.find(({ index }) => index === link.master)?.name,
    });
  }
  return infos;
}

function leavesBy(route: RouteInfo, index: number): boolean {
  return route.linkIndex === index || route.nextHops.some(({ linkIndex }) => linkIndex === index);
}

async function account(
  id: number | undefined,
  nameOf: (id: number) => Promise<string | undefined>,
): Promise<AccountInfo | undefined> {
  return id === undefined ? undefined : { id, name: await nameOf(id) };
}
