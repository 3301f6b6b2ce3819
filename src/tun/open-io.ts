/** Which way the packets of a device are read and written, as its framing and its user ask. */

import { invalidArgument } from '../base/index.ts';
import type { Attached } from './attach.ts';
import type { CarrierOptions } from './device-options.ts';
import { readVnetHeaderLen } from './device-settings.ts';
import { type FrameIo, type FrameReport, PacketInfoIo, PlainIo } from './frame-io.ts';
import { negotiateOffload, noOffload, type OffloadState, setVnetHeaderLen, wantsOffload } from './offload.ts';
import { type OffloadIo, SplittingIo, SuperPacketIo } from './offload-io.ts';
import type { RingLoad } from './packet-io.ts';

/** What reading and writing needs to know of the link. */
export interface IoOptions {
  readonly medium: 'ip' | 'ethernet';
  readonly superPackets: boolean;
  readonly state: OffloadState;
  readonly report: FrameReport;
  readonly ring: RingLoad;
}

/** @throws VNIC_INVALID_ARGUMENT when the device's framing does not go with what is asked for */
export function negotiate(attached: Attached, medium: 'ip' | 'ethernet', options: CarrierOptions): OffloadState {
  const superPackets = options.superPackets ?? false;
  if (!superPackets && !wantsOffload(options.offload)) return noOffload();
  if (attached.flags.packetInfo || !attached.flags.vnetHeader) {
    const found = attached.flags.packetInfo ? 'packet info' : 'no virtio-net header';
    throw invalidArgument(`use offload on ${attached.name}`, 'a device with a virtio-net header only', found);
  }
  return negotiateOffload(setVnetHeaderLen(attached, superPackets), medium, options.offload ?? 'auto');
}

/** Also without offload: what another user of the device has asked for must not reach a reader who has not. */
export function openOffloadIo({ fd, flags }: Attached, options: IoOptions): OffloadIo | undefined {
  if (!flags.vnetHeader || flags.packetInfo) return undefined;
  const { medium, state, report } = options;
  const io = { fd, medium, vnetHeaderLen: readVnetHeaderLen(fd), state, report };
  return options.superPackets ? new SuperPacketIo(io) : new SplittingIo(io);
}

/** Without super-packets. */
export function openIo({ fd, prefixLen }: Attached, { medium, report, ring }: IoOptions): FrameIo {
  return prefixLen === 0
    ? new PlainIo(fd, report, ring)
    : new PacketInfoIo(fd, report, ring, { len: prefixLen, medium });
}
