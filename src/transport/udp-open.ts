/** From options to a bound, perhaps connected UDP socket; nothing is left behind when a step fails. */

import { type IpFamily, invalidArgument, VnicError } from '../base/index.ts';
import { errno, errnoName, nativeCore, systemError, UDP_GRO_SEGMENTS, UDP_SLOT_LEN } from '../native/index.ts';
import { checkPort, toAddress, type UdpEndpoint, type UdpEndpointValue } from './udp-endpoints.ts';
import {
  AF_INET,
  AF_INET6,
  emitSockaddr,
  formatEndpoint,
  Ipv4Option,
  Ipv6Option,
  parseSockaddr,
  SOCK_DGRAM,
  SOCKADDR_LEN,
  SocketLevel,
  SocketOption,
  UdpOption,
  unspecified,
} from './udp-sockaddr.ts';

/**
 * What becomes of datagrams longer than the path takes (`IP_MTU_DISCOVER`). `off`: they are fragmented. `want`:
 * fragmented by this machine where it knows the path MTU. `do`: never fragmented, those longer than the known path MTU
 * are refused. `probe`: never fragmented, whatever the known path MTU.
 */
export type PathMtuDiscovery = 'off' | 'want' | 'do' | 'probe';

/** How a UDP socket is opened. */
export interface UdpOptions {
  /** Where to receive; default any address of the family of `remote`, else of both families, and a free port. */
  readonly local?: Partial<UdpEndpoint>;
  /** Connects the socket: only datagrams of this peer are received. */
  readonly remote?: UdpEndpoint;
  /** An IPv6 socket on `::` also serves IPv4; default true. */
  readonly dualStack?: boolean;
  /** Several sockets share the port, and the kernel spreads flows over them (`SO_REUSEPORT`); default false. */
  readonly reusePort?: boolean;
  /** `auto`, the default: runs of equal datagrams are sent by `UDP_SEGMENT` where the kernel and the path can. */
  readonly gso?: 'auto' | 'off';
  /** `auto`, the default: the kernel joins datagrams of a flow on the way up (`UDP_GRO`), where it can. */
  readonly gro?: 'auto' | 'off';
  /** Bytes that the kernel queues, default 4 MiB; without CAP_NET_ADMIN at most `net.core.rmem_max`. */
  readonly receiveBufferLen?: number;
  /** Bytes that the kernel keeps until they are sent, default 1 MiB; limited by `net.core.wmem_max` likewise. */
  readonly sendBufferLen?: number;
  /** Tell the address and interface to which a datagram came; default true when unconnected and bound to any address. */
  readonly packetInfo?: boolean;
  /** Tell the traffic class of received datagrams, ECN included; default false. */
  readonly receiveTrafficClass?: boolean;
  /** Traffic class of what is sent, where the descriptor has none; default 0. */
  readonly trafficClass?: number;
  /** Send out of the interface that an endpoint's record names, instead of by route; default false. */
  readonly stickyInterface?: boolean;
  /** Default: as `net.ipv4.ip_no_pmtu_disc` says, which mostly is `want`. */
  readonly pathMtuDiscovery?: PathMtuDiscovery;
  /** Memory for received datagrams. */
  readonly batch?: UdpReceiveBatchOptions;
}

/** Size of the batch into which a socket receives. */
export interface UdpReceiveBatchOptions {
  /** Datagrams at most, 1 (with GRO 128) to 65,534; default 1024. */
  readonly capacity?: number;
  /** Bytes, at least 67,008 so that the longest datagram fits; default 16 times that. */
  readonly bytesLen?: number;
}

/** An open socket, owned by this thread's environment. */
export interface OpenedUdp {
  readonly fd: number;
  readonly family: IpFamily;
  readonly local: UdpEndpointValue;
  readonly remote: UdpEndpointValue | undefined;
  readonly gso: boolean;
  readonly gro: boolean;
}

const PMTU_DISCOVERY: Readonly<Record<PathMtuDiscovery, number>> = { off: 0, want: 1, do: 2, probe: 3 };
const DEFAULT_RECEIVE_BUFFER_LEN = 4 << 20;
const DEFAULT_SEND_BUFFER_LEN = 1 << 20;
const MAX_CAPACITY = 65_534;

/**
 * Sets what becomes of datagrams longer than the path takes. A family that the socket does not have is left out; that a
 * kernel refuses is without effect.
 */
