/**
 * The destination filter of a TAP device (`TUNSETTXFILTER`): which frames the kernel hands to the reader, as a network card
 * would choose. What does not pass is dropped and counted in the interface's `txDropped`.
 *
 *   struct tun_filter   0 flags u16, 1 = TUN_FLT_ALLMULTI | 2 count u16 | 4 count times 6 bytes
 *
 * The kernel compares the first eight addresses as they are and hashes the rest, which must be multicast, into 64 bits:
 * a hash lets some more multicast addresses pass than were asked for.
 */

import { invalidArgument, type MacAddress } from '../base/index.ts';
import { TunIoctl } from './constants.ts';
import { deviceIoctl, type OpenDevice } from './device-ioctl.ts';

/** Frames that pass to the reader; every other one is dropped. */
export interface TxFilter {
  /**
   * Destinations, 1 to 170, of which at most 8 unicast. Broadcast frames pass only with `ff:ff:ff:ff:ff:ff` among
   * them or with `allMulticast`.
   */
  readonly addresses: readonly MacAddress[];
  /** Lets every multicast and broadcast frame pass; default false. */
  readonly allMulticast?: boolean;
}

/** `FLT_EXACT_COUNT` of `drivers/net/tun.c`. */
const MAX_EXACT = 8;
/** What an ioctl of the native core has room for. */
const MAX_ADDRESSES = 170;
const ALL_MULTICAST = 1;
const HEADER_LEN = 4;
const MAC_LEN = 6;

/**
 * @param filter undefined lets everything pass
 * @returns how many addresses are compared exactly
 * @throws VNIC_INVALID_ARGUMENT, VNIC_DEVICE_GONE
 */
export function setTxFilter(device: OpenDevice, filter: TxFilter | undefined): number {
  const attempted = `set the destination filter of ${device.name}`;
  const arg = filter === undefined ? new Uint8Array(HEADER_LEN) : emitTxFilter(filter, attempted);
  return deviceIoctl(device, { attempted, ioctl: 'TUNSETTXFILTER', request: TunIoctl.setTxFilter, arg });
}

function emitTxFilter({ addresses, allMulticast }: TxFilter, attempted: string): Uint8Array {
  const unicast = addresses.filter((mac) => !mac.isMulticast);
  if (addresses.length < 1 || addresses.length > MAX_ADDRESSES) {
    // With none the kernel lets everything pass, whatever the flag says.
    throw invalidArgument(attempted, `1 to ${MAX_ADDRESSES} addresses`, addresses.length);
  }
  // With more the kernel filters nothing, without a word.
  if (unicast.length > MAX_EXACT) throw invalidArgument(attempted, 'at most 8 unicast addresses', unicast.length);
  const bytes = new Uint8Array(HEADER_LEN + addresses.length * MAC_LEN);
  bytes.set(new Uint8Array(Uint16Array.of(allMulticast ? ALL_MULTICAST : 0, addresses.length).buffer));
  const ordered = [...unicast, ...addresses.filter((mac) => mac.isMulticast)];
  for (const [i, mac] of ordered.entries()) bytes.set(mac.bytes, HEADER_LEN + i * MAC_LEN);
  return bytes;
}
