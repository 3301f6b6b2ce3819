/** From the name of an interface to a bound packet socket; nothing is left behind when a step fails. */

import { invalidArgument, VnicError } from '../base/index.ts';
import type { Medium, PacketBatchOptions } from '../link/index.ts';
import { errno, errnoName, inContainer, nativeCore, systemError } from '../native/index.ts';
import { checkInterfaceName, getLinkSync, type LinkInfo } from '../netlink/index.ts';
import { type NetnsOptions, type NetworkNamespace, withNamespace } from '../netns/index.ts';
import { ETH_P_ALL, emitPromiscuousMembership, emitSocketAddress, PacketSocketOption } from './packet-address.ts';

export interface InterfaceOptions extends NetnsOptions {
  /** Name of an interface of this network namespace, or of the one of `netns`. */
  readonly name: string;
  /** Also receive frames for other stations, while the link is open; default false. */
  readonly promiscuous?: boolean;
  /** Also receive what this machine sends out of the interface; default true. */
  readonly outgoing?: boolean;
  /**
   * Reads super-packets, which are not cut up before the network card, as the packets they stand for, and completes the
   * checksums that are left to it, so that what is read can be sent on; default false. On an interface that carries IP
   * behind a header of its own (GRE, SIT and their like) it does nothing.
   */
  readonly split?: boolean;
  /**
   * Bytes of packets that the kernel queues for the reader, default 4 MiB. Without CAP_NET_ADMIN the kernel
   * cuts it down to `net.core.rmem_max`.
   */
  readonly receiveBufferLen?: number;
  /** Size of the read batch. */
  readonly batch?: PacketBatchOptions;
}

