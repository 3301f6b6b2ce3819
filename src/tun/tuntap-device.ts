/** What can be set and read on a TUN or TAP device that is open, beside its packets. */

import { VnicError } from '../base/index.ts';
import type { NetworkNamespace } from '../netns/index.ts';
import { applyOwnership, type DeviceFlags, type OpenOptions, readFlags } from './attach.ts';
import { type BpfProgram, setBpfProgram } from './bpf-program.ts';
import { setCarrier } from './carrier.ts';
import { DeviceLink } from './device-link.ts';
import { readVnetHeaderLen } from './device-settings.ts';
import { deviceGone } from './diagnose.ts';
import { setLinkType } from './link-type.ts';
import { setMessageLevel } from './message-level.ts';
import { openDeviceNamespace } from './open-namespace.ts';
import { isDetached, setAttached } from './queue.ts';
import { NO_SEND_LIMIT, readSendBuffer, setSendBuffer } from './send-buffer.ts';
import { readVnetByteOrder, setVnetByteOrder, type VnetByteOrder } from './vnet-header.ts';

/**
 * What TUN and TAP devices have in common; use `TunDevice` or `TapDevice`. The settings are those of `linux/if_tun.h`;
 * docs/tun-surface.md has them in one table. Attaching is what takes privilege: whoever holds a descriptor may set
 * everything.
 */
export abstract class TunTapDevice extends DeviceLink {
  /** What the device is now, as the kernel tells it. @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE */
  get flags(): DeviceFlags {
    this.requireOpen('read the flags');
    const found = readFlags(this.fd);
    if (found === undefined) throw deviceGone(this.name);
    return found.flags;
  }

