/**
 * Offload of a device: what is asked of the kernel, what it gives, and what is put back.
 *
 * Theory of operation
 *
 * Reading and writing are negotiated apart. What the kernel may hand over whole is the mask of `TUNSETOFFLOAD`; it is
 * asked for all of it, and for less as long as it answers EINVAL. What may be written whole needs no permission, and no
 * call tells what the kernel takes: only a write does. A device that is down checks a super-packet like any other
 * and then refuses it with EIO, so the probe is a write to a device that is down; its packet goes nowhere. On a device that
 * is up the first real super-packet is the probe. Whenever a super-packet is refused and its packets are not, its
 * kind is no longer written: nothing is lost by a kernel that promises too much.
 *
 * The mask belongs to the device. Whoever attaches alone settles it; further queues take what is in force. What was in
 * force before is put back in the end, see device-settings.ts.
 */

import { invalidArgument } from '../base/index.ts';
import { CoalesceKind, errno, nativeCore } from '../native/index.ts';
import { emitVirtioNetHeader, IpProtocol, internetChecksum, VirtioNetGso, virtioNetHeaderLen } from '../wire/index.ts';
import type { Attached } from './attach.ts';
import { TunOffload } from './constants.ts';
import { findLink } from './device-namespace.ts';
import type { DeviceSettings } from './device-settings.ts';

/** How super-packets are used on a device. */
export type OffloadOption =
  /** Not at all: the kernel completes checksums and cuts packets up itself. */
  | 'off'
  /** As far as the kernel knows them. */
  | 'auto'
  /** As `auto`, without what is false: TCP super-packets, UDP super-packets. */
  | { readonly tso?: boolean; readonly uso?: boolean };

/** Whether super-packets of a kind are written; `untried` until the first one was, `refused` for good. */
export type WriteSupport = 'off' | 'untried' | 'works' | 'refused';

/** What a device does with super-packets. */
export interface OffloadInfo {
  /** What the kernel hands over whole (`TUNSETOFFLOAD`). */
  readonly read: {
    /** Packets with checksums to be completed; the native core does it. */
    readonly checksum: boolean;
    readonly tso: boolean;
    readonly uso: boolean;
  };
  /** What is written whole. */
  readonly write: {
    readonly tso4: WriteSupport;
    readonly tso6: WriteSupport;
    readonly uso4: WriteSupport;
    readonly uso6: WriteSupport;
  };
  /** True when super-packets are handed to the reader and taken from the writer as they are. */
  readonly superPackets: boolean;
  /** Super-packets read and written. */
  readonly superPacketsRead: number;
  readonly superPacketsWritten: number;
  /** Frames read and dropped because their virtio-net header contradicts them. */
  readonly malformed: number;
}

type Kind = keyof typeof CoalesceKind;

/** What was agreed with the kernel; `write` changes as writes succeed and fail. */
export interface OffloadState {
  readonly mask: number;
  readonly write: Record<Kind, WriteSupport>;
  /** True while some kind is `untried`. */
  untried: boolean;
}

/** Kinds as bits of `CoalesceKind` that may be written. */
export function allowedKinds(state: OffloadState): number {
  let allowed = 0;
  for (const kind of kinds) {
    if (state.write[kind] === 'untried' || state.write[kind] === 'works') allowed |= CoalesceKind[kind];
  }
  return allowed;
}

/** Notes that super-packets of these kinds were refused while their packets were not. */
export function noteRefused(state: OffloadState, refused: number): void {
  for (const kind of kinds) if ((refused & CoalesceKind[kind]) !== 0) state.write[kind] = 'refused';
}

/** Notes that super-packets of these kinds were taken. */
export function noteWritten(state: OffloadState, merged: number): void {
  for (const kind of kinds) if ((merged & CoalesceKind[kind]) !== 0) state.write[kind] = 'works';
  state.untried = hasUntried(state);
}

