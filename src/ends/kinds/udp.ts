/** Ends that are UDP sockets: a packet a datagram. */

import { openUdp, UdpLink, type UdpSocket } from '../../transport/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, parseHostPort, readOption } from '../end-spec.ts';
import { resolveHost } from '../host-address.ts';
import { DEFAULT_MTU, ETHERNET_OVERHEAD_LEN, readMtu, wholeNumber } from '../option-values.ts';
import { describeAddress } from '../streams.ts';

/** IPv6 and UDP header: over IPv4 it is less, but both sides come to the same MTU, whichever they know of each other. */
const UDP_OVERHEAD_LEN = 48;

/** Opens `udp` or `udp-listen`. @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE, VNIC_SYSTEM_CALL */
export async function openUdpEnd(spec: EndSpec, { medium }: OpenEndOptions): Promise<OpenEnd> {
  const { host, port } = parseHostPort(spec);
  const socket = await openUdp(await udpOptions(spec, host, port));
  const overheadLen = medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0;
  const mtu = readMtu(spec) ?? pathMtuOf(socket) - UDP_OVERHEAD_LEN - overheadLen;
  const name = `${spec.kind} ${describeAddress({ host, port: port || socket.local.port })}`;
  const link = new UdpLink(socket, { medium, mtu, name });
  return {
    link,
    label: spec.kind === 'udp' ? `UDP to ${describeAddress({ host, port })}` : `UDP on port ${socket.local.port}`,
    close: () => link.close(),
  };
}

async function udpOptions(spec: EndSpec, host: string, port: number): Promise<Parameters<typeof openUdp>[0]> {
  const address = host === '' ? undefined : await resolveHost(spec, host);
  if (spec.kind === 'udp-listen') return { local: { ...(address !== undefined && { address }), port } };
  const localPort = readOption(spec, 'port', 'a port', (text) => wholeNumber(text, 1, 0xffff));
  return {
    ...(address !== undefined && { remote: { address, port } }),
    ...(localPort !== undefined && { local: { port: localPort } }),
  };
}

/** The kernel knows it of a connected socket; loopback has 64 KiB, which nobody behind a device wants. */
function pathMtuOf(socket: UdpSocket): number {
  return socket.remote === undefined ? DEFAULT_MTU : Math.min(DEFAULT_MTU, socket.pathMtu());
}
