/** Why nothing flows through a device: the steps of a packet's way in their order. Looks only; changes nothing. */

import { type IpAddress, isVnicError } from '../base/index.ts';
import { type Netlink, openNetlink } from '../netlink/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { findHolders } from '../tun/index.ts';
import { checkAttached, checkKind, checkQueue, checkUp } from './check-device.ts';
import { checkFirewall } from './check-firewall.ts';
import {
  checkAddress,
  checkForwarding,
  checkIpv6,
  checkMtu,
  checkNeighbour,
  checkReversePath,
  checkRoute,
} from './check-network.ts';
import { fine, found, mendedFrom, type PathCheck, type PathContext, shellWord } from './path-check.ts';

/** What is asked. */
export interface ExamineDeviceOptions extends NetnsOptions {
  /** Whom packets are for. Default nobody in particular: then routes and neighbours of one address are not followed. */
  readonly to?: IpAddress;
  /** What the device should be. Default whatever it is. */
  readonly kind?: 'tun' | 'tap';
  /** For how long drops of a full queue are watched, in milliseconds. Default 200. */
  readonly watchMs?: number;
}

const WATCH_MS = 200;

/**
 * Examines a device. The first check that fails is the one to be mended first; those behind it
 * may fail for the same cause.
 * @param name also an alternative one
 * @returns one check where there is no such device
 * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_NETLINK, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export async function examineDevice(name: string, options: ExamineDeviceOptions = {}): Promise<PathCheck[]> {
  const place = options.netns === undefined ? {} : { netns: options.netns };
  await using netlink = await openNetlink(place);
  const context = await contextOf(netlink, name, options);
  if (context === undefined) return [mendedFrom(await missing(netlink, name, options), place)];
  const { link } = context;
  await new Promise((resolve) => setTimeout(resolve, options.watchMs ?? WATCH_MS));
  const later = await netlink.links.get(link.index);
  const dropped = later.statistics.txDropped - link.statistics.txDropped;
  const checks = [
    fine('exists', 'Device', `${link.name}, number ${link.index}`),
    checkKind(context),
    checkUp(context),
    checkAttached(context),
    checkQueue(context, dropped),
    checkIpv6(context),
    checkAddress(context),
    await checkRoute(context),
    await checkNeighbour(context),
    checkFirewall(context),
    checkReversePath(context),
    await checkForwarding(context),
    checkMtu(context),
  ];
  return checks.map((check) => mendedFrom(check, place));
}

async function contextOf(
  netlink: Netlink,
  name: string,
  { to, kind, netns }: ExamineDeviceOptions,
): Promise<PathContext | undefined> {
  const place = netns === undefined ? {} : { netns };
  try {
    const link = await netlink.links.get(name);
    return {
      ...place,
      netlink,
      link,
      links: await netlink.links.list(),
      addresses: await netlink.addresses.list({ link: link.index }),
      holders: link.tun === undefined ? [] : findHolders(link.name, place),
      to,
      expectedKind: kind,
    };
  } catch (error) {
    if (isVnicError(error, 'VNIC_NO_SUCH_INTERFACE')) return undefined;
    throw error;
  }
}

async function missing(netlink: Netlink, name: string, { kind = 'tun' }: ExamineDeviceOptions): Promise<PathCheck> {
  const others = (await netlink.links.list()).filter(({ tun }) => tun !== undefined).map((link) => link.name);
  const there = others.length === 0 ? 'no TUN or TAP device at all' : `TUN and TAP devices: ${others.join(', ')}`;
  return found('exists', 'Device', {
    detail: `there is no ${name} here, but ${there}`,
    fix: `sudo vnic create ${shellWord(name)} --${kind} --up`,
  });
}
