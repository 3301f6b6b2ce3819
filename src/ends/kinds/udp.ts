/** Ends that are UDP sockets: a packet a datagram. */

import { layersOf, overheadLen } from '../../mtu/index.ts';
import { openUdp, UdpLink } from '../../transport/index.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, parseHostPort, readOption } from '../end-spec.ts';
import { resolveHost } from '../host-address.ts';
import { DEFAULT_MTU, ETHERNET_OVERHEAD_LEN, readMtu, wholeNumber } from '../option-values.ts';
import { describeAddress } from '../streams.ts';

/** 48 bytes, over IPv4 too: both sides come to the same MTU, whichever they know of each other. */
const UDP_OVERHEAD_LEN: number = overheadLen(layersOf({ kind: 'datagram', family: 6, medium: 'ip' }));

/** Opens `udp` or `udp-listen`. @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE, VNIC_SYSTEM_CALL */
export async function openUdpEnd(spec: EndSpec, { medium }: OpenEndOptions): Promise<OpenEnd> {
  const { host, port } = parseHostPort(spec);
  const socket = await openUdp(await udpOptions(spec, host, port));
  const headerLen = medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0;
  const given = readMtu(spec);
  const probes = spec.options.has('probe');
  const mtu = given ?? DEFAULT_MTU - UDP_OVERHEAD_LEN - headerLen;
  // Who gives an MTU means it: what the path does not take is fragmented by the kernel, unless probes tell what it takes.
  const follows = given === undefined || probes;
  const name = `${spec.kind} ${describeAddress({ host, port: port || socket.local.port })}`;
  const link = new UdpLink(socket, {
    medium,
    mtu,
    name,
    ...(follows && { path: { overheadLen: UDP_OVERHEAD_LEN, ...(probes && { probe: true as const }) } }),
  });
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
