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
 * What stands before each packet on the descriptor (packet info, a virtio-net header) is added and taken away
 * by a `FrameIo`; with a virtio-net header, so are super-packets. A super-packet that was split into more packets than
 * the reader's batch holds is pending here and not in the kernel, so that no readiness tells of the rest: the
 * device then wakes the reader itself, on the next turn of the event loop.
 */

import { invalidArgument, VnicError } from '../base/index.ts';
import {
  BaseLink,
  DESCRIPTOR_WORDS,
  type LinkEvents,
  type MutableCounters,
  PacketBatch,
  type PacketBatchOptions,
} from '../link/index.ts';
import { errno, nativeCore, Poll, PollEvent, systemError } from '../native/index.ts';
import { getLinkSync } from '../netlink/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';
import {
  type Attached,
  adopt,
  applyOwnership,
  attach,
  type DeviceFlags,
  type OpenOptions,
  readFlags,
  readVnetHeaderLen,
} from './attach.ts';
import { MAX_PACKET_LEN } from './constants.ts';
import { deviceGone } from './diagnose.ts';
import { type FrameIo, type FrameReport, PacketInfoIo, PlainIo } from './frame-io.ts';
import {
  negotiateOffload,
  noOffload,
  type OffloadInfo,
  type OffloadOption,
  type OffloadState,
  offloadInfo,
  releaseOffload,
  setVnetHeaderLen,
  wantsOffload,
} from './offload.ts';
import { type OffloadIo, SplittingIo, SuperPacketIo } from './offload-io.ts';
import { isDetached, setAttached, setSteering } from './queue.ts';
import { DeviceWatcher } from './watcher.ts';
import { linkDown, packetRefused, packetTooLong } from './write-drop.ts';

/** How a device is read and written. */
export interface CarrierOptions {
  /** Size of the read batch. Default 64 packets, 256 with offload. */
  readonly batch?: PacketBatchOptions;
  /**
   * Super-packets of up to 64 KiB between the kernel and this program, one system call each instead of one a packet;
   * default `'off'`. Readers see packets of the MTU's size with complete checksums, and write such; splitting and
   * coalescing is done natively. Not together with `packetInfo`.
   */
  readonly offload?: OffloadOption;
  /**
   * Hand super-packets over as they are; default false. Each packet read is preceded by its virtio-net header of 10
   * bytes (`parseVirtioNetHeader` of `vnic/wire`), each one written must be. `link.offload` is then true.
   */
  readonly superPackets?: boolean;
  /** As `BaseLinkOptions.busyPollUs`: spin for up to so long after the last packet; default 0, off. */
  readonly busyPollUs?: number;
  /** Where totals are kept, for example in shared memory; default in an object of the link's own. */
  readonly counters?: MutableCounters;
}

/** How a device is opened and read. */
export interface DeviceOptions extends OpenOptions, CarrierOptions {}

const ETHERNET_HEADER_LEN = 14;
const VLAN_TAG_LEN = 4;

const DEFAULT_BATCH_PACKETS = 64;
/** A super-packet of 64 KiB is some 45 packets. */
const OFFLOAD_BATCH_PACKETS = 256;

/** What TUN and TAP devices have in common; use `TunDevice` or `TapDevice`. */
export abstract class TunTapDevice extends BaseLink {
  /** Index of the interface; stays the same when it is renamed. */
  readonly ifindex: number;
  readonly #fd: number;
  readonly #maxFrameLen: number;
  readonly #poll: Poll;
  readonly #io: FrameIo;
  readonly #offloadIo: OffloadIo | undefined;
  readonly #offloadState: OffloadState;
  readonly #multiQueue: boolean;
  readonly #core = nativeCore();
  #watcher: DeviceWatcher | undefined;
  #mtu: number;
  #wantsReadable = false;
  #turnPending = false;

  /** True when packets are preceded by a virtio-net header, see `superPackets`. */
  override readonly offload: boolean;

