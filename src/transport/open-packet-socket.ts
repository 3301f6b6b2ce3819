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

/** Opens, configures, binds. Throws what `openInterface` documents. */
export function openPacketSocket(options: InterfaceOptions): PacketSocket {
  const attempted = `listen on ${JSON.stringify(options.name)}`;
  const { receiveBufferLen = DEFAULT_RECEIVE_BUFFER_LEN } = options;
  if (!Number.isInteger(receiveBufferLen) || receiveBufferLen < 1 || receiveBufferLen > 1 << 30) {
    throw invalidArgument(attempted, 'a receive buffer of 1 byte to 1 GiB', receiveBufferLen);
  }
  checkInterfaceName(options.name, attempted);
  const { fd, medium, found } = withNamespace(options.netns, (namespace) => openIn(namespace, options.name, attempted));
  const core = nativeCore();
  try {
    configure(fd, attempted, found, options, receiveBufferLen);
  } catch (error) {
    core.close(fd);
    throw error;
  }
  return { fd, medium, found };
}

function openIn(namespace: NetworkNamespace | undefined, name: string, attempted: string): PacketSocket {
  const found = getLinkSync(name, namespace === undefined ? {} : { netns: namespace });
  if (found === undefined) throw noSuchInterface(attempted, name);
  const medium = mediumOf(attempted, found);
  const type = medium === 'ethernet' ? SOCK_RAW : SOCK_DGRAM;
  const fd = (namespace ?? nativeCore()).socket(AF_PACKET, type, 0);
  if (fd < 0) throw socketError(attempted, -fd);
  return { fd, medium, found };
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
  fd: number,
  attempted: string,
  { index, name }: LinkInfo,
  options: InterfaceOptions,
  receiveBufferLen: number,
): void {
  const core = nativeCore();
  const set = (level: number, option: number, value: Uint8Array): number => core.setsockopt(fd, level, option, value);
  const bufferLen = new Uint8Array(Int32Array.of(receiveBufferLen).buffer);
  if (set(SOL_SOCKET, SO_RCVBUFFORCE, bufferLen) < 0) set(SOL_SOCKET, SO_RCVBUF, bufferLen);
  const one = new Uint8Array(Int32Array.of(1).buffer);
  // A kernel that does not know the option tells no metadata, and packets are read as they are.
  set(PacketSocketOption.level, PacketSocketOption.auxdata, one);
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
