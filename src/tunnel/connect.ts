/** A connecting side as it is asked for: a place, whom to expect there, and what to take. */

import { lookup as resolve } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';

import { IpAddress, VnicError } from '../base/index.ts';
import { formatTunnelWhere, type TunnelWhere } from '../ends/index.ts';
import { type Identity, KnownPeers, loadIdentity } from '../identity/index.ts';
import type { Medium } from '../link/index.ts';
import type { ServerTrust } from '../secure/index.ts';
import { openTunnelClient, type TunnelClient, type TunnelClientEvent, type TunnelClientOptions } from './client.ts';
import type { TunnelEndpoint } from './default-route.ts';
import { requireInsecure } from './listen.ts';
import { connectTlsCarrier, type TlsTunnelCarrier } from './tls-carrier.ts';
import { connectUdpCarrier } from './udp-carrier.ts';
import { connectWebSocketCarrier } from './websocket-carrier.ts';

/** How a tunnel is connected. */
export interface TunnelConnectOptions extends Omit<TunnelClientOptions, 'connect' | 'defaultRoute' | 'onEvent'> {
  /** Who this side is; default that of the machine, made the first time. */
  readonly identity?: Identity;
  /** Whom to expect; default the key that the place had when it was met first. */
  readonly trust?: ServerTrust;
  /** The name that is asked for, and that a certificate of an authority has to be for; default the host. */
  readonly servername?: string;
  /** Everything goes through the tunnel. */
  readonly defaultRoute?: boolean;
  /** With `defaultRoute`: nothing goes past the tunnel, also while it is down, and after this process was killed. */
  readonly killSwitch?: boolean;
  /** UDP, where nothing is encrypted and nobody proves who it is, needs it. */
  readonly insecure?: boolean;
  /** Told of what happens, as it happens. */
  onEvent?(event: TunnelClientEvent): void;
  /** Told when a key was met for the first time, and nobody has compared it. */
  onNewPeer?(place: string, fingerprint: string): void;
}

/**
 * Starts to connect.
 * @throws VNIC_INVALID_ARGUMENT (UDP without `insecure`), VNIC_IDENTITY; VNIC_PEER_UNREACHABLE when everything is to go through the
 *   tunnel and the host has no address
 */
export async function connectTunnel(where: TunnelWhere, options: TunnelConnectOptions): Promise<TunnelClient> {
  requireInsecure(where, options.insecure);
  const { defaultRoute = false, killSwitch = false, ...rest } = options;
  const medium: Medium = options.device.kind === 'tun' ? 'ip' : 'ethernet';
  // Names cannot be asked for once everything goes through the tunnel.
  const addresses = defaultRoute ? await addressesOf(where) : undefined;
  const protocol = where.carrier === 'udp' ? 'udp' : 'tcp';
  const endpoints = addresses?.map((address): TunnelEndpoint => ({ address, port: where.port, protocol }));
  const route = endpoints === undefined ? {} : { defaultRoute: { endpoints, killSwitch } };
  if (where.carrier === 'udp') {
    return openTunnelClient({
      ...rest,
      ...route,
      connect: async () => {
        const [address] = addresses ?? (await addressesOf(where));
        return connectUdpCarrier({ address: address as IpAddress, port: where.port }, medium);
      },
    });
  }
  const identity = options.identity ?? loadIdentity();
  const { trust = { known: new KnownPeers() }, servername, onNewPeer } = options;
  const lookup = addresses === undefined ? undefined : lookupIn(addresses);
  return openTunnelClient({
    ...rest,
    ...route,
    connect: async (signal) => {
      const wanted = {
        medium,
        host: where.host,
        port: where.port,
        identity,
        trust,
        signal,
        ...(servername !== undefined && { servername }),
        ...(lookup !== undefined && { lookup }),
      };
      const carrier: TlsTunnelCarrier = await (where.carrier === 'wss'
        ? connectWebSocketCarrier({ ...wanted, path: where.path })
        : connectTlsCarrier(wanted));
      if (carrier.isNew) onNewPeer?.(carrier.peer, carrier.fingerprint);
      return carrier;
    },
  });
}

async function addressesOf(where: TunnelWhere): Promise<readonly IpAddress[]> {
  try {
    return (await resolve(where.host, { all: true })).map(({ address }) => IpAddress.parse(address));
  } catch (cause) {
    throw new VnicError('VNIC_PEER_UNREACHABLE', {
      attempted: `find the address of ${where.host}`,
      reason: 'no address is known for that name',
      hint: `Check the name in ${formatTunnelWhere(where)}, or give the address.`,
      cause,
    });
  }
}

/** The resolver's answer from before. */
function lookupIn(addresses: readonly IpAddress[]): LookupFunction {
  const found = addresses.map((address) => ({ address: address.toString(), family: address.family }));
  return (_host, options, callback) => {
    const [first] = found as [(typeof found)[0]];
    if (options.all) callback(null, found);
    else callback(null, first.address, first.family);
  };
}
