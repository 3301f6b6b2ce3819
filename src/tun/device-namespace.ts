/**
 * In which network namespace a device is: its descriptor knows, wherever the device was made or has been moved to.
 *
 * The kernel tells only who has CAP_NET_ADMIN there. An owner without privilege gets no answer, and can have the device in the
 * own namespace only, since opening it elsewhere takes privilege.
 */

import { getLinkSync, type LinkEvents, type LinkInfo, openLinkEvents } from '../netlink/index.ts';
import { type NetnsOptions, namespaceOfFile } from '../netns/index.ts';
import { TunIoctl } from './constants.ts';

/** The interface of an attached descriptor, by name or index; undefined when there is none. */
export function findLink(fd: number, link: string | number): LinkInfo | undefined {
  return inDeviceNamespace(fd, (options) => getLinkSync(link, options));
}

/** Link events of the namespace that the device is in now. */
export function openDeviceEvents(fd: number): LinkEvents {
  return inDeviceNamespace(fd, openLinkEvents);
}

/**
 * Runs `use` with the namespace that the device is in now.
 * @param use is given its number as well, 0 for that of this thread.
 */
export function inDeviceNamespace<T>(fd: number, use: (options: NetnsOptions, inode: number) => T): T {
  const netns = namespaceOfFile(fd, TunIoctl.getDevNetns);
  try {
    return netns === undefined ? use({}, 0) : use({ netns }, netns.inode);
  } finally {
    netns?.closeSync();
  }
}
