/**
 * A descriptor of a TUN/TAP device as a packet link: readiness, reading, writing, events.
 *
 * Theory of operation
 *
 * The descriptor is non-blocking and watched on this thread's event loop; one crossing into the native core
 * reads or writes a whole batch. The kernel takes and gives one packet per system call, and under load, through
 * io_uring, many (`packet-io.ts`).
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

import { BaseLink, DESCRIPTOR_WORDS, type LinkEvents, MAX_FRAME_LEN, PacketBatch } from '../link/index.ts';
import { errno, Poll, PollEvent, systemError } from '../native/index.ts';
import { virtioNetHeaderLen } from '../wire/index.ts';
import { type Attached, readFlags } from './attach.ts';
import { MAX_PACKET_LEN } from './constants.ts';
import type { CarrierOptions } from './device-options.ts';
import type { DeviceSettings } from './device-settings.ts';
import { deviceGone } from './diagnose.ts';
import type { FrameIo, FrameReport } from './frame-io.ts';
import { type OffloadInfo, type OffloadState, offloadInfo, wantsOffload } from './offload.ts';
import type { OffloadIo } from './offload-io.ts';
import { negotiate, openIo, openOffloadIo } from './open-io.ts';
import { RING_FRAMES, RingLoad } from './packet-io.ts';
import { DeviceWatcher } from './watcher.ts';
import { linkDown, packetRefused, packetTooLong } from './write-drop.ts';

const ETHERNET_HEADER_LEN = 14;
const VLAN_TAG_LEN = 4;

const DEFAULT_BATCH_PACKETS = 64;
/** A super-packet of 64 KiB is some 45 packets. */
const OFFLOAD_BATCH_PACKETS = 256;

/** What carries packets in `TunTapDevice`; use `TunDevice` or `TapDevice`. */
export abstract class DeviceLink extends BaseLink {
  /** Index of the interface; stays the same when it is renamed. */
  readonly ifindex: number;
  readonly #fd: number;
  readonly #maxFrameLen: number;
  readonly #poll: Poll;
  readonly #io: FrameIo;
  readonly #offloadIo: OffloadIo | undefined;
  readonly #offloadState: OffloadState;
  readonly #settings: DeviceSettings;
  #watcher: DeviceWatcher | undefined;
  #mtu: number;
  #wantsReadable = false;
  #turnPending = false;

  /** True when packets are preceded by a virtio-net header, see `superPackets`. */
  override readonly offload: boolean;

  protected constructor(attached: Attached, options: CarrierOptions) {
    const { kind } = attached.flags;
    const ring = new RingLoad(attached.name, options.io);
    super({
      name: attached.name,
      medium: kind === 'tun' ? 'ip' : 'ethernet',
      batch: readBatchOf(options, ring),
      ...(options.busyPollUs === undefined ? {} : { busyPollUs: options.busyPollUs }),
      ...(options.counters === undefined ? {} : { counters: options.counters }),
    });
    this.#fd = attached.fd;
    this.#settings = attached.settings;
    this.offload = options.superPackets ?? false;
    const overheadLen = kind === 'tun' ? 0 : ETHERNET_HEADER_LEN + VLAN_TAG_LEN;
    this.#maxFrameLen = MAX_PACKET_LEN + overheadLen + (this.offload ? virtioNetHeaderLen : 0);
    this.ifindex = attached.link.index;
    this.#mtu = attached.link.mtu;
    this.#offloadState = negotiate(attached, this.medium, options);
    const { medium, offload: superPackets } = this;
    const io = { medium, superPackets, state: this.#offloadState, report: this.#report, ring };
    this.#offloadIo = openOffloadIo(attached, io);
    this.#io = this.#offloadIo ?? openIo(attached, io);
    this.#poll = new Poll(attached.fd, (error, events) => this.#onReady(error, events));
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
    await this.#settings.close();
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
    this.#watcher ??= new DeviceWatcher(this.#fd, this.ifindex, this.#mtu, {
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
}

/**
 * Reads through io_uring need room for as many frames of any length as are read at once. Super-packets are not read that
 * way; with few of them in a batch, what was read is still in the processor's cache when it is written.
 */
function readBatchOf({ offload, superPackets, batch }: CarrierOptions, { atOnce }: RingLoad): PacketBatch {
  const capacity = batch?.capacity ?? (wantsOffload(offload) ? OFFLOAD_BATCH_PACKETS : DEFAULT_BATCH_PACKETS);
  const { headroom = 0 } = batch ?? {};
  const frames = atOnce === 1 && !superPackets && !wantsOffload(offload) ? RING_FRAMES : 1;
  return new PacketBatch({ capacity, bytesLen: capacity * (2048 + headroom) + frames * MAX_FRAME_LEN, ...batch });
}
