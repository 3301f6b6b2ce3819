/** TUN and TAP devices: how they are opened, and what can be set on them. */

import { VnicError } from '../base/index.ts';
import {
  type Attached,
  adopt,
  applyOwnership,
  attach,
  type DeviceFlags,
  type OpenOptions,
  readFlags,
} from './attach.ts';
import { DeviceLink } from './device-link.ts';
import type { CarrierOptions, DeviceOptions } from './device-options.ts';
import { deviceGone } from './diagnose.ts';
import { wantsOffload } from './offload.ts';
import { isDetached, setAttached, setSteering } from './queue.ts';

/** What TUN and TAP devices have in common; use `TunDevice` or `TapDevice`. */
export abstract class TunTapDevice extends DeviceLink {
  /** What the device is now, as the kernel tells it. @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE */
  get flags(): DeviceFlags {
    this.#requireOpen('read the flags');
    const found = readFlags(this.fd);
    if (found === undefined) throw deviceGone(this.name);
    return found.flags;
  }

  /** Keeps the device after its last descriptor is closed, or no longer (`TUNSETPERSIST`). */
  setPersist(persist: boolean): void {
    this.#apply('set persistence', { persist });
  }

  /** Numeric user id that may attach without CAP_NET_ADMIN (`TUNSETOWNER`). */
  setOwner(owner: number): void {
    this.#apply('set the owner', { owner });
  }

  /** Numeric group id that may attach without CAP_NET_ADMIN (`TUNSETGROUP`). */
  setGroup(group: number): void {
    this.#apply('set the group', { group });
  }

  /**
   * Detaches this queue from its multi-queue device (`TUNSETQUEUE`): the kernel spreads flows over the queues that
   * are left, and gives this one nothing to read until `attachQueue`. Writes still work, and a device that is
   * deleted still ends the link. A handler of `onBatch` is given what is queued first; what comes while the
   * kernel detaches, and what nobody reads, is discarded by the kernel without being counted. Nothing happens when
   * the queue is detached already.
   * @throws VNIC_QUEUE_MODE for a single-queue device, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  detachQueue(): void {
    this.#requireOpen('detach a queue');
    if (isDetached(this.fd, this.name)) return;
    this.wakeReader();
    // The reader may have closed the device, and its descriptor may be another's by now.
    this.#requireOpen('detach a queue');
    setAttached(this.fd, this.name, false);
  }

  /**
   * Attaches this queue again, as the last one of the device. Nothing happens when it is attached.
   * @throws VNIC_QUEUE_MODE, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  attachQueue(): void {
    this.#requireOpen('attach a queue');
    if (isDetached(this.fd, this.name)) setAttached(this.fd, this.name, true);
  }

  /**
   * Lets a BPF program choose the queue for each packet that the kernel sends out of this device, instead of its
   * hash of the flow (`TUNSETSTEERINGEBPF`); for all queues, until it is taken away or the device ends.
   * @param programFd descriptor of a loaded socket filter, which may be closed afterwards (`vnic/queues` loads
   *   them); undefined takes the program away.
   * @throws VNIC_INVALID_ARGUMENT when it is no such descriptor, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setSteering(programFd: number | undefined): void {
    this.#requireOpen('set the steering');
    setSteering(this.fd, this.name, programFd);
  }

  #apply(what: string, change: Pick<OpenOptions, 'owner' | 'group' | 'persist'>): void {
    this.#requireOpen(what);
    applyOwnership(this.fd, `${what} of ${this.name}`, change);
  }

  #requireOpen(what: string): void {
    if (!this.closed) return;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: `${what} of ${this.name}`,
      reason: `${this.name} was closed`,
      hint: 'Check `closed` before, or open the device again.',
    });
  }
}

/** A TUN device: IP packets between the kernel and this program. Create it with `TunDevice.open`. */
export class TunDevice extends TunTapDevice {
  /**
   * Opens a TUN device: attaches to the one of that name, or creates it. A created device is down and has no
   * address; it vanishes on `close()` and when the process ends, unless `persist` is set.
   *
   * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_TUN_NODE_MISSING, VNIC_TUN_DRIVER_MISSING,
   *   VNIC_TUN_NODE_FORBIDDEN, VNIC_TUN_NODE_DENIED, VNIC_NO_PRIVILEGE, VNIC_DEVICE_OWNED, VNIC_DEVICE_BUSY,
   *   VNIC_DEVICE_EXISTS, VNIC_WRONG_KIND, VNIC_NOT_TUNTAP, VNIC_QUEUE_MODE, VNIC_TOO_MANY_QUEUES,
   *   VNIC_TOO_MANY_FILES, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN, VNIC_INVALID_ARGUMENT for offload together
   *   with packet info
   */
  static async open(options: DeviceOptions = {}): Promise<TunDevice> {
    return makeDevice(await attach('tun', withVnetHeader(options)), (attached) => new TunDevice(attached, options));
  }

  /**
   * Takes over a descriptor that is attached to a TUN device, for example one passed by a service manager.
   * It becomes non-blocking and close-on-exec, and is closed by `close()`.
   * @throws VNIC_INVALID_ARGUMENT for any other descriptor, VNIC_WRONG_KIND for one of a TAP device
   */
  static async adopt(fd: number, options: CarrierOptions = {}): Promise<TunDevice> {
    return makeDevice(adopt('tun', fd), (attached) => new TunDevice(attached, options));
  }
}

/** A TAP device: Ethernet frames between the kernel and this program. Create it with `TapDevice.open`. */
export class TapDevice extends TunTapDevice {
  /** As `TunDevice.open`, for a TAP device. */
  static async open(options: DeviceOptions = {}): Promise<TapDevice> {
    return makeDevice(await attach('tap', withVnetHeader(options)), (attached) => new TapDevice(attached, options));
  }

  /** As `TunDevice.adopt`, for a TAP device. */
  static async adopt(fd: number, options: CarrierOptions = {}): Promise<TapDevice> {
    return makeDevice(adopt('tap', fd), (attached) => new TapDevice(attached, options));
  }
}

/** Options that no device can be made of must leave neither the descriptor open nor the device changed. */
async function makeDevice<Device>(attached: Attached, make: (attached: Attached) => Device): Promise<Device> {
  try {
    return make(attached);
  } catch (error) {
    await attached.settings.close();
    throw error;
  }
}

/** Offload needs the header; without, it stays what the caller said. */
function withVnetHeader(options: DeviceOptions): OpenOptions {
  return wantsOffload(options.offload) || options.superPackets ? { ...options, vnetHeader: true } : options;
}
