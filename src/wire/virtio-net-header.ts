/**
 * Virtio-net header (virtio 1.3 section 5.1.6, `struct virtio_net_hdr` of linux/virtio_net.h): what stands before each
 * packet of a TUN/TAP device with `IFF_VNET_HDR`, and says of a super-packet how to cut it up.
 *
 * ```
 * octet 0           1              2                   4              6                    8                     10
 *       +-----------+--------------+-------------------+--------------+--------------------+---------------------+
 *       | flags (1) | GSO type (1) | header length (2) | GSO size (2) | checksum start (2) | checksum offset (2) |
 *       +-----------+--------------+-------------------+--------------+--------------------+---------------------+
 * ```
 * Numbers are little-endian, as virtio 1 wants them and as a device has them on the processors that vnic runs on.
 * Longer variants (12 octets with the number of buffers) continue behind; that part is 0 here.
 *
 * Not supported: receive segment coalescing, tunnels (GSO types 0x20, 0x40), hash reports.
 */

import type { DropReason } from './drop-reason.ts';
import { requireRoom, requireUint } from './emit-check.ts';

/** Octets of the header as a device starts with it. */
export const virtioNetHeaderLen = 10;

/** GSO types: how a super-packet is cut up. */
export const VirtioNetGso: {
  readonly none: 0;
  readonly tcp4: 1;
  /** UDP by IP fragmentation; no longer made by Linux. */
  readonly udpFragments: 3;
  readonly tcp6: 4;
  /** UDP into datagrams of equal length, IPv4 and IPv6. */
  readonly udp: 5;
} = { none: 0, tcp4: 1, udpFragments: 3, tcp6: 4, udp: 5 };

const header = 'virtio-net header';
const needsChecksumBit = 0x01;
const dataValidBit = 0x02;
const ecnBit = 0x80;

/** The header as plain data; everything left out of `emit` is 0. */
export interface VirtioNetHeaderFields {
  /** The transport checksum holds the sum of the pseudo header only; whoever sends it on completes it. */
  readonly needsChecksum: boolean;
  /** The checksums were verified. */
  readonly dataValid: boolean;
  /** A value of `VirtioNetGso`, or an unknown one. */
  readonly gsoType: number;
  /** TCP with CWR set, which belongs to the first segment only. */
  readonly ecn: boolean;
  /** Octets of all headers, from the start of the packet; a hint. */
  readonly headerLen: number;
  /** Payload octets of each packet that the super-packet is cut into. */
  readonly gsoSize: number;
  /** Where the checksum starts to count, from the start of the packet. */
  readonly checksumStart: number;
  /** Where the checksum is, from `checksumStart`. */
  readonly checksumOffset: number;
}

/** Reads the header at the start of `bytes`. */
export function parseVirtioNetHeader(bytes: Uint8Array): VirtioNetHeaderFields | DropReason {
  if (bytes.length < virtioNetHeaderLen) return 'truncated';
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const flags = view.getUint8(0);
  const type = view.getUint8(1);
  return {
    needsChecksum: (flags & needsChecksumBit) !== 0,
    dataValid: (flags & dataValidBit) !== 0,
    gsoType: type & ~ecnBit,
    ecn: (type & ecnBit) !== 0,
    headerLen: view.getUint16(2, true),
    gsoSize: view.getUint16(4, true),
    checksumStart: view.getUint16(6, true),
    checksumOffset: view.getUint16(8, true),
  };
}

/**
 * Writes the header at `offset`.
 * @returns octets written
 * @throws VNIC_INVALID_ARGUMENT
 */
export function emitVirtioNetHeader(fields: Partial<VirtioNetHeaderFields>, out: Uint8Array, offset: number): number {
  const { gsoType = 0, headerLen = 0, gsoSize = 0, checksumStart = 0, checksumOffset = 0 } = fields;
  requireRoom(header, out, offset, virtioNetHeaderLen);
  requireUint(header, 'gsoType', gsoType, 0x7f);
  requireUint(header, 'headerLen', headerLen, 0xffff);
  requireUint(header, 'gsoSize', gsoSize, 0xffff);
  requireUint(header, 'checksumStart', checksumStart, 0xffff);
  requireUint(header, 'checksumOffset', checksumOffset, 0xffff);
  const view = new DataView(out.buffer, out.byteOffset + offset);
  view.setUint8(0, (fields.needsChecksum ? needsChecksumBit : 0) | (fields.dataValid ? dataValidBit : 0));
  view.setUint8(1, gsoType | (fields.ecn ? ecnBit : 0));
  view.setUint16(2, headerLen, true);
  view.setUint16(4, gsoSize, true);
  view.setUint16(6, checksumStart, true);
  view.setUint16(8, checksumOffset, true);
  return virtioNetHeaderLen;
}
