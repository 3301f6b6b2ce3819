/** TUN and TAP devices, and how they are opened. */

import { invalidArgument, type MacAddress } from '../base/index.ts';
import { type Attached, adopt, attach, type TapOpenOptions } from './attach.ts';
import { VNET_HEADER_LEN } from './constants.ts';
import type { CarrierOptions, DeviceOptions, TapDeviceOptions } from './device-options.ts';
import { FrameFilter } from './frame-filter.ts';
import { readMac, setMac } from './hardware-address.ts';
import { wantsOffload } from './offload.ts';
import { TunTapDevice } from './tuntap-device.ts';
import { setTxFilter, type TxFilter } from './tx-filter.ts';

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
  readonly #filter = new FrameFilter(this);

  /** As `TunDevice.open`, for a TAP device. */
  static async open(options: TapDeviceOptions = {}): Promise<TapDevice> {
    return makeDevice(await attach('tap', withVnetHeader(options)), (attached) => new TapDevice(attached, options));
  }

  /** As `TunDevice.adopt`, for a TAP device. */
  static async adopt(fd: number, options: CarrierOptions = {}): Promise<TapDevice> {
    return makeDevice(adopt('tap', fd), (attached) => new TapDevice(attached, options));
  }

  /** The MAC address of the interface (`SIOCGIFHWADDR`). @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE */
  get mac(): MacAddress {
    this.requireOpen('read the MAC address');
    return readMac(this);
  }

  /**
   * Sets the MAC address of the interface (`SIOCSIFHWADDR` on the device's own descriptor): a unicast one. Needs no
   * privilege, other than by netlink or a socket. It may be up; stays on a device that persists.
   * @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setMac(mac: MacAddress): void {
    this.requireOpen('set the MAC address');
    setMac(this, mac);
  }

  /**
   * Chooses by destination which frames the kernel gives to the reader (`TUNSETTXFILTER`), as a network card does; the rest
   * is counted in the interface's `txDropped`. For all queues, until it is changed: it stays on a device that
   * persists, and no call tells what is set. Needs no privilege.
   * @param filter undefined lets everything pass
   * @returns how many of the addresses, up to 8 and unicast ones first, are compared exactly; the others are hashed
   * @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setTxFilter(filter: TxFilter | undefined): number {
    this.requireOpen('set the destination filter');
    return setTxFilter(this, filter);
  }

  /**
   * Chooses by a classic BPF program which frames the kernel gives to the reader, and how much of each
   * (`TUNATTACHFILTER`): the result is the number of bytes to keep, and 0 drops the frame, which the interface counts in
   * `txDropped`. Needs no privilege, unlike an eBPF program. For the queues that are attached, until it is taken away,
   * another is set, or this object is closed; the kernel gives it to no queue that is opened later.
   * @param instructions 1 to 4096 of eight bytes in host order (`struct sock_filter`), copied; undefined takes the filter away,
   *   whoever set it
   * @throws VNIC_INVALID_ARGUMENT when the kernel takes it for no program, and keeps the filter that was set;
   *   VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setFilter(instructions: Uint8Array | undefined): void {
    this.requireOpen('set the filter');
    this.#filter.set(instructions);
  }

  override attachQueue(): void {
    super.attachQueue();
    this.#filter.renew();
  }

  protected override async closeCarrier(): Promise<void> {
    this.#filter.release();
    await super.closeCarrier();
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

/** Offload needs the header, at its shortest; without, it stays what the caller said. */
function withVnetHeader(options: TapDeviceOptions): TapOpenOptions {
  if (!wantsOffload(options.offload) && !options.superPackets) return options;
  const { vnetHeaderLen = VNET_HEADER_LEN } = options;
  if (vnetHeaderLen !== VNET_HEADER_LEN) {
    throw invalidArgument(
      'open a device with offload',
      `a vnetHeaderLen of ${VNET_HEADER_LEN}, or none`,
      vnetHeaderLen,
    );
  }
  return { ...options, vnetHeader: true };
}
