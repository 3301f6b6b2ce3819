/** From a name and options to an attached file descriptor; nothing is left behind when a step fails. */

import { setTimeout as delay } from 'node:timers/promises';

import { invalidArgument, VnicError } from '../base/index.ts';
import { errno, nativeCore, systemError } from '../native/index.ts';
import { checkInterfaceName, getLinkSync, type LinkInfo } from '../netlink/index.ts';
import { type NetnsOptions, withNamespace } from '../netns/index.ts';
import { IFREQ_LEN, Iff, PACKET_INFO_LEN, TUN_NODE, TunIoctl } from './constants.ts';
import { findLink } from './device-namespace.ts';
import { DeviceSettings, readVnetHeaderLen } from './device-settings.ts';
import { deviceGone, diagnoseAttach, diagnoseOpen } from './diagnose.ts';
import { emitInt, emitInterfaceRequest, parseInt32, parseInterfaceRequest } from './interface-request.ts';
import { checkVnetHeaderLen, writeVnetHeaderLen } from './vnet-header.ts';

const BUSY_RETRIES = 3;
const BUSY_DELAY_MS = 10;

/** What an open device is, as `TUNGETIFF` tells it. */
export interface DeviceFlags {
  readonly kind: 'tun' | 'tap';
  /** Each packet is preceded by `struct tun_pi`; links strip and add it. */
  readonly packetInfo: boolean;
  /** Each packet is preceded by `struct virtio_net_hdr`; links strip and add it. */
  readonly vnetHeader: boolean;
  readonly multiQueue: boolean;
  /** This descriptor's queue of a multi-queue device is detached: the kernel gives it no packets. */
  readonly detached: boolean;
  /** The device stays after its last descriptor is closed. */
  readonly persist: boolean;
  /** What is written is received in batches by NAPI, see `OpenOptions.napi`. */
  readonly napi: boolean;
  /** See `TapOpenOptions.napiFrags`. */
  readonly napiFrags: boolean;
}

/** How a device is opened; everything may be left out. */
export interface OpenOptions extends NetnsOptions {
  /**
   * Name of the interface, 1 to 15 bytes; a pattern with one `%d` that the kernel fills in, for example `tun%d`;
   * or left out for `tun%d` or `tap%d`. A device of that name is attached to, or created when there is none.
   */
  readonly name?: string;
  /** Precede packets with `struct tun_pi` in the kernel's interface; default false (`IFF_NO_PI`). */
  readonly packetInfo?: boolean;
  /** Precede packets with `struct virtio_net_hdr`; default false. No offload is switched on. */
  readonly vnetHeader?: boolean;
  /** Let several descriptors, one a queue, attach to the device; default false. Fixed at creation. */
  readonly multiQueue?: boolean;
  /** Fail with VNIC_DEVICE_EXISTS instead of attaching to a device that exists; default false. */
  readonly exclusive?: boolean;
  /** Fail with VNIC_NO_SUCH_INTERFACE instead of creating the device; default false. */
  readonly mustExist?: boolean;
  /** Keep the device after its last descriptor is closed, or no longer. Left as it is by default. */
  readonly persist?: boolean;
  /** Numeric user id that may attach without CAP_NET_ADMIN; the kernel cannot take it back. Left as it is by default. */
  readonly owner?: number;
  /** Numeric group id that may attach without CAP_NET_ADMIN; the kernel cannot take it back. Left as it is by default. */
  readonly group?: number;
  /**
   * Index of the interface that is created, 1 to 2147483647 (`TUNSETIFINDEX`); chosen by the kernel by default. A device
   * that exists keeps its own: VNIC_DEVICE_EXISTS if that is another one.
   */
  readonly ifindex?: number;
  /**
   * Have the kernel receive what is written by NAPI, with GRO, instead of one packet at a time (`IFF_NAPI`, Linux 4.15);
   * default false. For this descriptor only.
   */
  readonly napi?: boolean;
  /**
   * Whether the device is plugged in once it is open; default true. With `false` it has no carrier until
   * `setCarrier(true)` (`IFF_NO_CARRIER`, Linux 6.0). It must not have other queues attached for this to have an effect.
   */
  readonly carrier?: boolean;
  /**
   * Bytes of the virtio-net header before each packet, 10 to 32; asks for such a header (`TUNSETVNETHDRSZ`). Stays on a
   * device that persists, and is that of all its queues. Left as it is by default: 10 on a new device.
   */
  readonly vnetHeaderLen?: number;
}