  protected constructor(attached: Attached, options: CarrierOptions) {
    const { kind } = attached.flags;
    const capacity = wantsOffload(options.offload) ? OFFLOAD_BATCH_PACKETS : DEFAULT_BATCH_PACKETS;
    super({
      name: attached.name,
      medium: kind === 'tun' ? 'ip' : 'ethernet',
      batch: new PacketBatch({ capacity, ...options.batch }),
      ...(options.busyPollUs === undefined ? {} : { busyPollUs: options.busyPollUs }),
      ...(options.counters === undefined ? {} : { counters: options.counters }),
    });
    this.#fd = attached.fd;
    this.#multiQueue = attached.flags.multiQueue;
    this.offload = options.superPackets ?? false;
    const overheadLen = kind === 'tun' ? 0 : ETHERNET_HEADER_LEN + VLAN_TAG_LEN;
    this.#maxFrameLen = MAX_PACKET_LEN + overheadLen + (this.offload ? virtioNetHeaderLen : 0);
    try {
      const link = getLinkSync(attached.name);
      if (link === undefined) throw deviceGone(attached.name);
      this.ifindex = link.index;
      this.#mtu = link.mtu;
      this.#offloadState = this.#negotiate(attached, options);
      this.#offloadIo = this.#openOffloadIo(attached);
      this.#io = this.#offloadIo ?? this.#openIo(attached);
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
    if (isDetached(this.#fd, this.name)) return;
    this.wakeReader();
    // The reader may have closed the device, and its descriptor may be another's by now.
    this.#requireOpen('detach a queue');
    setAttached(this.#fd, this.name, false);
  }

  /**
   * Attaches this queue again, as the last one of the device. Nothing happens when it is attached.
   * @throws VNIC_QUEUE_MODE, VNIC_LINK_CLOSED, VNIC_DEVICE_GONE
   */
  attachQueue(): void {
    this.#requireOpen('attach a queue');
    if (isDetached(this.#fd, this.name)) setAttached(this.#fd, this.name, true);
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
    setSteering(this.#fd, this.name, programFd);
  }

  /** What of offload is in use, as negotiated with the kernel. */
  get offloadInfo(): OffloadInfo {
    return offloadInfo(this.#offloadState, this.#offloadIo?.superPackets, this.offload);
  }

  override on<Name extends keyof LinkEvents>(event: Name, handler: (event: LinkEvents[Name]) => void): () => void {
    if ((event === 'up' || event === 'down' || event === 'mtu') && !this.closed) this.#watch();
    return super.on(event, handler);
  }

  /** Lets the process end although the device is being read. Busy polling ends, since a spin keeps it alive. */
  unref(): void {
    this.endBusyPoll();
    this.#poll.unref();
  }

  protected override readNow(batch: PacketBatch): number {
    const count = this.#io.read(batch);
    if (count === 0) this.#readFailed(this.#io.readError);
    else if (this.#io.pending) this.#wakeNextTurn();
    return count;
  }

  protected override writeNow(bytes: Uint8Array, descriptors: Uint32Array, from: number, to: number): number {
    this.#dropTooLong(descriptors, from, to);
    return this.#io.write(bytes, descriptors, from, to);
  }

  protected override setInterest(readable: boolean, writable: boolean): void {
    this.#wantsReadable = readable;
    if (readable && this.#io.pending) this.#wakeNextTurn();
    this.#poll.watch((readable ? PollEvent.readable : 0) | (writable ? PollEvent.writable : 0));
  }

  protected override async closeCarrier(): Promise<void> {
    this.#poll.close();
    this.#watcher?.close();
    if (this.#offloadState.mask !== 0) releaseOffload(this.#fd, this.name, this.#multiQueue);
    await this.#core.closeAsync(this.#fd);
  }

  #negotiate(attached: Attached, options: CarrierOptions): OffloadState {
    const superPackets = options.superPackets ?? false;
    if (!superPackets && !wantsOffload(options.offload)) return noOffload();
    if (attached.flags.packetInfo || !attached.flags.vnetHeader) {
      const found = attached.flags.packetInfo ? 'packet info' : 'no virtio-net header';
      throw invalidArgument(`use offload on ${attached.name}`, 'a device with a virtio-net header only', found);
    }
    return negotiateOffload(setVnetHeaderLen(attached, superPackets), this.medium, options.offload ?? 'auto');
  }

  /** Also without offload: what another user of the device has asked for must not reach a reader who has not. */
  #openOffloadIo({ fd, flags }: Attached): OffloadIo | undefined {
    if (!flags.vnetHeader || flags.packetInfo) return undefined;
    const vnetHeaderLen = readVnetHeaderLen(fd);
    const io = { fd, medium: this.medium, vnetHeaderLen, state: this.#offloadState, report: this.#report };
    return this.offload ? new SuperPacketIo(io) : new SplittingIo(io);
  }

  #openIo({ fd, prefixLen }: Attached): FrameIo {
    return prefixLen === 0 ? new PlainIo(fd, this.#report) : new PacketInfoIo(fd, this.#report, prefixLen, this.medium);
  }

  readonly #report: FrameReport = {
    read: (packets, bytes) => {
      this.counters.packetsRead += packets;
      this.counters.bytesRead += bytes;
    },
    written: (packets, bytes) => {
      this.counters.packetsWritten += packets;
      this.counters.bytesWritten += bytes;
    },
    dropped: (error, packets, bytes, descriptors, index) => {
      for (let i = 0; i < packets; i++) this.#writeFailed(error, bytes, descriptors, index);
    },
  };

  /** At most one wake-up is under way. */
  #wakeNextTurn(): void {
    if (this.#turnPending) return;
    this.#turnPending = true;
    setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turnPending = false;
    if (!this.closed && this.#wantsReadable && this.#io.pending) this.wakeReader();
  };

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

  #writeFailed(error: number, bytes: Uint8Array, descriptors: Uint32Array, index: number): void {
    if (error === errno.EBADFD) {
      const gone = deviceGone(this.name);
      this.fail(gone);
      throw gone;
    }
    if (error === errno.EIO) {
      this.countWriteDrop('link-down', () => linkDown(this.name));
    } else if (error === errno.ENOBUFS || error === errno.ENOMEM) {
      this.countWriteDrop('queue-full', () => systemError(`write to ${this.name}`, 'write', error));
    } else {
      const at = descriptors[index * DESCRIPTOR_WORDS] as number;
      const start = bytes.subarray(at, at + Math.min(8, descriptors[index * DESCRIPTOR_WORDS + 1] as number));
      this.countWriteDrop('refused', () => packetRefused(this.name, this.medium, error, start));
    }
  }

  /** Takes out packets longer than IP knows: the kernel would accept them without a word. */
  #dropTooLong(descriptors: Uint32Array, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      const length = descriptors[i * DESCRIPTOR_WORDS + 1] as number;
      if (length <= this.#maxFrameLen) continue;
      descriptors[i * DESCRIPTOR_WORDS + 1] = 0;
      this.countWriteDrop('too-long', () => packetTooLong(this.name, length, this.#maxFrameLen));
    }
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
   *   VNIC_TOO_MANY_FILES, VNIC_INVALID_ARGUMENT for offload together with packet info
   */
  static async open(options: DeviceOptions = {}): Promise<TunDevice> {
    return makeDevice(attach('tun', withVnetHeader(options)), (attached) => new TunDevice(attached, options));
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
    return makeDevice(attach('tap', withVnetHeader(options)), (attached) => new TapDevice(attached, options));
  }

  /** As `TunDevice.adopt`, for a TAP device. */
  static async adopt(fd: number, options: CarrierOptions = {}): Promise<TapDevice> {
    return makeDevice(adopt('tap', fd), (attached) => new TapDevice(attached, options));
  }
}

/** Options that no device can be made of must not leave the descriptor open. */
function makeDevice<Device>(attached: Attached, make: (attached: Attached) => Device): Device {
  try {
    return make(attached);
  } catch (error) {
    nativeCore().close(attached.fd);
    throw error;
  }
}

/** Offload needs the header; without, it stays what the caller said. */
function withVnetHeader(options: DeviceOptions): OpenOptions {
  return wantsOffload(options.offload) || options.superPackets ? { ...options, vnetHeader: true } : options;
}
