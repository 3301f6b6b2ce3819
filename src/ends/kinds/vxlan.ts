/** Ends that are VXLAN: an Ethernet frame a UDP datagram, behind a header that names the network. */

import type { IpAddress } from '../../base/index.ts';
import { layersOf, overheadLen } from '../../mtu/index.ts';
import { openUdp, VxlanLink } from '../../transport/index.ts';
import { maxVni, vxlanHeaderLen, vxlanPort } from '../../wire/index.ts';
import type { OpenEnd } from '../end.ts';
import { endKinds } from '../end-kinds.ts';
import { type EndSpec, type HostPort, mistake, parseHostPort, readOption } from '../end-spec.ts';
import { resolveHost } from '../host-address.ts';
import { DEFAULT_MTU, readMtu, wholeNumber } from '../option-values.ts';
import { describeAddress } from '../streams.ts';

/** Opens `vxlan` or `vxlan-listen`. @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE, VNIC_SYSTEM_CALL */
export async function openVxlanEnd(spec: EndSpec): Promise<OpenEnd> {
  const { host, port } = parseHostPort(spec);
  const vni = readOption(spec, 'vni', `a number of 0 to ${maxVni}`, (text) => wholeNumber(text, 0, maxVni));
  if (vni === undefined) {
    throw mistake(spec.text, spec.text.length, 1, `${spec.kind} needs the number of the network`, {
      hint: `Add vni=, for example ${endKinds[spec.kind].example}.`,
    });
  }
  const isListener = spec.kind === 'vxlan-listen';
  const localPort = readOption(spec, 'port', 'a port', (text) => wholeNumber(text, 1, 0xffff)) ?? port;
  const address = host === '' ? undefined : await resolveHost(spec, host);
  const mtu = readMtu(spec) ?? (await mtuTo(address, isListener));
  const local = isListener ? address : anyAddress(address);
  const socket = await openUdp({ local: { port: localPort, ...(local !== undefined && { address: local }) } });
  const peer: HostPort = { host, port };
  const name = `${spec.kind} ${describeAddress(peer)}`;
  const remote = isListener || address === undefined ? undefined : { address, port };
  const link = new VxlanLink(socket, { vni, port, mtu, name, ...(remote !== undefined && { remote }) });
  return {
    link,
    label: isListener ? `VXLAN ${vni} on port ${localPort}` : `VXLAN ${vni} to ${describeAddress(peer)}`,
    headroom: vxlanHeaderLen,
    close: () => link.close(),
  };
}

/** What is left of the path's MTU. Of a peer that is not known, IPv6 is assumed, unless the address listened on says otherwise. */
async function mtuTo(address: IpAddress | undefined, isListener: boolean): Promise<number> {
  const layers = layersOf({ kind: 'vxlan', family: address?.family ?? 6, medium: 'ethernet' });
  const pathMtu = address === undefined || isListener ? DEFAULT_MTU : await pathMtuTo(address);
  return Math.min(DEFAULT_MTU, pathMtu) - overheadLen(layers);
}

/** Of a connected socket the kernel knows it; that of the link is not. */
async function pathMtuTo(address: IpAddress): Promise<number> {
  await using socket = await openUdp({ remote: { address, port: vxlanPort } });
  return socket.pathMtu();
}

function anyAddress(address: IpAddress | undefined): string | undefined {
  return address === undefined ? undefined : address.family === 4 ? '0.0.0.0' : '::';
}
