/**
 * What is set for a device as a whole, outlives the descriptor that set it, and is put back: the offload mask
 * (`TUNSETOFFLOAD`) and the length of the virtio-net header (`TUNSETVNETHDRSZ`).
 *
 * Theory of operation
 *
 * No ioctl tells the mask, but the driver keeps it among the device's features, which anybody may read: a feature is
 * in force when the mask has it and it is wanted; setting the mask makes exactly its features wanted. So both are noted
 * when this thread attaches to a device, and put back when it closes the last of its descriptors of the device:
 *
 *   attach -> found noted -> set (only while nobody else is attached) -> ... -> last close -> found put back
 *
 *   others    Nothing is changed under another holder: a descriptor that finds queues of somebody else on the device,
 *             be it another thread of this program, takes what is in force. Nor is anything put back while there
 *             are such queues: who closes last has to.
 *   between   What somebody else has set by `ethtool -K` while we were attached stays.
 *   privilege Neither ioctl needs any. Making features wanted that are not in force needs CAP_NET_ADMIN; without, the
 *             mask is right, and `ethtool -k` lacks "[requested on]" where it had that.
 *   hidden    A feature in the mask that `ethtool -K` has switched off looks like one that is not in the mask, and is
 *             put back as such.
 *   unread    Where the kernel does not tell features (before Linux 5.8), the mask becomes 0, with which every program
 *             can use the device.
 *   killed    A process or thread that ends without closing its devices puts nothing back. On a device that persists
 *             the mask then stays; vnic's next open sets it to what it needs before it reads a packet, and leaves the
 *             mask that it found: it cannot know whose it was. `ethtool -K NAME tx-checksum-ip-generic off` ends all.
 */

import { nativeCore } from '../native/index.ts';
import { type LinkFeatures, type LinkInfo, wantFeaturesSync } from '../netlink/index.ts';
import { IFREQ_LEN, TunIoctl, VNET_HEADER_LEN } from './constants.ts';
import { findLink, inDeviceNamespace } from './device-namespace.ts';
import { emitInt, parseInt32, parseInterfaceRequest } from './interface-request.ts';
import { maskOf, masksOf, tryReadFeatures, unlessRefused, wishesToPutBack } from './offload-mask.ts';

/** One descriptor's part in the settings of its device. */
export class DeviceSettings {
  /** Nobody else is attached: settings may be changed. */
  readonly alone: boolean;
  /** The mask that was in force when the descriptor was attached; undefined where the kernel does not tell. */
  readonly foundMask: number | undefined;
  readonly #fd: number;
  readonly #ifindex: number;
  readonly #multiQueue: boolean;
  readonly #loan: Loan;
  readonly #key: string;
  #closing: Promise<void> | undefined;