export function setPathMtuDiscovery(fd: number, isIpv6: boolean, discovery: PathMtuDiscovery): void {
  const value = new Uint8Array(Int32Array.of(PMTU_DISCOVERY[discovery]).buffer);
  const core = nativeCore();
  // An IPv6 socket may serve IPv4 as well.
  core.setsockopt(fd, SocketLevel.ip, Ipv4Option.mtuDiscover, value);
  if (isIpv6) core.setsockopt(fd, SocketLevel.ipv6, Ipv6Option.mtuDiscover, value);
}

/** Opens, configures, binds, connects. Throws what `openUdp` documents. */
export function openUdpSocket(options: UdpOptions): OpenedUdp {
  checkBatch(options);
  const remote = options.remote === undefined ? undefined : endpointOf(options.remote, options.remote);
  const given = options.local ?? {};
  const family = given.address === undefined ? remote?.address.family : toAddress(given.address).family;
  if (family !== undefined) return openFamily(options, family, remote);
  try {
    return openFamily(options, 6, remote);
  } catch (error) {
    // A kernel without IPv6 knows no such socket, one with IPv6 disabled has no such address.
    if (!isWithoutIpv6(error)) throw error;
    return openFamily(options, 4, remote);
  }
}

function isWithoutIpv6(error: unknown): boolean {
  return error instanceof VnicError && (error.errno === 'EAFNOSUPPORT' || error.errno === 'EADDRNOTAVAIL');
}

function openFamily(options: UdpOptions, family: IpFamily, remote: UdpEndpointValue | undefined): OpenedUdp {
  const local = endpointOf(options.local ?? {}, { address: unspecified(family), port: 0 });
  const to = remote === undefined ? '' : ` to ${formatEndpoint(remote)}`;
  const attempted = `open a UDP socket on ${formatEndpoint(local)}${to}`;
  if (remote !== undefined && remote.address.family !== family) {
    throw invalidArgument(attempted, `a remote address of IPv${family}`, remote.address.toString());
  }
  const core = nativeCore();
  const fd = core.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (fd < 0) throw systemError(attempted, 'socket', -fd);
  try {
    const set = configure(fd, attempted, family, local, options);
    bind(fd, attempted, local);
    if (remote !== undefined) connect(fd, attempted, remote);
    const offload = {
      gso: options.gso !== 'off' && set(SocketLevel.udp, UdpOption.segment, 0),
      gro: options.gro !== 'off' && set(SocketLevel.udp, UdpOption.gro, 1),
    };
    return { fd, family, local: nameOf(fd, attempted), remote, ...offload };
  } catch (error) {
    core.close(fd);
    throw error;
  }
}

/** Sets an option to a number; false where the kernel does not know it or refuses. */
type SetOption = (level: number, option: number, value: number) => boolean;

/** An option that was asked for: number for IPv4 and for IPv6, value, name for errors. */
type Wanted = readonly [ipv4: number, ipv6: number, value: number, name: string];

function configure(
  fd: number,
  attempted: string,
  family: IpFamily,
  local: UdpEndpointValue,
  options: UdpOptions,
): SetOption {
  const core = nativeCore();
  const call = (level: number, option: number, value: number): number =>
    core.setsockopt(fd, level, option, new Uint8Array(Int32Array.of(value).buffer));
  const set: SetOption = (level, option, value) => call(level, option, value) >= 0;
  const must = (level: number, option: number, value: number, name: string): void => {
    const result = call(level, option, value);
    if (result < 0) throw systemError(attempted, `setsockopt(${name})`, -result);
  };
  const { socket, ip, ipv6 } = SocketLevel;
  const dual = family === 6 && local.address.isUnspecified && options.dualStack !== false;
  if (family === 6) must(ipv6, Ipv6Option.ipv6Only, dual ? 0 : 1, 'IPV6_V6ONLY');
  if (options.reusePort) must(socket, SocketOption.reusePort, 1, 'SO_REUSEPORT');
  setBuffers(attempted, set, options);
  // Without these, which old kernels lack, less is told and all else works.
  set(socket, SocketOption.receiveOverflow, 1);
  if (family === 4 || dual) set(ip, Ipv4Option.receiveErrors, 1);
  if (family === 6) set(ipv6, Ipv6Option.receiveErrors, 1);
  for (const [ipv4Option, ipv6Option, value, name] of wantedOptions(attempted, local, options)) {
    if (family === 4 || dual) must(ip, ipv4Option, value, `IP_${name}`);
    if (family === 6) must(ipv6, ipv6Option, value, `IPV6_${name}`);
  }
  return set;
}