/** How a TAP device is opened. */
export interface TapOpenOptions extends OpenOptions {
  /**
   * Put frames together from the fragments in which they are written, as network cards do (`IFF_NAPI_FRAGS`, Linux 4.15), to
   * test drivers and GRO; default false. Needs `napi`, and CAP_NET_ADMIN in the first user namespace. For this descriptor only.
   */
  readonly napiFrags?: boolean;
}

/** An attached descriptor, owned by this thread's environment. */
export interface Attached {
  readonly fd: number;
  readonly name: string;
  readonly flags: DeviceFlags;
  /** Bytes before each packet on the descriptor: packet info and virtio-net header. */
  readonly prefixLen: number;
  /** The interface as it was found. */
  readonly link: LinkInfo;
  /** Closes the descriptor. */
  readonly settings: DeviceSettings;
}

/** Opens the node, attaches, applies the options. Throws what `TunDevice.open` documents. */
export async function attach(kind: 'tun' | 'tap', options: TapOpenOptions): Promise<Attached> {
  const name = options.name ?? '';
  const attempted = `open ${kind.toUpperCase()} device${name === '' ? '' : ` "${name}"`}`;
  if (options.name !== undefined) checkInterfaceName(name, attempted, { pattern: true });
  if (options.exclusive && options.mustExist) {
    throw invalidArgument(attempted, '"exclusive" or "mustExist", not both', 'both');
  }
  checkNumbers(kind, attempted, options);
  if (options.mustExist) requireExisting(attempted, name, options);
  if (options.multiQueue) requireSameFraming(attempted, name, options);

  const core = nativeCore();
  // The descriptor belongs to the namespace in which the node is opened, wherever it is attached from.
  const fd = withNamespace(options.netns, (namespace) => (namespace ?? core).open(TUN_NODE, O_RDWR | O_NONBLOCK));
  if (fd < 0) throw diagnoseOpen(attempted, -fd);
  let found: Omit<Attached, 'settings'>;
  try {
    if (options.ifindex !== undefined) chooseIndex(fd, attempted, options.ifindex);
    const request = emitInterfaceRequest(name, requestedFlags(kind, options));
    // An index that is asked for is asked for once; that it is taken is told as busy, too.
    const result = await setInterface(fd, request, options.ifindex === undefined ? BUSY_RETRIES : 0);
    if (result < 0) throw diagnoseAttach(attempted, { ...options, kind, name }, -result);
    if (options.vnetHeaderLen !== undefined) settleVnetHeaderLen(fd, attempted, options.vnetHeaderLen);
    found = describeAttached(fd, attempted);
    if (options.ifindex !== undefined) requireIndex(found.link, attempted, options.ifindex);
  } catch (error) {
    core.close(fd);
    throw error;
  }
  const settings = new DeviceSettings(fd, found.link);
  try {
    resetOffload(settings);
    applyOwnership(fd, attempted, options);
    return { ...found, settings };
  } catch (error) {
    await settings.close();
    throw error;
  }
}

/**
 * Whoever reads the `fdinfo` of others in `/proc` holds their descriptors for a moment: one that was closed meanwhile is closed by that reader, and
 * its device is busy until then.
 */
async function setInterface(fd: number, request: Uint8Array, retries: number): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const result = nativeCore().ioctl(fd, TunIoctl.setIff, request);
    if (result !== -errno.EBUSY || attempt === retries) return result;
    await delay(BUSY_DELAY_MS);
  }
}

/** Takes over a descriptor that is attached already, for example one handed over by a service manager. */
export function adopt(kind: 'tun' | 'tap', fd: number): Attached {
  const attempted = `adopt file descriptor ${fd} as a ${kind.toUpperCase()} device`;
  if (!Number.isInteger(fd) || fd < 0) throw invalidArgument(attempted, 'a file descriptor of 0 or more', fd);
  const core = nativeCore();
  const request = new Uint8Array(IFREQ_LEN);
  const result = core.ioctl(fd, TunIoctl.getIff, request);
  if (result < 0) throw notAttached(attempted, -result);
  const found = describeAttached(fd, attempted);
  const { flags, link, name } = found;
  if (flags.kind !== kind) {
    throw new VnicError('VNIC_WRONG_KIND', {
      attempted,
      reason: `${name} is a ${flags.kind.toUpperCase()} device`,
      hint: `Adopt it as ${flags.kind.toUpperCase()}.`,
    });
  }
  const owned = core.own(fd);
  if (owned < 0) throw systemError(attempted, 'fcntl', -owned);
  const settings = new DeviceSettings(fd, link);
  // Behind a virtio-net header the packets tell what they are.
  if (!flags.vnetHeader) resetOffload(settings);
  return { ...found, settings };
}

