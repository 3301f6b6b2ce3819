/**
 * A device from its description: opened and configured in one call, all of it or nothing.
 *
 * Order: what can be checked beforehand is; then open, MAC, MTU, queue length, promiscuous mode, names, bridge, addresses, up,
 * routes, and ownership with persistence last. Until that last call the device goes with its descriptor,
 * so a step that fails, or a process that is killed half-way, leaves nothing behind.
 */

import { Cidr, invalidArgument, isVnicError, MacAddress, VnicError } from '../base/index.ts';
import type { LinkChange, LinkSelector, Netlink } from '../netlink/index.ts';
import { type DeviceOptions, TapDevice, TunDevice, type TunTapDevice } from '../tun/index.ts';
import { resolveGroup, resolveUser } from './accounts.ts';
import { withNetlink } from './describe.ts';
import { type DeviceRoute, parseDeviceRoute } from './route-text.ts';

/** RFC 791 section 3.2: every module must forward datagrams of 68 bytes. */
const MIN_MTU = 68;
const MAX_MTU = 65_535;
/** RFC 8200 section 5. */
const MIN_IPV6_MTU = 1280;

/** What a device is to be; how it is opened is as in `TunDevice.open`. */
export interface DeviceSpec extends Omit<DeviceOptions, 'mustExist'> {
  readonly kind: 'tun' | 'tap';
  /** TAP only; a unicast address. Chosen at random by the kernel when left out. */
  readonly mac?: MacAddress;
  /** Bytes, 68 to 65535, at least 1280 with an IPv6 address. */
  readonly mtu?: number;
  /** Packets that the kernel queues for the reader. */
  readonly txQueueLen?: number;
  readonly promisc?: boolean;
  /** TAP only: the bridge that it becomes a port of, by name or index. */
  readonly master?: LinkSelector;
  /** Further names, of up to 127 bytes each. */
  readonly altNames?: readonly string[];
  /** Free text of up to 255 bytes. */
  readonly alias?: string;
  /** IPv6 ones are usable at once: no duplicate address detection. */
  readonly addresses?: readonly Cidr[];
  readonly up?: boolean;
  /** Routes through the device, which must be up for them. */
  readonly routes?: readonly DeviceRoute[];
}

/** A `DeviceSpec` in which addresses, routes and accounts may be text. */
export interface OpenDeviceOptions extends Omit<DeviceSpec, 'mac' | 'addresses' | 'routes' | 'owner' | 'group'> {
  readonly mac?: MacAddress | string;
  /** `10.0.0.1/24`, `fd00::1/64`. */
  readonly addresses?: readonly (Cidr | string)[];
  /** `10.1.0.0/16`, or with a gateway and a metric `10.1.0.0/16,via=10.0.0.2,metric=50`. */
  readonly routes?: readonly (DeviceRoute | string)[];
  /** Name or uid. */
  readonly owner?: number | string;
  /** Name or gid. */
  readonly group?: number | string;
}

/**
 * Opens and configures a device. A device that exists is attached to, unless `exclusive`; addresses and routes
 * that it has already are left as they are, and what was set before an error stays.
 *
 * @example
 * const device = await openDevice({ kind: 'tun', name: 'tun%d', addresses: ['10.0.0.1/24', 'fd00::1/64'], up: true });
 * @throws what `TunDevice.open` throws; VNIC_INVALID_ARGUMENT, VNIC_INVALID_ADDRESS, VNIC_NO_SUCH_USER,
 *   VNIC_NO_SUCH_GROUP; what `Links.set`, `Addresses.add` and `Routes.add` throw
 */
export async function openDevice(options: OpenDeviceOptions & { readonly kind: 'tun' }): Promise<TunDevice>;
export async function openDevice(options: OpenDeviceOptions & { readonly kind: 'tap' }): Promise<TapDevice>;
export async function openDevice(options: OpenDeviceOptions): Promise<TunTapDevice>;
export async function openDevice(options: OpenDeviceOptions): Promise<TunTapDevice> {
  const { mac, addresses, routes, owner, group, ...rest } = options;
  return createDevice({
    ...rest,
    ...(mac !== undefined && { mac: typeof mac === 'string' ? MacAddress.parse(mac) : mac }),
    ...(addresses && { addresses: addresses.map((cidr) => (typeof cidr === 'string' ? Cidr.parse(cidr) : cidr)) }),
    ...(routes && { routes: routes.map((route) => (typeof route === 'string' ? parseDeviceRoute(route) : route)) }),
    ...(owner !== undefined && { owner: typeof owner === 'string' ? await resolveUser(owner) : owner }),
    ...(group !== undefined && { group: typeof group === 'string' ? await resolveGroup(group) : group }),
  });
}

/** `openDevice` with values that are parsed already. @throws as `openDevice` */
export async function createDevice(spec: DeviceSpec): Promise<TunTapDevice> {
  checkSpec(spec);
  const device = await open(spec);
  try {
    await withNetlink(spec, (netlink) => configure(netlink, device, spec));
    applyOwnership(device, spec);
    return device;
  } catch (error) {
    await device.close();
    throw error;
  }
}

function open(spec: DeviceSpec): Promise<TunTapDevice> {
  // What is set afterwards, ownership last, must not be there from the start.
  const { kind, mac, mtu, txQueueLen, promisc, addresses, up, routes, owner, group, persist, ...options } = spec;
  return kind === 'tun' ? TunDevice.open(options) : TapDevice.open(options);
}