/** A device without offload. */
export function noOffload(): OffloadState {
  return { mask: 0, write: { tcp4: 'off', tcp6: 'off', udp4: 'off', udp6: 'off' }, untried: false };
}

/** What users see of it. */
export function offloadInfo(
  state: OffloadState,
  counters: Pick<OffloadInfo, 'superPacketsRead' | 'superPacketsWritten' | 'malformed'> | undefined,
  superPackets: boolean,
): OffloadInfo {
  const { mask, write } = state;
  return {
    read: {
      checksum: (mask & TunOffload.csum) !== 0,
      tso: (mask & (TunOffload.tso4 | TunOffload.tso6)) !== 0,
      uso: (mask & TunOffload.uso4) !== 0,
    },
    write: { tso4: write.tcp4, tso6: write.tcp6, uso4: write.udp4, uso6: write.udp6 },
    superPackets,
    superPacketsRead: counters?.superPacketsRead ?? 0,
    superPacketsWritten: counters?.superPacketsWritten ?? 0,
    malformed: counters?.malformed ?? 0,
  };
}

/** True when the option asks for anything. */
export function wantsOffload(option: OffloadOption | undefined): boolean {
  const { tso, uso } = resolve(option);
  return tso || uso;
}

/** Agrees with the kernel on what is read whole, and probes what may be written whole. */
export function negotiateOffload(attached: Attached, medium: 'ip' | 'ethernet', option: OffloadOption): OffloadState {
  const wanted = resolve(option);
  const untried = (asked: boolean): WriteSupport => (asked ? 'untried' : 'off');
  const state: OffloadState = {
    mask: attached.settings.alone ? setMask(attached.settings, wanted) : (attached.settings.foundMask ?? 0),
    write: {
      tcp4: untried(wanted.tso),
      tcp6: untried(wanted.tso),
      udp4: untried(wanted.uso),
      udp6: untried(wanted.uso),
    },
    untried: true,
  };
  const link = findLink(attached.fd, attached.name);
  if (link === undefined || link.flags.includes('UP')) return state;
  for (const kind of kinds) {
    if (state.write[kind] === 'untried') state.write[kind] = probeWrite(attached, medium, kind);
  }
  state.untried = hasUntried(state);
  return state;
}

/**
 * Sets the header to its shortest; without `superPackets` any other will do as well.
 * @returns the device as it is then
 * @throws VNIC_INVALID_ARGUMENT
 */
export function setVnetHeaderLen(attached: Attached, superPackets: boolean): Attached {
  if (attached.prefixLen === virtioNetHeaderLen) return attached;
  const { settings } = attached;
  // The other queues of a device have the same header.
  if (settings.alone && settings.setVnetHeaderLen(virtioNetHeaderLen)) {
    return { ...attached, prefixLen: virtioNetHeaderLen };
  }
  if (!superPackets) return attached;
  throw invalidArgument(
    `open ${attached.name} with super-packets`,
    `a virtio-net header of ${virtioNetHeaderLen} bytes on the device`,
    `${attached.prefixLen} bytes, set by another queue`,
  );
}

const kinds: readonly Kind[] = ['tcp4', 'tcp6', 'udp4', 'udp6'];

function hasUntried(state: OffloadState): boolean {
  return kinds.some((kind) => state.write[kind] === 'untried');
}

function resolve(option: OffloadOption | undefined): { tso: boolean; uso: boolean } {
  if (option === undefined || option === 'off') return { tso: false, uso: false };
  if (option === 'auto') return { tso: true, uso: true };
  if (typeof option !== 'object' || option === null) {
    throw invalidArgument('open a device with offload', "'off', 'auto' or { tso, uso }", option);
  }
  return { tso: option.tso ?? true, uso: option.uso ?? true };
}

