/** Packets in WebSocket messages (RFC 6455), one in each, with TLS below or without: client, listener and link. */

export type { WebSocketChannel, WebSocketChannelEvents } from './channel.ts';
export { connectWebSocket, type WebSocketConnection, type WebSocketConnectOptions } from './connect.ts';
export { WebSocketLink, type WebSocketLinkCounters, type WebSocketLinkOptions } from './link.ts';
export { listenForWebSockets, type WebSocketClient, type WebSocketListenOptions } from './listen.ts';
