/** Tunnels over WebSockets on TLS 1.3, a packet a message: for networks that let nothing else through. */

import { MAX_FRAME_LEN, type Medium } from '../link/index.ts';
import type { SecureAddress, SecureListener, TlsConnectOptions, TlsListenTrust } from '../secure/index.ts';
import { connectWebSocket, listenForWebSockets, type WebSocketChannel, WebSocketLink } from '../websocket/index.ts';
import type { TunnelCarrier } from './carrier.ts';
import type { TlsTunnelCarrier } from './tls-carrier.ts';

/** Connects by WebSocket over TLS. @throws what `connectWebSocket` throws */
export async function connectWebSocketCarrier(
  options: TlsConnectOptions & { readonly medium: Medium; readonly path: string },
): Promise<TlsTunnelCarrier> {
  const { host, port, medium, path, signal, ...tls } = options;
  const connection = await connectWebSocket({ host, port, path, tls, ...(signal !== undefined && { signal }) });
  const { channel, peer, fingerprint = '', isNew } = connection;
  return { link: linkOver(channel, `WebSocket to ${peer}`, medium), peer, fingerprint, isNew };
}

/** Listens for WebSockets over TLS; each client that may come in is handed over. @throws VNIC_SYSTEM_CALL */
export function listenForWebSocketCarriers(
  address: SecureAddress,
  { medium, path, ...tls }: TlsListenTrust & { readonly medium: Medium; readonly path: string },
  onCarrier: (carrier: TunnelCarrier) => void,
): Promise<SecureListener> {
  return listenForWebSockets(address, {
    tls,
    ...(path !== '/' && { path }),
    onChannel: ({ channel, peer, fingerprint }) =>
      onCarrier({
        link: linkOver(channel, `WebSocket from ${peer}`, medium),
        peer,
        ...(fingerprint !== undefined && { fingerprint }),
      }),
  });
}

function linkOver(channel: WebSocketChannel, name: string, medium: Medium): WebSocketLink {
  const link = new WebSocketLink({ name, medium, mtu: MAX_FRAME_LEN });
  link.attach(channel);
  return link;
}