/** The largest mask that the kernel takes: UDP needs Linux 6.2. */
function setMask(settings: DeviceSettings, wanted: { tso: boolean; uso: boolean }): number {
  const { csum, tso4, tso6, tsoEcn, uso4, uso6 } = TunOffload;
  const tso = wanted.tso ? tso4 | tso6 : 0;
  const full = csum | tso | (wanted.tso ? tsoEcn : 0) | (wanted.uso ? uso4 | uso6 : 0);
  for (const mask of [full, full & ~(uso4 | uso6), csum | tso, csum]) {
    if (settings.setMask(mask)) return mask;
  }
  settings.setMask(0);
  return 0;
}

function probeWrite(attached: Attached, medium: 'ip' | 'ethernet', kind: Kind): WriteSupport {
  const frame = probeFrame(medium, kind);
  const prefix = new Uint8Array(attached.prefixLen - virtioNetHeaderLen);
  const bytes = new Uint8Array(prefix.length + frame.length);
  bytes.set(frame.subarray(0, virtioNetHeaderLen));
  bytes.set(frame.subarray(virtioNetHeaderLen), attached.prefixLen);
  const status = new Uint32Array(3);
  nativeCore().writeBatch(attached.fd, bytes, Uint32Array.of(0, bytes.length, 0, 0), 0, 1, status, 0);
  if (status[0] === errno.EIO) return 'works';
  return status[0] === errno.EINVAL ? 'refused' : 'untried';
}

const PROBE_SEGMENT_LEN = 512;

const probeHeaders: Record<Kind, { version: 4 | 6; gsoType: number; protocol: number; len: number; checksum: number }> =
  {
    tcp4: { version: 4, gsoType: VirtioNetGso.tcp4, protocol: IpProtocol.tcp, len: 20, checksum: 16 },
    tcp6: { version: 6, gsoType: VirtioNetGso.tcp6, protocol: IpProtocol.tcp, len: 20, checksum: 16 },
    udp4: { version: 4, gsoType: VirtioNetGso.udp, protocol: IpProtocol.udp, len: 8, checksum: 6 },
    udp6: { version: 6, gsoType: VirtioNetGso.udp, protocol: IpProtocol.udp, len: 8, checksum: 6 },
  };

/**
 * Two segments that no stack delivers, should the device have come up meanwhile: of version 4 the header checksum is
 * wrong, of version 6 the addresses are unspecified.
 */
function probeFrame(medium: 'ip' | 'ethernet', kind: Kind): Uint8Array {
  const { version, gsoType, protocol, len, checksum } = probeHeaders[kind];
  const l3 = medium === 'ip' ? 0 : 14;
  const l4 = l3 + (version === 4 ? 20 : 40);
  const frame = new Uint8Array(virtioNetHeaderLen + l4 + len + 2 * PROBE_SEGMENT_LEN);
  const header = { needsChecksum: true, gsoType, headerLen: l4 + len, gsoSize: PROBE_SEGMENT_LEN };
  emitVirtioNetHeader({ ...header, checksumStart: l4, checksumOffset: checksum }, frame, 0);
  const packet = frame.subarray(virtioNetHeaderLen);
  const view = new DataView(packet.buffer, packet.byteOffset);
  if (protocol === IpProtocol.tcp) packet.set([0x50, 0x10], l4 + 12);
  else view.setUint16(l4 + 4, packet.length - l4);
  view.setUint16(l4 + checksum, protocol + packet.length - l4);
  if (version === 4) {
    if (l3 > 0) view.setUint16(12, 0x0800);
    packet.set([0x45, 0, (packet.length - l3) >> 8, (packet.length - l3) & 0xff, 0, 0, 0, 0, 64, protocol], l3);
    // One more than right.
    view.setUint16(l3 + 10, internetChecksum(packet, l3, 20) + 1);
  } else {
    if (l3 > 0) view.setUint16(12, 0x86dd);
    packet.set([0x60, 0, 0, 0, (packet.length - l4) >> 8, (packet.length - l4) & 0xff, protocol, 64], l3);
  }
  return frame;
}