function checkSpec(spec: DeviceSpec): void {
  const attempted = `open ${spec.kind.toUpperCase()} device${spec.name === undefined ? '' : ` "${spec.name}"`}`;
  const { kind, mac, mtu, addresses = [] } = spec;
  if (mac !== undefined && kind === 'tun') {
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted,
      reason: 'a TUN device carries IP packets and has no MAC address',
      hint: 'Leave the MAC address out, or make it a TAP device.',
    });
  }
  if (mac?.isMulticast || mac?.isUnspecified) throw invalidArgument(attempted, 'a unicast MAC address', mac.toString());
  if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= MIN_MTU && mtu <= MAX_MTU)) {
    throw invalidArgument(attempted, `an MTU from ${MIN_MTU} to ${MAX_MTU}`, mtu);
  }
  const ipv6 = addresses.find(({ family }) => family === 6);
  if (mtu !== undefined && mtu < MIN_IPV6_MTU && ipv6 !== undefined) {
    throw invalidArgument(attempted, `an MTU of at least ${MIN_IPV6_MTU} for the IPv6 address ${ipv6}`, mtu);
  }
  for (const cidr of addresses) checkInterfaceAddress(cidr, attempted);
}

/** The kernel takes these for IPv4 without a word, and nothing can be sent to them. */
export function checkInterfaceAddress(cidr: Cidr, attempted: string): void {
  const { address } = cidr;
  if (!address.isUnspecified && !address.isMulticast) return;
  throw invalidArgument(attempted, 'the address of one host, for example 10.0.0.1/24', cidr.toString());
}

async function configure(netlink: Netlink, device: TunTapDevice, spec: DeviceSpec): Promise<void> {
  const { name } = device;
  const change = linkChange(spec);
  if (Object.keys(change).length > 0) await netlink.links.set(name, change);
  if (spec.altNames !== undefined && spec.altNames.length > 0) await netlink.links.addAltNames(name, spec.altNames);
  if (spec.master !== undefined)
    await netlink.links.set(name, { master: (await netlink.links.get(spec.master)).index });
  for (const cidr of spec.addresses ?? []) await addAddress(netlink, name, cidr, spec);
  if (spec.up !== undefined) await netlink.links.set(name, { up: spec.up });
  if (spec.routes === undefined || spec.routes.length === 0) return;
  await requireUp(netlink, device);
  for (const route of spec.routes) await addRoute(netlink, name, route, spec);
}

function linkChange({ mac, mtu, txQueueLen, promisc, alias }: DeviceSpec): LinkChange {
  return {
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(txQueueLen !== undefined && { txQueueLen }),
    ...(promisc !== undefined && { promisc }),
    ...(alias !== undefined && { alias }),
  };
}

async function requireUp(netlink: Netlink, device: TunTapDevice): Promise<void> {
  if ((await netlink.links.get(device.name)).isUp) return;
  throw new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted: `add routes through ${device.name}`,
    reason: 'the kernel keeps routes only through a device that is up',
    hint: 'Ask for it to be up as well: `--up`, or `up: true`.',
  });
}

async function addAddress(netlink: Netlink, name: string, cidr: Cidr, spec: DeviceSpec): Promise<void> {
  try {
    await netlink.addresses.add(name, cidr, { noDad: cidr.family === 6 });
  } catch (error) {
    if (spec.exclusive || !isVnicError(error, 'VNIC_ADDRESS_EXISTS')) throw error;
  }
}

async function addRoute(netlink: Netlink, name: string, route: DeviceRoute, spec: DeviceSpec): Promise<void> {
  try {
    await netlink.routes.add({ ...route, link: name });
  } catch (error) {
    if (spec.exclusive || !isVnicError(error, 'VNIC_ROUTE_EXISTS')) throw error;
    // Another device may have the route; that is somebody else's and an error.
    const own = await netlink.routes.list({ link: name });
    if (!own.some(({ destination }) => sameDestination(destination, route))) throw error;
  }
}

function sameDestination(destination: Cidr, route: DeviceRoute): boolean {
  if (route.destination === 'default') return destination.prefixLen === 0 && destination.family === route.via?.family;
  return destination.equals(route.destination);
}

/** Sets owner, group and last persistence. @throws VNIC_INVALID_ARGUMENT for an id without a mapping */
export function applyOwnership(device: TunTapDevice, spec: Pick<DeviceSpec, 'owner' | 'group' | 'persist'>): void {
  const { owner, group, persist } = spec;
  if (owner !== undefined) mapped(device.name, 'uid', owner, () => device.setOwner(owner));
  if (group !== undefined) mapped(device.name, 'gid', group, () => device.setGroup(group));
  if (persist !== undefined) device.setPersist(persist);
}

/** The kernel answers EINVAL for an id that has no mapping in the user namespace. */
function mapped(name: string, what: 'uid' | 'gid', id: number, set: () => void): void {
  try {
    set();
  } catch (error) {
    if (!isVnicError(error) || error.errno !== 'EINVAL') throw error;
    throw new VnicError('VNIC_INVALID_ARGUMENT', {
      attempted: `give ${name} to ${what} ${id}`,
      reason: `${what} ${id} has no mapping in this user namespace`,
      hint: `Choose one of those in /proc/self/${what}_map, or run it outside of the user namespace.`,
      errno: 'EINVAL',
      ...(error.syscall !== undefined && { syscall: error.syscall }),
      cause: error,
    });
  }
}