function wantedOptions(attempted: string, local: UdpEndpointValue, options: UdpOptions): Wanted[] {
  const { pathMtuDiscovery, receiveTrafficClass = false, trafficClass = 0 } = options;
  const { packetInfo = options.remote === undefined && local.address.isUnspecified } = options;
  if (!Number.isInteger(trafficClass) || trafficClass < 0 || trafficClass > 0xff) {
    throw invalidArgument(attempted, 'a traffic class of 0 to 255', trafficClass);
  }
  const wanted: Wanted[] = [];
  if (packetInfo) wanted.push([Ipv4Option.packetInfo, Ipv6Option.receivePacketInfo, 1, 'PKTINFO']);
  if (receiveTrafficClass) {
    wanted.push([Ipv4Option.receiveTypeOfService, Ipv6Option.receiveTrafficClass, 1, 'RECVTOS']);
  }
  if (trafficClass > 0) wanted.push([Ipv4Option.typeOfService, Ipv6Option.trafficClass, trafficClass, 'TOS']);
  if (pathMtuDiscovery !== undefined) {
    const value = PMTU_DISCOVERY[pathMtuDiscovery];
    wanted.push([Ipv4Option.mtuDiscover, Ipv6Option.mtuDiscover, value, 'MTU_DISCOVER']);
  }
  return wanted;
}

function setBuffers(attempted: string, set: SetOption, options: UdpOptions): void {
  const { receiveBufferLen = DEFAULT_RECEIVE_BUFFER_LEN, sendBufferLen = DEFAULT_SEND_BUFFER_LEN } = options;
  for (const [what, length, forced, plain] of [
    ['receive', receiveBufferLen, SocketOption.receiveBufferForce, SocketOption.receiveBuffer],
    ['send', sendBufferLen, SocketOption.sendBufferForce, SocketOption.sendBuffer],
  ] as const) {
    if (!Number.isInteger(length) || length < 1 || length > 1 << 30) {
      throw invalidArgument(attempted, `a ${what} buffer of 1 byte to 1 GiB`, length);
    }
    if (!set(SocketLevel.socket, forced, length)) set(SocketLevel.socket, plain, length);
  }
}

function bind(fd: number, attempted: string, local: UdpEndpointValue): void {
  const result = nativeCore().bind(fd, emitSockaddr(local));
  if (result >= 0) return;
  const hints = new Map([
    [errno.EADDRINUSE, 'Choose another port, or open every socket of this port with `reusePort`.'],
    [errno.EADDRNOTAVAIL, 'Choose an address of this network namespace: `vnic list --all` shows them.'],
    [errno.EACCES, 'Ports below `net.ipv4.ip_unprivileged_port_start` need CAP_NET_BIND_SERVICE.'],
  ]);
  const hint = hints.get(-result);
  if (hint === undefined) throw systemError(attempted, 'bind', -result);
  const name = errnoName(-result);
  throw new VnicError('VNIC_SYSTEM_CALL', {
    attempted,
    reason: `bind failed with ${name}`,
    hint,
    errno: name,
    syscall: 'bind',
  });
}

function connect(fd: number, attempted: string, remote: UdpEndpointValue): void {
  const result = nativeCore().udpConnect(fd, emitSockaddr(remote));
  if (result < 0) throw systemError(attempted, 'connect', -result);
}

function nameOf(fd: number, attempted: string): UdpEndpointValue {
  const bytes = new Uint8Array(SOCKADDR_LEN);
  const result = nativeCore().getsockname(fd, bytes);
  if (result < 0) throw systemError(attempted, 'getsockname', -result);
  return parseSockaddr(bytes);
}

function endpointOf(given: Partial<UdpEndpoint>, defaults: UdpEndpoint): UdpEndpointValue {
  const { scopeId } = given;
  return {
    address: toAddress(given.address ?? defaults.address),
    port: checkPort(given.port ?? defaults.port),
    ...(scopeId === undefined ? {} : { scopeId }),
  };
}

function checkBatch({ gro, batch = {} }: UdpOptions): void {
  const { capacity, bytesLen } = batch;
  const least = gro === 'off' ? 1 : UDP_GRO_SEGMENTS;
  if (capacity !== undefined && !(Number.isInteger(capacity) && capacity >= least && capacity <= MAX_CAPACITY)) {
    throw invalidArgument('open a UDP socket', `a batch capacity of ${least} to ${MAX_CAPACITY}`, capacity);
  }
  if (bytesLen !== undefined && !(Number.isInteger(bytesLen) && bytesLen >= UDP_SLOT_LEN && bytesLen <= 2 ** 31)) {
    throw invalidArgument('open a UDP socket', `batch memory of ${UDP_SLOT_LEN} bytes to 2 GiB`, bytesLen);
  }
}