  /**
   * Keeps the device after its last descriptor is closed, or no longer (`TUNSETPERSIST`).
   * @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setPersist(persist: boolean): void {
    this.#apply('set persistence', { persist });
  }

  /**
   * Numeric user id that may attach without CAP_NET_ADMIN (`TUNSETOWNER`); it cannot be taken back. On most kernels one who attaches must
   * be of the group as well, if there is one.
   * @throws VNIC_SYSTEM_CALL with EINVAL for an id without a mapping in the user namespace, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setOwner(owner: number): void {
    this.#apply('set the owner', { owner });
  }

  /** Numeric group id that may attach without CAP_NET_ADMIN (`TUNSETGROUP`). As `setOwner`. */
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
    this.requireOpen('detach a queue');
    if (isDetached(this.fd, this.name)) return;
    this.wakeReader();
    // The reader may have closed the device, and its descriptor may be another's by now.
    this.requireOpen('detach a queue');
    setAttached(this.fd, this.name, false);
  }

  /**
   * Attaches this queue again, as the last one of the device. Nothing happens when it is attached.
   * @throws VNIC_QUEUE_MODE, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  attachQueue(): void {
    this.requireOpen('attach a queue');
    if (isDetached(this.fd, this.name)) setAttached(this.fd, this.name, true);
  }

  /**
   * Lets an eBPF program choose the queue for each packet that the kernel sends out of this device, instead of its
   * hash of the flow (`TUNSETSTEERINGEBPF`, Linux 4.16). It sees the packet as the reader gets it, without packet info and
   * virtio-net header; its result modulo the number of attached queues is the kernel's number of the queue. For all queues,
   * until it is taken away or the device ends: it stays on a device that persists. Setting it needs no privilege,
   * loading it from instructions needs CAP_BPF.
   * @param program undefined takes the program away, whoever gave it; `vnic/queues` assembles some.
   * @throws VNIC_INVALID_ARGUMENT when it is no socket filter program, VNIC_NO_PRIVILEGE and VNIC_UNSUPPORTED for
   *   instructions, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setSteering(program: BpfProgram | undefined): void {
    this.requireOpen('set the steering');
    setBpfProgram(this, 'steering', program);
  }

  /**
   * Lets an eBPF program choose which packets the kernel gives to the reader, and how much of each
   * (`TUNSETFILTEREBPF`, Linux 4.16). It sees the packet as `setSteering` says; its result is the number of bytes to keep, and
   * 0 drops the packet, which the interface counts in `txDropped`. For all queues, until it is taken away or the
   * device ends: it stays on a device that persists. Privileges and errors as for `setSteering`.
   * @param program undefined takes the program away, whoever gave it
   * @throws VNIC_INVALID_ARGUMENT, VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setPacketFilter(program: BpfProgram | undefined): void {
    this.requireOpen('set the packet filter');
    setBpfProgram(this, 'filter', program);
  }

  /**
   * Plugs the device in or out, as the kernel, a bridge and `ip link` (`NO-CARRIER`) see it (`TUNSETCARRIER`, Linux 5.0).
   * Without a carrier the kernel sends nothing out of the device and takes what is written. Needs no privilege. A device has
   * a carrier as long as a queue is attached, unless it was taken away; what was set ends with the last
   * descriptor, and the next one to attach brings the carrier back unless it opens with `carrier: false`.
   * @throws VNIC_QUEUE_MODE for `true` while every queue is detached, VNIC_UNSUPPORTED, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setCarrier(carrier: boolean): void {
    this.requireOpen('set the carrier');
    setCarrier(this, carrier);
  }

  /**
   * What the device says that it carries, `link/…` of `ip link` (`TUNSETLINK`): a name of iproute2 (`ether`, `none`, `ppp`,
   * `ieee802.15.4`, …) or an ARPHRD number of `linux/if_arp.h`, 0 to 65535. The packets stay what they are: IP for
   * TUN, Ethernet for TAP. The length of the hardware address follows the type. Needs no privilege; stays on a device that persists.
   * @throws VNIC_LINK_UP (only a device that is down changes), VNIC_LINK_IN_USE (it is a port of a bridge or bond, or has
   *   VLANs), VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setLinkType(type: string | number): void {
    this.requireOpen('set the link type');
    setLinkType(this, type);
  }

  /**
   * Bytes that may be on their way from this descriptor through the kernel, 2147483647 for no limit (`TUNGETSNDBUF`).
   * @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  get sendBuffer(): number {
    this.requireOpen('read the send buffer');
    return readSendBuffer(this);
  }

  /**
   * Limits what was written and the kernel has not let go of yet, for example because it waits in the queueing discipline
   * of another interface (`TUNSETSNDBUF`). A packet counts with the kernel's overhead, some 1 KiB for a small one. While they are
   * more, writes find no room and wait for the device to become writable, as for any carrier that is full. For all queues that are
   * attached; a new descriptor starts without limit. Needs no privilege.
   * @param bytes 1 to 2147483647; undefined for no limit
   * @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setSendBuffer(bytes: number | undefined): void {
    this.requireOpen('set the send buffer');
    setSendBuffer(this, bytes ?? NO_SEND_LIMIT);
  }

  /**
   * Bytes of the virtio-net header before each packet on the descriptor (`TUNGETVNETHDRSZ`); undefined for a device
   * without one. It is chosen at opening (`vnetHeaderLen`).
   * @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  get vnetHeaderLen(): number | undefined {
    return this.flags.vnetHeader ? readVnetHeaderLen(this.fd) : undefined;
  }

  /**
   * Byte order of the fields in the virtio-net header (`TUNGETVNETLE`, `TUNGETVNETBE`).
   * @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  get vnetByteOrder(): VnetByteOrder {
    this.requireOpen('read the byte order of the virtio-net header');
    return readVnetByteOrder(this);
  }

  /**
   * Sets that order for the device (`TUNSETVNETLE`, `TUNSETVNETBE`), for a descriptor that is handed to a virtual
   * machine. It stays on a device that persists. vnic itself reads and writes the header in the order of the machine, and every
   * machine that it has a core for is little endian: do not carry packets through a device whose order is `big`.
   * Needs no privilege.
   * @throws VNIC_UNSUPPORTED for `big` on a kernel without CONFIG_TUN_VNET_CROSS_LE, VNIC_INVALID_ARGUMENT,
   *   VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setVnetByteOrder(order: VnetByteOrder): void {
    this.requireOpen('set the byte order of the virtio-net header');
    setVnetByteOrder(this, order);
  }

  /**
   * Which events of the device the driver writes to the kernel's log (`TUNSETDEBUG`): a mask of the `NETIF_MSG_*` bits of
   * `linux/netdevice.h`, 0 to 0x7fff, which `ethtool` shows and sets as `msglvl`. Stays on a device that persists.
   * Needs no privilege.
   * @throws VNIC_INVALID_ARGUMENT, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  setMessageLevel(mask: number): void {
    this.requireOpen('set the message level');
    setMessageLevel(this, mask);
  }

  /**
   * Opens the network namespace that the device is in, which need not be that of this process (`TUNGETDEVNETNS`, Linux 5.2): its
   * `inode` is the number in `net:[4026531840]` of `/proc/PID/ns/net`. The handle keeps the namespace in being until
   * the caller closes it. Needs CAP_NET_ADMIN there.
   * @throws VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  openNamespace(): NetworkNamespace {
    this.requireOpen('open the network namespace');
    return openDeviceNamespace(this);
  }

  #apply(what: string, change: Pick<OpenOptions, 'owner' | 'group' | 'persist'>): void {
    this.requireOpen(what);
    if (readFlags(this.fd) === undefined) throw deviceGone(this.name);
    applyOwnership(this.fd, `${what} of ${this.name}`, change);
  }

  /** @throws VNIC_LINK_CLOSED */
  protected requireOpen(what: string): void {
    if (!this.closed) return;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: `${what} of ${this.name}`,
      reason: `${this.name} was closed`,
      hint: 'Check `closed` before, or open the device again.',
    });
  }
}