/** The flags of an attached descriptor, and its interface; undefined when it is gone. */
export function readFlags(fd: number): { name: string; flags: DeviceFlags; link: LinkInfo | undefined } | undefined {
  const request = new Uint8Array(IFREQ_LEN);
  if (nativeCore().ioctl(fd, TunIoctl.getIff, request) < 0) return undefined;
  const { name, flags } = parseInterfaceRequest(request);
  const link = findLink(fd, name);
  return {
    name,
    link,
    flags: {
      kind: (flags & Iff.tap) === 0 ? 'tun' : 'tap',
      // `TUNGETIFF` cannot tell: the bit of `IFF_NO_PI` comes back as `IFF_NOFILTER`, which has the same number.
      packetInfo: link?.tun?.packetInfo ?? false,
      vnetHeader: (flags & Iff.vnetHdr) !== 0,
      multiQueue: (flags & Iff.multiQueue) !== 0,
      detached: (flags & Iff.detachQueue) !== 0,
      persist: (flags & Iff.persist) !== 0,
      napi: (flags & Iff.napi) !== 0,
      napiFrags: (flags & Iff.napiFrags) !== 0,
    },
  };
}

/** Sets owner, group and persistence, in this order: a device that persists is complete. */
export function applyOwnership(
  fd: number,
  attempted: string,
  options: Pick<OpenOptions, 'owner' | 'group' | 'persist'>,
): void {
  const call = (request: number, name: string, value: number): void => {
    const result = nativeCore().ioctl(fd, request, value);
    if (result < 0) throw systemError(attempted, `ioctl(${name})`, -result);
  };
  if (options.owner !== undefined) call(TunIoctl.setOwner, 'TUNSETOWNER', options.owner);
  if (options.group !== undefined) call(TunIoctl.setGroup, 'TUNSETGROUP', options.group);
  if (options.persist !== undefined) call(TunIoctl.setPersist, 'TUNSETPERSIST', options.persist ? 1 : 0);
}

/** The `IFF_*` flags that this kernel takes (`TUNGETFEATURES`); undefined when the node cannot be opened. */
export function deviceFeatures(): number | undefined {
  const core = nativeCore();
  const fd = core.open(TUN_NODE, O_RDWR | O_NONBLOCK);
  if (fd < 0) return undefined;
  const features = new Uint8Array(4);
  const result = core.ioctl(fd, TunIoctl.getFeatures, features);
  core.close(fd);
  return result < 0 ? undefined : parseInt32(features);
}

export const O_RDWR: number = 2;
export const O_NONBLOCK: number = 0o4000;

/** The flags of `TUNSETIFF` for these options. */
export function requestedFlags(kind: 'tun' | 'tap', options: TapOpenOptions): number {
  return (
    (kind === 'tun' ? Iff.tun : Iff.tap) |
    (options.packetInfo ? 0 : Iff.noPi) |
    (options.vnetHeader || options.vnetHeaderLen !== undefined ? Iff.vnetHdr : 0) |
    (options.napi ? Iff.napi : 0) |
    (options.napiFrags ? Iff.napiFrags : 0) |
    (options.carrier === false ? Iff.noCarrier : 0) |
    (options.multiQueue ? Iff.multiQueue : 0) |
    (options.exclusive ? Iff.tunExcl : 0)
  );
}

/**
 * The offload mask belongs to the device and outlives its users. A mask left behind by another program would
 * hand this one packets without checksums, cut up or not, that it never asked for.
 */
function resetOffload(settings: DeviceSettings): void {
  if (settings.alone && settings.foundMask !== 0) settings.setMask(0);
}

function describeAttached(fd: number, attempted: string): Omit<Attached, 'settings'> {
  const found = readFlags(fd);
  if (found === undefined) throw notAttached(attempted, errno.EBADFD);
  const { flags, link, name } = found;
  if (link === undefined) throw deviceGone(name);
  const vnetLen = flags.vnetHeader ? readVnetHeaderLen(fd) : 0;
  return { fd, name, flags, prefixLen: vnetLen + (flags.packetInfo ? PACKET_INFO_LEN : 0), link };
}

function notAttached(attempted: string, number: number): VnicError {
  if (number === errno.EBADFD) {
    return new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted,
      reason: 'the descriptor is of /dev/net/tun, but attached to no device',
      hint: 'Attach it with TUNSETIFF before it is handed over.',
    });
  }
  return new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted,
    reason: number === errno.EBADF ? 'no such descriptor is open' : 'the descriptor is not of /dev/net/tun',
    hint: 'Pass the number of a descriptor that is attached to a TUN/TAP device.',
  });
}

