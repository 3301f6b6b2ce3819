/** Tunnels over UDP, a packet a datagram: in the clear, and with nobody's identity proved. */

import type { IpAddress } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { openUdp, type UdpEndpointValue, UdpLink, UdpPeers } from '../transport/index.ts';
import type { TunnelCarrier } from './carrier.ts';
import { isControl } from './control-message.ts';

/** Where a UDP tunnel listens. */
export interface UdpTunnelListener extends AsyncDisposable {
  readonly local: UdpEndpointValue;
  /** Closes the connections and the port. Idempotent. */
  close(): Promise<void>;
}

/** IPv6 and UDP header. Over IPv4 it is less, but one server has clients of both. */
const UDP_OVERHEAD_LEN = 48;
/** Ethernet header and one 802.1Q tag. */
const ETHERNET_OVERHEAD_LEN = 18;
const ETHERNET_MTU = 1500;
/** Control packets may be longer than the path takes: the kernel fragments them. */
const MAX_DATAGRAM_LEN = 65_000;

/** The longest payload over UDP on a path of this MTU. */
export function udpTunnelMtu(pathMtu: number, medium: Medium): number {
  return Math.min(ETHERNET_MTU, pathMtu) - UDP_OVERHEAD_LEN - (medium === 'ethernet' ? ETHERNET_OVERHEAD_LEN : 0);
}

/** "Connects" by UDP: whether anybody is there shows with the first answer. @throws VNIC_SYSTEM_CALL */
export async function connectUdpCarrier(
  remote: { readonly address: IpAddress; readonly port: number },
  medium: Medium,
): Promise<TunnelCarrier> {
  const socket = await openUdp({ remote });
  // What this side sends is never longer than the path takes, as far as the kernel knows it.
  const path = { overheadLen: UDP_OVERHEAD_LEN };
  const link = new UdpLink(socket, { medium, mtu: udpTunnelMtu(ETHERNET_MTU, medium), path });
  return { link, peer: placeOf(remote), mtu: link.mtu };
}

/** Listens on UDP; each sender of a control packet is handed over. @throws VNIC_SYSTEM_CALL */
export async function listenForUdpCarriers(
  local: { readonly address?: IpAddress; readonly port: number },
  { medium, maxClients }: { readonly medium: Medium; readonly maxClients?: number },
  onCarrier: (carrier: TunnelCarrier) => void,
): Promise<UdpTunnelListener> {
  return new UdpPeers(await openUdp({ local }), {
    medium,
    mtu: MAX_DATAGRAM_LEN,
    ...(maxClients !== undefined && { maxPeers: 2 * maxClients }),
    isGreeting: isControl,
    onPeer: (link, remote) => onCarrier({ link, peer: placeOf(remote), mtu: udpTunnelMtu(ETHERNET_MTU, medium) }),
  });
}

function placeOf({ address, port }: { readonly address: IpAddress; readonly port: number }): string {
  const text = address.toString().replace(/^::ffff:(?=\d+\.)/, '');
  return address.family === 6 && text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
}