  /** Call it right after the descriptor was attached, before anything is set. */
  constructor(fd: number, link: LinkInfo) {
    this.#fd = fd;
    this.#ifindex = link.index;
    this.#multiQueue = link.tun?.multiQueue ?? false;
    this.alone = attachedQueues(link) <= 1;
    const [features, inode] = inDeviceNamespace(fd, (options, number) => [
      tryReadFeatures(link.index, options),
      number,
    ]);
    this.#key = `${inode}:${link.index}`;
    this.#loan = loans.get(this.#key) ?? newLoan({ features, vnetHeaderLen: readVnetHeaderLen(fd) });
    this.foundMask = features === undefined ? this.#loan.mask : maskOf(features.active);
    this.#loan.open++;
    loans.set(this.#key, this.#loan);
  }

  /** Sets the mask for the device. @returns false when the kernel does not know it */
  setMask(mask: number): boolean {
    if (nativeCore().ioctl(this.#fd, TunIoctl.setOffload, mask) < 0) return false;
    this.#loan.mask = mask;
    return true;
  }

  /** Sets the length of the virtio-net header for the device. @returns false when the kernel does not take it */
  setVnetHeaderLen(length: number): boolean {
    if (nativeCore().ioctl(this.#fd, TunIoctl.setVnetHdrSz, emitInt(length)) < 0) return false;
    this.#loan.vnetHeaderLen = length;
    return true;
  }

  /** Closes the descriptor; the last one of this thread puts back what it found. Never fails. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const loan = this.#loan;
    loan.open--;
    const closed = this.#closeAfter([...loan.closing]);
    loan.closing.add(closed);
    await closed;
    loan.closing.delete(closed);
    if (loan.open === 0 && loan.closing.size === 0) loans.delete(this.#key);
  }

  /** Descriptors that are being closed are still attached: whoever is last waits for them, to count only others. */
  async #closeAfter(closing: readonly Promise<void>[]): Promise<void> {
    if (this.#loan.open === 0) await Promise.all(closing);
    try {
      // Meanwhile another may have been opened, which then is last.
      if (this.#loan.open === 0) this.#putBack();
    } finally {
      await nativeCore().closeAsync(this.#fd);
    }
  }

  #putBack(): void {
    const { found, mask, vnetHeaderLen } = this.#loan;
    if (mask === undefined && vnetHeaderLen === undefined) return;
    const link = currentLink(this.#fd, this.#ifindex);
    if (link === undefined ? this.#multiQueue : attachedQueues(link) > 1) return;
    // It goes away with this descriptor.
    if (link?.tun?.persist === false) return;
    if (vnetHeaderLen === readVnetHeaderLen(this.#fd)) this.setVnetHeaderLen(found.vnetHeaderLen);
    if (mask !== undefined) this.#putBackMask(found.features, mask, link !== undefined);
  }

  #putBackMask(found: LinkFeatures | undefined, ours: number, isHere: boolean): void {
    const now = isHere ? inDeviceNamespace(this.#fd, (options) => tryReadFeatures(this.#ifindex, options)) : undefined;
    const mask = found === undefined ? 0 : masksOf(found).find((one) => this.setMask(one));
    if (found === undefined || now === undefined || mask === undefined) return;
    const wishes = wishesToPutBack(found, now, { ours, mask });
    if (wishes.size === 0) return;
    unlessRefused(() => inDeviceNamespace(this.#fd, (options) => wantFeaturesSync(this.#ifindex, wishes, options)));
  }
}

/** Bytes of the virtio-net header before each packet, as the device is set. */
export function readVnetHeaderLen(fd: number): number {
  const size = emitInt(0);
  return nativeCore().ioctl(fd, TunIoctl.getVnetHdrSz, size) < 0 ? VNET_HEADER_LEN : parseInt32(size);
}

/** What the descriptors of this thread on one device have in common. */
interface Loan {
  readonly found: { readonly features: LinkFeatures | undefined; readonly vnetHeaderLen: number };
  /** What we set; undefined while it is as found. */
  mask: number | undefined;
  vnetHeaderLen: number | undefined;
  open: number;
  readonly closing: Set<Promise<void>>;
}

// By number of the namespace, where the device was attached, and index of the interface.
const loans = new Map<string, Loan>();

function newLoan(found: Loan['found']): Loan {
  return { found, mask: undefined, vnetHeaderLen: undefined, open: 0, closing: new Set() };
}

function attachedQueues({ tun }: LinkInfo): number {
  return (tun?.numQueues ?? 1) + (tun?.numDisabledQueues ?? 0);
}

/** Undefined when the device is gone, unreadable, or has moved to another namespace and got another index there. */
function currentLink(fd: number, ifindex: number): LinkInfo | undefined {
  const request = new Uint8Array(IFREQ_LEN);
  if (nativeCore().ioctl(fd, TunIoctl.getIff, request) < 0) return undefined;
  const { name } = parseInterfaceRequest(request);
  const link = unlessRefused(() => findLink(fd, name));
  return link?.index === ifindex ? link : undefined;
}
