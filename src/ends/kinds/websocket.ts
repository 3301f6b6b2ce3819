/** Ends that are WebSockets: a packet a message. */

import type { WebSocketChannel } from '../../websocket/index.ts';
import { connectWebSocket, listenForWebSockets, WebSocketLink } from '../../websocket/index.ts';
import { type Connected, keepConnected, offer } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, mistake, parseHostPort, splitPath } from '../end-spec.ts';
import { DEFAULT_MTU, readMtu } from '../option-values.ts';
import { describeAddress, type StreamAddress } from '../streams.ts';
import { readTlsClient, readTlsListener } from '../tls-options.ts';

/** Options that say something only with TLS. */
const TLS_OPTIONS = ['allow', 'ca', 'insecure', 'cert', 'key'];

/**
 * Opens `ws`, `wss` or `ws-listen`.
 * @throws VNIC_INVALID_END, VNIC_IDENTITY, VNIC_SYSTEM_CALL; with `once` what `connectWebSocket` throws
 */
export async function openWebSocketEnd(written: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const { spec, path } = splitPath(written);
  const address = parseHostPort(spec);
  const { medium, once } = options;
  const label = `${spec.kind} ${describeAddress(address)}${path ?? ''}`;
  const link = new WebSocketLink({ name: label, medium, mtu: readMtu(spec) ?? DEFAULT_MTU, keep: !once });
  const stop =
    spec.kind === 'ws-listen'
      ? await listen(spec, address, path, link, options)
      : await connect(spec, address, path, link, options);
  return {
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  };
}

type HostAndPort = Exclude<StreamAddress, { readonly path: string }>;

async function listen(
  spec: EndSpec,
  address: HostAndPort,
  path: string | undefined,
  link: WebSocketLink,
  options: OpenEndOptions,
): Promise<() => void> {
  const hasTls = spec.options.has('tls');
  const misplaced = hasTls ? undefined : TLS_OPTIONS.find((name) => spec.options.has(name));
  if (misplaced !== undefined) {
    const at = spec.text.indexOf(`,${misplaced}`) + 1;
    throw mistake(spec.text, at, misplaced.length, `${misplaced} says nothing without tls`, {
      hint: `Write ${spec.text.slice(0, at)}tls,${spec.text.slice(at)}.`,
    });
  }
  const { stop } = await listenForWebSockets(address, {
    ...(hasTls && { tls: readTlsListener(spec, link.name, options) }),
    ...(path !== undefined && { path }),
    origins: spec.options.get('origin') ?? [],
    onChannel: ({ channel, peer }) => offer(link, { stream: channel, peer }, options.onEvent),
  });
  return stop;
}

function connect(
  spec: EndSpec,
  address: HostAndPort,
  path: string | undefined,
  link: WebSocketLink,
  options: OpenEndOptions,
): Promise<() => void> {
  const tls = spec.kind === 'wss' ? readTlsClient(spec, link.name, options) : undefined;
  const open = async (signal: AbortSignal): Promise<Connected<WebSocketChannel>> => {
    const connection = await connectWebSocket({
      ...address,
      signal,
      ...(path !== undefined && { path }),
      ...(tls !== undefined && { tls }),
    });
    const { channel, peer, fingerprint, isNew } = connection;
    if (isNew && fingerprint !== undefined) options.onEvent?.({ event: 'pinned', link: link.name, peer, fingerprint });
    return { stream: channel, peer };
  };
  return keepConnected(link, open, options);
}
