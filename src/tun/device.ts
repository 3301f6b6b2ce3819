/**
 * TUN and TAP devices as packet links.
 *
 * Theory of operation
 *
 * The descriptor is non-blocking and watched on this thread's event loop; one crossing into the native core
 * reads or writes a whole batch. The kernel takes and gives one packet per system call.
 *
 *   open -> (wake-up: POLLIN -> readBatch) -> closed by close(), or gone when the device is deleted
 *
 * A deleted device shows as POLLERR and EBADFD for ever: the first sight of it ends the link with
 * VNIC_DEVICE_GONE and stops watching. A device that is down gives nothing to read and refuses writes with
 * EIO: such packets are counted as `link-down`, the descriptor stays good and works again once it is up.
 * Nobody reading is the back-pressure that senders see: the kernel queues `txqueuelen` packets and drops the
 * rest, visible in the interface's `txDropped`.
 *
 * With packet info or a virtio-net header, reads skip that prefix and writes put an empty one before each
 * packet; writes copy for it, since the bytes before a packet belong to its neighbour.
 */

import { VnicError } from '../base/index.ts';
import {
  BaseLink,
  DESCRIPTOR_WORDS,
  type LinkEvents,
  MAX_FRAME_LEN,
  PacketBatch,
  type PacketBatchOptions,
} from '../link/index.ts';
import { errno, errnoName, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import { getLinkSync } from '../netlink/index.ts';
import {
  type Attached,
  adopt,
  applyOwnership,
  attach,
  type DeviceFlags,
  type OpenOptions,
  readFlags,
} from './attach.ts';
import { MAX_PACKET_LEN } from './constants.ts';
import { deviceGone } from './diagnose.ts';
import { DeviceWatcher } from './watcher.ts';

/** How a device is opened and read. */
export interface DeviceOptions extends OpenOptions {
  /** Size of the read batch. */
  readonly batch?: PacketBatchOptions;
}

const ETHERNET_HEADER_LEN = 14;
const VLAN_TAG_LEN = 4;

/** What TUN and TAP devices have in common; use `TunDevice` or `TapDevice`. */
export abstract class TunTapDevice extends BaseLink {
  /** Index of the interface; stays the same when it is renamed. */
  readonly ifindex: number;
  readonly #fd: number;
  readonly #prefixLen: number;
  readonly #packetInfo: boolean;
  readonly #maxFrameLen: number;
  readonly #poll: Poll;
  readonly #core = nativeCore();
  // What the native core reports of each batch: errno, bytes, packets.
  readonly #status = new Uint32Array(3);
  #prefixed: PacketBatch | undefined;
  #watcher: DeviceWatcher | undefined;
  #mtu: number;

  protected constructor(attached: Attached, options: Pick<DeviceOptions, 'batch'>) {
    const { kind } = attached.flags;
    super({
      name: attached.name,
      medium: kind === 'tun' ? 'ip' : 'ethernet',
      batch: new PacketBatch(options.batch),
    });
    this.#fd = attached.fd;
    this.#prefixLen = attached.prefixLen;
    this.#packetInfo = attached.flags.packetInfo;
    this.#maxFrameLen = MAX_PACKET_LEN + (kind === 'tun' ? 0 : ETHERNET_HEADER_LEN + VLAN_TAG_LEN);
    try {
      const link = getLinkSync(attached.name);
      if (link === undefined) throw deviceGone(attached.name);
      this.ifindex = link.index;
      this.#mtu = link.mtu;
      this.#poll = new Poll(attached.fd, (error, events) => this.#onReady(error, events));
    } catch (error) {
      this.#core.close(attached.fd);
      throw error;
    }
  }

  /** In bytes, without the Ethernet header; follows the device while somebody listens to `mtu`, `up` or `down`. */
  get mtu(): number {
    return this.#mtu;
  }

  /**
   * The attached descriptor, for ioctls and for handing it to another process. It stays owned by the device:
   * it is closed by `close()`.
   */
  get fd(): number {
    return this.#fd;
  }

  /** What the device is now, as the kernel tells it. @throws VNIC_LINK_CLOSED, VNIC_DEVICE_GONE */
  get flags(): DeviceFlags {
    this.#requireOpen('read the flags');
    const found = readFlags(this.#fd);
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

  override on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    if ((event === 'up' || event === 'down' || event === 'mtu') && !this.closed) this.#watch();
    return super.on(event, handler);
  }

  /** Lets the process end although the device is being read. */
  unref(): void {
    this.#poll.unref();
  }

  protected override readNow(batch: PacketBatch): number {
    const status = this.#status;
    const count = this.#core.readBatch(
      this.#fd,
      batch.bytes,
      batch.descriptors,
      batch.capacity,
      MAX_FRAME_LEN,
      batch.headroom,
      status,
    );
    if (count === 0) {
      this.#readFailed(status[0] as number);
      return 0;
    }
    this.counters.packetsRead += count;
    this.counters.bytesRead += (status[1] as number) - count * this.#prefixLen;
    if (this.#prefixLen > 0) skipPrefix(batch.descriptors, count, this.#prefixLen);
    return count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#dropTooLong(descriptors, from, to);
    if (this.#prefixLen > 0) return this.#writePrefixed(bytes, descriptors, from, to);
    return this.#writeFrames(bytes, descriptors, from, to);
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#poll.watch((readable ? PollEvent.readable : 0) | (writable ? PollEvent.writable : 0));
  }

  protected override async closeCarrier(): Promise<void> {
    this.#poll.close();
    this.#watcher?.close();
    await this.#core.closeAsync(this.#fd);
  }

  #onReady(error: number, events: number): void {
    if (error !== 0) {
      // POLLERR: libuv has stopped watching. Either the device is gone, or the next read tells.
      if (readFlags(this.#fd) === undefined) this.fail(deviceGone(this.name));
      else this.fail(systemError(`use ${this.name}`, 'epoll_wait', error));
      return;
    }
    if ((events & PollEvent.writable) !== 0) this.wakeWriter();
    if ((events & PollEvent.readable) !== 0 && !this.closed) this.wakeReader();
  }

  #readFailed(error: number): void {
    if (error === errno.EAGAIN || error === 0) return;
    this.fail(error === errno.EBADFD ? deviceGone(this.name) : systemError(`read from ${this.name}`, 'read', error));
  }

  /** Hot. Writes frames as they are; returns how many were taken. */
  #writeFrames(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    const status = this.#status;
    let at = from;
    while (at < to) {
      at += this.#core.writeBatch(this.#fd, bytes, descriptors, at, to, status);
      this.counters.bytesWritten += (status[1] as number) - (status[2] as number) * this.#prefixLen;
      this.counters.packetsWritten += status[2] as number;
      const error = status[0] as number;
      if (error === 0 || error === errno.EAGAIN) break;
      this.#writeFailed(error, bytes, descriptors, at);
      at++;
    }
    return at - from;
  }

  #writeFailed(error: number, bytes: Uint8Array, descriptors: Uint32Array, index: number): void {
    if (error === errno.EBADFD) {
      const gone = deviceGone(this.name);
      this.fail(gone);
      throw gone;
    }
    if (error === errno.EIO) {
      this.countWriteDrop('link-down', () => this.#linkDown());
    } else if (error === errno.ENOBUFS || error === errno.ENOMEM) {
      this.countWriteDrop('queue-full', () => systemError(`write to ${this.name}`, 'write', error));
    } else {
      const at = descriptors[index * DESCRIPTOR_WORDS] as number;
      const start = bytes.subarray(at, at + Math.min(8, descriptors[index * DESCRIPTOR_WORDS + 1] as number));
      this.countWriteDrop('refused', () => this.#refused(error, start));
    }
  }

  /** Takes out packets longer than IP knows: the kernel would accept them without a word. */
  #dropTooLong(descriptors: Uint32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length <= this.#maxFrameLen) continue;
      descriptors[i * DESCRIPTOR_WORDS + 1] = 0;
      this.countWriteDrop('too-long', () => this.#tooLong(length));
    }
  }

  /** Copies packets behind an empty prefix, a batch at a time. */
  #writePrefixed(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#prefixed ??= new PacketBatch();
    const out = this.#prefixed;
    let at = from;
    while (at < to) {
      out.clear();
      const first = at;
      for (; at < to; at++) {
        const start = descriptors[at * DESCRIPTOR_WORDS] as number;
        const length = descriptors[at * DESCRIPTOR_WORDS + 1] as number;
        const place = out.reserve(length === 0 ? 0 : length + this.#prefixLen);
        if (place < 0) break;
        if (length > 0) this.#copyBehindPrefix(bytes.subarray(start, start + length), out.bytes, place);
      }
      const taken = this.#writeFrames(out.bytes, out.descriptors, 0, out.count);
      if (taken < out.count) return first + taken - from;
    }
    return at - from;
  }

  #copyBehindPrefix(packet: Uint8Array, out: Uint8Array, place: number): void {
    out.fill(0, place, place + this.#prefixLen);
    out.set(packet, place + this.#prefixLen);
    if (!this.#packetInfo || this.medium !== 'ip') return;
    // A TUN device takes the protocol from `struct tun_pi`, which comes before the virtio-net header.
    const etherType = (packet[0] as number) >> 4 === 6 ? 0x86dd : 0x0800;
    out[place + 2] = etherType >> 8;
    out[place + 3] = etherType & 0xff;
  }

  #watch(): void {
    this.#watcher ??= new DeviceWatcher(this.ifindex, this.#mtu, {
      up: () => this.events.emit('up', undefined),
      down: () => this.events.emit('down', undefined),
      mtu: (mtu) => {
        this.#mtu = mtu;
        this.events.emit('mtu', mtu);
      },
      vanished: () => {
        // Moved to another namespace, the descriptor still works.
        if (readFlags(this.#fd) === undefined) this.fail(deviceGone(this.name));
      },
    });
  }

  #apply(what: string, change: Pick<OpenOptions, 'owner' | 'group' | 'persist'>): void {
    this.#requireOpen(what);
    applyOwnership(this.#fd, `${what} of ${this.name}`, change);
  }

  #requireOpen(what: string): void {
    if (!this.closed) return;
    throw new VnicError('VNIC_LINK_CLOSED', {
      attempted: `${what} of ${this.name}`,
      reason: `${this.name} was closed`,
      hint: 'Check `closed` before, or open the device again.',
    });
  }

  #linkDown(): VnicError {
    return new VnicError('VNIC_LINK_DOWN', {
      attempted: `write to ${this.name}`,
      hint: `Bring it up: \`vnic up ${this.name}\`.`,
      errno: 'EIO',
      syscall: 'write',
    });
  }

  #refused(error: number, start: Uint8Array): VnicError {
    const bytes = Array.from(start, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const expected =
      this.medium === 'ip'
        ? 'an IPv4 or IPv6 header (first byte 4x or 6x)'
        : 'an Ethernet header of 14 bytes with something behind it';
    return new VnicError('VNIC_PACKET_REFUSED', {
      attempted: `write to ${this.name}`,
      reason: `the packet starts with ${bytes === '' ? 'nothing' : bytes}, the device expects ${expected}`,
      hint: 'Write whole packets without packet info or virtio-net header; the device adds what it needs.',
      errno: errnoName(error),
      syscall: 'write',
    });
  }

  #tooLong(length: number): VnicError {
    return new VnicError('VNIC_PACKET_REFUSED', {
      attempted: `write to ${this.name}`,
      reason: `the packet has ${length} bytes, more than the ${this.#maxFrameLen} that fit`,
      hint: 'Fragment it, or write one packet per call.',
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
   *   VNIC_TOO_MANY_FILES
   */
  static async open(options: DeviceOptions = {}): Promise<TunDevice> {
    return new TunDevice(attach('tun', options), options);
  }

  /**
   * Takes over a descriptor that is attached to a TUN device, for example one passed by a service manager.
   * It becomes non-blocking and close-on-exec, and is closed by `close()`.
   * @throws VNIC_INVALID_ARGUMENT for any other descriptor, VNIC_WRONG_KIND for one of a TAP device
   */
  static async adopt(fd: number, options: Pick<DeviceOptions, 'batch'> = {}): Promise<TunDevice> {
    return new TunDevice(adopt('tun', fd), options);
  }
}

/** A TAP device: Ethernet frames between the kernel and this program. Create it with `TapDevice.open`. */
export class TapDevice extends TunTapDevice {
  /** As `TunDevice.open`, for a TAP device. */
  static async open(options: DeviceOptions = {}): Promise<TapDevice> {
    return new TapDevice(attach('tap', options), options);
  }

  /** As `TunDevice.adopt`, for a TAP device. */
  static async adopt(fd: number, options: Pick<DeviceOptions, 'batch'> = {}): Promise<TapDevice> {
    return new TapDevice(adopt('tap', fd), options);
  }
}

function skipPrefix(descriptors: Uint32Array, count: number, prefixLen: number): void {
  for (let i = 0; i < count; i++) {
    const word = i * DESCRIPTOR_WORDS;
    descriptors[word] = (descriptors[word] as number) + prefixLen;
    descriptors[word + 1] = Math.max(0, (descriptors[word + 1] as number) - prefixLen);
  }
}