function requireExisting(attempted: string, name: string, options: NetnsOptions): void {
  if (name === '' || name.includes('%')) throw invalidArgument(attempted, 'the exact name of a device', name);
  if (getLinkSync(name, options) !== undefined) return;
  throw new VnicError('VNIC_NO_SUCH_INTERFACE', {
    attempted,
    reason: `there is no interface ${name}`,
    hint: 'List the devices with `vnic list`, or leave "mustExist" out to create it.',
  });
}

/**
 * What stands before packets is a property of the device: a queue that attaches with other flags changes it for the
 * queues that are there, which would take the header for a part of each packet.
 */
function requireSameFraming(attempted: string, name: string, options: OpenOptions): void {
  const tun = name === '' || name.includes('%') ? undefined : getLinkSync(name, options)?.tun;
  if (tun === undefined || (tun.numQueues ?? 0) + (tun.numDisabledQueues ?? 0) === 0) return;
  const { packetInfo = false, vnetHeader = options.vnetHeaderLen !== undefined } = options;
  if (tun.packetInfo === packetInfo && tun.vnetHeader === vnetHeader) return;
  const words = (framing: { packetInfo: boolean; vnetHeader: boolean }): string =>
    `${framing.packetInfo ? 'with' : 'without'} packet info, ${framing.vnetHeader ? 'with' : 'without'} virtio-net header`;
  throw new VnicError('VNIC_QUEUE_MODE', {
    attempted,
    reason: `its other queues are ${words(tun)}, this one would be ${words({ packetInfo, vnetHeader })}`,
    hint: 'Open all queues of a device with the same packetInfo, vnetHeader and offload.',
  });
}

function chooseIndex(fd: number, attempted: string, ifindex: number): void {
  const result = nativeCore().ioctl(fd, TunIoctl.setIfIndex, emitInt(ifindex));
  if (result < 0) throw systemError(attempted, 'ioctl(TUNSETIFINDEX)', -result);
}

/** On attaching to a device that exists the kernel forgets the index that was asked for. */
function requireIndex({ name, index }: LinkInfo, attempted: string, ifindex: number): void {
  if (index === ifindex) return;
  throw new VnicError('VNIC_DEVICE_EXISTS', {
    attempted,
    reason: `${name} exists already, with the index ${index} instead of ${ifindex}`,
    hint: 'Leave the index out to attach to it, choose another name, or delete it first.',
  });
}

/** The header is that of the whole device, and its other queues count on it. */
function settleVnetHeaderLen(fd: number, attempted: string, length: number): void {
  const found = readVnetHeaderLen(fd);
  if (found === length) return;
  const { name = '', link } = readFlags(fd) ?? {};
  const { numQueues = 1, numDisabledQueues = 0 } = link?.tun ?? {};
  if (numQueues + numDisabledQueues <= 1) {
    writeVnetHeaderLen({ fd, name }, attempted, length);
    return;
  }
  throw new VnicError('VNIC_QUEUE_MODE', {
    attempted,
    reason: `its other queues have a virtio-net header of ${found} bytes, this one would have ${length}`,
    hint: 'Open all queues of a device with the same vnetHeaderLen.',
  });
}

function checkNumbers(kind: 'tun' | 'tap', attempted: string, options: TapOpenOptions): void {
  for (const id of ['owner', 'group'] as const) checkId(attempted, id, options[id]);
  const { ifindex, vnetHeaderLen, napi, napiFrags } = options;
  if (ifindex !== undefined && !(Number.isInteger(ifindex) && ifindex >= 1 && ifindex < 0x8000_0000)) {
    throw invalidArgument(attempted, 'an interface index of 1 to 2147483647', ifindex);
  }
  if (vnetHeaderLen !== undefined) checkVnetHeaderLen(attempted, vnetHeaderLen);
  if (vnetHeaderLen !== undefined && options.vnetHeader === false) {
    throw invalidArgument(attempted, 'vnetHeaderLen together with vnetHeader', 'vnetHeader: false');
  }
  if (napiFrags && !(napi && kind === 'tap'))
    throw invalidArgument(attempted, '"napiFrags" on a TAP device with "napi"', kind);
}

function checkId(attempted: string, what: string, id: number | undefined): void {
  if (id === undefined || (Number.isInteger(id) && id >= 0 && id < 0x8000_0000)) return;
  throw invalidArgument(attempted, `a numeric ${what} id`, id);
}
