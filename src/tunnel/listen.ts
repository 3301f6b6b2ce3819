/** A listening side as it is asked for: a place, whom to let in, and what to hand out. */

import { IpAddress, VnicError } from '../base/index.ts';
import { formatTunnelWhere, type TunnelWhere } from '../ends/index.ts';
import { AuthorizedPeers, type Identity, loadIdentity } from '../identity/index.ts';
import type { ClientTrust, RefusedClient } from '../secure/index.ts';
import type { TunnelCarrier } from './carrier.ts';
import { openTunnelServer, type TunnelServer, type TunnelServerOptions } from './server.ts';
import { listenForTlsCarriers } from './tls-carrier.ts';
import { listenForUdpCarriers, udpTunnelMtu } from './udp-carrier.ts';
import { listenForWebSocketCarriers } from './websocket-carrier.ts';

/** How tunnels are listened for. */
export interface TunnelListenOptions extends TunnelServerOptions {
  /** Who this side is; default that of the machine, made the first time. */
  readonly identity?: Identity;
  /** Fingerprints of clients that may come in, beside those of `clients` and of the file of authorized peers. */
  readonly allow?: readonly string[];
  /** Instead of those, clients may come in with a certificate that one of these (PEM) has signed. */
  readonly ca?: string;
  /** Anybody may come in. */
  readonly anyone?: boolean;
  /** UDP, where nothing is encrypted and nobody proves who it is, needs it. */
  readonly insecure?: boolean;
  /** Told of clients that were turned away by their key. */
  onRefused?(client: RefusedClient): void;
}

/** A place that is listened on. */
export interface TunnelListener extends AsyncDisposable {
  readonly server: TunnelServer;
  /** With the port that the kernel chose. */
  readonly where: TunnelWhere;
  /** Of the key of this side; undefined where none is shown. */
  readonly fingerprint: string | undefined;
  /** As `server.done`. */
  readonly done: Promise<void>;
  /** Closes the port, the connections and the device. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes the device and listens.
 * @throws VNIC_INVALID_ARGUMENT (UDP without `insecure`), VNIC_IDENTITY, VNIC_SYSTEM_CALL; what `openTunnelServer` throws
 */
export async function listenForTunnels(where: TunnelWhere, options: TunnelListenOptions): Promise<TunnelListener> {
  requireInsecure(where, options.insecure);
  const medium = options.device.kind === 'tun' ? 'ip' : 'ethernet';
  const identity = where.carrier === 'udp' ? undefined : (options.identity ?? loadIdentity());
  const mtu = options.mtu ?? (where.carrier === 'udp' ? udpTunnelMtu(1500, medium) : undefined);
  // A datagram takes no super-packet.
  const superPackets = where.carrier !== 'udp' && (options.superPackets ?? true);
  const server = await openTunnelServer({ ...options, superPackets, ...(mtu !== undefined && { mtu }) });
  try {
    const { place, stop } = await listen(where, server, options, identity);
    const close = async (): Promise<void> => {
      await server.close();
      await stop();
    };
    return {
      server,
      where: place,
      fingerprint: identity?.fingerprint,
      done: server.done.finally(stop),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

interface Listening {
  readonly place: TunnelWhere;
  stop(): Promise<void> | void;
}

async function listen(
  where: TunnelWhere,
  server: TunnelServer,
  options: TunnelListenOptions,
  identity: Identity | undefined,
): Promise<Listening> {
  const medium = options.device.kind === 'tun' ? 'ip' : 'ethernet';
  const { maxClients, onRefused } = options;
  if (identity === undefined) {
    const address = where.host === '' ? undefined : IpAddress.parse(where.host);
    const listener = await listenForUdpCarriers(
      { port: where.port, ...(address !== undefined && { address }) },
      { medium, ...(maxClients !== undefined && { maxClients }) },
      (carrier) => server.serve(carrier),
    );
    return { place: { ...where, port: listener.local.port }, stop: () => listener.close() };
  }
  const secure = { medium, identity, trust: trustOf(options), ...(onRefused !== undefined && { onRefused }) } as const;
  const serve = (carrier: TunnelCarrier): void => server.serve(carrier);
  const listener =
    where.carrier === 'wss'
      ? await listenForWebSocketCarriers(where, { ...secure, path: where.path }, serve)
      : await listenForTlsCarriers(where, secure, serve);
  return { place: { ...where, port: listener.address.port }, stop: () => listener.stop() };
}

/** The file is asked anew for each client, so that one can be let in, or out, without a restart. */
function trustOf({ allow = [], clients = [], ca, anyone = false }: TunnelListenOptions): ClientTrust {
  if (anyone) return { anyone: true };
  if (ca !== undefined) return { ca };
  const known = new Set([...allow, ...clients.map(({ fingerprint }) => fingerprint)]);
  const authorized = new AuthorizedPeers();
  return { allow: (fingerprint) => known.has(fingerprint) || authorized.find(fingerprint) !== undefined };
}

/** @throws VNIC_INVALID_ARGUMENT */
export function requireInsecure(where: TunnelWhere, insecure = false): void {
  if (where.carrier !== 'udp' || insecure) return;
  throw new VnicError('VNIC_INVALID_ARGUMENT', {
    attempted: `use a tunnel over ${formatTunnelWhere(where)}`,
    reason: 'over UDP nothing is encrypted, and anybody can send packets into the device',
    hint: 'Leave udp: out, for TLS; or add --insecure inside a network that you trust.',
  });
}
