/** How a TUN/TAP device is opened and read. */

import type { MutableCounters, PacketBatchOptions } from '../link/index.ts';
import type { OpenOptions, TapOpenOptions } from './attach.ts';
import type { OffloadOption } from './offload.ts';
import type { PacketIo } from './packet-io.ts';

/** How a device is read and written. */
export interface CarrierOptions {
  /** Size of the read batch. Default 64 packets, 256 with offload. */
  readonly batch?: PacketBatchOptions;
  /**
   * Super-packets of up to 64 KiB between the kernel and this program, one system call each instead of one a packet;
   * default `'off'`. Readers see packets of the MTU's size with complete checksums, and write such; splitting and
   * coalescing is done natively. Not together with `packetInfo`.
   *
   * What the kernel hands over whole is one setting for the whole device: of several queues the first settles it, and
   * the others, or a queue opened while another program is attached, take what is in force (`offloadInfo.read`). The last
   * queue of this thread that closes puts back what was in force before, unless others are attached.
   */
  readonly offload?: OffloadOption;
  /**
   * Hand super-packets over as they are; default false. Each packet read is preceded by its virtio-net header of 10
   * bytes (`parseVirtioNetHeader` of `vnic/wire`), each one written must be. `link.offload` is then true.
   */
  readonly superPackets?: boolean;
  /**
   * Whether many packets are read and written by one system call, through io_uring; default `'auto'`: while packets come
   * in numbers. Without effect on a device with a virtio-net header, where super-packets save the calls.
   */
  readonly io?: PacketIo;
  /** As `BaseLinkOptions.busyPollUs`: spin for up to so long after the last packet; default 0, off. */
  readonly busyPollUs?: number;
  /** Where totals are kept, for example in shared memory; default in an object of the link's own. */
  readonly counters?: MutableCounters;
}

/** How a device is opened and read. */
export interface DeviceOptions extends OpenOptions, CarrierOptions {}

/** How a TAP device is opened and read. */
export interface TapDeviceOptions extends TapOpenOptions, CarrierOptions {}
