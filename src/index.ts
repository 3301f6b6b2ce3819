/**
 * vnic: virtual network interfaces (TUN/TAP) for Linux.
 *
 * Everything most programs need is here; each layer has an entry of its own with all of it: `vnic/base`,
 * `vnic/wire`, `vnic/link`, `vnic/tun`, `vnic/netlink`, `vnic/host`, `vnic/netdev`, `vnic/testing`.
 *
 * A TUN device whose other addresses answer ping; it needs CAP_NET_ADMIN, see `vnic doctor`:
 *
 * @example
 * ```ts
 * import { attachResponder, Cidr, createResponder, IpAddress, openDevice, systemClock } from 'vnic';
 *
 * await using device = await openDevice({ kind: 'tun', name: 'tun%d', addresses: ['10.0.0.1/24'], up: true });
 * const responder = createResponder({
 *   medium: device.medium,
 *   answer: [Cidr.parse('10.0.0.0/24')],
 *   except: [IpAddress.parse('10.0.0.1')],
 * });
 * console.log(`ping 10.0.0.2, by ${device.name}`);
 * await attachResponder(device, responder, systemClock).done;
 * ```
 *
 * @example Every packet of a TAP device decoded
 * ```ts
 * import { openDevice, wire } from 'vnic';
 *
 * await using device = await openDevice({ kind: 'tap', addresses: ['fd00::1/64'], up: true });
 * for await (const batch of device) {
 *   for (const frame of batch) console.log(wire.describePacket(frame, device.medium));
 * }
 * ```
 *
 * @packageDocumentation
 */

export {
  Cidr,
  errorCatalogue,
  IpAddress,
  type IpFamily,
  isVnicError,
  MacAddress,
  type Random,
  seededRandom,
  VnicError,
  type VnicErrorCode,
} from './base/index.ts';
/** Two ends by name, joined; all of `vnic/ends`. */
export { type JoinedEnds, type JoinOptions, joinEnds } from './ends/index.ts';
export {
  type AttachedResponder,
  attachResponder,
  createResponder,
  type HostClock,
  type HostDropReason,
  type Responder,
  type ResponderCounters,
  type ResponderOptions,
} from './host/index.ts';
export {
  createLinkPair,
  type ForwardCounters,
  type ForwardDropReason,
  type Forwarding,
  type ForwardOptions,
  type ForwardPolicy,
  forward,
  type LinkCounters,
  type LinkEvents,
  type LinkPairOptions,
  type Medium,
  PacketBatch,
  type PacketBatchOptions,
  type PacketLink,
  type WaitOptions,
  type WebStreams,
  type WriteDropReason,
} from './link/index.ts';
export {
  createDevice,
  type DeviceRoute,
  type DeviceSpec,
  deleteDevices,
  describeInterface,
  describeInterfaces,
  type InterfaceInfo,
  type OpenDeviceOptions,
  openDevice,
  type SystemClock,
  systemClock,
} from './netdev/index.ts';
export { type AddressInfo, type LinkInfo, Netlink, openNetlink, type RouteInfo } from './netlink/index.ts';
export {
  type DeviceFlags,
  type DeviceOptions,
  describeHolders,
  findHolders,
  type Holder,
  type OpenOptions,
  TapDevice,
  TunDevice,
  TunTapDevice,
} from './tun/index.ts';
/** Codecs of Ethernet, ARP, IP, ICMP, UDP, TCP and the internet checksum; all of `vnic/wire`. */
export * as wire from './wire/index.ts';