/** A socket that receives what passes an interface, owned by this thread's environment. */
export interface PacketSocket {
  readonly fd: number;
  readonly medium: Medium;
  readonly found: LinkInfo;
  /** Each packet stands behind a virtio-net header, read and written. */
  readonly hasVnetHeader: boolean;
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const DEFAULT_RECEIVE_BUFFER_LEN = 4 << 20;

/** `linux/if_arp.h`: types whose frames start with an Ethernet header. */
const ETHERNET_TYPES: readonly number[] = [1, 772];
/** RAWIP, PPP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, NONE: types that carry bare IP under `SOCK_DGRAM`. */
const IP_TYPES: readonly number[] = [519, 512, 768, 769, 776, 778, 823, 65_534];

/** `ARPHRD_NONE`, as TUN devices and WireGuard have it: no header at all, so that `SOCK_RAW` carries bare IP. */
const NO_HEADER_TYPE = 65_534;

/**
 * What an interface carries.
 * @throws VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_UNSUPPORTED, VNIC_NO_SUCH_NAMESPACE,
 *   VNIC_NAMESPACE_FORBIDDEN
 */
export function interfaceMedium({ name, netns }: Pick<InterfaceOptions, 'name' | 'netns'>): Medium {
  const attempted = `listen on ${JSON.stringify(name)}`;
  checkInterfaceName(name, attempted);
  const found = getLinkSync(name, netns === undefined ? {} : { netns });
  if (found === undefined) throw noSuchInterface(attempted, name);
  return mediumOf(attempted, found);
}

/** Opens, configures, binds. Throws what `openInterface` documents. */
export function openPacketSocket(options: InterfaceOptions): PacketSocket {
  const attempted = `listen on ${JSON.stringify(options.name)}`;
  const { receiveBufferLen = DEFAULT_RECEIVE_BUFFER_LEN } = options;
  if (!Number.isInteger(receiveBufferLen) || receiveBufferLen < 1 || receiveBufferLen > 1 << 30) {
    throw invalidArgument(attempted, 'a receive buffer of 1 byte to 1 GiB', receiveBufferLen);
  }
  checkInterfaceName(options.name, attempted);
  const socket = withNamespace(options.netns, (namespace) => openIn(namespace, options, attempted));
  const { fd } = socket;
  const core = nativeCore();
  try {
    configure(socket, attempted, options, receiveBufferLen);
  } catch (error) {
    core.close(fd);
    throw error;
  }
  return socket;
}

function openIn(
  namespace: NetworkNamespace | undefined,
  { name, split = false }: InterfaceOptions,
  attempted: string,
): PacketSocket {
  const found = getLinkSync(name, namespace === undefined ? {} : { netns: namespace });
  if (found === undefined) throw noSuchInterface(attempted, name);
  const medium = mediumOf(attempted, found);
  const hasVnetHeader = split && (medium === 'ethernet' || found.linkTypeNumber === NO_HEADER_TYPE);
  const type = medium === 'ethernet' || hasVnetHeader ? SOCK_RAW : SOCK_DGRAM;
  const fd = (namespace ?? nativeCore()).socket(AF_PACKET, type, 0);
  if (fd < 0) throw socketError(attempted, -fd);
  return { fd, medium, found, hasVnetHeader };
}

function mediumOf(attempted: string, found: LinkInfo): Medium {
  if (ETHERNET_TYPES.includes(found.linkTypeNumber)) return 'ethernet';
  if (IP_TYPES.includes(found.linkTypeNumber)) return 'ip';
  throw new VnicError('VNIC_UNSUPPORTED', {
    attempted,
    reason: `${found.name} has link type ${found.linkType}, neither Ethernet nor IP`,
    hint: 'Choose an interface that carries Ethernet frames or IP packets.',
  });
}

function configure(
  { fd, found, hasVnetHeader }: PacketSocket,
  attempted: string,
  options: InterfaceOptions,
  receiveBufferLen: number,
): void {
  const core = nativeCore();
  const { index, name } = found;
  const set = (level: number, option: number, value: Uint8Array): number => core.setsockopt(fd, level, option, value);
  const bufferLen = new Uint8Array(Int32Array.of(receiveBufferLen).buffer);
  if (set(SOL_SOCKET, SO_RCVBUFFORCE, bufferLen) < 0) set(SOL_SOCKET, SO_RCVBUF, bufferLen);
  const one = new Uint8Array(Int32Array.of(1).buffer);
  // A kernel that does not know the option tells no metadata, and packets are read as they are.
  set(PacketSocketOption.level, PacketSocketOption.auxdata, one);
  if (hasVnetHeader) {
    const result = set(PacketSocketOption.level, PacketSocketOption.vnetHeader, one);
    if (result < 0) throw systemError(attempted, 'setsockopt(PACKET_VNET_HDR)', -result);
  }
  if (options.outgoing === false) {
    const result = set(PacketSocketOption.level, PacketSocketOption.ignoreOutgoing, one);
    if (result < 0) throw systemError(attempted, 'setsockopt(PACKET_IGNORE_OUTGOING)', -result);
  }
  if (options.promiscuous) {
    const result = set(PacketSocketOption.level, PacketSocketOption.addMembership, emitPromiscuousMembership(index));
    if (result < 0) throw systemError(attempted, 'setsockopt(PACKET_ADD_MEMBERSHIP)', -result);
  }
  const bound = core.bind(fd, emitSocketAddress(ETH_P_ALL, index));
  if (bound === -errno.ENODEV) throw noSuchInterface(attempted, name);
  if (bound < 0) throw systemError(attempted, 'bind(AF_PACKET)', -bound);
}

function noSuchInterface(attempted: string, name: string): VnicError {
  return new VnicError('VNIC_NO_SUCH_INTERFACE', {
    attempted,
    reason: `there is no interface ${name} in this network namespace`,
    hint: 'List the interfaces with `vnic list --all`.',
  });
}

function socketError(attempted: string, number: number): VnicError {
  if (number !== errno.EPERM) return systemError(attempted, 'socket(AF_PACKET)', number);
  return new VnicError('VNIC_NO_PRIVILEGE', {
    attempted,
    reason: 'this process lacks CAP_NET_RAW, which listening on an interface needs',
    hint: inContainer()
      ? 'Start the container with `--cap-add NET_RAW`.'
      : 'Run it with sudo, or in a namespace of its own: `unshare --user --map-root-user --net COMMAND`.',
    errno: errnoName(number),
    syscall: 'socket(AF_PACKET)',
  });
}
